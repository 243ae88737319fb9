/* How does a request get into the send buffer, whole or not at all?
 *
 * Opening registers the call and writes the envelope's head; the caller packs params; closing checks the size, ties a
 * descriptor to it if there is one, and lets the loop know. On any failure buffer and table are unchanged.
 */
#pragma once

#include "client/lib/handle.h"
#include "proto/buf.h"

/* Unsent bytes above which no new call is taken. One call may still be as large as the daemon allows. */
#define REQUEST_UNSENT_MAX (4u << 20)

struct request {
    size_t mark; /* length of io.out before it */
    uint32_t msgid;
};

/* Is there room in the send buffer for another request? */
bool request_has_room(const mpool_client *client);

/* Turns until there is room or the connection is lost. → 0; -ETIMEDOUT, -EINTR; -ENOTCONN when the handle is gone. */
int request_wait_room(mpool_client *client, uint64_t deadline_ns);

/* call: copied. → 0; as handle_check(); -EAGAIN (too much is unsent, or too many calls wait); -ENOMEM. */
int request_open(mpool_client *client, const char *method, const struct call *call, struct request *ret_request);
/* fd: sent with the request, or -1; taken in any case. → 0; MPOOL_ETOO_BIG; -EAGAIN; -ENOMEM. */
int request_close(mpool_client *client, const struct request *request, int fd);
/* Gives up an opened request. */
void request_drop(mpool_client *client, const struct request *request);

/* method with params, one MessagePack array of `length` bytes (checked) or NULL. → as the two above; -EINVAL,
 * MPOOL_ETOO_DEEP when params are not such an array. */
int request_send(mpool_client *client, const char *method, const void *params, size_t length, const struct call *call,
    uint32_t *ret_msgid);

/* Is this one MessagePack array, of a depth that the daemon accepts when it is nested `above` levels deep in a message?
 * → 0; -EINVAL; MPOOL_ETOO_DEEP. */
int request_check_array(const mpool_client *client, const void *bytes, size_t length, uint32_t above);

/* Queues a notification that cancels a pending call. number: the signal to name, or 0. Never waits. → 0; -ENOENT;
 * -ENOMEM. */
int request_cancel(mpool_client *client, uint32_t msgid, int number);

/* Queues a notification and sends it if that can be done at once. params: one MessagePack array. → 0; the loss;
 * -ENOMEM.
 */
int request_notify(mpool_client *client, const char *method, const void *params, size_t length);

/* Waits for one call. */
struct waiter {
    mpool_client *client;
    bool done;
    int code;
    mpool_result *result;
    char text[HANDLE_TEXT_BYTES]; /* the sentence of a failure: others may end, and fail, before this one returns */
};
/* A call that completes the waiter. */
struct call waiter_call(struct waiter *waiter, mpool_client *client);
/* Turns until that call is done; the call is abandoned if the thread is cancelled. *ret_result (may be NULL) is set on
 * success only. → the call's code, with the sentence; -ETIMEDOUT, -EINTR, the call then cancelled; -ENOTCONN when the
 * handle is gone. */
int waiter_wait(struct waiter *waiter, uint32_t msgid, uint64_t deadline_ns, mpool_result **ret_result);
