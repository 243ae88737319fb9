#include "tests/unit/client/fake.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/scan.h"

static void *run(void *userdata)
{
    struct fake *fake = userdata;
    fake->fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fake->fd < 0)
        return NULL;
    if (!fake->no_hello)
        fake_hello(fake);
    fake->serve(fake);
    if (fake->fd >= 0)
        close(fake->fd);
    fake->fd = -1;
    return NULL;
}

void fake_start(struct fake *fake, fake_serve_fn *serve, void *context)
{
    snprintf(fake->directory, sizeof(fake->directory), "/tmp/mpool-fake-XXXXXX");
    CHECK(mkdtemp(fake->directory));
    snprintf(fake->path, sizeof(fake->path), "%s/sock", fake->directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, fake->path, strlen(fake->path) + 1);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fake->listener >= 0);
    CHECK(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(fake->listener, 8) == 0);
    fake->fd = -1;
    fake->serve = serve;
    fake->context = context;
    CHECK(pthread_create(&fake->thread, NULL, run, fake) == 0);
}

void fake_stop(struct fake *fake)
{
    shutdown(fake->listener, SHUT_RDWR); /* in case nobody ever connected */
    CHECK(pthread_join(fake->thread, NULL) == 0);
    close(fake->listener);
    unlink(fake->path);
    rmdir(fake->directory);
    for (unsigned i = 0; i < fake->fd_count; i++)
        close(fake->fds[i]);
    wire_buf_reset(&fake->in);
}

static bool read_more(struct fake *fake)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(16 * sizeof(int))];
    } control;
    uint8_t *to = wire_buf_reserve(&fake->in, 65536);
    CHECK(to);
    struct iovec iov = {.iov_base = to, .iov_len = 65536};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.room)};
    ssize_t n;
    do
        n = recvmsg(fake->fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            CHECK(fake->fd_count < 16);
            memcpy(&fake->fds[fake->fd_count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        }
    }
    wire_buf_commit(&fake->in, (size_t)n);
    return true;
}

bool fake_read(struct fake *fake, struct wire_message *message)
{
    static const struct wire_limits limits = {.max_bytes = 1u << 30, .max_depth = WIRE_DEPTH_CAP};
    struct wire_scan scan;
    wire_buf_consume(&fake->in, fake->consumed);
    fake->consumed = 0;
    wire_scan_init(&scan);
    for (;;) {
        if (wire_buf_length(&fake->in) > 0) {
            enum wire_scan_result r =
                wire_scan_feed(&scan, &limits, wire_buf_at(&fake->in), wire_buf_length(&fake->in));
            CHECK(r >= 0);
            if (r == WIRE_SCAN_WHOLE)
                break;
        }
        if (!read_more(fake))
            return false;
    }
    const char *why;
    fake->consumed = (size_t)scan.at;
    CHECK(wire_message_parse(wire_buf_at(&fake->in), fake->consumed, message, &why) == 0);
    return true;
}

bool fake_is(const struct wire_message *message, const char *method)
{
    return message->method_length == strlen(method) && memcmp(message->method, method, message->method_length) == 0;
}

bool fake_read_method(struct fake *fake, const char *method, struct wire_message *message)
{
    while (fake_read(fake, message)) {
        if (fake_is(message, method))
            return true;
        if (message->kind == WIRE_REQUEST)
            fake_reply_nil(fake, message->msgid);
    }
    return false;
}

int fake_claim_fd(struct fake *fake)
{
    CHECK(fake->fd_count > 0);
    int fd = fake->fds[0];
    fake->fd_count--;
    memmove(fake->fds, fake->fds + 1, fake->fd_count * sizeof(int));
    return fd;
}

void fake_send(struct fake *fake, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = send(fake->fd, at, length, MSG_NOSIGNAL);
        if (n < 0)
            return; /* the client has gone; the test knows whether it may */
        at += n;
        length -= (size_t)n;
    }
}

void fake_send_fd(struct fake *fake, const void *bytes, size_t length, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct wire_buf copy = {0};
    wire_buf_append(&copy, bytes, length);
    struct iovec iov = {.iov_base = copy.data, .iov_len = length};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    CHECK(sendmsg(fake->fd, &msg, MSG_NOSIGNAL) == (ssize_t)length);
    wire_buf_reset(&copy);
}

void fake_send_buf(struct fake *fake, struct wire_buf *b)
{
    CHECK(!b->failed);
    fake_send(fake, wire_buf_at(b), wire_buf_length(b));
    wire_buf_reset(b);
}

void fake_reply(struct fake *fake, uint32_t msgid, const void *value, size_t length)
{
    struct wire_buf b = {0};
    wire_put_result(&b, msgid);
    wire_buf_append(&b, value, length);
    fake_send_buf(fake, &b);
}

void fake_reply_int(struct fake *fake, uint32_t msgid, int64_t value)
{
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    wire_put_result(&b, msgid);
    msgpack_pack_int64(&pk, value);
    fake_send_buf(fake, &b);
}

void fake_reply_nil(struct fake *fake, uint32_t msgid)
{
    fake_reply(fake, msgid, "\xc0", 1);
}

void fake_reply_error(struct fake *fake, uint32_t msgid, int class, const char *text)
{
    struct wire_buf b = {0};
    wire_put_error_text(&b, msgid, class, text, strlen(text));
    fake_send_buf(fake, &b);
}

void fake_hello(struct fake *fake)
{
    struct wire_message message;
    CHECK(fake_read(fake, &message) && fake_is(&message, "hello"));
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    wire_put_result(&b, message.msgid);
    msgpack_pack_map(&pk, 4);
    wire_pack_key_text(&pk, "server", "fake");
    wire_pack_key_i64(&pk, "protocol", 1);
    wire_pack_text(&pk, "limits");
    msgpack_pack_map(&pk, 4);
    wire_pack_key_u64(&pk, "message_bytes", fake->message_bytes ? fake->message_bytes : 64u << 20);
    wire_pack_key_u64(&pk, "depth", 32);
    wire_pack_key_u64(&pk, "memfd_bytes", 1u << 30);
    wire_pack_key_u64(&pk, "in_flight", 1024);
    wire_pack_text(&pk, "features");
    msgpack_pack_array(&pk, fake->plain ? 0 : 2);
    if (!fake->plain) {
        wire_pack_text(&pk, "memfd");
        wire_pack_text(&pk, "stream");
    }
    fake_send_buf(fake, &b);
}

void fake_drain(struct fake *fake)
{
    struct wire_message message;
    while (fake_read(fake, &message))
        ;
}
