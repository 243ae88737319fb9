/* A daemon that lies, breaks off or says nothing: the client neither crashes nor hangs nor grows, and every call ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <mpool/client.h>

#include "client/lib/memfd.h"
#include "tests/unit/client/fake.h"

struct ends {
    int count;
    int code;
    char text[256];
};

static void count_end(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct ends *ends = userdata;
    (void)result;
    ends->count++;
    ends->code = code;
    snprintf(ends->text, sizeof(ends->text), "%s", text);
}

struct words {
    const char *bytes;
    size_t length;
};

/* Says its words as soon as a request has come, then waits for the client to go. */
static void serve_words(struct fake *fake)
{
    const struct words *words = fake->context;
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    fake_send(fake, words->bytes, words->length);
    fake_drain(fake);
}

static void malformed_messages_end_the_connection(void **state)
{
    (void)state;
#define W(bytes)                                                                                                       \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1                                                                                       \
    }
    static const struct words words[] = {
        W("\xc1"),                                    /* no MessagePack */
        W("HTTP/1.1 400 Bad Request\r\n\r\n"),        /* 'H' is a number, and no message */
        W("\x90"),                                    /* an empty array */
        W("\x94\x01\x00\xc0"                          /* a response that begins … */
          "\xdf\x10\x00\x00\x00"),                    /* … a map of 268 million pairs */
        W("\xdd\xff\xff\xff\xff"),                    /* four billion elements */
        W("\xc6\xff\xff\xff\xff"),                    /* four billion bytes */
        W("\x94\x07\x00\xc0\xc0"),                    /* no such kind */
        W("\x94\x01\xa1x\xc0\xc0"),                   /* a msgid that is text */
        W("\x94\x00\x01\xa4ping\x90"),                /* a request to the client */
        W("\x93\x02\xa5memfd\x92\x01\x05"),           /* a memfd without one */
        W("\x93\x02\xa5memfd\x90"),                   /* no parameters */
        W("\x93\x02\xa6output\x93\x01\x03\xc4\x01x"), /* no such stream */
        W("\x93\x02\xa6output\x93\x01\x01\x05"),      /* bytes that are a number */
        W("\x93\x02\xa5items\x92\x01\x02"),           /* a parameter short */
        W("\x93\x02\xa5items\x93\xa1x\x00\x90"),      /* a msgid that is text */
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct fake fake = {0};
        struct ends ends = {0};
        mpool_client *client;
        fake_start(&fake, serve_words, (void *)(uintptr_t)&words[i]);
        assert_int_equal(mpool_connect(&client, fake.path), 0);
        assert_int_equal(mpool_apply_async(client, NULL, count_end, &ends, "f", NULL), 0);
        assert_int_equal(mpool_run(client, 10000), MPOOL_EPROTOCOL);
        assert_int_equal(ends.count, 1);
        assert_int_equal(ends.code, MPOOL_EPROTOCOL);
        assert_int_equal(mpool_fd(client), -1);
        assert_int_equal(mpool_timeout_ms(client), -1);
        assert_int_equal(mpool_dispatch(client), 0); /* told once */
        assert_int_equal(mpool_call(client, NULL, "f", NULL), MPOOL_EPROTOCOL);
        mpool_disconnect(client);
        fake_stop(&fake);
    }
}

static void deep_nesting_ends_the_connection(void **state)
{
    (void)state;
    static char bytes[100000];
    struct words words = {bytes, sizeof(bytes)};
    struct fake fake = {0};
    mpool_client *client;
    memset(bytes, '\x91', sizeof(bytes));
    memcpy(bytes, "\x94\x01\x01\xc0", 4);
    fake_start(&fake, serve_words, &words);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_call(client, NULL, "f", NULL), MPOOL_EPROTOCOL);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void a_farewell_is_the_reason_of_the_loss(void **state)
{
    (void)state;
    static const char bytes[] = "\x93\x02\xa5"
                                "error\x91\x92\x01\xb3"
                                "E_BUSY: it is full."
                                "\x94\x01\x01\xc0\x07";
    struct words words = {bytes, sizeof(bytes) - 1};
    struct fake fake = {0};
    struct ends ends = {0};
    mpool_client *client;
    fake_start(&fake, serve_words, &words);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_apply_async(client, NULL, count_end, &ends, "f", NULL), 0);
    assert_int_equal(mpool_run(client, 10000), MPOOL_EBUSY);
    assert_int_equal(ends.count, 1);
    assert_int_equal(ends.code, MPOOL_EBUSY);
    assert_string_equal(mpool_error_text(client), "E_BUSY: it is full.");
    assert_int_equal(mpool_call(client, NULL, "f", NULL), MPOOL_EBUSY);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void serve_flood(struct fake *fake)
{
    /* A message within the limit, announced at 60 MiB; 8 MiB of it come, and then the end. */
    static const char head[] = "\x94\x01\x01\xc0\xc6\x03\xc0\x00\x00";
    static char zeros[1 << 20];
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    fake_send(fake, head, sizeof(head) - 1);
    for (int i = 0; i < 8; i++)
        fake_send(fake, zeros, sizeof(zeros));
}

static void a_promise_of_bytes_costs_nothing(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    fake_start(&fake, serve_flood, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_call(client, NULL, "f", NULL), -ECONNRESET);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void serve_and_close(struct fake *fake)
{
    int *count = fake->context;
    struct wire_message m;
    for (int i = 0; i < *count; i++)
        CHECK(fake_read(fake, &m));
    fake_reply_int(fake, m.msgid, 1); /* the last is still answered */
}

static void a_thousand_calls_end_when_the_daemon_does(void **state)
{
    (void)state;
    int count = 1001;
    struct fake fake = {0};
    struct ends ends = {0}, last = {0};
    mpool_client *client;
    fake_start(&fake, serve_and_close, &count);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(mpool_apply_async(client, NULL, count_end, &ends, "f", NULL), 0);
    assert_int_equal(mpool_apply_async(client, NULL, count_end, &last, "f", NULL), 0);
    int r = 0;
    while (r >= 0) {
        struct pollfd pfd = {.fd = mpool_fd(client), .events = (short)mpool_events(client)};
        assert_true(poll(&pfd, 1, 10000) > 0);
        r = mpool_dispatch(client);
    }
    assert_int_equal(r, -ECONNRESET);
    assert_int_equal(ends.count, 1000);
    assert_int_equal(ends.code, -ECONNRESET);
    assert_string_equal(ends.text, "The daemon closed the connection.");
    assert_int_equal(last.count, 1);
    assert_int_equal(last.code, 0);
    assert_int_equal(mpool_pending(client), 0);
    assert_int_equal(mpool_apply_async(client, NULL, count_end, &ends, "f", NULL), -ECONNRESET);
    assert_int_equal(mpool_run(client, -1), 0); /* told already */
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void serve_partial(struct fake *fake)
{
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    fake_send(fake, "\x94\x01\x01\xc0\xd9\x10half", 10);
}

static void half_an_answer_is_none(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    mpool_result *result = NULL;
    fake_start(&fake, serve_partial, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_call(client, &result, "f", NULL), -ECONNRESET);
    assert_null(result);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void disconnect_on_loss(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)result;
    (void)text;
    assert_int_equal(code, -ECONNRESET);
    mpool_disconnect(*(mpool_client **)userdata);
}

static void a_callback_may_disconnect_when_the_daemon_is_gone(void **state)
{
    (void)state;
    int count = 2;
    struct fake fake = {0};
    struct ends ends = {0};
    mpool_client *client;
    fake_start(&fake, serve_and_close, &count);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_apply_async(client, NULL, disconnect_on_loss, &client, "f", NULL), 0);
    assert_int_equal(mpool_apply_async(client, NULL, count_end, &ends, "f", NULL), 0);
    assert_int_equal(mpool_run(client, 10000), -ENOTCONN);
    assert_int_equal(ends.count, 1);
    fake_stop(&fake);
}

/* ---- memfds ---- */

static void memfd_note(struct wire_buf *b, uint32_t msgid, uint64_t size)
{
    msgpack_packer pk = wire_packer(b);
    wire_put_notification(b, "memfd");
    msgpack_pack_array(&pk, 2);
    msgpack_pack_uint32(&pk, msgid);
    msgpack_pack_uint64(&pk, size);
}

static void serve_wrong_memfds(struct fake *fake)
{
    struct wire_message m;
    for (int i = 0; i < 3; i++) {
        struct wire_buf b = {0};
        CHECK(fake_read(fake, &m));
        int fd = i == 0 ? memfd_create("open", MFD_CLOEXEC) : memfd_from_bytes("\x93\x01\x02\x03", i == 1 ? 4 : 3);
        memfd_note(&b, m.msgid, i == 1 ? 5 : 3);
        fake_send_fd(fake, wire_buf_at(&b), wire_buf_length(&b), fd);
        wire_buf_reset(&b);
        close(fd);
        fake_reply_nil(fake, m.msgid);
    }
    /* One for a call that is over: closed unseen. */
    struct wire_buf b = {0};
    int fd = memfd_from_bytes("\x01", 1);
    memfd_note(&b, m.msgid, 1);
    fake_send_fd(fake, wire_buf_at(&b), wire_buf_length(&b), fd);
    wire_buf_reset(&b);
    close(fd);
    /* Two for one call: that is too much. */
    CHECK(fake_read(fake, &m));
    for (int i = 0; i < 2; i++) {
        fd = memfd_from_bytes("\x01", 1);
        memfd_note(&b, m.msgid, 1);
        fake_send_fd(fake, wire_buf_at(&b), wire_buf_length(&b), fd);
        wire_buf_reset(&b);
        close(fd);
    }
    fake_drain(fake);
}

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_memfd_that_lies_fails_its_call_alone(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    int before = open_fds();
    fake_start(&fake, serve_wrong_memfds, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mpool_call(client, NULL, "f", NULL), MPOOL_EPROTOCOL);
    assert_true(mpool_fd(client) >= 0);
    assert_int_equal(mpool_call(client, NULL, "f", NULL), MPOOL_EPROTOCOL);
    assert_int_equal(mpool_fd(client), -1);
    mpool_disconnect(client);
    fake_stop(&fake);
    assert_int_equal(open_fds(), before);
}

static void serve_memfd_and_plain(struct fake *fake)
{
    struct wire_message m;
    for (int i = 0; i < 2; i++) {
        struct wire_buf b = {0};
        CHECK(fake_read(fake, &m));
        int fd = memfd_from_bytes("\x07", 1);
        memfd_note(&b, m.msgid, 1);
        fake_send_fd(fake, wire_buf_at(&b), wire_buf_length(&b), fd);
        wire_buf_reset(&b);
        close(fd);
        fake_reply_nil(fake, m.msgid);
    }
    fake_drain(fake);
}

static void without_room_for_a_descriptor_one_call_fails(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    struct rlimit limit, tight;
    fake_start(&fake, serve_memfd_and_plain, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* The server's thread lives in this process too: it gets its descriptor first, by a number that is still allowed,
     * and then none is left for the client. */
    int holes[64], count = 0, fd;
    while (count < 64 && (fd = dup(STDERR_FILENO)) >= 0)
        holes[count++] = fd;
    close(holes[--count]);
    tight = limit;
    tight.rlim_cur = (rlim_t)holes[count] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int r = mpool_call(client, NULL, "f", NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    /* Whether the server had closed its own by then is a matter of timing. */
    assert_true(r == -EMFILE || r == 0);
    mpool_result *result;
    int64_t n;
    assert_int_equal(mpool_call(client, &result, "f", NULL), 0);
    assert_int_equal(mpool_result_i64(result, &n), 0);
    assert_int_equal(n, 7);
    mpool_result_free(result);
    while (count > 0)
        close(holes[--count]);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void serve_fd_flood(struct fake *fake)
{
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    for (int i = 0; i < 200; i++) {
        struct wire_buf b = {0};
        wire_put_notification(&b, "news");
        wire_buf_append(&b, "\x90", 1);
        /* The descriptors come to nobody; the client may hang up at any moment. */
        if (fcntl(fake->fd, F_GETFD) < 0)
            break;
        struct pollfd pfd = {.fd = fake->fd, .events = POLLRDHUP};
        if (poll(&pfd, 1, 0) > 0 && pfd.revents & (POLLHUP | POLLRDHUP)) {
            wire_buf_reset(&b);
            break;
        }
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(sizeof(int))];
        } control = {0};
        int fd = STDERR_FILENO;
        struct iovec iov = {.iov_base = b.data, .iov_len = wire_buf_length(&b)};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.room)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
        (void)!sendmsg(fake->fd, &msg, MSG_NOSIGNAL);
        wire_buf_reset(&b);
    }
    fake_drain(fake);
}

static void unasked_descriptors_do_not_pile_up(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    int before = open_fds();
    fake_start(&fake, serve_fd_flood, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_call(client, NULL, "f", NULL), MPOOL_EPROTOCOL);
    mpool_disconnect(client);
    fake_stop(&fake);
    assert_int_equal(open_fds(), before);
}

/* ---- anything at all ---- */

enum { MUTANTS = 400, MUTANT_CALLS = 10 };

/* Answers every request well-formed but for a few bytes, and leaves after a dozen. */
static void serve_mutants(struct fake *fake)
{
    unsigned *seed = fake->context;
    struct wire_message m;
    for (int i = 0; i < MUTANT_CALLS + 2 && fake_read(fake, &m); i++) {
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        wire_put_notification(&b, rand_r(seed) % 2 ? "output" : "items");
        msgpack_pack_array(&pk, 3);
        msgpack_pack_uint32(&pk, m.msgid);
        msgpack_pack_int(&pk, rand_r(seed) % 3);
        if (rand_r(seed) % 2)
            wire_buf_append(&b, "\xc4\x03xyz", 5);
        else
            wire_buf_append(&b, "\x91\x92\xc0\x05", 4);
        if (rand_r(seed) % 4 == 0) {
            wire_put_error_text(&b, m.msgid, 0, "E_FAILED: on purpose", 20);
        } else {
            wire_put_result(&b, m.msgid);
            if (rand_r(seed) % 2)
                wire_buf_append(&b, "\x91\x92\xc0\xa1x", 5);
            else
                wire_buf_append(&b, "\x82\xa1k\x01\xa1l\xc3", 7);
        }
        uint8_t *bytes = b.data + b.start;
        size_t length = wire_buf_length(&b);
        for (int hits = rand_r(seed) % 3; hits > 0; hits--)
            bytes[(size_t)rand_r(seed) % length] = (uint8_t)rand_r(seed);
        if (rand_r(seed) % 8 == 0)
            length = (size_t)rand_r(seed) % length;
        fake_send(fake, bytes, length);
        wire_buf_reset(&b);
    }
}

static int pull_five(void *userdata, const void **ret_item, size_t *ret_length)
{
    int *left = userdata;
    *ret_item = "\x05";
    *ret_length = 1;
    return (*left)-- > 0;
}

static void read_everything(void *userdata, int code, const mpool_result *result, const char *text)
{
    const mpool_result *value;
    const void *bytes;
    size_t length;
    int64_t n;
    if (code == 0) {
        (void)mpool_result_i64(result, &n);
        (void)mpool_result_bytes(result, &bytes, &length);
        if (mpool_result_get(result, "k", &value) == 0)
            (void)mpool_result_get(value, "l", &value);
    }
    count_end(userdata, code, result, text);
}

static void ignore_output(void *userdata, int stream, const void *bytes, size_t length)
{
    (void)userdata;
    (void)bytes;
    assert_in_range(stream, 1, 2);
    assert_in_range(length, 0, 1 << 20);
}

static void whatever_the_daemon_says_every_call_ends_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MUTANTS; i++) {
        unsigned seed = i;
        struct fake fake = {0};
        struct ends ends = {0};
        mpool_client *client;
        mpool_map *map;
        mpool_item item = MPOOL_ITEM_INIT;
        mpool_options options = MPOOL_OPTIONS_INIT;
        int left = 40, r;
        uint64_t pulled, given = 0;
        options.on_output = ignore_output;
        fake_start(&fake, serve_mutants, &seed);
        assert_int_equal(mpool_connect(&client, fake.path), 0);
        for (int k = 0; k < MUTANT_CALLS; k++)
            assert_int_equal(mpool_call_start(client, NULL, "f", NULL, 0, &options, read_everything, &ends), 0);
        assert_int_equal(mpool_map_start(client, &map, "f", pull_five, &left, NULL), 0);
        while ((r = mpool_map_next(map, &item, 10000)) == 1)
            given++;
        assert_int_not_equal(r, -ETIMEDOUT);
        mpool_map_progress(map, &pulled, NULL);
        assert_int_equal(given, pulled);
        mpool_map_free(map);
        (void)mpool_run(client, 10000);
        assert_int_equal(ends.count, MUTANT_CALLS);
        mpool_disconnect(client);
        fake_stop(&fake);
    }
}

/* ---- hello ---- */

static void serve_strange_hello(struct fake *fake)
{
    const struct words *words = fake->context;
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    if (words->length > 0)
        fake_send(fake, words->bytes, words->length);
    else
        return;
    fake_drain(fake);
}

static int connect_to_words(const char *bytes, size_t length)
{
    struct words words = {bytes, length};
    struct fake fake = {.no_hello = true};
    mpool_client *client;
    fake_start(&fake, serve_strange_hello, &words);
    int r = mpool_connect(&client, fake.path);
    if (r == 0)
        mpool_disconnect(client);
    fake_stop(&fake);
    return r;
}
#define HELLO(bytes) connect_to_words(bytes, sizeof(bytes) - 1)

static void strangers_are_told_apart_at_hello(void **state)
{
    (void)state;
    assert_int_equal(HELLO(""), -ECONNRESET);
    assert_int_equal(HELLO("\x94\x01\x00\xc0\xc0"), MPOOL_EPROTOCOL);
    assert_int_equal(HELLO("\x94\x01\x00\xc0\x81\xa8protocol\x02"), MPOOL_EPROTOCOL);
    assert_int_equal(HELLO("\x94\x01\x00\xc0\x81\xa8protocol\x01"), 0);
    assert_int_equal(HELLO("\x94\x01\x00\xa4nope\xc0"), MPOOL_EPROTOCOL);
    assert_int_equal(HELLO("\x94\x01\x00\x92\x01\xad"
                           "E_NO_METHOD: x\xc0"),
        MPOOL_EPROTOCOL);
    assert_int_equal(HELLO("\x94\x01\x00\x92\x01\xab"
                           "E_DENIED: x\xc0"),
        MPOOL_EDENIED);
    assert_int_equal(HELLO("SSH-2.0-OpenSSH\r\n"), MPOOL_EPROTOCOL);
    /* limits of nonsense are not believed */
    assert_int_equal(HELLO("\x94\x01\x00\xc0\x82\xa8protocol\x01\xa6limits\x82\xadmessage_bytes\xcf\xff\xff\xff\xff\xff"
                           "\xff\xff\xff\xa5"
                           "depth\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_messages_end_the_connection),
        cmocka_unit_test(deep_nesting_ends_the_connection),
        cmocka_unit_test(a_farewell_is_the_reason_of_the_loss),
        cmocka_unit_test(a_promise_of_bytes_costs_nothing),
        cmocka_unit_test(a_thousand_calls_end_when_the_daemon_does),
        cmocka_unit_test(half_an_answer_is_none),
        cmocka_unit_test(a_callback_may_disconnect_when_the_daemon_is_gone),
        cmocka_unit_test(a_memfd_that_lies_fails_its_call_alone),
        cmocka_unit_test(without_room_for_a_descriptor_one_call_fails),
        cmocka_unit_test(unasked_descriptors_do_not_pile_up),
        cmocka_unit_test(whatever_the_daemon_says_every_call_ends_once),
        cmocka_unit_test(strangers_are_told_apart_at_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
