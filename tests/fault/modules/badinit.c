/* A module whose workers do not start as long as the file named by BADINIT exists. What it holds says how: "exit",
 * "abort", "fork" (worker_init goes on in a child, as a daemon would), "hang"; else worker_init fails with a sentence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mpool/module.h>

static int spoil(mpool_init *init)
{
    const char *path = getenv("BADINIT");
    char how[16] = "";
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return 0;
    if (!fgets(how, sizeof how, file))
        how[0] = 0;
    fclose(file);
    if (strcmp(how, "exit") == 0)
        _exit(3);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "fork") == 0) {
        if (fork() > 0)
            _exit(0);
        return 0;
    }
    while (strcmp(how, "hang") == 0)
        pause();
    return mpool_init_fail(init, "the licence server is down");
}

static int fine(mpool_task *task)
{
    return mpool_reply_bool(task, 1);
}

MPOOL_MODULE("badinit", "1.0.0", MPOOL_WORKER_INIT(spoil), MPOOL_FN("fine", fine))
