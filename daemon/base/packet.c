#include "daemon/base/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/memfd_fill.h"
#include "proto/io.h"

int packet_pair(int flags, int ret[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0, ret) < 0 ? -errno : 0;
}

union packet_control {
    char bytes[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX)];
    struct cmsghdr align;
};

ssize_t packet_send(int socket, const struct iovec *parts, size_t count, const int *fds, size_t fd_count)
{
    union packet_control control;
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count};
    if (fd_count > PACKET_FDS_MAX)
        return -EINVAL;
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
    }
    ssize_t n;
    do
        n = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t packet_receive(int socket, void *buffer, size_t size, int *fds, size_t *fd_count, bool *ret_lost)
{
    union packet_control control;
    struct iovec part = {buffer, size};
    size_t room = *fd_count < PACKET_FDS_MAX ? *fd_count : PACKET_FDS_MAX, got = 0;
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes};
    msg.msg_controllen = room ? CMSG_SPACE(sizeof(int) * room) : 0;
    *fd_count = 0;
    ssize_t n;
    /* If a peer closed with unread messages, a SEQPACKET socket reports ECONNRESET once and then still returns what
     * that peer had sent. */
    bool reset = false, lost = false;
    do {
        n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset && (reset = true))));
    if (n < 0)
        return -errno;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&msg); head; head = CMSG_NXTHDR(&msg, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
            /* Alignment of the control buffer may leave room for one more than requested. */
            if (got < room) {
                fds[got++] = fd;
            } else {
                close(fd);
                lost = true;
            }
        }
    }
    if (msg.msg_flags & MSG_TRUNC) {
        while (got > 0)
            close(fds[--got]);
        return -EMSGSIZE;
    }
    *fd_count = got;
    if (ret_lost)
        *ret_lost = lost || (msg.msg_flags & MSG_CTRUNC);
    return n;
}

int fd_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int memfd_of_bytes(const char *name, const void *bytes, size_t length)
{
    struct memfd_fill whole;
    int r = memfd_fill_begin(&whole, name);
    if (r == 0)
        r = memfd_fill_add(&whole, bytes, length);
    return r < 0 ? r : memfd_fill_end(&whole);
}

int memfd_check(int fd, uint64_t size)
{
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return -EINVAL;
    if ((seals & needed) != needed)
        return -EPERM;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return (uint64_t)st.st_size == size ? 0 : -EMSGSIZE;
}

bool memfd_read(int fd, uint8_t *to, uint64_t size)
{
    return io_pread_all(fd, to, (size_t)size, 0) == 0;
}
