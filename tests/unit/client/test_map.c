/* Maps against a fake daemon that answers in its own order: windows, failures, cancels, and the end of the connection.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <mpool/client.h>

#include "proto/reader.h"
#include "tests/unit/client/fake.h"

/* ---- a daemon with a pool of 2 that squares ---- */

struct manner {
    bool stream_reversed; /* halves of a chunk, the later one first */
    int64_t bad;          /* this item fails; -1: none */
    int lose_after;       /* close the connection after so many map requests; 0: never */
    bool hold;            /* answer nothing but cancels */
};

static void reply_pools(struct fake *fake, uint32_t msgid)
{
    static const char pools[] = "\x91\x82\xa4name\xa7"
                                "default\xa3max\x02";
    fake_reply(fake, msgid, pools, sizeof(pools) - 1);
}

static void put_pairs(struct wire_buf *b, const int64_t *items, uint32_t count, int64_t bad)
{
    msgpack_packer pk = wire_packer(b);
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++) {
        msgpack_pack_array(&pk, 2);
        if (items[i] == bad) {
            wire_put_error_value(b, 0, "E_FAILED: bad item", 18);
            msgpack_pack_nil(&pk);
        } else {
            msgpack_pack_nil(&pk);
            msgpack_pack_int64(&pk, items[i] * items[i]);
        }
    }
}

static void put_items(
    struct wire_buf *b, uint32_t msgid, uint32_t first, const int64_t *items, uint32_t count, int64_t bad)
{
    msgpack_packer pk = wire_packer(b);
    wire_put_notification(b, "items");
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint32(&pk, msgid);
    msgpack_pack_uint32(&pk, first);
    put_pairs(b, items + first, count, bad);
}

static bool has_option(struct wire_reader r, const char *name)
{
    uint32_t pairs;
    if (wire_read_map(&r, &pairs) < 0)
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length;
        CHECK(wire_read_text(&r, &key, &length) == 0 && wire_skip(&r) == 0);
        if (length == strlen(name) && memcmp(key, name, length) == 0)
            return true;
    }
    return false;
}

static void serve_map(struct fake *fake, const struct wire_message *m, const struct manner *manner)
{
    static int64_t items[1000000];
    struct wire_reader r = wire_reader(m->params, m->params_length);
    const char *function;
    size_t length;
    uint32_t count;
    CHECK(wire_read_text(&r, &function, &length) == 0 && wire_read_array(&r, &count) == 0 && count <= 1000000);
    for (uint32_t i = 0; i < count; i++)
        CHECK(wire_read_i64(&r, &items[i]) == 0);
    struct wire_buf b = {0};
    if (has_option(r, "stream")) {
        uint32_t half = count / 2;
        if (manner->stream_reversed)
            put_items(&b, m->msgid, half, items, count - half, manner->bad);
        if (half > 0)
            put_items(&b, m->msgid, 0, items, half, manner->bad);
        if (!manner->stream_reversed)
            put_items(&b, m->msgid, half, items, count - half, manner->bad);
        wire_put_result(&b, m->msgid);
        wire_buf_append(&b, "\x92\x00\x00", 3);
    } else {
        CHECK(has_option(r, "each"));
        wire_put_result(&b, m->msgid);
        put_pairs(&b, items, count, manner->bad);
    }
    fake_send_buf(fake, &b);
}

static void serve(struct fake *fake)
{
    const struct manner *manner = fake->context;
    struct wire_message m;
    int maps = 0;
    while (fake_read(fake, &m)) {
        if (fake_is(&m, "pools")) {
            reply_pools(fake, m.msgid);
        } else if (fake_is(&m, "cancel")) {
            struct wire_reader r = wire_reader(m.params, m.params_length);
            uint32_t pairs;
            uint64_t id;
            CHECK(wire_read_map(&r, &pairs) == 0 && wire_skip(&r) == 0 && wire_read_u64(&r, &id) == 0);
            fake_reply_error(fake, (uint32_t)id, 0, "E_CANCELLED: cancelled by its caller");
        } else if (fake_is(&m, "map")) {
            maps++;
            if (manner->lose_after && maps > manner->lose_after)
                return;
            if (!manner->hold)
                serve_map(fake, &m, manner);
        }
    }
}

/* ---- a source of numbers ---- */

struct numbers {
    int64_t next, end;
    int end_code;
    uint8_t bytes[9];
    int64_t most_ahead, given; /* how far it was pulled ahead of what was given back */
    mpool_map **free_at_end, **cancel_at_end;
    mpool_client *disconnect_at_end;
    int64_t dry_at; /* from this number on there is nothing just now; 0: never */
    int asked_dry;
};

static int pull_number(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct numbers *n = userdata;
    if (n->next - n->given > n->most_ahead)
        n->most_ahead = n->next - n->given;
    if (n->dry_at > 0 && n->next == n->dry_at) {
        n->asked_dry++;
        return -EAGAIN;
    }
    if (n->next == n->end) {
        if (n->free_at_end)
            mpool_map_free(*n->free_at_end);
        if (n->cancel_at_end)
            mpool_map_cancel(*n->cancel_at_end);
        if (n->disconnect_at_end)
            mpool_disconnect(n->disconnect_at_end);
        return n->end_code;
    }
    n->bytes[0] = 0xd3;
    for (int i = 0; i < 8; i++)
        n->bytes[1 + i] = (uint8_t)((uint64_t)n->next >> (56 - 8 * i));
    n->next++;
    *ret_item = n->bytes;
    *ret_length = 9;
    return 1;
}

static int64_t value_of(const mpool_item *item)
{
    struct wire_reader r = wire_reader(item->data, item->length);
    int64_t value;
    assert_int_equal(wire_read_i64(&r, &value), 0);
    return value;
}

static void in_order(struct manner *manner, bool plain, const mpool_map_options *options, int64_t count)
{
    struct fake fake = {.plain = plain};
    struct numbers numbers = {.end = count};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "math.square", pull_number, &numbers, options), 0);
    int r;
    while ((r = mpool_map_next(map, &item, 10000)) == 1) {
        assert_int_equal(item.index, numbers.given);
        assert_int_equal(item.code, 0);
        assert_true(value_of(&item) == numbers.given * numbers.given);
        numbers.given++;
    }
    assert_int_equal(r, 0);
    assert_int_equal(numbers.given, count);
    uint32_t window = options && options->window ? options->window : 65536;
    assert_true(numbers.most_ahead <= (int64_t)window);
    uint64_t pulled, given;
    mpool_map_progress(map, &pulled, &given);
    assert_int_equal(pulled, count);
    assert_int_equal(given, count);
    assert_int_equal(mpool_map_next(map, &item, 0), 0); /* and stays so */
    mpool_map_free(map);
    assert_int_equal(mpool_pending(client), 0);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void a_map_gives_every_result_in_order(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .stream_reversed = true};
    in_order(&manner, false, NULL, 200000);
    in_order(&manner, false, NULL, 1);
    in_order(&manner, false, NULL, 0);
}

static void a_daemon_without_streams_does_too(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1};
    in_order(&manner, true, NULL, 100000);
}

static void chunk_and_window_are_kept(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .stream_reversed = true};
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    options.window = 7;
    in_order(&manner, false, &options, 2000);
    options.window = 1;
    in_order(&manner, false, &options, 300);
    options.window = 100;
    options.chunk = 1000;
    in_order(&manner, false, &options, 2000);
    options.window = 0;
    options.window_bytes = 1;
    in_order(&manner, false, &options, 2000);
}

static void unordered_gives_each_once(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    struct manner manner = {.bad = 777, .stream_reversed = true};
    struct fake fake = {0};
    struct numbers numbers = {.end = COUNT};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    options.unordered = true;
    options.chunk = 20;
    uint8_t *seen = calloc(1, COUNT);
    assert_non_null(seen);
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "math.square", pull_number, &numbers, &options), 0);
    int r, failed = 0, out_of_order = 0;
    while ((r = mpool_map_next(map, &item, 10000)) == 1) {
        assert_true(item.index < COUNT);
        assert_int_equal(seen[item.index], 0);
        seen[item.index] = 1;
        if (item.index == 777) {
            assert_int_equal(item.code, MPOOL_EFAILED);
            assert_string_equal(item.text, "E_FAILED: bad item");
            failed++;
        } else {
            assert_true(value_of(&item) == (int64_t)(item.index * item.index));
        }
        out_of_order += item.index != (uint64_t)numbers.given++;
    }
    assert_int_equal(r, 0);
    assert_int_equal(numbers.given, COUNT);
    assert_int_equal(failed, 1);
    assert_true(out_of_order > 0);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
    free(seen);
}

static void the_code_of_the_source_comes_last(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1};
    struct fake fake = {0};
    struct numbers numbers = {.end = 100, .end_code = -EIO};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mpool_map_next(map, &item, 10000), 1);
    assert_int_equal(mpool_map_next(map, &item, 10000), -EIO);
    assert_int_equal(mpool_map_next(map, &item, 10000), -EIO);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void the_loss_fails_each_item_in_flight_once(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .lose_after = 5};
    struct fake fake = {0};
    struct numbers numbers = {.end = 1000000};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
    int r, lost = 0;
    int64_t given = 0;
    while ((r = mpool_map_next(map, &item, 10000)) == 1) {
        assert_int_equal(item.index, given++);
        assert_true(item.code == 0 || item.code == -ECONNRESET);
        lost += item.code != 0;
    }
    assert_int_equal(r, -ECONNRESET);
    assert_int_equal(given, numbers.next);
    assert_true(lost > 0 && lost < given);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void a_cancelled_map_gives_what_was_pulled(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .hold = true};
    struct fake fake = {0};
    struct numbers numbers = {.end = 1000};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
    assert_int_equal(mpool_map_next(map, &item, 0), -ETIMEDOUT);
    assert_int_equal(mpool_map_next(map, &item, 10), -ETIMEDOUT);
    mpool_map_cancel(map);
    int r;
    int64_t given = 0;
    while ((r = mpool_map_next(map, &item, 10000)) == 1) {
        assert_int_equal(item.code, -ECANCELED);
        given++;
    }
    assert_int_equal(r, 0);
    assert_int_equal(given, numbers.next);
    assert_true(given > 0 && given < 1000);
    mpool_map_free(map);
    assert_int_equal(mpool_pending(client), 0);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void a_map_may_be_freed_in_the_middle(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .hold = true};
    struct fake fake = {0};
    struct numbers numbers = {.end = 1000};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
    assert_int_equal(mpool_map_next(map, &item, 10), -ETIMEDOUT);
    mpool_map_free(map);
    mpool_map_free(NULL);
    assert_int_equal(mpool_pending(client), 0);
    assert_int_equal(mpool_run(client, 10000), 0);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void a_map_outlives_its_connection(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .hold = true};
    struct fake fake = {0};
    struct numbers numbers = {.end = 1000};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
    assert_int_equal(mpool_map_next(map, &item, 10), -ETIMEDOUT);
    mpool_disconnect(client);
    int r;
    int64_t given = 0;
    while ((r = mpool_map_next(map, &item, -1)) == 1) {
        assert_int_equal(item.code, -ECANCELED);
        given++;
    }
    assert_int_equal(r, -ENOTCONN);
    assert_int_equal(given, numbers.next);
    mpool_map_cancel(map);
    mpool_map_free(map);
    fake_stop(&fake);
}

static void the_source_may_cancel_free_or_disconnect(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct manner manner = {.bad = -1};
        struct fake fake = {0};
        struct numbers numbers = {.end = 500};
        mpool_client *client;
        mpool_map *map;
        mpool_item item = MPOOL_ITEM_INIT;
        fake_start(&fake, serve, &manner);
        assert_int_equal(mpool_connect(&client, fake.path), 0);
        if (what == 0)
            numbers.cancel_at_end = &map;
        else if (what == 1)
            numbers.free_at_end = &map;
        else
            numbers.disconnect_at_end = client;
        assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
        int r, count = 0;
        while ((r = mpool_map_next(map, &item, 10000)) == 1)
            count++;
        assert_int_equal(r, what == 1 ? -ENOTCONN : 0);
        if (what != 1) {
            assert_int_equal(count, 500);
            mpool_map_free(map);
        }
        if (what != 2)
            mpool_disconnect(client);
        fake_stop(&fake);
    }
}

/* ---- a source that runs dry ---- */

static void a_dry_source_is_asked_again_when_somebody_looks(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1};
    struct fake fake = {0};
    struct numbers numbers = {.end = 3000, .dry_at = 1000};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "math.square", pull_number, &numbers, NULL), 0);
    /* What came before is not kept back for more: all of it is answered, though the wait is for ever. */
    for (; numbers.given < 1000; numbers.given++) {
        assert_int_equal(mpool_map_next(map, &item, -1), 1);
        assert_int_equal(item.index, numbers.given);
    }
    for (int i = 0; i < 3; i++) {
        int asked = numbers.asked_dry;
        assert_int_equal(mpool_map_next(map, &item, -1), -EAGAIN);
        assert_int_equal(numbers.asked_dry, asked + 1);
    }
    int asked = numbers.asked_dry;
    assert_int_equal(mpool_dispatch(client), 0);
    assert_int_equal(numbers.asked_dry, asked + 1);
    assert_int_equal(mpool_timeout_ms(client), -1); /* nothing that a loop would spin on */
    assert_int_equal(mpool_run(client, -1), 0);     /* nor wait for */

    numbers.dry_at = 2000;
    assert_int_equal(mpool_dispatch(client), 0);
    assert_true(numbers.next > 1000);
    for (; numbers.given < 2000; numbers.given++) {
        assert_int_equal(mpool_map_next(map, &item, 10000), 1);
        assert_int_equal(item.index, numbers.given);
    }
    assert_int_equal(mpool_map_next(map, &item, 10000), -EAGAIN);
    numbers.dry_at = 0;
    for (; numbers.given < 3000; numbers.given++)
        assert_int_equal(mpool_map_next(map, &item, 10000), 1);
    assert_int_equal(mpool_map_next(map, &item, 10000), 0);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void a_dry_source_does_not_hide_replies(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .hold = true};
    struct fake fake = {0};
    struct numbers numbers = {.end = 10, .dry_at = 5};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
    /* Items are in flight, so there is something to wait for, and a source is not asked meanwhile. */
    assert_int_equal(mpool_map_next(map, &item, 0), -ETIMEDOUT);
    int asked = numbers.asked_dry;
    assert_true(asked > 0);
    assert_int_equal(mpool_map_next(map, &item, 20), -ETIMEDOUT);
    assert_int_equal(numbers.asked_dry, asked + 1);
    /* A call that waits on the same connection has no business with the source. */
    asked = numbers.asked_dry;
    mpool_result *pools;
    assert_int_equal(mpool_request(client, &pools, "pools", NULL), 0);
    mpool_result_free(pools);
    assert_int_equal(numbers.asked_dry, asked);
    mpool_map_cancel(map);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mpool_map_next(map, &item, 10000), 1);
        assert_int_equal(item.code, -ECANCELED);
    }
    assert_int_equal(mpool_map_next(map, &item, 10000), 0);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void the_loss_is_found_while_the_source_is_dry(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1, .lose_after = 1};
    struct fake fake = {0};
    struct numbers numbers = {.end = 10, .dry_at = 1};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    options.chunk = 10;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, &options), 0);
    assert_int_equal(mpool_map_next(map, &item, -1), 1);
    assert_int_equal(mpool_map_next(map, &item, -1), -EAGAIN);
    numbers.dry_at = 3;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mpool_map_next(map, &item, -1), 1);
        assert_int_equal(item.code, -ECONNRESET);
    }
    assert_int_equal(mpool_map_next(map, &item, -1), -ECONNRESET);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);

    /* And while nothing at all is asked of the daemon. */
    struct fake other = {0};
    struct numbers none = {.end = 10, .dry_at = 1, .next = 1};
    manner.lose_after = 0;
    fake_start(&other, serve, &manner);
    assert_int_equal(mpool_connect(&client, other.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &none, NULL), 0);
    assert_int_equal(mpool_map_next(map, &item, -1), -EAGAIN);
    shutdown(mpool_fd(client), SHUT_RDWR);
    assert_int_equal(mpool_map_next(map, &item, -1), -ECONNRESET);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&other);
}

static void a_dry_map_may_be_cancelled_or_outlive_its_connection(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct manner manner = {.bad = -1};
        struct fake fake = {0};
        struct numbers numbers = {.end = 10, .dry_at = 1};
        mpool_client *client;
        mpool_map *map;
        mpool_item item = MPOOL_ITEM_INIT;
        fake_start(&fake, serve, &manner);
        assert_int_equal(mpool_connect(&client, fake.path), 0);
        assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, NULL), 0);
        assert_int_equal(mpool_map_next(map, &item, -1), 1);
        assert_int_equal(mpool_map_next(map, &item, -1), -EAGAIN);
        if (what == 0)
            mpool_map_cancel(map);
        else
            mpool_disconnect(client);
        assert_int_equal(mpool_map_next(map, &item, -1), what == 0 ? 0 : -ENOTCONN);
        mpool_map_free(map);
        if (what == 0)
            mpool_disconnect(client);
        fake_stop(&fake);
    }
}

/* ---- items that cannot travel ---- */

struct list {
    const char *items[8];
    size_t lengths[8];
    size_t count, next;
};

static int pull_list(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct list *list = userdata;
    if (list->next == list->count)
        return 0;
    *ret_item = list->items[list->next];
    *ret_length = list->lengths[list->next++];
    return 1;
}

static void a_bad_item_fails_alone(void **state)
{
    (void)state;
    static char deep[100];
    memset(deep, '\x91', sizeof(deep) - 1);
    struct manner manner = {.bad = -1};
    struct list list = {.items = {"\x02", "\xc1", "\x03", "", "\x04\x05", deep, "\x92\x01", "\x06"},
        .lengths = {1, 1, 1, 0, 2, sizeof(deep), 2, 1},
        .count = 8};
    static const int codes[] = {0, -EINVAL, 0, -EINVAL, -EINVAL, MPOOL_ETOO_DEEP, -EINVAL, 0};
    struct fake fake = {0};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    options.chunk = 100;
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_list, &list, &options), 0);
    for (uint64_t i = 0; i < 8; i++) {
        assert_int_equal(mpool_map_next(map, &item, 10000), 1);
        assert_int_equal(item.index, i);
        assert_int_equal(item.code, codes[i]);
        assert_true((item.code == 0) == (item.text[0] == '\0'));
    }
    assert_int_equal(mpool_map_next(map, &item, 10000), 0);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void bad_starts_are_refused(void **state)
{
    (void)state;
    struct manner manner = {.bad = -1};
    struct fake fake = {0};
    mpool_client *client;
    mpool_map *map;
    mpool_map_options options = {0};
    fake_start(&fake, serve, &manner);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "", pull_list, NULL, NULL), -EINVAL);
    assert_int_equal(mpool_map_start(client, &map, "f", NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_list, NULL, &options), -EINVAL);
    assert_int_equal(mpool_map_all(client, NULL, "f", NULL, 0, NULL), -EINVAL);
    mpool_disconnect(client);
    fake_stop(&fake);
}

/* ---- a daemon that answers items nobody asked for ---- */

static void serve_lies(struct fake *fake)
{
    struct wire_message m;
    while (fake_read(fake, &m)) {
        struct wire_buf b = {0};
        int64_t items[4] = {1, 2, 3, 4};
        if (fake_is(&m, "pools")) {
            reply_pools(fake, m.msgid);
            continue;
        }
        if (!fake_is(&m, "map"))
            continue;
        put_items(&b, m.msgid, 0, items, 4, -1);
        put_items(&b, m.msgid, 2, items, 2, -1);
        fake_send_buf(fake, &b);
    }
}

static void an_item_answered_twice_ends_the_connection(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct numbers numbers = {.end = 1000};
    mpool_client *client;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    options.chunk = 4;
    fake_start(&fake, serve_lies, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    assert_int_equal(mpool_map_start(client, &map, "f", pull_number, &numbers, &options), 0);
    int r;
    int64_t given = 0;
    while ((r = mpool_map_next(map, &item, 10000)) == 1)
        assert_int_equal(item.index, given++);
    assert_int_equal(r, MPOOL_EPROTOCOL);
    assert_int_equal(given, numbers.next);
    mpool_map_free(map);
    mpool_disconnect(client);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_gives_every_result_in_order),
        cmocka_unit_test(a_daemon_without_streams_does_too),
        cmocka_unit_test(chunk_and_window_are_kept),
        cmocka_unit_test(unordered_gives_each_once),
        cmocka_unit_test(the_code_of_the_source_comes_last),
        cmocka_unit_test(the_loss_fails_each_item_in_flight_once),
        cmocka_unit_test(a_cancelled_map_gives_what_was_pulled),
        cmocka_unit_test(a_map_may_be_freed_in_the_middle),
        cmocka_unit_test(a_map_outlives_its_connection),
        cmocka_unit_test(the_source_may_cancel_free_or_disconnect),
        cmocka_unit_test(a_dry_source_is_asked_again_when_somebody_looks),
        cmocka_unit_test(a_dry_source_does_not_hide_replies),
        cmocka_unit_test(the_loss_is_found_while_the_source_is_dry),
        cmocka_unit_test(a_dry_map_may_be_cancelled_or_outlive_its_connection),
        cmocka_unit_test(a_bad_item_fails_alone),
        cmocka_unit_test(bad_starts_are_refused),
        cmocka_unit_test(an_item_answered_twice_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
