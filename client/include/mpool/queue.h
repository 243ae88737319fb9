/* <mpool/queue.h> — queues, joinable queues and pipes between unrelated processes.
 *
 *     mpool_object *q;
 *     mpool_object_open(client, &q, "queue", "jobs", NULL);       // or "joinable_queue", "pipe": see <mpool/shared.h>
 *     mpool_queue_put(q, -1, "s", "hello");                       // one item, by format
 *
 *     mpool_result *items;
 *     while (mpool_queue_get(q, 512, -1, &items) > 0) {           // up to 512 items; 0 is the end of file
 *         mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
 *         for (size_t at = 0; mpool_queue_next(q, items, &at, &item) > 0;)
 *             use(item.data, item.length);
 *         mpool_result_free(items);
 *     }
 *
 * Items are MessagePack values, kept in the daemon, first in, first out. A queue is bounded: putters wait for room.
 * Many items in one call cost little more than one.
 *
 * Death. By default an item is gone with the process that took it (at most once). In a queue made with at_least_once it
 * has a ticket, and returns to the front when its taker dies or closes the queue before it has confirmed the ticket;
 * until then it counts against the capacity. A large item that this process cannot take now, as it has no descriptor
 * free or no memory to map it, stays in the queue, or comes back at once: see mpool_queue_get(). A pipe whose other end
 * has gone gives what is still there, and then the end of file; what is sent to it is refused.
 *
 * A pipe has two ends: the first to open it has the end that receives, the second the one that sends; with duplex both
 * do both. One process may open both. An end that was left before anybody came to the other one may be opened again,
 * and what was sent from it waits: a reader or a writer that is restarted comes back to its pipe.
 *
 * Returns. 0 on success, negative on failure; get and next return counts. In common: what <mpool/client.h> says of all
 * calls; -EINVAL (not a queue), -ECHILD, -ECONNRESET; MPOOL_EDENIED (this queue does not do that: a confirmation of a
 * queue without at_least_once, sending at the receiving end); MPOOL_EBUSY (too many wait). timeout_ms: -1 waits
 * indefinitely, 0 only tries; -ETIMEDOUT when it has expired and nothing was done. The daemon measures the time. If it
 * has not answered 5 s later, the call gives up: the answer of a get comes with the next get, and a put or join fails
 * with -EINPROGRESS, as it may have been done, or may still be done.
 *
 * Threads. As with every call: the queue belongs to the thread of the client handle that opened it.
 */
#ifndef MPOOL_QUEUE_H
#define MPOOL_QUEUE_H

#include <mpool/shared.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which end of a pipe this is. *ret_end: 0: the one that receives; 1: the one that sends (with duplex both do both).
 * → 0; -EINVAL: not a pipe. */
MPOOL_PUBLIC int mpool_pipe_end(const mpool_object *pipe, int *ret_end);

/* Puts one item, which the format gives: one value, such as "s", "[si]" or "r" (the letters of <mpool/client.h>). One
 * of more than half a mebibyte goes as a memfd that its taker maps: the daemon copies nothing of it.
 * → 0; MPOOL_EFINISHED: it takes no more; MPOOL_ETOO_BIG: larger than the queue or a message. */
MPOOL_PUBLIC int mpool_queue_put(mpool_object *queue, int64_t timeout_ms, const char *format, ...);
/* Puts the elements of one MessagePack array, in their order. *ret_count (may be NULL): how many went in, which is
 * fewer than all if the wait timed out, or the queue was finished, in between. → 0; as above, and then none did. */
MPOOL_PUBLIC int mpool_queue_put_all(
    mpool_object *queue, const void *items, size_t length, int64_t timeout_ms, uint32_t *ret_count);

/* Takes up to `max` items (1 … 1,048,576), waiting for the first. About a mebibyte of them comes at a time, an item
 * alone whatever its size. → how many, with *ret_items taken (mpool_result_free); 0: the end of file, and *ret_items is
 * untouched; -EMFILE, -ENOMEM: the next item comes in a memfd for which this process has no descriptor or no memory,
 * and is there for the next get, of any process. */
MPOOL_PUBLIC int mpool_queue_get(mpool_object *queue, uint32_t max, int64_t timeout_ms, mpool_result **ret_items);

/* One of the items that came. Initialise with MPOOL_QUEUE_ITEM_INIT. */
typedef struct mpool_queue_item {
    size_t size;      /* sizeof (struct mpool_queue_item) */
    const void *data; /* its MessagePack bytes, borrowed from the result */
    size_t length;
    uint64_t ticket; /* at_least_once: what confirms it; else 0 */
} mpool_queue_item;
#define MPOOL_QUEUE_ITEM_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(mpool_queue_item), NULL, 0, 0                                                                           \
    }

/* Walks over the items of mpool_queue_get() or a callback of mpool_queue_get_start(). *at: 0 at first. → 1 with
 * *ret_item; 0: there are no more; -EBADMSG: these are not items. */
MPOOL_PUBLIC int mpool_queue_next(
    const mpool_object *queue, const mpool_result *items, size_t *at, mpool_queue_item *ret_item);

/* Confirms items of a queue with at_least_once by their tickets; of a joinable one they are done, too.
 * *ret_confirmed (may be NULL): how many of them this process had. → 0. */
MPOOL_PUBLIC int mpool_queue_confirm(
    mpool_object *queue, const uint64_t *tickets, size_t count, uint32_t *ret_confirmed);
/* The oldest n items that this process has taken are done (and confirmed): task_done() of multiprocessing. → 0;
 * MPOOL_EBAD_PARAMS: it has not taken so many. What a process that died had taken and not done counts as done, or has
 * returned: nobody waits for the dead. */
MPOOL_PUBLIC int mpool_queue_done(mpool_object *queue, uint32_t n);
/* Waits until every item of a joinable queue is done. → 0. */
MPOOL_PUBLIC int mpool_queue_join(mpool_object *queue, int64_t timeout_ms);
/* No more items, from anybody (of a pipe: from this end): those who take get the rest and then the end of file.
 * *ret_first (may be NULL): false: it was finished already. → 0. */
MPOOL_PUBLIC int mpool_queue_finish(mpool_object *queue, bool *ret_first);

/* Works ahead of the answers, as multiprocessing does: mpool_queue_put() with timeout_ms -1 returns as soon as its item
 * is sent, up to n of them before their answers have come, and mpool_queue_get() asks for n items at once and keeps
 * what it was not asked for. n: up to MPOOL_QUEUE_AHEAD_MAX; 0, as at first: each call waits for its answer, which
 * costs a round trip. The price: a put that failed is told by a later one, or by the flush; a full queue holds up to n
 * further items of each putter; what was kept has been taken, and goes the way of what was taken when this process dies
 * or closes the queue. Not together with mpool_queue_get_start(). → 0; -EINVAL. */
#define MPOOL_QUEUE_AHEAD_MAX 65536
MPOOL_PUBLIC int mpool_queue_set_ahead(mpool_object *queue, uint32_t n);
/* Waits until the daemon has every item that was put: before the queue is closed, which gives up what waits for room.
 * → 0; -ETIMEDOUT; the error of the first put that failed and was not reported. mpool_queue_finish() flushes first.
 */
MPOOL_PUBLIC int mpool_queue_flush(mpool_object *queue, int64_t timeout_ms);

/* The same without waiting here: the callback gets a code (0; -ETIMEDOUT) and a result: of
 * a put the number of items that went in, of a get the items for mpool_queue_next(), none of them at the end of file.
 * Puts that were started one after the other go in in that order. mpool_call_cancel() stops one that waits. → 0. */
MPOOL_PUBLIC int mpool_queue_put_start(mpool_object *queue, mpool_call_id *ret_id, const void *items, size_t length,
    int64_t timeout_ms, mpool_call_fn *callback, void *userdata);
MPOOL_PUBLIC int mpool_queue_get_start(mpool_object *queue, mpool_call_id *ret_id, uint32_t max, int64_t timeout_ms,
    mpool_call_fn *callback, void *userdata);

#ifdef MPOOL_HAS_FORMAT_CHECK
#define mpool_queue_put(queue, timeout_ms, ...) (mpool_queue_put)(queue, timeout_ms, MPOOL_FORMAT_(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
