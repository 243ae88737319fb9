/* Replies, their descriptors, and the socket: see conn_out.h. */
#include "daemon/conn/conn_out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/packet.h"
#include "daemon/conn/conn.h"
#include "daemon/conn/shares.h"
#include "proto/tables.h"

#define HOLD_BYTES   (4u << 10)
#define STREAM_PIECE (128u << 10) /* read from a memfd and sent in one go */
#define HARD_FACTOR  8u           /* the connection is closed beyond this multiple of the cap on unread descriptors */

bool conn_may_be_held(const struct conn *c)
{
    return c->in_flight > 0 && c->state <= CONN_HALF_CLOSED && !c->stopped && c->passing_count == 0 &&
           wire_buf_length(&c->out) < HOLD_BYTES;
}

void conn_touch(struct conn *c)
{
    if (!c->in_dirty) {
        c->in_dirty = true;
        TAILQ_INSERT_TAIL(&c->connections->dirty, c, dirty);
    }
}

bool conn_is_full(const struct conn *c)
{
    return conn_unsent(c) >= c->connections->config->max_output_bytes;
}

uint64_t conn_unsent(const struct conn *c)
{
    return wire_buf_length(&c->out) + c->streaming;
}

void conn_forget_unread(struct conn *c)
{
    if (c->unread > 0)
        share_subtract(c->share, SHARE_UNREAD, c->unread);
    c->unread = 0;
}

static void stalled(struct conn *c, const char *why)
{
    c->connections->loop->stats.connections_closed_for_stalling++;
    conn_close(c, why);
}

/* There is too much unread output: close the connection that holds the most, until the rest fits. */
static void relieve(struct conn *cause)
{
    struct connections *conns = cause->connections;
    const struct share *u;
    while ((u = share_overdrawn(cause->share, SHARE_UNREAD, conn_is_admin(cause)))) {
        struct conn *c, *worst = NULL;
        TAILQ_FOREACH (c, &conns->all, link)
            if (c->share == u && c->unread > (worst ? worst->unread : 0))
                worst = c;
        if (!worst)
            return; /* cannot happen: every counted byte has an owner */
        stalled(worst, "it does not read its replies, and the memory for them is needed (max_unread_bytes)");
    }
}

/* Checked after each reply, not once per pass: a hundred requests may wait for the same large result. */
static void count_unread(struct conn *c)
{
    uint64_t before = c->unread;
    if (conn_is_closed(c))
        return;
    c->unread = wire_buf_length(&c->out) + c->held_streaming;
    share_subtract(c->share, SHARE_UNREAD, before);
    share_add(c->share, SHARE_UNREAD, c->unread);
    if (c->unread > before && c->unread > CONN_KEEP_BUFFER)
        relieve(c);
    if (!conn_is_closed(c) && c->passing_count >= CONN_PASSING_MAX * HARD_FACTOR)
        stalled(c, "it does not read its replies, and the descriptors that they carry are needed");
}

void conn_replied(struct conn *c)
{
    if (c->in_flight > 0)
        c->in_flight--;
    if (c->in_flight == 0)
        c->connections->handler->idle(c);
    conn_touch(c);
    count_unread(c);
}

void conn_put_error(struct conn *c, uint32_t msgid, int class, const char *text, size_t length)
{
    wire_put_error_text(&c->out, msgid, c->errors_as_text ? WIRE_ERROR_AS_TEXT : class, text, length);
}

void conn_vreply_error(struct conn *c, uint32_t msgid, enum mpool_error error, const char *format, va_list ap)
{
    char text[WIRE_ERROR_TEXT_MAX + 1];
    size_t length = wire_error_words(text, error, format, ap);
    if (!conn_is_closed(c))
        conn_put_error(c, msgid, wire_error_info(error)->class, text, length);
    conn_replied(c);
}

void conn_reply_error(struct conn *c, uint32_t msgid, enum mpool_error error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    conn_vreply_error(c, msgid, error, format, ap);
    va_end(ap);
}

void conn_close_with_error(struct conn *c, enum mpool_error error, const char *text)
{
    const struct wire_error_info *info = wire_error_info(error);
    char sentence[256];
    int n = snprintf(sentence, sizeof sentence, "%s: %s", info->name, text);
    wire_put_notification(&c->out, "error");
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_array(&pk, 1);
    wire_put_error_value(&c->out, info->class, sentence, n < (int)sizeof sentence ? (size_t)n : sizeof sentence - 1);
    c->state = CONN_DRAINING;
    conn_touch(c);
}

bool conn_may_pass_fd(struct conn *c)
{
    if (c->passing_count < c->passing_size)
        return true;
    size_t size = c->passing_size ? c->passing_size * 2 : 4;
    struct conn_passing *grown = realloc(c->passing, size * sizeof *grown);
    if (!grown)
        return false;
    c->passing = grown;
    c->passing_size = size;
    return true;
}

bool conn_pass_fd(struct conn *c, const char *what, uint32_t msgid, uint64_t size, int fd)
{
    if (!conn_may_pass_fd(c)) {
        close(fd);
        return false;
    }
    c->passing[c->passing_count++] = (struct conn_passing){.at = c->sent + wire_buf_length(&c->out), .fd = fd};
    wire_put_notification(&c->out, what);
    msgpack_packer pk = wire_packer(&c->out);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_uint32(&pk, msgid);
    msgpack_pack_uint64(&pk, size);
    return true;
}

bool conn_stream_from(struct conn *c, int fd, uint64_t offset, uint64_t size, bool shared)
{
    if (!conn_may_pass_fd(c)) {
        close(fd);
        return false;
    }
    c->passing[c->passing_count++] = (struct conn_passing){.at = c->sent + wire_buf_length(&c->out),
        .fd = fd,
        .streams = true,
        .shared = shared,
        .offset = offset,
        .left = size};
    c->streaming += size;
    c->held_streaming += shared ? 0 : size;
    return true;
}

bool conn_stream(struct conn *c, int fd, uint64_t size, bool shared)
{
    return conn_stream_from(c, fd, 0, size, shared);
}

static void passed(struct conn *c)
{
    close(c->passing[0].fd);
    memmove(c->passing, c->passing + 1, --c->passing_count * sizeof c->passing[0]);
}

/* Sends at most `most` bytes of the output, perhaps with a descriptor. → how many, or -errno */
static ssize_t send_bytes(struct conn *c, size_t max, const int *fd)
{
    struct iovec piece = {c->out.data + c->out.start, wire_buf_length(&c->out)};
    if (piece.iov_len > max)
        piece.iov_len = max;
    ssize_t n = packet_send(c->fd, &piece, 1, fd, fd ? 1 : 0);
    if (n > 0) {
        wire_buf_consume(&c->out, (size_t)n);
        c->sent += (uint64_t)n;
    }
    return n;
}

/* Reads into memory that stays in the cache: a mapping would cost a page fault for every page. */
static ssize_t send_streamed(struct conn *c, struct conn_passing *p)
{
    static uint8_t bytes[STREAM_PIECE];
    ssize_t n = pread(p->fd, bytes, p->left < sizeof bytes ? (size_t)p->left : sizeof bytes, (off_t)p->offset);
    if (n <= 0)
        return n < 0 ? -errno : -EIO; /* it cannot have shrunk: it is sealed */
    n = packet_send(c->fd, &(struct iovec){bytes, (size_t)n}, 1, NULL, 0);
    if (n <= 0)
        return n;
    p->offset += (uint64_t)n;
    p->left -= (uint64_t)n;
    c->streaming -= (uint64_t)n;
    c->held_streaming -= p->shared ? 0 : (uint64_t)n;
    if (p->left == 0)
        passed(c);
    return n;
}

/* Sends the next piece: the output up to the next byte with an attachment, the content to be streamed before that byte,
 * or that byte with its descriptor. → bytes or -errno. */
static ssize_t send_piece(struct conn *c, size_t max)
{
    struct conn_passing *p = c->passing;
    if (c->passing_count == 0)
        return send_bytes(c, max, NULL);
    uint64_t ahead = p->at - c->sent;
    if (ahead > 0)
        return send_bytes(c, ahead < max ? (size_t)ahead : max, NULL);
    if (p->streams)
        return send_streamed(c, p);
    if (c->passing_count > 1 && p[1].at - c->sent < max)
        max = (size_t)(p[1].at - c->sent);
    ssize_t n = send_bytes(c, max, &p->fd);
    if (n > 0)
        passed(c);
    return n;
}

void conn_write_out(struct conn *c)
{
    /* A client that reads as fast as we write gets the same share of a pass as any other. */
    size_t share = STEP_BYTES;
    while (conn_unsent(c) > 0 && share > 0) {
        ssize_t n = send_piece(c, share);
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            conn_close(c, n == -EPIPE || n == -ECONNRESET ? NULL : strerror((int)-n));
            return;
        }
        share -= (size_t)n < share ? (size_t)n : share;
    }
    if (c->out.failed) {
        conn_close(c, "no memory for its replies");
        return;
    }
    bool left = conn_unsent(c) > 0;
    if (left && share == 0) {
        loop_defer(c->connections->loop);
        conn_touch(c);
    } else if (left != c->writing) {
        if (left)
            event_add(c->on_writable, NULL);
        else
            event_del(c->on_writable);
        c->writing = left;
    }
    if (!left)
        wire_buf_trim(&c->out, CONN_KEEP_BUFFER);
    if (c->wants_room && !conn_is_full(c)) {
        c->wants_room = false;
        c->connections->handler->has_room(c);
    }
    count_unread(c);
}
