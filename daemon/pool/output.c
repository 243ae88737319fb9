#include "daemon/pool/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "proto/text.h"

static size_t read_once(struct output *o, size_t max)
{
    static char bytes[OUTPUT_BUDGET];
    ssize_t n;
    if (o->before)
        o->before(o->owner, o->stream);
    do
        n = read(o->fd, bytes, max);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        output_close(o);
    if (n <= 0)
        return 0;
    o->deliver(o->owner, o->stream, bytes, (size_t)n);
    return (size_t)n;
}

/* One read per readiness event: what it returns was written before the event, so its task can be identified. For what a
 * second read returned it could not. */
static void readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_once(arg, OUTPUT_BUDGET);
}

int output_open(struct output *o, struct event_base *base, int stream, output_before_fn *before, output_fn *deliver,
    void *owner, int *ret_write_end)
{
    int ends[2];
    *o = (struct output){.fd = -1, .stream = stream, .before = before, .deliver = deliver, .owner = owner};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    _cleanup_(fd_close) int read_end = ends[0], write_end = ends[1];
    int r = fd_set_nonblock(read_end);
    if (r < 0)
        return r;
    o->on_readable = event_new(base, read_end, EV_READ | EV_PERSIST, readable, o);
    if (!o->on_readable || event_add(o->on_readable, NULL) < 0) {
        if (o->on_readable)
            event_free(o->on_readable);
        o->on_readable = NULL;
        return -ENOMEM;
    }
    o->fd = TAKE_FD(read_end);
    *ret_write_end = TAKE_FD(write_end);
    return 0;
}

void output_drain(struct output *o)
{
    for (size_t budget = OUTPUT_BUDGET, n; o->fd >= 0 && budget > 0 && (n = read_once(o, budget)) > 0;)
        budget -= n;
}

void output_close(struct output *o)
{
    if (o->on_readable)
        event_free(o->on_readable);
    o->on_readable = NULL;
    if (o->deliver) /* a zeroed output has fd 0, which must not be closed */
        fd_close(&o->fd);
}

void output_pause(struct output *o, bool paused)
{
    if (!o->on_readable)
        return;
    if (paused)
        event_del(o->on_readable);
    else
        event_add(o->on_readable, NULL);
}

/* A flood must not fill the disk: lines over the rate are counted, not written. */
static bool may_log(struct output_lines *l, const char *who)
{
    if (!rate_limit_take(&l->limit, OUTPUT_LOG_RATE, OUTPUT_LOG_BURST, l->length, 0, clock_now_ns())) {
        l->suppressed += l->length;
        return false;
    }
    if (l->suppressed > 0)
        log_foreign(LOG_LEVEL_WARNING, "output %s suppressed_bytes=%llu: more than %u bytes a second", who,
            (unsigned long long)l->suppressed, OUTPUT_LOG_RATE);
    l->suppressed = 0;
    return true;
}

void output_lines_end(struct output_lines *l, const char *who)
{
    if (l->length == 0)
        return;
    if (!may_log(l, who)) {
        l->length = 0;
        return;
    }
    /* Once escaped, a line may exceed the maximum of a log line: then it continues in the next one, after the "…". */
    char text[OUTPUT_TEXT_MAX];
    for (size_t at = 0; at < l->length;) {
        at += log_escape(text, sizeof text, l->line + at, l->length - at);
        log_foreign(LOG_LEVEL_INFO, "output %s text=\"%s\"", who, text);
    }
    l->length = 0;
}

void output_lines_add(struct output_lines *l, const char *who, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        const char *end = memchr(at, '\n', length);
        size_t piece = end ? (size_t)(end - at) : length;
        if (piece > sizeof l->line - l->length)
            piece = sizeof l->line - l->length;
        memcpy(l->line + l->length, at, piece);
        l->length += piece;
        at += piece;
        length -= piece;
        if (length > 0 && *at == '\n') {
            at++;
            length--;
            output_lines_end(l, who);
        } else if (l->length == sizeof l->line) {
            /* A longer line is continued in the next one, split between two characters. */
            char tail[4];
            size_t whole = wire_utf8_whole(l->line, l->length), partial = l->length - whole;
            memcpy(tail, l->line + whole, partial);
            l->length = whole;
            output_lines_end(l, who);
            memcpy(l->line, tail, partial);
            l->length = partial;
        }
    }
}
