/* Calls against a fake server: what goes out, what comes back, in whatever order and pieces. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mpool/client.h>

#include "client/lib/memfd.h"
#include "proto/reader.h"
#include "tests/unit/client/fake.h"

static mpool_client *client_of(struct fake *fake)
{
    mpool_client *client;
    assert_int_equal(mpool_connect(&client, fake->path), 0);
    return client;
}

static void end(struct fake *fake, mpool_client *client)
{
    mpool_disconnect(client);
    fake_stop(fake);
}

/* call(f, [n]) → n * n; fail: E_FAILED; anything else: nil. Until the client goes. */
static void serve_squares(struct fake *fake)
{
    struct wire_message m;
    while (fake_read(fake, &m)) {
        struct wire_reader r = wire_reader(m.params, m.params_length);
        const char *function;
        size_t length;
        uint32_t count;
        int64_t n;
        if (m.kind != WIRE_REQUEST)
            continue;
        if (!fake_is(&m, "call") || wire_read_text(&r, &function, &length) < 0)
            fake_reply_nil(fake, m.msgid);
        else if (length == 4 && memcmp(function, "fail", 4) == 0)
            fake_reply_error(fake, m.msgid, 0, "E_FAILED: on purpose");
        else if (wire_read_array(&r, &count) == 0 && count == 1 && wire_read_i64(&r, &n) == 0)
            fake_reply_int(fake, m.msgid, n * n);
        else
            fake_reply_nil(fake, m.msgid);
    }
}

static void a_call_returns_the_result_of_the_function(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_squares, NULL);
    mpool_client *client = client_of(&fake);
    assert_string_equal(mpool_socket_path(client), fake.path);
    assert_string_equal(mpool_error_text(client), "");
    for (int64_t i = 0; i < 100; i++) {
        mpool_result *result;
        int64_t n;
        assert_int_equal(mpool_call(client, &result, "math.square", "x", i), 0);
        assert_int_equal(mpool_result_i64(result, &n), 0);
        assert_int_equal(n, i * i);
        mpool_result_free(result);
    }
    assert_int_equal(mpool_call(client, NULL, "math.square", "i", 1), 0);
    end(&fake, client);
}

static void an_error_has_code_and_sentence_and_harms_nothing(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_result *result = NULL;
    fake_start(&fake, serve_squares, NULL);
    mpool_client *client = client_of(&fake);
    assert_int_equal(mpool_call(client, &result, "fail", NULL), MPOOL_EFAILED);
    assert_null(result);
    assert_string_equal(mpool_error_text(client), "E_FAILED: on purpose");
    assert_int_equal(mpool_call(client, NULL, "square", "i", 3), 0);
    end(&fake, client);
}

static void bad_arguments_never_leave_the_process(void **state)
{
    (void)state;
    static const uint8_t deep[40] = {0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91,
        0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91,
        0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x01};
    struct fake fake = {0};
    fake_start(&fake, serve_squares, NULL);
    mpool_client *client = client_of(&fake);
    mpool_options negative = MPOOL_OPTIONS_INIT, unset = {0};
    negative.timeout_ms = -1;
    assert_int_equal(mpool_call(client, NULL, "f", "[", 1), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, "f", "\x01", 1, NULL), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, "f", "\x91", 1, NULL), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, "f", "\x91\x01\x02", 3, NULL), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, "f", "", 0, NULL), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, "f", deep, sizeof(deep), NULL), MPOOL_ETOO_DEEP);
    assert_int_equal(mpool_call_raw(client, NULL, "f", NULL, 0, &negative), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, "f", NULL, 0, &unset), -EINVAL);
    assert_int_equal(mpool_call_raw(client, NULL, NULL, NULL, 0, NULL), -EINVAL);
    assert_int_equal(mpool_call_start(client, NULL, "f", NULL, 0, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mpool_pending(client), 0);
    assert_int_equal(mpool_ping(client), 0);
    end(&fake, client);
}

struct record {
    int count;
    int codes[4096];
    int64_t values[4096];
    char text[256];
};

static void record_done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct record *record = userdata;
    assert_true(record->count < 4096);
    record->codes[record->count] = code;
    if (code == 0)
        (void)mpool_result_i64(result, &record->values[record->count]);
    else
        snprintf(record->text, sizeof(record->text), "%s", text);
    record->count++;
}

static void serve_backwards(struct fake *fake)
{
    uint32_t ids[100];
    struct wire_message m;
    for (int i = 0; i < 100; i++) {
        CHECK(fake_read(fake, &m));
        ids[i] = m.msgid;
    }
    for (int i = 99; i >= 0; i--)
        fake_reply_int(fake, ids[i], i);
    fake_drain(fake);
}

static void answers_may_come_in_any_order(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct record record = {0};
    fake_start(&fake, serve_backwards, NULL);
    mpool_client *client = client_of(&fake);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mpool_apply_async(client, NULL, record_done, &record, "f", "i", i), 0);
    assert_int_equal(mpool_pending(client), 100);
    assert_int_equal(mpool_events(client), POLLIN | POLLOUT);
    assert_int_equal(mpool_run(client, 10000), 0);
    assert_int_equal(record.count, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(record.values[i], 99 - i);
    assert_int_equal(mpool_events(client), POLLIN);
    end(&fake, client);
}

static void serve_dribble(struct fake *fake)
{
    struct wire_message m;
    struct wire_buf b = {0};
    CHECK(fake_read(fake, &m));
    wire_put_result(&b, m.msgid + 17); /* nobody asked for this one */
    wire_buf_append(&b, "\x05", 1);
    wire_put_notification(&b, "news"); /* and nobody knows this one */
    wire_buf_append(&b, "\x91\x01", 2);
    wire_put_result(&b, m.msgid);
    wire_buf_append(&b, "\xd9\x05hello", 7);
    for (size_t i = 0; i < wire_buf_length(&b); i++)
        fake_send(fake, wire_buf_at(&b) + i, 1);
    wire_buf_reset(&b);
    fake_drain(fake);
}

static void pieces_and_strangers_do_not_matter(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_dribble, NULL);
    mpool_client *client = client_of(&fake);
    mpool_result *result;
    const void *bytes;
    size_t length;
    assert_int_equal(mpool_call(client, &result, "f", NULL), 0);
    assert_int_equal(mpool_result_bytes(result, &bytes, &length), 0);
    assert_int_equal(length, 5);
    mpool_result_free(result);
    end(&fake, client);
}

static void serve_one_read(struct fake *fake)
{
    /* Everything that one flush sends arrives in one read: the greeting is answered already. */
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    int *whole = fake->context;
    *whole = 1;
    size_t first = fake->consumed, all = wire_buf_length(&fake->in);
    CHECK(all % first == 0);
    *whole = (int)(all / first);
    fake_drain(fake);
}

static void calls_started_together_are_sent_together(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct record record = {0};
    int in_one_read = 0;
    fake_start(&fake, serve_one_read, &in_one_read);
    mpool_client *client = client_of(&fake);
    for (int i = 0; i < 50; i++)
        assert_int_equal(mpool_apply_async(client, NULL, record_done, &record, "f", NULL), 0);
    assert_int_equal(mpool_flush(client), 0);
    mpool_disconnect(client);
    fake_stop(&fake);
    assert_int_equal(in_one_read, 50);
    assert_int_equal(record.count, 50);
    assert_int_equal(record.codes[49], -ECANCELED);
}

static void serve_options(struct fake *fake)
{
    struct wire_message m;
    struct wire_buf *seen = fake->context;
    CHECK(fake_read(fake, &m));
    wire_buf_append(seen, m.params, m.params_length);
    fake_reply_int(fake, m.msgid, 77);
    fake_drain(fake);
}

static void options_travel_by_name(void **state)
{
    (void)state;
    static const char expected[] = "\xa1"
                                   "f\xc0\x85\xa4pool\xa1p\xa4name\xa1n\xaatimeout_ms\x05\xa8"
                                   "attempts\x02\xa5ttl_s\x09";
    struct fake fake = {0};
    struct wire_buf seen = {0};
    fake_start(&fake, serve_options, &seen);
    mpool_client *client = client_of(&fake);
    mpool_options options = MPOOL_OPTIONS_INIT;
    options.pool = "p";
    options.name = "n";
    options.timeout_ms = 5;
    options.attempts = 2;
    options.ttl_s = 9;
    uint64_t id;
    assert_int_equal(mpool_submit_raw(client, &id, "f", NULL, 0, &options), 0);
    assert_int_equal(id, 77);
    end(&fake, client);
    assert_int_equal(wire_buf_length(&seen), sizeof(expected) - 1);
    assert_memory_equal(wire_buf_at(&seen), expected, sizeof(expected) - 1);
    wire_buf_reset(&seen);
}

static void serve_output(struct fake *fake)
{
    struct wire_message m;
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    CHECK(fake_read(fake, &m));
    for (int i = 1; i <= 2; i++) {
        wire_put_notification(&b, "output");
        msgpack_pack_array(&pk, 3);
        msgpack_pack_uint32(&pk, m.msgid);
        msgpack_pack_int(&pk, i);
        msgpack_pack_bin(&pk, 2);
        msgpack_pack_bin_body(&pk, i == 1 ? "ab" : "cd", 2);
    }
    fake_send_buf(fake, &b);
    fake_reply_nil(fake, m.msgid);
    fake_drain(fake);
}

static void keep_output(void *userdata, int stream, const void *bytes, size_t length)
{
    char *text = userdata;
    snprintf(text + strlen(text), 16, "%d:%.*s;", stream, (int)length, (const char *)bytes);
}

static void output_comes_before_the_result(void **state)
{
    (void)state;
    struct fake fake = {0};
    char text[64] = "";
    fake_start(&fake, serve_output, NULL);
    mpool_client *client = client_of(&fake);
    mpool_options options = MPOOL_OPTIONS_INIT;
    options.on_output = keep_output;
    options.userdata = text;
    assert_int_equal(mpool_call_raw(client, NULL, "f", NULL, 0, &options), 0);
    assert_string_equal(text, "1:ab;2:cd;");
    uint64_t id;
    assert_int_equal(mpool_submit_raw(client, &id, "f", NULL, 0, &options), -EINVAL);
    end(&fake, client);
}

enum { LARGE = 3 << 20 };

static void serve_memfds(struct fake *fake)
{
    struct wire_message m;
    for (int i = 0; i < 2; i++) {
        CHECK(fake_read(fake, &m));
        struct stat st;
        int args = fake_claim_fd(fake);
        CHECK(fstat(args, &st) == 0 && st.st_size == LARGE + 6);
        CHECK(fcntl(args, F_GET_SEALS) & F_SEAL_WRITE);
        /* Sends the bytes inside the argument array back as the result, in a memfd. */
        uint8_t *bytes = mmap(NULL, LARGE + 6, PROT_READ, MAP_PRIVATE, args, 0);
        CHECK(bytes != MAP_FAILED);
        int fd = memfd_from_bytes(bytes + 1, LARGE + 5);
        munmap(bytes, LARGE + 6);
        struct wire_buf b = {0};
        msgpack_packer pk = wire_packer(&b);
        wire_put_notification(&b, "memfd");
        msgpack_pack_array(&pk, 2);
        msgpack_pack_uint32(&pk, m.msgid);
        msgpack_pack_uint32(&pk, LARGE + 5);
        fake_send_fd(fake, wire_buf_at(&b), wire_buf_length(&b), fd);
        wire_buf_reset(&b);
        fake_reply_nil(fake, m.msgid);
        close(fd);
        close(args);
    }
    fake_drain(fake);
}

static void keep_large(void *userdata, int code, const mpool_result *result, const char *text)
{
    assert_int_equal(code, 0);
    assert_string_equal(text, "");
    *(mpool_result **)userdata = mpool_result_keep(result);
}

static void large_payloads_travel_as_descriptors(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_memfds, NULL);
    mpool_client *client = client_of(&fake);
    uint8_t *args = malloc(LARGE + 6);
    assert_non_null(args);
    memcpy(args, "\x91\xc6\x00\x30\x00\x00", 6);
    for (size_t i = 0; i < LARGE; i++)
        args[i + 6] = (uint8_t)(i * 7);
    mpool_result *results[2];
    assert_int_equal(mpool_call_raw(client, &results[0], "f", args, LARGE + 6, NULL), 0);
    assert_int_equal(mpool_call_start(client, NULL, "f", args, LARGE + 6, NULL, keep_large, &results[1]), 0);
    assert_int_equal(mpool_run(client, 10000), 0);
    end(&fake, client); /* results outlive their connection */
    for (int i = 0; i < 2; i++) {
        const void *bytes;
        size_t length;
        assert_int_equal(mpool_result_bytes(results[i], &bytes, &length), 0);
        assert_int_equal(length, LARGE);
        assert_memory_equal(bytes, args + 6, LARGE);
        mpool_result_free(results[i]);
    }
    free(args);
}

static void serve_inline(struct fake *fake)
{
    struct wire_message m;
    CHECK(fake_read(fake, &m));
    CHECK(m.params_length > LARGE && fake->fd_count == 0);
    fake_reply_nil(fake, m.msgid);
    fake_drain(fake);
}

static void a_plain_daemon_gets_large_arguments_inline(void **state)
{
    (void)state;
    struct fake fake = {.plain = true, .message_bytes = LARGE + 1000};
    fake_start(&fake, serve_inline, NULL);
    mpool_client *client = client_of(&fake);
    uint8_t *args = calloc(1, LARGE + 2000);
    assert_non_null(args);
    memcpy(args, "\x91\xc6\x00\x30\x00\x00", 6);
    assert_int_equal(mpool_call_raw(client, NULL, "f", args, LARGE + 6, NULL), 0);
    memcpy(args, "\x91\xc6\x00\x30\x07\x00", 6);
    assert_int_equal(mpool_call_raw(client, NULL, "f", args, LARGE + 1792 + 6, NULL), MPOOL_ETOO_BIG);
    assert_int_equal(mpool_pending(client), 0);
    free(args);
    end(&fake, client);
}

static void serve_nothing(struct fake *fake)
{
    char byte;
    /* Waits for the end without taking anything from the socket. */
    struct pollfd pfd = {.fd = fake->fd, .events = POLLRDHUP};
    while (poll(&pfd, 1, -1) < 0)
        ;
    (void)!read(fake->fd, &byte, 1);
}

static void what_is_unsent_is_bounded(void **state)
{
    (void)state;
    struct fake fake = {0};
    static struct record record;
    record.count = 0;
    fake_start(&fake, serve_nothing, NULL);
    mpool_client *client = client_of(&fake);
    uint8_t *args = calloc(1, 300006);
    assert_non_null(args);
    memcpy(args, "\x91\xc6\x00\x04\x93\xe0", 6);
    int r = 0, started = 0;
    while (r == 0 && started < 1000) {
        r = mpool_call_start(client, NULL, "f", args, 300006, NULL, record_done, &record);
        started += r == 0;
        if (r == 0)
            assert_true(mpool_flush(client) == 0 || mpool_flush(client) == -EAGAIN);
    }
    assert_int_equal(r, -EAGAIN);
    assert_string_equal(mpool_error_text(client), "Too much is unsent: dispatch or flush first.");
    assert_true(started < 40);
    assert_int_equal(mpool_events(client), POLLIN | POLLOUT);
    assert_int_equal(mpool_run(client, 20), -ETIMEDOUT);
    end(&fake, client);
    assert_int_equal(record.count, started);
    free(args);
}

static void serve_late(struct fake *fake)
{
    /* Reads nothing until the client has more unsent than it may, which it says by a byte. */
    char byte;
    CHECK(read(*(int *)fake->context, &byte, 1) == 1);
    struct wire_message m;
    while (fake_read(fake, &m))
        fake_reply_int(fake, m.msgid, 5);
}

static void a_blocking_call_waits_for_room(void **state)
{
    (void)state;
    struct fake fake = {0};
    static struct record record;
    int ends[2];
    record.count = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fake_start(&fake, serve_late, &ends[0]);
    mpool_client *client = client_of(&fake);
    uint8_t *args = calloc(1, 300006);
    assert_non_null(args);
    memcpy(args, "\x91\xc6\x00\x04\x93\xe0", 6);
    int started = 0;
    while (mpool_call_start(client, NULL, "f", args, 300006, NULL, record_done, &record) == 0)
        started++;
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(mpool_call(client, NULL, "f", NULL), 0);
    assert_int_equal(mpool_run(client, 10000), 0);
    assert_int_equal(record.count, started);
    end(&fake, client);
    close(ends[0]);
    close(ends[1]);
    free(args);
}

static void the_blocking_questions_ask_their_method(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_squares, NULL);
    mpool_client *client = client_of(&fake);
    mpool_result *result;
    assert_int_equal(mpool_ping(client), 0);
    assert_int_equal(mpool_wait(client, 5, -1, NULL), 0);
    assert_int_equal(mpool_fetch(client, 5, 0, &result), 0);
    mpool_result_free(result);
    assert_int_equal(mpool_status(client, 5, &result), 0);
    mpool_result_free(result);
    assert_int_equal(mpool_cancel(client, 5, NULL), MPOOL_EPROTOCOL); /* nil is neither yes nor no */
    assert_int_equal(mpool_request(client, &result, "stats", NULL), 0);
    mpool_result_free(result);
    assert_int_equal(mpool_request(client, NULL, "list", "{sb}", "all", 1), 0);
    assert_int_equal(mpool_request(client, NULL, NULL, NULL), -EINVAL);
    end(&fake, client);
}

static int nothing(void *userdata, const void **ret_item, size_t *ret_length)
{
    (void)userdata;
    (void)ret_item;
    (void)ret_length;
    return 0;
}

/* Fails, so that there is a sentence. */
static void fail_now(mpool_client *client)
{
    assert_int_equal(mpool_call(client, NULL, "fail", NULL), MPOOL_EFAILED);
    assert_string_equal(mpool_error_text(client), "E_FAILED: on purpose");
}

static void the_sentence_is_that_of_the_last_call(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct record record = {0};
    mpool_map *map;
    fake_start(&fake, serve_squares, NULL);
    mpool_client *client = client_of(&fake);
    assert_string_equal(mpool_error_text(client), "");
    fail_now(client);
    for (int what = 0; what < 8; what++) {
        mpool_call_id id = 0;
        int r = -1;
        fail_now(client);
        switch (what) {
        case 0: r = mpool_call(client, NULL, "f", "i", 3); break;
        case 1: r = mpool_ping(client); break;
        case 2: r = mpool_apply_async(client, &id, record_done, &record, "f", "i", 4); break;
        case 3: r = mpool_dispatch(client); break;
        case 4: r = mpool_run(client, -1); break;
        case 5: r = mpool_flush(client); break;
        case 6: r = mpool_request_start(client, NULL, "stats", NULL, 0, record_done, &record); break;
        default: r = mpool_map_start(client, &map, "f", nothing, NULL, NULL); mpool_map_free(map);
        }
        assert_int_equal(r, 0);
        assert_string_equal(mpool_error_text(client), "");
    }
    /* Those that fail have one, too, whichever they are. */
    fail_now(client);
    assert_int_equal(mpool_call_cancel(client, 4711), -ENOENT);
    assert_string_equal(mpool_error_text(client), "There is no such call, or it has ended.");
    assert_int_equal(mpool_request(client, NULL, NULL, NULL), -EINVAL);
    assert_string_equal(mpool_error_text(client), "No method is named.");
    assert_int_equal(mpool_map_start(client, &map, "f", NULL, NULL, NULL), -EINVAL);
    assert_string_equal(mpool_error_text(client), "A map needs a place for its handle, a function and a source.");
    end(&fake, client);
}

/* A call that fails in the same turn of the loop as a callback that calls, and so has a sentence of its own. */
static void call_something(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)code;
    (void)result;
    (void)text;
    assert_int_equal(mpool_flush(userdata), 0);
}

static void serve_two_at_once(struct fake *fake)
{
    struct wire_message first, second;
    CHECK(fake_read(fake, &first));
    uint32_t other = first.msgid;
    CHECK(fake_read(fake, &second));
    struct wire_buf b = {0};
    wire_put_error_text(&b, second.msgid, 0, "E_FAILED: on purpose", 20);
    msgpack_packer pk = wire_packer(&b);
    wire_put_result(&b, other);
    msgpack_pack_nil(&pk);
    fake_send_buf(fake, &b);
    fake_drain(fake);
}

static void a_callback_does_not_take_the_sentence(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_two_at_once, NULL);
    mpool_client *client = client_of(&fake);
    assert_int_equal(mpool_apply_async(client, NULL, call_something, client, "f", NULL), 0);
    assert_int_equal(mpool_call(client, NULL, "fail", NULL), MPOOL_EFAILED);
    assert_string_equal(mpool_error_text(client), "E_FAILED: on purpose");
    end(&fake, client);
}

/* ---- inside callbacks ---- */

struct script {
    mpool_client *client;
    mpool_call_id other;
    int count, inner;
};

static void serve_cancel(struct fake *fake)
{
    struct wire_message m;
    uint32_t first, second;
    CHECK(fake_read(fake, &m));
    first = m.msgid;
    CHECK(fake_read(fake, &m));
    second = m.msgid;
    fake_reply_int(fake, first, 1);
    CHECK(fake_read(fake, &m) && m.kind == WIRE_NOTIFICATION && fake_is(&m, "cancel"));
    struct wire_reader r = wire_reader(m.params, m.params_length);
    uint32_t pairs;
    uint64_t id;
    const char *key;
    size_t length;
    CHECK(wire_read_map(&r, &pairs) == 0 && pairs == 1 && wire_read_str(&r, &key, &length) == 0 && length == 5);
    CHECK(wire_read_u64(&r, &id) == 0 && id == second);
    fake_reply_error(fake, second, 0, "E_CANCELLED: cancelled by its caller");
    fake_drain(fake);
}

static void cancel_other(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct script *script = userdata;
    (void)result;
    (void)text;
    assert_int_equal(code, 0);
    assert_int_equal(mpool_call_cancel(script->client, script->other), 0);
    assert_int_equal(mpool_call_cancel(script->client, script->other), 0); /* said once */
    assert_int_equal(mpool_dispatch(script->client), -EDEADLK);
    assert_int_equal(mpool_call(script->client, NULL, "f", NULL), -EDEADLK);
    assert_int_equal(mpool_run(script->client, 0), -EDEADLK);
    script->count++;
}

static void a_callback_may_cancel_but_not_wait(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct record record = {0};
    fake_start(&fake, serve_cancel, NULL);
    struct script script = {.client = client_of(&fake)};
    assert_int_equal(mpool_apply_async(script.client, NULL, cancel_other, &script, "f", NULL), 0);
    assert_int_equal(mpool_apply_async(script.client, &script.other, record_done, &record, "f", NULL), 0);
    assert_int_equal(mpool_run(script.client, 10000), 0);
    assert_int_equal(script.count, 1);
    assert_int_equal(record.count, 1);
    assert_int_equal(record.codes[0], -ECANCELED);
    assert_string_equal(record.text, "E_CANCELLED: cancelled by its caller");
    assert_int_equal(mpool_call_cancel(script.client, script.other), -ENOENT);
    end(&fake, script.client);
}

static void start_another(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct script *script = userdata;
    (void)result;
    (void)text;
    assert_int_equal(code, 0);
    if (++script->count < 50)
        assert_int_equal(mpool_apply_async(script->client, NULL, start_another, script, "f", "i", 1), 0);
}

static void a_callback_may_start_the_next_call(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_squares, NULL);
    struct script script = {.client = client_of(&fake)};
    assert_int_equal(mpool_apply_async(script.client, NULL, start_another, &script, "f", NULL), 0);
    assert_int_equal(mpool_run(script.client, 10000), 0);
    assert_int_equal(script.count, 50);
    end(&fake, script.client);
}

static void disconnect_first(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct script *script = userdata;
    (void)result;
    (void)text;
    if (script->count++ == 0) {
        assert_int_equal(code, 0);
        mpool_disconnect(script->client);
        mpool_disconnect(script->client); /* a second word changes nothing */
        assert_int_equal(mpool_apply_async(script->client, NULL, disconnect_first, script, "f", NULL), -ENOTCONN);
        assert_string_equal(mpool_error_text(script->client), mpool_strerror(-ENOTCONN));
    } else {
        assert_int_equal(code, -ECANCELED);
        mpool_disconnect(script->client);
    }
}

static void a_callback_may_disconnect(void **state)
{
    (void)state;
    struct fake fake = {0};
    fake_start(&fake, serve_squares, NULL);
    struct script script = {.client = client_of(&fake)};
    for (int i = 0; i < 10; i++)
        assert_int_equal(mpool_apply_async(script.client, NULL, disconnect_first, &script, "f", NULL), 0);
    assert_int_equal(mpool_run(script.client, 10000), -ENOTCONN);
    assert_int_equal(script.count, 10);
    fake_stop(&fake);

    /* The same below a blocking call, which ends with it. */
    struct fake again = {0};
    fake_start(&again, serve_squares, NULL);
    script = (struct script){.client = client_of(&again)};
    assert_int_equal(mpool_apply_async(script.client, NULL, disconnect_first, &script, "f", NULL), 0);
    assert_int_equal(mpool_call(script.client, NULL, "f", NULL), -ENOTCONN);
    fake_stop(&again);
}

static void a_forked_child_may_not_use_the_connection(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct record record = {0};
    fake_start(&fake, serve_squares, NULL);
    mpool_client *client = client_of(&fake);
    assert_int_equal(mpool_apply_async(client, NULL, record_done, &record, "f", "i", 4), 0);
    pid_t child = fork();
    if (child == 0) {
        mpool_map *map;
        int bad = mpool_call(client, NULL, "f", NULL) != -ECHILD;
        bad |= mpool_dispatch(client) != -ECHILD || mpool_run(client, 0) != -ECHILD || mpool_flush(client) != -ECHILD;
        bad |= mpool_apply_async(client, NULL, record_done, &record, "f", NULL) != -ECHILD;
        bad |= mpool_call_cancel(client, 0) != -ECHILD || mpool_fd(client) != -1;
        bad |= mpool_map_start(client, &map, "f", NULL, NULL, NULL) != -ECHILD;
        mpool_disconnect(client);
        _exit(bad || record.count != 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(mpool_run(client, 10000), 0); /* the parent's goes on */
    assert_int_equal(record.count, 1);
    assert_int_equal(record.values[0], 16);
    end(&fake, client);
}

static void candidates_follow_the_environment(void **state)
{
    (void)state;
    char text[8192];
    setenv("MPOOL_SOCKET", "/nowhere/a.sock", 1);
    setenv("XDG_RUNTIME_DIR", "/nowhere/run", 1);
    assert_int_equal(mpool_socket_candidates(text, sizeof(text)), 16);
    assert_string_equal(text, "/nowhere/a.sock\n");
    mpool_client *client;
    assert_int_equal(mpool_connect(&client, NULL), -ENOENT);
    unsetenv("MPOOL_SOCKET");
    int length = mpool_socket_candidates(text, sizeof(text));
    assert_string_equal(text, "/nowhere/run/mpoold/mpoold.sock\n/run/mpoold/mpoold.sock\n");
    assert_int_equal(length, strlen(text));
    assert_int_equal(mpool_socket_candidates(NULL, 0), length);
    assert_int_equal(mpool_socket_candidates(text, 10), length);
    assert_string_equal(text, "/nowhere/");
    memset(text, 'x', 200);
    text[0] = '/';
    text[200] = '\0';
    assert_int_equal(mpool_connect(&client, text), -ENAMETOOLONG);
    assert_int_equal(mpool_connect(&client, ""), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_returns_the_result_of_the_function),
        cmocka_unit_test(an_error_has_code_and_sentence_and_harms_nothing),
        cmocka_unit_test(bad_arguments_never_leave_the_process),
        cmocka_unit_test(answers_may_come_in_any_order),
        cmocka_unit_test(pieces_and_strangers_do_not_matter),
        cmocka_unit_test(calls_started_together_are_sent_together),
        cmocka_unit_test(options_travel_by_name),
        cmocka_unit_test(output_comes_before_the_result),
        cmocka_unit_test(large_payloads_travel_as_descriptors),
        cmocka_unit_test(a_plain_daemon_gets_large_arguments_inline),
        cmocka_unit_test(what_is_unsent_is_bounded),
        cmocka_unit_test(a_blocking_call_waits_for_room),
        cmocka_unit_test(the_blocking_questions_ask_their_method),
        cmocka_unit_test(the_sentence_is_that_of_the_last_call),
        cmocka_unit_test(a_callback_does_not_take_the_sentence),
        cmocka_unit_test(a_callback_may_cancel_but_not_wait),
        cmocka_unit_test(a_callback_may_start_the_next_call),
        cmocka_unit_test(a_callback_may_disconnect),
        cmocka_unit_test(a_forked_child_may_not_use_the_connection),
        cmocka_unit_test(candidates_follow_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
