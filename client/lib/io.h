/* How do bytes and descriptors get through the socket without blocking unless asked to?
 *
 * Two byte buffers and two short queues of descriptors. Outgoing descriptors are tied to a position in the stream, so
 * that each travels with the first byte of its own request however the kernel splits the writes. Incoming ones are
 * matched in order of arrival. Knows nothing of messages. Only reads report a lost peer (-ECONNRESET), so that its last
 * messages are still read after a write has failed. SIGPIPE is never raised.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

#define IO_FDS_MAX 64u /* descriptors waiting to be sent, or to be claimed */

struct io_out_fd {
    uint64_t position; /* bytes sent before the byte that it travels with */
    int fd;
};

struct io {
    int fd;
    struct wire_buf in, out;
    uint64_t sent;        /* bytes sent so far */
    uint64_t retry_at_ns; /* the kernel refused a descriptor for now: no write before then; 0: none */
    bool write_dead;      /* the peer no longer reads */
    struct io_out_fd out_fds[IO_FDS_MAX];
    uint32_t out_fds_first, out_fds_count;
    int in_fds[IO_FDS_MAX]; /* -1: one that this process had no room for */
    uint32_t in_fds_first, in_fds_count;
    bool interruptible; /* signals end a wait */
    bool interrupted;   /* … and one has */
    int kept;           /* result of the last read, if its thread was cancelled before returning it; else 0 */
};

/* fd: taken, a connected stream socket in blocking mode (each read or write chooses whether it may wait). */
void io_init(struct io *io, int fd);
/* Closes everything, the socket included. */
void io_deinit(struct io *io);

/* Shuts the connection down and drops unsent and unread data, but keeps the descriptor number in use. */
void io_shutdown(struct io *io);

/* Ties a descriptor to the byte at offset `unsent_before` in the unsent bytes. fd: taken on success.
 * → 0; -EAGAIN when too many are queued. */
int io_attach_fd(struct io *io, size_t unsent_before, int fd);

/* Sends what can be sent. → 0 nothing is left (or the peer no longer reads), 1 some is left. */
int io_flush(struct io *io);

/* Waits until bytes can be read, or written if some are unsent, or the deadline has come. → 1 something may be done,
 * 0 not (deadline, or a signal). The thread may be cancelled here. */
int io_wait(struct io *io, uint64_t deadline_ns);

/* Reads once into io->in. wait: until something comes; the thread may be cancelled meanwhile, and anything received at
 * that moment is returned by the next read. → bytes; -EAGAIN nothing there (or a signal came); -ECONNRESET;
 * MPOOL_EPROTOCOL (more descriptors than anyone may send); -ENOMEM. *ret_drained: no more was there. */
int io_read(struct io *io, bool wait, bool *ret_drained);

/* The oldest unclaimed descriptor, the caller's now. → it; -EMFILE if it arrived while this process was at its
 * descriptor limit; -ENODATA if there is none. */
int io_claim_fd(struct io *io);

static inline size_t io_unsent(const struct io *io)
{
    return io->write_dead ? 0 : wire_buf_length(&io->out);
}
