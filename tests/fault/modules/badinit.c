/* A module whose workers do not start: worker_init fails with a sentence as long as the file named by BADINIT exists.
 */
#include <stdlib.h>
#include <unistd.h>

#include <mpool/module.h>

static int refuse(mpool_init *init)
{
    const char *path = getenv("BADINIT");
    if (path && access(path, F_OK) == 0)
        return mpool_init_fail(init, "the licence server is down");
    return 0;
}

static int fine(mpool_task *task)
{
    return mpool_reply_bool(task, 1);
}

MPOOL_MODULE("badinit", "1.0.0", MPOOL_WORKER_INIT(refuse), MPOOL_FN("fine", fine))
