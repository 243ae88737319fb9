/* Functions that use shared objects from inside a worker: they are clients of the daemon that runs them.
 *
 * What an object is called comes as an argument: a name, or the handle of one without a name.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <mpool/module.h>
#include <mpool/shared.h>

static mpool_client *client; /* of this worker; made by its first task */

static int connect_once(mpool_task *task)
{
    int r = client ? 0 : mpool_connect(&client, NULL);
    return r < 0 ? mpool_fail(task, MPOOL_FAIL_FINAL, "cannot connect: %s", mpool_strerror(r)) : 0;
}

static int open_arg(mpool_task *task, uint32_t index, const char *kind, mpool_object **ret)
{
    const char *text;
    size_t length;
    char name[256];
    if (mpool_arg_str(task, index, &text, &length) < 0 || connect_once(task) < 0)
        return -1;
    if (length >= sizeof name)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "the name is too long");
    memcpy(name, text, length);
    name[length] = 0;
    int r = mpool_object_open(client, ret, kind, name, NULL);
    return r < 0 ? mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", name, mpool_error_text(client)) : 0;
}

/* lock, value, n, die → adds n to the value in two halves, with the lock held; between them it dies if it is told to.
 * Replies whether the lock had been abandoned. */
static int add(mpool_task *task)
{
    mpool_object *lock, *value;
    int64_t n, to_die;
    if (mpool_arg_i64(task, 2, &n) < 0 || mpool_arg_i64(task, 3, &to_die) < 0 || open_arg(task, 0, "lock", &lock) < 0)
        return -1;
    if (open_arg(task, 1, "value", &value) < 0) {
        mpool_object_close(lock);
        return -1;
    }
    bool abandoned = false;
    int r = mpool_lock_acquire(lock, -1, &abandoned);
    int64_t before = 0;
    if (r >= 0 && mpool_value_get_i64(value, &before) == 0 && to_die)
        raise(SIGKILL);
    if (r >= 0) {
        mpool_value_set_i64(value, before + n); /* not atomic: the lock has to make it so */
        mpool_lock_release(lock);
    }
    mpool_object_close(value);
    mpool_object_close(lock);
    return r < 0 ? mpool_fail(task, MPOOL_FAIL_FINAL, "no lock: %s", mpool_strerror(r))
                 : mpool_reply_i64(task, abandoned);
}

MPOOL_MODULE("sharer", "1.0.0", MPOOL_FN("add", add))
