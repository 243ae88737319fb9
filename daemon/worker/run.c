/* From a claimed job to its outcome: see host_run() in host.h. The function's calls are in calls.c. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/worker/host_private.h"
#include "proto/message.h"
#include "proto/text.h"

#define ARRAY32_HEAD 5u
/* A chunk ends when less than this is left of max_result, so that the next item's error always finds room. */
#define CHUNK_MARGIN (HOST_TEXT_MAX + 64u)

/* A function that forks may let its child return here. That child must not continue as a second worker on the lane. */
static bool running, escaped;

static void forked(void)
{
    escaped = running;
}

static void watch_forks(void)
{
    static bool watching;
    if (!watching)
        watching = pthread_atfork(NULL, NULL, forked) == 0;
}

static void flush_prints(void)
{
    if (__fpending(stdout) > 0)
        fflush(stdout);
    if (__fpending(stderr) > 0)
        fflush(stderr);
}

/* Runs the function on the arguments that are set, appending its one value to the result. → 0; -1 it failed, and the
 * result holds an unfinished value. */
static int run_function(struct host *h, const struct module_function *function)
{
    h->failed = false;
    reply_begin(&h->reply, &h->result, h->config.max_depth);
    running = true;
    int r = function->run(&h->task);
    if (escaped)
        _exit(EXIT_FAILURE);
    running = false;
    if (h->cancel_watched)
        host_watch_no_cancel(h);
    flush_prints();
    arena_reset(&h->arena);
    if (h->failed)
        return -1;
    if (r != 0)
        return host_fail(h, MPOOL_E_FAILED, false, "%s returned %d without saying why", function->name, r);
    if (reply_is_empty(&h->reply))
        return host_reply_result(h, reply_nil(&h->reply));
    if (!h->reply.whole)
        return host_fail(h, MPOOL_E_FAILED, false, "%s ended its reply too early: %llu values are missing",
            function->name, (unsigned long long)h->reply.outstanding);
    return 0;
}

/* Appends the failure as [0, "E_NAME: text"], in at most `most` bytes if possible. → 0 or -errno. */
static int put_failure(struct host *h, uint64_t max)
{
    const size_t heads = 8;
    size_t keep = h->failure_length;
    if (keep + heads > max)
        keep = wire_utf8_cut(h->failure, keep, max > heads + 40 ? (size_t)max - heads : 40);
    wire_buf_rewind(&h->error, 0);
    wire_put_error_value(&h->error, 0, h->failure, keep);
    if (h->error.failed)
        return -ENOMEM;
    size_t length = wire_buf_length(&h->error);
    int r = result_reserve(&h->result, length);
    if (r < 0)
        return r;
    memcpy(result_end(&h->result), wire_buf_at(&h->error), length);
    h->result.used += length;
    return 0;
}

/* The whole job has failed: its result is the error value alone, in the space if it fits. */
static int outcome_failed(struct host *h, uint8_t *space, size_t room, struct worker_outcome *ret)
{
    ret->outcome = h->retryable ? LANE_OUTCOME_FAILED_RETRYABLE : LANE_OUTCOME_FAILED;
    result_deinit(&h->result);
    result_init(&h->result, space, room, UINT32_MAX);
    /* The error value overwrites the items that were published. */
    if (h->job->job.flags & LANE_JOB_CHUNK)
        h->ops.partial(h->user, 0, 0);
    return put_failure(h, h->job->job.max_result);
}

/* ---- chunks ----------------------------------------------------------------------------------------------------- */

static inline int put_bytes(struct host *h, const void *bytes, size_t length)
{
    int r = result_reserve(&h->result, length);
    if (r < 0)
        return r;
    memcpy(result_end(&h->result), bytes, length);
    h->result.used += length;
    return 0;
}

/* The item is a whole argument array; a failure is the item's. */
static int set_starred(struct host *h, struct wire_reader item)
{
    uint32_t count;
    if (wire_read_array(&item, &count) < 0) {
        h->failed = false;
        return host_fail(
            h, MPOOL_E_BAD_ARGS, false, "expected an array of arguments, got %s", wire_type_name(wire_peek(&item)));
    }
    arguments_set(&h->arguments, item, count);
    return 0;
}

/* Sets the arguments of one item. */
static inline int set_item(struct host *h, struct wire_reader item)
{
    if (h->job->job.flags & LANE_JOB_STAR)
        return set_starred(h, item);
    arguments_set(&h->arguments, item, 1);
    return 0;
}

/* One item of a chunk whose elements are [error, result]. → 0, or negative when not even its error fits. */
static int run_pair(struct host *h, const struct module_function *function, struct wire_reader item)
{
    static const uint8_t pair_ok[] = {0x92, 0xc0}, pair[] = {0x92}, nil[] = {0xc0};
    size_t mark = h->result.used;
    int r = put_bytes(h, pair_ok, sizeof pair_ok);
    if (r == 0 && set_item(h, item) == 0 && run_function(h, function) == 0)
        return 0;
    if (r < 0)
        return r;
    h->result.used = mark;
    r = put_bytes(h, pair, sizeof pair);
    if (r == 0) {
        uint64_t left = h->result.limit - h->result.used;
        r = put_failure(h, left > sizeof nil ? left - sizeof nil : 0);
    }
    return r < 0 ? r : put_bytes(h, nil, sizeof nil);
}

/* How long a chunk may run. Reading the clock may take longer than an item does: so it is read after as many items as
 * take LOOK_NS, by their mean, and whenever the kernel's tick has moved on, which costs a quarter of that and shows
 * that an item was slow. */
#define LOOK_NS  (50 * NS_PER_MS / 1000)
#define LOOK_MAX 64u

struct budget {
    uint64_t start_ns, end_ns; /* end_ns: 0: none */
    uint64_t tick_ns;
    uint64_t left; /* items until the clock is read again */
};

static struct budget budget_begin(uint32_t budget_us)
{
    uint64_t now_ns = budget_us ? clock_now_ns() : 0;
    return (struct budget){
        .start_ns = now_ns, .end_ns = budget_us ? now_ns + budget_us * UINT64_C(1000) : 0, .left = 1};
}

static bool budget_is_left(struct budget *b, uint32_t done)
{
    if (b->end_ns == 0)
        return true;
    uint64_t tick_ns = clock_coarse_ns();
    if (--b->left > 0 && tick_ns == b->tick_ns)
        return true;
    uint64_t now_ns = clock_now_ns(), each_ns = (now_ns - b->start_ns) / done + 1;
    b->tick_ns = tick_ns;
    b->left = LOOK_NS / each_ns < LOOK_MAX ? LOOK_NS / each_ns + 1 : LOOK_MAX;
    return now_ns < b->end_ns;
}

static bool chunk_goes_on(struct host *h, struct budget *budget, uint32_t done)
{
    if (h->result.memfd >= 0 || h->result.limit - h->result.used < CHUNK_MARGIN)
        return false;
    if (!budget_is_left(budget, done))
        return false;
    return !h->ops.cancelled(h->user);
}

/* → 0, or -1 with the failure of the whole chunk. */
static int run_chunk(struct host *h, const struct module_function *function, struct wire_reader items, uint32_t count,
    uint32_t *ret_done)
{
    static const uint8_t head[ARRAY32_HEAD] = {0xdd};
    struct budget budget = budget_begin(h->job->job.budget_us);
    if (count != h->job->job.items)
        return host_fail(h, MPOOL_E_BAD_ARGS, false, "a chunk of %u items came with %u", h->job->job.items, count);
    int r = host_reply_result(h, put_bytes(h, head, sizeof head));
    if (r < 0)
        return r;
    uint32_t done = 0;
    while (done < count && (done == 0 || chunk_goes_on(h, &budget, done))) {
        struct wire_reader item = items;
        if (wire_skip(&items) < 0)
            return host_fail(h, MPOOL_E_BAD_ARGS, false, "item %u is not valid MessagePack", done);
        item.end = items.at;
        if (h->job->job.flags & LANE_JOB_PAIRS) {
            r = run_pair(h, function, item);
            if (r < 0) {
                h->failed = false;
                r = host_reply_result(h, r);
            }
        } else {
            r = set_item(h, item) < 0 ? -1 : run_function(h, function);
        }
        if (r < 0)
            break;
        done++;
        if (h->result.memfd < 0)
            h->ops.partial(h->user, done, h->result.used);
    }
    *ret_done = done;
    if (r < 0)
        return r;
    uint8_t *patch = h->result.base + 1;
    patch[0] = (uint8_t)(done >> 24);
    patch[1] = (uint8_t)(done >> 16);
    patch[2] = (uint8_t)(done >> 8);
    patch[3] = (uint8_t)done;
    return 0;
}

/* ---- one job ---------------------------------------------------------------------------------------------------- */

/* → 0, or -1 with the failure of the job. */
static int run_job(struct host *h, const uint8_t *args, size_t args_length, struct worker_outcome *ret)
{
    const struct lane_job *job = &h->job->job;
    if (job->function >= h->config.function_count)
        return host_fail(h, MPOOL_E_FAILED, false, "this worker has no function number %u", job->function);
    const struct module_function *function = &h->config.functions[job->function];

    uint32_t depth = h->config.max_depth + (job->flags & LANE_JOB_STAR ? 1 : 0);
    const struct wire_limits limits = {
        .max_bytes = args_length,
        .max_depth = depth < WIRE_DEPTH_CAP ? depth : WIRE_DEPTH_CAP,
    };
    uint64_t whole = 0;
    enum wire_scan_result scanned = wire_scan_value(&limits, args, args_length, &whole);
    if (scanned == WIRE_SCAN_TOO_DEEP)
        return host_fail(h, MPOOL_E_BAD_ARGS, false, "the arguments are nested deeper than %u", limits.max_depth);
    struct wire_reader values = wire_reader(args, args_length);
    uint32_t count = 0;
    if (scanned != WIRE_SCAN_WHOLE || whole != args_length || wire_read_array(&values, &count) < 0)
        return host_fail(h, MPOOL_E_BAD_ARGS, false, "the arguments are not one MessagePack array");

    uint64_t start = clock_now_ns();
    int r;
    if (job->flags & LANE_JOB_CHUNK) {
        r = run_chunk(h, function, values, count, &ret->items_done);
    } else {
        arguments_set(&h->arguments, values, count);
        r = run_function(h, function);
    }
    ret->run_ns = clock_now_ns() - start;
    return r;
}

/* → the result space, which is requested once. */
static uint8_t *begin_job(struct host *host, const struct worker_job *job, struct worker_outcome *ret, size_t *ret_room)
{
    *ret = (struct worker_outcome){.outcome = LANE_OUTCOME_OK};
    host->job = job;
    host->failed = false;
    *ret_room = 0;
    uint8_t *space = host->ops.result_space(host->user, ret_room);
    result_init(&host->result, space, *ret_room, job->job.max_result);
    return space;
}

/* Seals the result's memfd and sends it. → 0 or -errno. */
static int hand_over(struct host *host)
{
    int fd, r = result_seal(&host->result, &fd);
    return r < 0 ? r : host->ops.result_memfd(host->user, host->job->position, fd, host->result.used);
}

static int end_job(struct host *host, uint8_t *space, size_t room, bool failed, struct worker_outcome *ret)
{
    int r = failed ? outcome_failed(host, space, room, ret) : 0;
    if (r == 0 && host->result.memfd >= 0) {
        r = hand_over(host);
        ret->memfd = r == 0;
        if (r < 0 && r != -EPIPE && r != -ECONNRESET) { /* the task has failed, the worker is sound */
            host->failed = false;
            host_fail(host, MPOOL_E_FAILED, false, "the result cannot be handed over: %s", strerror(-r));
            r = outcome_failed(host, space, room, ret);
            ret->items_done -= ret->items_done > 0;
        }
    }
    ret->size = host->result.used;
    result_deinit(&host->result);
    host->job = NULL;
    return r;
}

int host_run(struct host *host, const struct worker_job *job, const uint8_t *args, size_t args_length,
    struct worker_outcome *ret)
{
    size_t room;
    watch_forks();
    uint8_t *space = begin_job(host, job, ret, &room);
    return end_job(host, space, room, run_job(host, args, args_length, ret) < 0, ret);
}

int host_refuse(struct host *host, const struct worker_job *job, const char *why, struct worker_outcome *ret)
{
    size_t room;
    uint8_t *space = begin_job(host, job, ret, &room);
    host_fail(host, MPOOL_E_FAILED, true, "%s", why);
    return end_job(host, space, room, true, ret);
}
