/* A module that spoils the loading: its pool must be throttled and say so, and the others serve on. BADLOAD says how:
 * "hang" for ever, "leave" (hang with every descriptor closed), else it crashes. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mpool/module.h>

static int spoil(mpool_init *init)
{
    const char *how = getenv("BADLOAD");
    (void)init;
    if (how && strcmp(how, "leave") == 0)
        for (int fd = 3; fd < 100; fd++)
            close(fd);
    while (how)
        pause();
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return 0;
}

static int never(mpool_task *task)
{
    return mpool_reply_nil(task);
}

MPOOL_MODULE("badload", "1.0.0", MPOOL_INIT(spoil), MPOOL_FN("never", never))
