/* The public calls that run tasks: blocking, and with a callback. Thin wrappers: args.h turns formats into arrays,
 * task.h turns tasks into requests, and waiting runs turns of the loop (loop.h). */
#include <mpool/client.h>

#include <errno.h>
#include <stdarg.h>

#include "client/lib/args.h"
#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/request.h"
#include "client/lib/sized.h"
#include "client/lib/task.h"

static int run(mpool_client *client, const struct task *task, mpool_result **ret_result)
{
    int r = handle_check_waiting(client);
    if (r == 0)
        r = request_wait_room(client, CLOCK_NEVER);
    if (r < 0)
        return r;
    struct waiter waiter;
    struct call call = waiter_call(&waiter, client);
    uint32_t msgid;
    r = task_start(client, task, &call, &msgid);
    return r < 0 ? r : waiter_wait(&waiter, msgid, CLOCK_NEVER, ret_result);
}

int mpool_call_raw(mpool_client *client, mpool_result **ret_result, const char *function, const void *args,
    size_t args_length, const mpool_options *options)
{
    struct task task = {.method = MPOOL_METHOD_CALL,
        .function = function,
        .args = args,
        .args_length = args_length,
        .options = options};
    return run(client, &task, ret_result);
}

int(mpool_call)(mpool_client *client, mpool_result **ret_result, const char *function, const char *format, ...)
{
    OWN_BUF args = {0};
    struct args_list list;
    va_start(list.ap, format);
    int r = args_pack(&args, format, &list);
    va_end(list.ap);
    if (r < 0)
        handle_fail(client, r, list.why);
    else
        r = mpool_call_raw(client, ret_result, function, wire_buf_at(&args), wire_buf_length(&args), NULL);
    return r;
}

int mpool_submit_raw(mpool_client *client, uint64_t *ret_id, const char *function, const void *args, size_t args_length,
    const mpool_options *options)
{
    struct task task = {.method = MPOOL_METHOD_SUBMIT,
        .function = function,
        .args = args,
        .args_length = args_length,
        .options = options};
    mpool_result *result;
    int r = run(client, &task, &result);
    if (r < 0)
        return r;
    uint64_t id;
    if (mpool_result_u64(result, &id) < 0)
        r = handle_fail(client, MPOOL_EPROTOCOL, "The daemon answered a submit with no id.");
    else if (ret_id)
        *ret_id = id;
    mpool_result_free(result);
    return r;
}

int(mpool_submit)(mpool_client *client, uint64_t *ret_id, const char *function, const char *format, ...)
{
    OWN_BUF args = {0};
    struct args_list list;
    va_start(list.ap, format);
    int r = args_pack(&args, format, &list);
    va_end(list.ap);
    if (r < 0)
        handle_fail(client, r, list.why);
    else
        r = mpool_submit_raw(client, ret_id, function, wire_buf_at(&args), wire_buf_length(&args), NULL);
    return r;
}

int mpool_call_start(mpool_client *client, mpool_call_id *ret_id, const char *function, const void *args,
    size_t args_length, const mpool_options *options, mpool_call_fn *callback, void *userdata)
{
    int r = handle_check(client);
    if (r < 0)
        return r;
    if (!callback)
        return handle_fail(client, -EINVAL, "A call needs a callback.");
    struct task task = {.method = MPOOL_METHOD_CALL,
        .function = function,
        .args = args,
        .args_length = args_length,
        .options = options};
    struct call call = {.done = callback, .userdata = userdata};
    uint32_t msgid;
    r = task_start(client, &task, &call, &msgid);
    if (r == 0 && ret_id)
        *ret_id = msgid;
    return r;
}

int(mpool_apply_async)(mpool_client *client, mpool_call_id *ret_id, mpool_call_fn *callback, void *userdata,
    const char *function, const char *format, ...)
{
    OWN_BUF args = {0};
    struct args_list list;
    va_start(list.ap, format);
    int r = args_pack(&args, format, &list);
    va_end(list.ap);
    if (r < 0)
        handle_fail(client, r, list.why);
    else
        r = mpool_call_start(
            client, ret_id, function, wire_buf_at(&args), wire_buf_length(&args), NULL, callback, userdata);
    return r;
}

int mpool_call_cancel(mpool_client *client, mpool_call_id id)
{
    return mpool_call_cancel_by(client, id, 0);
}

int mpool_call_cancel_by(mpool_client *client, mpool_call_id id, int signal)
{
    int r = handle_check(client);
    if (r == 0)
        r = request_cancel(client, id, signal);
    return r == -ENOENT ? handle_fail(client, r, "There is no such call, or it has ended.") : handle_end(client, r);
}

int mpool_map_all(mpool_client *client, mpool_result **ret_results, const char *function, const void *items,
    size_t items_length, const mpool_map_options *options)
{
    mpool_map_options o = MPOOL_MAP_OPTIONS_INIT;
    int r = handle_check(client);
    if (r == 0)
        r = sized_read(client, &o, sizeof(o), options);
    if (r == 0 && !items)
        r = handle_fail(client, -EINVAL, "There are no items.");
    if (r < 0)
        return r;
    struct task task = {.method = MPOOL_METHOD_MAP,
        .function = function,
        .args = items,
        .args_length = items_length,
        .options = o.task,
        .star = o.star,
        .chunk = o.chunk};
    return run(client, &task, ret_results);
}
