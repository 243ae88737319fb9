/* Socket reads and writes: see io.h. */
#include "client/lib/io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include <mpool/client.h>

#define READ_LEAST   (64u << 10)
#define READ_MOST    (1u << 20)
#define KEEP_BYTES   (256u << 10) /* memory that a buffer keeps after a large message */
#define RETRY_MS     10u
#define FDS_PER_READ 16u

void io_init(struct io *io, int fd)
{
    memset(io, 0, sizeof(*io));
    io->fd = fd;
}

static void close_fds(struct io *io)
{
    NOT_CANCELLED;
    for (; io->out_fds_count > 0; io->out_fds_count--) {
        close(io->out_fds[io->out_fds_first % IO_FDS_MAX].fd);
        io->out_fds_first++;
    }
    for (; io->in_fds_count > 0; io->in_fds_count--) {
        if (io->in_fds[io->in_fds_first % IO_FDS_MAX] >= 0)
            close(io->in_fds[io->in_fds_first % IO_FDS_MAX]);
        io->in_fds_first++;
    }
}

void io_deinit(struct io *io)
{
    NOT_CANCELLED;
    close_fds(io);
    wire_buf_reset(&io->in);
    wire_buf_reset(&io->out);
    if (io->fd >= 0)
        close(io->fd);
    io->fd = -1;
}

void io_shutdown(struct io *io)
{
    /* An event loop may still watch this number. If we closed it here, the next descriptor that the program opens would
     * get the number, and the loop's clean-up would remove the wrong one. */
    shutdown(io->fd, SHUT_RDWR);
    close_fds(io);
    wire_buf_reset(&io->in);
    wire_buf_reset(&io->out);
    io->retry_at_ns = 0;
    io->kept = 0;
}

int io_attach_fd(struct io *io, size_t unsent_before, int fd)
{
    if (io->out_fds_count == IO_FDS_MAX)
        return -EAGAIN;
    struct io_out_fd *slot = &io->out_fds[(io->out_fds_first + io->out_fds_count) % IO_FDS_MAX];
    *slot = (struct io_out_fd){.position = io->sent + unsent_before, .fd = fd};
    io->out_fds_count++;
    return 0;
}

static ssize_t send_some(struct io *io)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = io->out.data + io->out.start, .iov_len = wire_buf_length(&io->out)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    bool attached = false;

    if (io->out_fds_count > 0) {
        const struct io_out_fd *first = &io->out_fds[io->out_fds_first % IO_FDS_MAX];
        uint64_t until = first->position;
        if (first->position == io->sent) {
            memset(&control, 0, sizeof(control));
            msg.msg_control = &control;
            msg.msg_controllen = sizeof(control.room);
            struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(c), &first->fd, sizeof(int));
            attached = true;
            until = io->out_fds_count > 1 ? io->out_fds[(io->out_fds_first + 1) % IO_FDS_MAX].position : UINT64_MAX;
        }
        if (until - io->sent < iov.iov_len)
            iov.iov_len = (size_t)(until - io->sent);
    }
    ssize_t n = sendmsg(io->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0 && attached) {
        close(io->out_fds[io->out_fds_first % IO_FDS_MAX].fd);
        io->out_fds_first++;
        io->out_fds_count--;
    }
    return n;
}

int io_flush(struct io *io)
{
    NOT_CANCELLED;
    if (io->retry_at_ns != 0) {
        if (clock_now_ns() < io->retry_at_ns)
            return 1;
        io->retry_at_ns = 0;
    }
    while (!io->write_dead && wire_buf_length(&io->out) > 0) {
        ssize_t n = send_some(io);
        if (n >= 0) {
            io->sent += (uint64_t)n;
            wire_buf_consume(&io->out, (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 1;
        if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM) {
            /* The user has too many descriptors in flight, or memory is short. poll() does not report when that
             * changes, so retry by time. */
            io->retry_at_ns = clock_now_ns() + RETRY_MS * NS_PER_MS;
            return 1;
        }
        io->write_dead = true;
    }
    wire_buf_trim(&io->out, KEEP_BYTES);
    return 0;
}

int io_wait(struct io *io, uint64_t deadline_ns)
{
    struct pollfd pfd = {.fd = io->fd, .events = POLLIN};
    if (io->kept != 0)
        return 1;
    if (io->retry_at_ns != 0)
        deadline_ns = deadline_ns < io->retry_at_ns ? deadline_ns : io->retry_at_ns;
    else if (io_unsent(io) > 0)
        pfd.events = POLLIN | POLLOUT;
    LEFT_WHEN_CANCELLED;
    int n = poll(&pfd, 1, clock_left_ms(deadline_ns)); /* a handler with SA_RESTART interrupts it, too */
    io->interrupted = n < 0 && errno == EINTR && io->interruptible;
    return n > 0;
}

/* → 0, or MPOOL_EPROTOCOL. */
static int take_fds(struct io *io, struct msghdr *msg)
{
    bool any = false, surplus = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            any = true;
            if (io->in_fds_count == IO_FDS_MAX) {
                close(fd);
                surplus = true;
                continue;
            }
            io->in_fds[(io->in_fds_first + io->in_fds_count) % IO_FDS_MAX] = fd;
            io->in_fds_count++;
        }
    }
    if (msg->msg_flags & MSG_CTRUNC) {
        /* The daemon sends one at a time, so exactly one is missing: this process is at its descriptor limit. Keep its
         * place, so that the next one is not mistaken for it. */
        if (any || io->in_fds_count == IO_FDS_MAX)
            return MPOOL_EPROTOCOL;
        io->in_fds[(io->in_fds_first + io->in_fds_count) % IO_FDS_MAX] = -1;
        io->in_fds_count++;
    }
    return surplus ? MPOOL_EPROTOCOL : 0;
}

/* A read under way. */
struct reading {
    struct io *io;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_PER_READ * sizeof(int))];
    struct iovec iov;
    struct mmsghdr msg; /* msg_len: 0 until something has come */
    bool finished;
};

/* Takes what has been received. → bytes; as io_read(). */
static int take(struct reading *reading)
{
    NOT_CANCELLED;
    int r = take_fds(reading->io, &reading->msg.msg_hdr);
    reading->finished = true;
    if (r < 0)
        return r;
    wire_buf_commit(&reading->io->in, reading->msg.msg_len);
    return (int)reading->msg.msg_len;
}

/* The thread was cancelled, perhaps after the kernel delivered bytes but before they were reported to the caller. */
static void keep_read(struct reading *reading)
{
    if (!reading->finished && reading->msg.msg_len > 0)
        reading->io->kept = take(reading);
}

/* → 1 something was received, or end of file; negative: errno. Unlike recvmsg(), recvmmsg() stores the length where the
 * clean-up of a cancelled thread can find it. */
static int receive(struct reading *reading, bool wait)
{
    int n = -1;
    errno = EINTR;
    if (wait)
        n = recvmmsg(reading->io->fd, &reading->msg, 1, MSG_CMSG_CLOEXEC, NULL);
    /* recvmmsg() reports a pending error once, before the data received ahead of it. */
    if (!wait || (n < 0 && errno != EINTR)) {
        NOT_CANCELLED;
        ssize_t length = recvmsg(reading->io->fd, &reading->msg.msg_hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        n = length < 0 ? -1 : 1;
        reading->msg.msg_len = length < 0 ? 0 : (unsigned)length;
    }
    return n < 0 ? -errno : n;
}

int io_read(struct io *io, bool wait, bool *ret_drained)
{
    if (io->kept != 0) {
        int kept = io->kept;
        io->kept = 0;
        *ret_drained = false;
        return kept;
    }
    size_t have = wire_buf_length(&io->in);
    if (have == 0)
        wire_buf_trim(&io->in, KEEP_BYTES);
    /* Grow the buffer for a long message, but only in proportion to the bytes actually received. */
    size_t want = have < READ_LEAST ? READ_LEAST : have > READ_MOST ? READ_MOST : have;
    uint8_t *to = wire_buf_reserve(&io->in, want);
    if (!to)
        return -ENOMEM;
    __attribute__((cleanup(keep_read))) struct reading reading;
    reading.io = io;
    reading.iov = (struct iovec){.iov_base = to, .iov_len = want};
    reading.msg = (struct mmsghdr){.msg_hdr = {.msg_iov = &reading.iov,
                                       .msg_iovlen = 1,
                                       .msg_control = reading.control,
                                       .msg_controllen = sizeof(reading.control)}};
    reading.finished = false;
    int n = receive(&reading, wait);
    if (n < 0)
        return n == -EINTR || n == -EAGAIN || n == -EWOULDBLOCK ? -EAGAIN : -ECONNRESET;
    n = take(&reading);
    *ret_drained = n >= 0 && (size_t)n < want;
    return n == 0 ? -ECONNRESET : n;
}

int io_claim_fd(struct io *io)
{
    if (io->in_fds_count == 0)
        return -ENODATA;
    int fd = io->in_fds[io->in_fds_first % IO_FDS_MAX];
    io->in_fds_first++;
    io->in_fds_count--;
    return fd < 0 ? -EMFILE : fd;
}
