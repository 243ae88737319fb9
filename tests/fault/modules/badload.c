/* A module that crashes while it is loaded: its pool must be throttled and say so, and the others serve on. */
#include <signal.h>

#include <mpool/module.h>

static int crash(mpool_init *init)
{
    (void)init;
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return 0;
}

static int never(mpool_task *task)
{
    return mpool_reply_nil(task);
}

MPOOL_MODULE("badload", "1.0.0", MPOOL_INIT(crash), MPOOL_FN("never", never))
