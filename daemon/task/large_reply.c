#include "daemon/task/conn_tasks.h"
#include "daemon/task/large_reply.h"
#include "daemon/task/tasks.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/conn.h"
#include "daemon/pool/worker.h"
#include "daemon/task/task.h"
#include "proto/scan.h"

struct large_reply {
    TAILQ_ENTRY(large_reply) every; /* supervisor's list */
    LIST_ENTRY(large_reply) of_conn;
    struct conn *conn;
    uint32_t msgid;
    int fd;
    uint64_t size;
    bool shared;
    uint64_t generation; /* of its worker */
    void *mapping;       /* sealed, so that its content does not change and its pages stay valid */
    struct wire_scan scan;
};

static void drop(struct large_reply *r)
{
    TAILQ_REMOVE(&r->conn->tasks->all->large_replies, r, every);
    LIST_REMOVE(r, of_conn);
    munmap(r->mapping, (size_t)r->size);
    fd_close(&r->fd);
    free(r);
}

void large_reply_start(struct conn *c, uint32_t msgid, struct outcome *o)
{
    struct tasks *tasks = c->tasks->all;
    struct large_reply *r = calloc(1, sizeof *r);
    void *mapping = r ? mmap(NULL, (size_t)o->size, PROT_READ, MAP_PRIVATE, o->memfd, 0) : MAP_FAILED;
    if (mapping == MAP_FAILED) {
        free(r);
        conn_reply_error(
            c, msgid, MPOOL_E_INTERNAL, "no memory for a result of %llu bytes", (unsigned long long)o->size);
        return;
    }
    r->conn = c;
    r->msgid = msgid;
    r->fd = TAKE_FD(o->memfd);
    r->size = o->size;
    r->shared = o->shared;
    r->generation = o->generation;
    r->mapping = mapping;
    wire_scan_init(&r->scan);
    TAILQ_INSERT_TAIL(&tasks->large_replies, r, every);
    LIST_INSERT_HEAD(&c->tasks->large_replies, r, of_conn);
    tasks->loop->again = true;
}

void large_replies_drop(struct conn *c)
{
    struct large_reply *r;
    while ((r = LIST_FIRST(&c->tasks->large_replies)))
        drop(r);
}

static void answer(struct large_reply *r, bool whole)
{
    struct conn *c = r->conn;
    if (!whole) {
        worker_break_by_generation(
            c->tasks->all->workers, r->generation, "a result that is no whole MessagePack value");
        conn_reply_error(c, r->msgid, MPOOL_E_LOST, TASK_WORKER_BROKE);
    } else if (!conn_may_pass_fd(c)) {
        conn_reply_error(
            c, r->msgid, MPOOL_E_INTERNAL, "no memory for a result of %llu bytes", (unsigned long long)r->size);
    } else {
        wire_put_result(&c->out, r->msgid);
        conn_stream(c, TAKE_FD(r->fd), r->size, r->shared);
        conn_replied(c);
    }
    drop(r);
}

/* → true: there is more to do. */
static bool step(struct large_reply *r)
{
    const struct config *config = r->conn->tasks->all->config;
    struct wire_limits limits = {.max_bytes = config->max_payload, .max_depth = config->max_depth};
    uint64_t left = r->size - r->scan.at, upto = r->scan.at + (left < STEP_BYTES ? left : STEP_BYTES);
    enum wire_scan_result verdict = wire_scan_feed(&r->scan, &limits, r->mapping, upto);
    if (verdict == WIRE_SCAN_MORE && upto < r->size)
        return true;
    answer(r, verdict == WIRE_SCAN_WHOLE && r->scan.at == r->size);
    return false;
}

void large_replies_run(struct tasks *tasks)
{
    struct large_reply *r, *last = TAILQ_LAST(&tasks->large_replies, large_reply_list);
    bool was_last = !last;
    while (!was_last && (r = TAILQ_FIRST(&tasks->large_replies))) {
        was_last = r == last;
        if (!step(r))
            continue;
        loop_defer(tasks->loop);
        TAILQ_REMOVE(&tasks->large_replies, r, every);
        TAILQ_INSERT_TAIL(&tasks->large_replies, r, every);
        if (!loop_has_time(tasks->loop))
            return;
    }
}
