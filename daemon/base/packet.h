/* Messages with descriptors over SOCK_SEQPACKET and stream sockets: one send, one receive, nothing leaked.
 *
 * Received descriptors are close-on-exec; those beyond the caller's room are closed by the kernel or here, so a flood
 * of them hurts only its sender. EINTR is retried. Never blocks unless the socket does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PACKET_FDS_MAX 16

/* Both ends CLOEXEC. flags: SOCK_NONBLOCK or 0, for both ends. → 0 or -errno. */
int packet_pair(int flags, int ret[2]);

/* fds: borrowed; at most PACKET_FDS_MAX. A SEQPACKET message is sent whole or not at all; a stream may send a part. →
 * bytes sent or -errno (-EAGAIN: the peer does not read). */
ssize_t packet_send(int socket, const struct iovec *parts, size_t count, const int *fds, size_t fd_count);

/* Returns everything that a peer sent before it closed, then end of file, even after a reset. fds: room for *fd_count
 * descriptors (at most PACKET_FDS_MAX); they become the caller's. *fd_count: how many arrived. *ret_lost (or NULL):
 * more were sent than arrived, for lack of room here or of free descriptors; the number is unknown. → bytes (0: end of
 * file) or -errno; -EMSGSIZE when a SEQPACKET message was longer than `size`. */
ssize_t packet_receive(int socket, void *buffer, size_t size, int *fds, size_t *fd_count, bool *ret_lost);

int fd_set_nonblock(int fd); /* → 0 or -errno */

/* A memfd sealed SHRINK|GROW|WRITE|SEAL that holds the bytes. → the descriptor or -errno (-ENOSPC, -EMFILE …). */
int memfd_of_bytes(const char *name, const void *bytes, size_t length);

/* Is it a memfd that can no longer be changed (sealed SHRINK, GROW and WRITE), of exactly `size` bytes? → 0, -EPERM
 * (not sealed), -EMSGSIZE (another size), -EINVAL (not a memfd). */
int memfd_check(int fd, uint64_t size);
/* Reads its first `size` bytes. → false: it could not be read, or is shorter. */
bool memfd_read(int fd, uint8_t *to, uint64_t size);
