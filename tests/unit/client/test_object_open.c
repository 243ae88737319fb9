/* A daemon that lies about an object, or hands out a page that is none: opening fails, leaks nothing, and tells the
 * daemon that it is not used. And what was opened is lost with its connection. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <mpool/shared.h>

#include "proto/sync/sync.h"
#include "tests/unit/client/fake.h"

/* What one `open` is answered with. */
struct answer {
    const char *kind, *type;
    uint64_t id, client, count, capacity;
    uint64_t size, told_size; /* of the page */
    uint64_t no_facts;        /* an empty map */
    uint64_t no_page, two_pages, unsealed, spoiled;
};

static const struct answer good = {
    .kind = "array", .type = "i64", .id = 5, .client = 7, .count = 512, .capacity = 3, .size = 8192, .told_size = 8192};

/* What differs from that. */
struct lie {
    const char *what; /* for the reader of a failure */
    int expected;     /* code of mpool_object_open() */
    struct {
        size_t at;
        uint64_t value;
    } changes[4];
    const char *kind, *type; /* or NULL */
};
#define SET(field, number)                                                                                             \
    {                                                                                                                  \
        offsetof(struct answer, field), (number)                                                                       \
    }

static int make_page(const struct answer *a)
{
    int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)a->size) == 0);
    if (a->size >= SYNC_BYTES && !a->spoiled) {
        int kind = wire_kind_find(a->kind, strlen(a->kind));
        bool counts = kind == MPOOL_KIND_SEMAPHORE || kind == MPOOL_KIND_BARRIER;
        struct sync_setup setup = {.capacity = counts ? 3 : 0, .tokens = kind == MPOOL_KIND_SEMAPHORE ? 3 : 0};
        void *page = mmap(NULL, SYNC_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(page != MAP_FAILED);
        CHECK(kind < 0 || !wire_kind_info((enum mpool_kind)kind)->page ||
              sync_page_init(page, (enum mpool_kind)kind, &setup) == 0);
        munmap(page, SYNC_BYTES);
    }
    if (!a->unsealed)
        CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    return fd;
}

static void send_page(struct fake *fake, const struct answer *a, uint32_t msgid)
{
    struct wire_buf b = {0};
    int fd = make_page(a);
    msgpack_packer pk = wire_packer(&b);
    wire_put_notification(&b, "object");
    msgpack_pack_array(&pk, 2);
    msgpack_pack_uint32(&pk, msgid);
    msgpack_pack_uint64(&pk, a->told_size);
    fake_send_fd(fake, wire_buf_at(&b), wire_buf_length(&b), fd);
    wire_buf_reset(&b);
    close(fd);
}

static void send_reply(struct fake *fake, const struct answer *a, uint32_t msgid)
{
    struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_map(&pk, a->no_facts ? 0 : 11);
    if (!a->no_facts) {
        wire_pack_key_u64(&pk, "id", a->id);
        wire_pack_key_u64(&pk, "client_id", a->client);
        wire_pack_key_text(&pk, "kind", a->kind);
        wire_pack_key_text(&pk, "handle", "x");
        wire_pack_key_bool(&pk, "created", true);
        wire_pack_key_u64(&pk, "uid", 1234);
        wire_pack_key_bool(&pk, "read_only", false);
        wire_pack_key_text(&pk, "type", a->type);
        wire_pack_key_u64(&pk, "count", a->count);
        wire_pack_key_u64(&pk, "capacity", a->capacity);
        wire_pack_key_u64(&pk, "parties", a->capacity);
    }
    CHECK(!b.failed);
    fake_reply(fake, msgid, wire_buf_at(&b), wire_buf_length(&b));
    wire_buf_reset(&b);
}

/* Answers one `open`, and waits for the `close` that follows where there is an id to close. */
static void serve_answer(struct fake *fake)
{
    const struct answer *a = fake->context;
    struct wire_message m;
    CHECK(fake_read(fake, &m) && fake_is(&m, "open"));
    uint32_t msgid = m.msgid;
    if (!a->no_page)
        send_page(fake, a, msgid);
    if (a->two_pages) {
        send_page(fake, a, msgid);
        fake_drain(fake);
        return;
    }
    send_reply(fake, a, msgid);
    if (!a->no_facts && a->id > 0)
        CHECK(fake_read_method(fake, "close", &m) && m.kind == WIRE_NOTIFICATION);
    fake_drain(fake);
}

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void what_is_no_object_is_not_opened(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        {.what = "as it should be", .expected = 0},
        {.what = "no facts", .expected = MPOOL_EPROTOCOL, .changes = {SET(no_facts, 1)}},
        {.what = "no page", .expected = MPOOL_EPROTOCOL, .changes = {SET(no_page, 1)}},
        {.what = "two pages", .expected = MPOOL_EPROTOCOL, .changes = {SET(two_pages, 1)}},
        {.what = "may shrink", .expected = MPOOL_EPROTOCOL, .changes = {SET(unsealed, 1)}},
        {.what = "spoiled", .expected = -EBADMSG, .changes = {SET(spoiled, 1)}},
        {.what = "smaller than said", .expected = MPOOL_EPROTOCOL, .changes = {SET(size, 4096)}},
        {.what = "larger than said", .expected = MPOOL_EPROTOCOL, .changes = {SET(size, 12288)}},
        {.what = "no room for the area",
            .expected = MPOOL_EPROTOCOL,
            .changes = {SET(count, 0), SET(size, 64), SET(told_size, 64)}},
        {.what = "an empty one",
            .expected = MPOOL_EPROTOCOL,
            .changes = {SET(count, 0), SET(size, 0), SET(told_size, 0)}},
        {.what = "more elements than bytes", .expected = MPOOL_EPROTOCOL, .changes = {SET(count, 513)}},
        {.what = "elements beyond all bounds", .expected = MPOOL_EPROTOCOL, .changes = {SET(count, UINT64_MAX)}},
        {.what = "elements that overflow", .expected = MPOOL_EPROTOCOL, .changes = {SET(count, UINT64_C(1) << 61)}},
        {.what = "no such type", .expected = MPOOL_EPROTOCOL, .type = "i65"},
        {.what = "no such kind", .expected = MPOOL_EPROTOCOL, .kind = "mutex"},
        {.what = "id 0", .expected = MPOOL_EPROTOCOL, .changes = {SET(id, 0)}},
        {.what = "client 0", .expected = MPOOL_EPROTOCOL, .changes = {SET(client, 0)}},
        {.what = "a client with the mark of the abandoned",
            .expected = MPOOL_EPROTOCOL,
            .changes = {SET(client, SYNC_ABANDONED)}},
        {.what = "a semaphore", .expected = 0, .kind = "semaphore"},
        {.what = "no capacity", .expected = MPOOL_EPROTOCOL, .changes = {SET(capacity, 0)}, .kind = "semaphore"},
        {.what = "too much capacity",
            .expected = MPOOL_EPROTOCOL,
            .changes = {SET(capacity, SYNC_SLOTS + 1)},
            .kind = "semaphore"},
        {.what = "too many parties",
            .expected = MPOOL_EPROTOCOL,
            .changes = {SET(capacity, SYNC_SLOTS + 1)},
            .kind = "barrier"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct fake fake = {0};
        struct answer answer = good;
        mpool_client *client;
        mpool_object *object = NULL;
        int before = open_fds();
        for (size_t j = 0; j < 4; j++)
            if (lies[i].changes[j].at > 0)
                memcpy((char *)&answer + lies[i].changes[j].at, &lies[i].changes[j].value, sizeof(uint64_t));
        answer.kind = lies[i].kind ? lies[i].kind : answer.kind;
        answer.type = lies[i].type ? lies[i].type : answer.type;
        fake_start(&fake, serve_answer, &answer);
        assert_int_equal(mpool_connect(&client, fake.path), 0);
        int r = mpool_object_open(client, &object, NULL, "x", NULL);
        if (r != lies[i].expected)
            fail_msg("%s: %d (%s), not %d", lies[i].what, r, mpool_error_text(client), lies[i].expected);
        assert_int_equal(object != NULL, r == 0);
        mpool_object_close(object);
        mpool_disconnect(client);
        fake_stop(&fake);
        assert_int_equal(open_fds(), before);
    }
}

static void serve_refusal(struct fake *fake)
{
    struct wire_message m;
    CHECK(fake_read(fake, &m) && fake_is(&m, "open"));
    fake_reply_error(fake, m.msgid, 1, "E_BUSY: there are too many");
    fake_drain(fake);
}

static void a_refusal_keeps_its_code_and_its_words(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    mpool_object *object = NULL;
    fake_start(&fake, serve_refusal, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_object_open(client, &object, "lock", "x", NULL), MPOOL_EBUSY);
    assert_non_null(strstr(mpool_error_text(client), "too many"));
    assert_null(object);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void serve_and_go(struct fake *fake)
{
    struct wire_message m;
    CHECK(fake_read(fake, &m) && fake_is(&m, "open"));
    send_page(fake, fake->context, m.msgid);
    send_reply(fake, fake->context, m.msgid);
}

/* Nobody processes the connection: whoever takes finds out by itself. */
static void who_takes_hears_that_the_daemon_has_gone(void **state)
{
    (void)state;
    struct answer lock = good;
    struct fake fake = {0};
    mpool_client *client;
    mpool_object *object;
    lock.kind = "lock";
    fake_start(&fake, serve_and_go, &lock);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_object_open(client, &object, "lock", "x", NULL), 0);
    fake_stop(&fake);
    assert_int_equal(mpool_lock_acquire(object, -1, NULL), -ECONNRESET);
    assert_int_equal(mpool_lock_acquire(object, 0, NULL), -ECONNRESET);
    mpool_object_close(object);
    mpool_disconnect(client);
}

static void what_was_opened_is_lost_with_its_handle(void **state)
{
    (void)state;
    struct answer lock = good;
    struct fake fake = {0};
    mpool_client *client;
    mpool_object *object;
    lock.kind = "lock";
    fake_start(&fake, serve_and_go, &lock);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_object_open(client, &object, "lock", "x", NULL), 0);
    mpool_disconnect(client);
    assert_int_equal(mpool_lock_acquire(object, 0, NULL), -ENOTCONN);
    assert_string_equal(mpool_object_handle(object), "x");
    mpool_object_close(object);
    fake_stop(&fake);
}

static void what_cannot_be_meant_is_not_asked(void **state)
{
    (void)state;
    struct fake fake = {0};
    mpool_client *client;
    mpool_object *object;
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    fake_start(&fake, fake_drain, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_object_open(client, &object, "mutex", "x", NULL), -EINVAL);
    assert_int_equal(mpool_object_open(client, NULL, "lock", "x", NULL), -EINVAL);
    options.group = "no such group, surely";
    assert_int_equal(mpool_object_open(client, &object, "lock", "x", &options), -EINVAL);
    options.group = NULL;
    options.create = (enum mpool_create)9;
    assert_int_equal(mpool_object_open(client, &object, "lock", "x", &options), -EINVAL);
    options.size = 0;
    assert_int_equal(mpool_object_open(client, &object, "lock", "x", &options), -EINVAL);
    mpool_object_close(NULL);
    assert_null(mpool_object_handle(NULL));
    mpool_disconnect(client);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_object_is_not_opened),
        cmocka_unit_test(a_refusal_keeps_its_code_and_its_words),
        cmocka_unit_test(who_takes_hears_that_the_daemon_has_gone),
        cmocka_unit_test(what_was_opened_is_lost_with_its_handle),
        cmocka_unit_test(what_cannot_be_meant_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
