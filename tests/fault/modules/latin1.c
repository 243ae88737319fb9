/* A module whose author's editor saved it as ISO 8859-1: what it says of itself, and of its failures, is no UTF-8. */
#include <string.h>

#include <mpool/module.h>

static int fail(mpool_task *task)
{
    return mpool_fail(task, MPOOL_FAIL_FINAL, "caf\xe9: closed");
}

/* Longer than what is kept of it, of characters of three bytes. */
static int fail_long(mpool_task *task)
{
    static const char euro[] = "\xe2\x82\xac";
    char text[3 * 2000 + 1];
    for (size_t i = 0; i < 2000; i++)
        memcpy(text + 3 * i, euro, 3);
    text[3 * 2000] = 0;
    return mpool_fail(task, MPOOL_FAIL_FINAL, "%s", text);
}

static int say(mpool_task *task)
{
    static const char printed[] = "printed caf\xe9\n";
    mpool_log(task, MPOOL_LOG_INFO, "logged caf\xe9");
    return mpool_output(task, 1, printed, sizeof printed - 1);
}

MPOOL_MODULE("latin1", "1.0-caf\xe9", MPOOL_FN("fail", fail, .summary = "cr\xe8me: fails"),
    MPOOL_FN("fail_long", fail_long), MPOOL_FN("say", say))
