/* Reads a worker's control messages and output.
 *
 * All of it is untrusted: validated, accepted only for that worker's own tasks, and read by a budget, so that a worker
 * that floods us delays nobody else. A worker that sends what no honest one would is killed. */
#include <event2/event.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/worker_private.h"
#include "daemon/pool/workers.h"

#define HEAR_BUDGET 64 /* messages of one worker in one pass: a flood waits, others do not */

static struct speaker speaker_of(const struct worker *w, const struct core_task *c)
{
    return (struct speaker){w->workers->ops->public_id(c), function_of(c->function)};
}

/* Which task wrote the bytes now in its pipes? A task does not end before they have been read (await_readers() in
 * daemon/worker/worker_main.c), so it is the first task that has not ended; if all have ended, they come from a process
 * that the last one left behind. */
static struct speaker speaker_now(const struct worker *w)
{
    struct speaker speaker = w->last;
    const struct core_task *c;
    TAILQ_FOREACH (c, &w->core.lane, link) {
        enum lane_claim claim = lane_peek(w->lane, c->position);
        if (claim == LANE_READY)
            break;
        speaker = speaker_of(w, c);
        if (claim != LANE_DONE)
            break;
    }
    return speaker;
}

/* Which task does a message with this position belong to? One that is no longer in the lane was collected a moment ago.
 */
static struct speaker speaker_at(const struct worker *w, uint32_t position)
{
    const struct core_task *c;
    TAILQ_FOREACH (c, &w->core.lane, link)
        if (c->position == position)
            return speaker_of(w, c);
    return w->last;
}

static void worker_who(const struct worker *w, struct speaker speaker, int stream, char *text, size_t size)
{
    snprintf(text, size, "pool=%s worker=%u pid=%d task=%llu function=%s stream=%d", w->pool->name, w->number,
        (int)w->pid, (unsigned long long)speaker.task, speaker.function ? speaker.function->name : "-", stream);
}

static void pause_output(struct worker *w, bool paused)
{
    if (paused == w->in_paused)
        return;
    w->in_paused = paused;
    if (paused) {
        TAILQ_INSERT_TAIL(&w->workers->paused, w, paused);
        event_del(w->on_control);
        loop_need_housekeeping(w->workers->loop);
    } else {
        TAILQ_REMOVE(&w->workers->paused, w, paused);
        event_add(w->on_control, NULL);
    }
    for (int i = 0; i < 2; i++)
        output_pause(&w->out[i], paused);
}

void worker_resume_output(struct workers *workers)
{
    struct worker *w, *next;
    for (w = TAILQ_FIRST(&workers->paused); w; w = next) {
        next = TAILQ_NEXT(w, paused);
        const struct core_task *head = TAILQ_FIRST(&w->core.lane);
        if (!head || !workers->ops->output_is_blocked(head))
            pause_output(w, false);
    }
}

static void to_caller(struct worker *w, struct core_task *t, int stream, const void *bytes, size_t length)
{
    w->workers->ops->output(t, stream, bytes, length);
    if (w->workers->ops->output_is_blocked(t))
        pause_output(w, true);
}

static void end_line(struct worker *w, int stream)
{
    char text[256];
    if (w->lines[stream - 1].length == 0)
        return;
    worker_who(w, w->line_of[stream - 1], stream, text, sizeof text);
    output_lines_end(&w->lines[stream - 1], text);
}

void worker_end_lines(struct worker *w)
{
    end_line(w, STDOUT_FILENO);
    end_line(w, STDERR_FILENO);
}

void worker_before_print(void *owner, int stream)
{
    struct worker *w = owner;
    struct speaker speaker = speaker_now(w);
    if (speaker.task != w->line_of[stream - 1].task)
        end_line(w, stream);
    w->line_of[stream - 1] = speaker;
}

void worker_print(void *owner, int stream, const void *bytes, size_t length)
{
    struct worker *w = owner;
    /* A task whose caller wants its output has the lane to itself, so this is its output. */
    struct core_task *head = TAILQ_FIRST(&w->core.lane);
    if (head && head->alone) {
        to_caller(w, head, stream, bytes, length);
        return;
    }
    char text[256];
    worker_who(w, w->line_of[stream - 1], stream, text, sizeof text);
    output_lines_add(&w->lines[stream - 1], text, bytes, length);
}

/* lost: its descriptor may have been lost, which is not the worker's fault. */
static void take_result(struct worker *w, const uint8_t *body, size_t size, int *fd, bool lost)
{
    struct control_memfd m;
    if (size != sizeof m || (*fd < 0 && !lost)) {
        worker_break(w, "a malformed result message");
        return;
    }
    memcpy(&m, body, sizeof m);
    for (size_t i = 0; i < ELEMENTS(w->results); i++) {
        if (w->results[i].fd != WORKER_MEMFD_NONE)
            continue;
        w->results[i] = (struct worker_memfd){
            .position = m.position, .size = m.size, .fd = *fd >= 0 ? TAKE_FD(*fd) : WORKER_MEMFD_LOST};
        return;
    }
    worker_break(w, "more results than tasks");
}

static void take_text(struct worker *w, const struct control_head *head, const uint8_t *body)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
    struct control_log log;
    if (head->size < sizeof log) {
        worker_break(w, "a malformed log message");
        return;
    }
    memcpy(&log, body, sizeof log);
    char line[3000], text[256];
    log_escape(line, sizeof line, body + sizeof log, head->size - sizeof log);
    worker_who(w, speaker_at(w, log.position), 0, text, sizeof text);
    log_foreign(levels[log.level < ELEMENTS(levels) ? log.level : 2], "log %s text=\"%s\"", text, line);
}

/* It exits by itself, and a new one replaces it. */
static void take_spoiled(struct worker *w, const struct control_head *head, const uint8_t *body)
{
    struct control_log log;
    char line[400], text[256];
    if (head->size < sizeof log) {
        worker_break(w, "a malformed message");
        return;
    }
    memcpy(&log, body, sizeof log);
    log_escape(line, sizeof line, body + sizeof log, head->size - sizeof log);
    worker_who(w, speaker_at(w, log.position), 0, text, sizeof text);
    log_info("worker spoiled %s: its task has left %s behind; it is replaced", text, line);
    w->retiring = true; /* on its own: no retire job is needed */
    w->retired_ns = w->workers->loop->now_ns;
    loop_need_housekeeping(w->workers->loop);
    core_worker_outdate(&w->core, w->workers->loop->now_ns);
}

static void take_message(struct worker *w, const struct control_head *head, const uint8_t *body, int *fd, bool lost)
{
    char why[1200];
    switch ((enum control_type)head->type) {
    case CONTROL_DOORBELL: break; /* the pass looks at the lane anyway */
    case CONTROL_WORKER_READY:
        if (w->ready || w->pid == 0) {
            worker_break(w, "ready twice");
            break;
        }
        w->ready = true;
        pool_born(w->pool, w->forkserver);
        core_worker_ready(&w->core, w->workers->loop->now_ns);
        log_info("worker ready pool=%s worker=%u generation=%llu pid=%d", w->pool->name, w->number,
            (unsigned long long)w->generation, (int)w->pid);
        break;
    case CONTROL_WORKER_FAILED:
        log_escape(why, sizeof why, body, head->size);
        log_error("worker cannot start pool=%s worker=%u: %s", w->pool->name, w->number, why);
        worker_not_born(w, why);
        break;
    case CONTROL_RESULT: take_result(w, body, head->size, fd, lost); break;
    case CONTROL_OUTPUT: {
        struct control_output out;
        struct core_task *first = TAILQ_FIRST(&w->core.lane);
        if (head->size < sizeof out) {
            worker_break(w, "a malformed output message");
            break;
        }
        memcpy(&out, body, sizeof out);
        if (out.stream != 1 && out.stream != 2)
            worker_break(w, "output to a stream that is none");
        else if (first && first->position == out.position && first->alone)
            to_caller(w, first, (int)out.stream, body + sizeof out, head->size - sizeof out);
        break;
    }
    case CONTROL_WORKER_SPOILED: take_spoiled(w, head, body); break;
    case CONTROL_LOG: take_text(w, head, body); break;
    case CONTROL_CONFIG:
    case CONTROL_FORK:
    case CONTROL_FORKSERVER_LOADING:
    case CONTROL_FORKSERVER_READY:
    case CONTROL_FORKSERVER_FAILED:
    case CONTROL_FORKED:
    case CONTROL_ARGS:
    case CONTROL_STDIN:
    default: worker_break(w, "a message of a kind that workers do not send");
    }
}

/* Two large results wait to be collected from the lane, the first of which has arrived: the next message may be a
 * third. */
static bool must_collect_first(const struct worker *w)
{
    for (size_t i = 0; i < ELEMENTS(w->results); i++)
        if (w->results[i].fd == WORKER_MEMFD_NONE)
            return false;
    return worker_has_result(w);
}

/* Handles one message. → its size; 0: nothing more to read now. */
static size_t hear(struct worker *w)
{
    static union {
        struct control_head head;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    } message;
    _cleanup_(fd_close) int fd = -1;
    size_t count = 1;
    if (w->control < 0 || (!w->broke && must_collect_first(w)))
        return 0;
    bool lost;
    ssize_t n = packet_receive(w->control, &message, sizeof message, &fd, &count, &lost);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0) {
        if (n < 0)
            worker_break(w, "a message that cannot be received");
        if (w->on_control)
            event_del(w->on_control); /* end of file would stay readable forever; its pidfd reports the exit */
        return 0;
    }
    if (w->broke)
        return (size_t)n;
    if ((size_t)n < sizeof message.head || message.head.size != (size_t)n - sizeof message.head)
        worker_break(w, "a malformed message");
    else
        take_message(w, &message.head, message.bytes + sizeof message.head, &fd, lost);
    return (size_t)n;
}

/* Bytes of all messages waiting to be read. */
static size_t waiting(const struct worker *w)
{
    int bytes = 0;
    return w->control >= 0 && ioctl(w->control, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

void worker_hear_all(struct worker *w)
{
    size_t left = waiting(w), n;
    while (left > 0 && (n = hear(w)) > 0)
        left -= n < left ? n : left;
}

void worker_hear_last(struct worker *w)
{
    size_t left = waiting(w);
    while (left > 0) {
        size_t n = hear(w);
        if (n == 0 && (w->broke || !must_collect_first(w) || worker_collect(w) == 0))
            break;
        left -= n < left ? n : left;
    }
}

void worker_on_control(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct worker *w = arg;
    loop_tick(w->workers->loop);
    for (int i = 0; i < HEAR_BUDGET && !w->in_paused && hear(arg) > 0; i++)
        ;
}

int worker_take_memfd(struct worker *w, uint32_t position, uint64_t size)
{
    /* It was sent before DONE, so it has arrived or is in the socket buffer, behind earlier messages. */
    for (size_t left = waiting(w), n = 1;; left -= n < left ? n : left) {
        for (size_t i = 0; i < ELEMENTS(w->results); i++) {
            struct worker_memfd *m = &w->results[i];
            if (m->fd == WORKER_MEMFD_NONE || m->position != position || m->size != size)
                continue;
            int fd = m->fd;
            m->fd = WORKER_MEMFD_NONE;
            return fd;
        }
        if (left == 0 || (n = hear(w)) == 0)
            return WORKER_MEMFD_NONE;
    }
}
