/* A module that tells the supervisor of functions in its forkserver's place. LIAR: which lie. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/lane/control_protocol.h"
#include <mpool/module.h>

/* Reports as MessagePack: [[module, version, [[name, flags, timeout_s, summary], …]], …] */
static const struct {
    const char *name;
    const char *bytes;
    size_t length;
} lies[] = {
#define LIE(name, bytes)                                                                                               \
    {                                                                                                                  \
        name, bytes, sizeof bytes - 1                                                                                  \
    }
    LIE("nodot", "\x91\x93\xa4liar\xa1"
                 "1\x91\x94\xa5nodot\x00\x00\xa0"),
    LIE("empty", "\x91\x93\xa4liar\xa1"
                 "1\x91\x94\xa0\x00\x00\xa0"),
    LIE("others", "\x91\x93\xa4liar\xa1"
                  "1\x91\x94\xa8math.add\x00\x00\xa0"),
    LIE("noname", "\x91\x93\xa0\xa1"
                  "1\x91\x94\xa2.f\x00\x00\xa0"),
    LIE("late", "\x91\x93\xa4liar\xa1"
                "1\x92\x94\xa6liar.f\x00\x00\xa0\x94\xa1x\x00\x00\xa0"),
};

static void report(const void *bytes, size_t length)
{
    struct {
        struct control_head head;
        uint8_t size[8];
    } message = {.head = {.type = CONTROL_FORKSERVER_READY, .size = 8}};
    uint64_t size = length;
    int fd = memfd_create("lie", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        _exit(3);
    memcpy(message.size, &size, sizeof size);
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {&message, sizeof message.head + sizeof message.size};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(CONTROL_FORKSERVER_FD, &m, 0) < 0)
        _exit(4);
    close(fd);
}

static int lie(mpool_init *init)
{
    const char *which = getenv("LIAR");
    (void)init;
    for (size_t i = 0; which && i < sizeof lies / sizeof lies[0]; i++)
        if (strcmp(lies[i].name, which) == 0)
            report(lies[i].bytes, lies[i].length);
    return 0;
}

static int fine(mpool_task *task)
{
    return mpool_reply_bool(task, 1);
}

MPOOL_MODULE("liar", "1.0.0", MPOOL_INIT(lie), MPOOL_FN("fine", fine))
