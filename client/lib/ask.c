/* The public calls about tasks and the daemon, by any method of the wire. The daemon enforces the time-outs; we wait
 * slightly longer than that, so that a stopped daemon cannot block the caller forever. */
#include <mpool/client.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "client/lib/args.h"
#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/request.h"

#define GRACE_MS   5000
#define LONGEST_MS INT64_C(17592186044415) /* the daemon's limit; centuries are as good as forever */

static int ask(mpool_client *client, const char *method, const struct wire_buf *params, bool timed,
    uint64_t deadline_ns, mpool_result **ret_result)
{
    int r = handle_check_waiting(client);
    if (r == 0)
        r = request_wait_room(client, CLOCK_NEVER);
    if (r < 0)
        return r;
    struct waiter waiter;
    struct call call = waiter_call(&waiter, client);
    call.timed = timed;
    uint32_t msgid;
    r = request_send(client, method, wire_buf_at(params), wire_buf_length(params), &call, &msgid);
    return r < 0 ? r : waiter_wait(&waiter, msgid, deadline_ns, ret_result);
}

int(mpool_request)(mpool_client *client, mpool_result **ret_result, const char *method, const char *format, ...)
{
    OWN_BUF params = {0};
    struct args_list list;
    if (!method)
        return handle_fail(client, -EINVAL, "No method is named.");
    va_start(list.ap, format);
    int r = args_pack(&params, format, &list);
    va_end(list.ap);
    if (r < 0)
        handle_fail(client, r, list.why);
    else
        r = ask(client, method, &params, false, CLOCK_NEVER, ret_result);
    return r;
}

int mpool_request_start(mpool_client *client, mpool_call_id *ret_id, const char *method, const void *params,
    size_t params_length, mpool_call_fn *callback, void *userdata)
{
    int r = handle_check(client);
    if (r < 0)
        return r;
    if (!method || !callback)
        return handle_fail(client, -EINVAL, "A request needs a method and a callback.");
    struct call call = {.done = callback, .userdata = userdata};
    uint32_t msgid;
    r = request_send(client, method, params, params_length, &call, &msgid);
    if (r == 0 && ret_id)
        *ret_id = msgid;
    return r;
}

/* method(id, timeout_ms) */
static int ask_with_timeout(
    mpool_client *client, const char *method, uint64_t id, int64_t timeout_ms, mpool_result **ret_result)
{
    OWN_BUF params = {0};
    msgpack_packer pk = wire_packer(&params);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_uint64(&pk, id);
    msgpack_pack_int64(&pk, timeout_ms < 0 || timeout_ms > LONGEST_MS ? LONGEST_MS : timeout_ms);
    int r;
    if (params.failed)
        r = handle_fail(client, -ENOMEM, NULL);
    else
        r = ask(client, method, &params, true,
            timeout_ms < 0 || timeout_ms > INT64_MAX - GRACE_MS ? CLOCK_NEVER : clock_deadline(timeout_ms + GRACE_MS),
            ret_result);
    return r;
}

int mpool_wait(mpool_client *client, uint64_t id, int64_t timeout_ms, mpool_result **ret_status)
{
    return ask_with_timeout(client, "wait", id, timeout_ms, ret_status);
}

int mpool_fetch(mpool_client *client, uint64_t id, int64_t timeout_ms, mpool_result **ret_result)
{
    return ask_with_timeout(client, "result", id, timeout_ms, ret_result);
}

int mpool_status(mpool_client *client, uint64_t id, mpool_result **ret_status)
{
    return mpool_request(client, ret_status, "status", "t", id);
}

/* Takes the result. → 0; MPOOL_EPROTOCOL. */
static int yes_or_no(mpool_client *client, mpool_result *result, bool *ret)
{
    bool yes;
    int r = mpool_result_bool(result, &yes);
    if (r < 0)
        r = handle_fail(client, MPOOL_EPROTOCOL, "The daemon answered a question with neither yes nor no.");
    else if (ret)
        *ret = yes;
    mpool_result_free(result);
    return r;
}

/* method(id), answered with yes or no. ret: may be NULL. */
static int ask_yes_or_no(mpool_client *client, const char *method, uint64_t id, bool *ret)
{
    mpool_result *result;
    int r = mpool_request(client, &result, method, "t", id);
    return r < 0 ? r : yes_or_no(client, result, ret);
}

int mpool_cancel(mpool_client *client, uint64_t id, bool *ret_stopped)
{
    return ask_yes_or_no(client, "cancel", id, ret_stopped);
}

int mpool_cancel_by(mpool_client *client, uint64_t id, int signal, bool *ret_stopped)
{
    if (signal == 0)
        return mpool_cancel(client, id, ret_stopped);
    mpool_result *result;
    int r = mpool_request(client, &result, "cancel", "t{si}", id, "signal", signal);
    return r < 0 ? r : yes_or_no(client, result, ret_stopped);
}

int mpool_forget(mpool_client *client, uint64_t id, bool *ret_dropped)
{
    return ask_yes_or_no(client, "forget", id, ret_dropped);
}

int mpool_ping(mpool_client *client)
{
    return mpool_request(client, NULL, "ping", NULL);
}
