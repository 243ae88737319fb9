/* The library's maps against a real daemon. MPOOL_MAP_ITEMS: how many items the long one has (default: a million). */
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include "client_tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

struct numbers {
    int64_t next, end;
    uint8_t bytes[9];
};

static int pull_number(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct numbers *n = userdata;
    if (n->next == n->end)
        return 0;
    n->bytes[0] = 0xd3;
    for (int i = 0; i < 8; i++)
        n->bytes[1 + i] = (uint8_t)((uint64_t)n->next >> (56 - 8 * i));
    n->next++;
    *ret_item = n->bytes;
    *ret_length = 9;
    return 1;
}

/* The integers that come back, by hand: results are what the function packed. */
static int64_t value_of(const mpool_item *item)
{
    const uint8_t *at = item->data;
    int width;
    switch (at[0]) {
    case 0xcc:
    case 0xd0: width = 1; break;
    case 0xcd:
    case 0xd1: width = 2; break;
    case 0xce:
    case 0xd2: width = 4; break;
    case 0xcf:
    case 0xd3: width = 8; break;
    default: return at[0] < 0x80 ? at[0] : -1;
    }
    uint64_t value = 0;
    for (int i = 0; i < width; i++)
        value = value << 8 | at[1 + i];
    return (int64_t)value;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool an_ordered_map_gives_results_in_order(mpool_client *client)
{
    struct numbers numbers = {.end = 20000};
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    int64_t given = 0;
    int r;
    EXPECT(mpool_map_start(client, &map, "math.square", pull_number, &numbers, NULL) == 0);
    while ((r = mpool_map_next(map, &item, 30000)) == 1) {
        EXPECT(item.index == (uint64_t)given && item.code == 0 && value_of(&item) == given * given);
        given++;
    }
    EXPECT(r == 0 && given == 20000);
    mpool_map_free(map);
    return true;
}

static bool an_unordered_map_gives_each_result_once(mpool_client *client)
{
    enum { ITEMS = 20000 };
    static uint8_t seen[ITEMS];
    struct numbers numbers = {.end = ITEMS};
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    int given = 0, r;
    options.unordered = true;
    EXPECT(mpool_map_start(client, &map, "math.square", pull_number, &numbers, &options) == 0);
    while ((r = mpool_map_next(map, &item, 30000)) == 1) {
        EXPECT(item.index < ITEMS && !seen[item.index] && item.code == 0);
        EXPECT(value_of(&item) == (int64_t)(item.index * item.index));
        seen[item.index] = 1;
        given++;
    }
    EXPECT(r == 0 && given == ITEMS);
    mpool_map_free(map);
    return true;
}

static bool all_at_once_is_one_list(mpool_client *client)
{
    mpool_result *results;
    size_t length;
    EXPECT(mpool_map_all(client, &results, "math.square", "\x94\x01\x02\x03\x04", 5, NULL) == 0);
    const void *data = mpool_result_data(results, &length);
    EXPECT(length == 5 && memcmp(data, "\x94\x01\x04\x09\x10", 5) == 0);
    mpool_result_free(results);
    EXPECT(mpool_map_all(client, &results, "math.square", "\x90", 1, NULL) == 0);
    mpool_result_free(results);
    EXPECT(mpool_map_all(client, NULL, "math.square", "\x92\x01\xa1x", 4, NULL) == MPOOL_EBAD_ARGS);
    EXPECT(strstr(mpool_error_text(client), "(item 1)") != NULL);
    return true;
}

struct mixed {
    int next, count;
    const char *const *items;
    const size_t *lengths;
};

static int pull_mixed(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct mixed *m = userdata;
    if (m->next == m->count)
        return 0;
    *ret_item = m->items[m->next];
    *ret_length = m->lengths[m->next++];
    return 1;
}

static bool a_bad_item_fails_alone(mpool_client *client)
{
    static const char *const items[] = {"\x02", "\xa1x", "\xc1", "\x03"};
    static const size_t lengths[] = {1, 2, 1, 1};
    static const int codes[] = {0, MPOOL_EBAD_ARGS, -22, 0};
    struct mixed mixed = {0, 4, items, lengths};
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    EXPECT(mpool_map_start(client, &map, "math.square", pull_mixed, &mixed, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        EXPECT(mpool_map_next(map, &item, 30000) == 1);
        EXPECT(item.index == (uint64_t)i && item.code == codes[i]);
    }
    EXPECT(mpool_map_next(map, &item, 30000) == 0);
    mpool_map_free(map);
    return true;
}

static bool an_item_that_kills_its_worker_fails_alone(mpool_client *client)
{
    /* sys.crash(signal) */
    static const char *const items[] = {"\x91\x09", "\x91\x0b", "\x91\x09"};
    static const size_t lengths[] = {2, 2, 2};
    struct mixed mixed = {0, 3, items, lengths};
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    options.star = true;
    options.chunk = 3;
    EXPECT(mpool_map_start(client, &map, "sys.crash", pull_mixed, &mixed, &options) == 0);
    for (int i = 0; i < 3; i++) {
        EXPECT(mpool_map_next(map, &item, 30000) == 1);
        EXPECT(item.code == MPOOL_ELOST);
        EXPECT(strstr(item.text, i == 1 ? "SIGSEGV" : "SIGKILL") != NULL);
    }
    EXPECT(mpool_map_next(map, &item, 30000) == 0);
    mpool_map_free(map);
    EXPECT(mpool_call(client, NULL, "math.square", "i", 2) == 0);
    return true;
}

static int pull_sleep(void *userdata, const void **ret_item, size_t *ret_length)
{
    int *left = userdata;
    if ((*left)-- == 0)
        return 0;
    *ret_item = "\xcb\x3f\xa9\x99\x99\x99\x99\x99\x9a"; /* 0.05 */
    *ret_length = 9;
    return 1;
}

static bool long_items_spread_over_the_workers(mpool_client *client)
{
    mpool_result *pools;
    size_t length;
    EXPECT(mpool_request(client, &pools, "workers", NULL) == 0);
    const uint8_t *data = mpool_result_data(pools, &length);
    int workers = data[0] >= 0x90 && data[0] < 0xa0 ? data[0] & 15 : 16;
    mpool_result_free(pools);

    int left = 40, r, given = 0;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    int64_t begin = now_ms();
    EXPECT(mpool_map_start(client, &map, "sys.sleep", pull_sleep, &left, NULL) == 0);
    while ((r = mpool_map_next(map, &item, 30000)) == 1)
        given++;
    int64_t took_ms = now_ms() - begin;
    EXPECT(r == 0 && given == 40);
    mpool_map_free(map);
    printf("# 40 items of 50 ms on %d workers: %lld ms\n", workers, (long long)took_ms);
    /* One worker alone would take 2,000 ms. */
    EXPECT(workers < 2 || took_ms < 1950);
    return true;
}

static bool millions_of_items_need_no_memory(mpool_client *client)
{
    const char *wanted = getenv("MPOOL_MAP_ITEMS");
    struct numbers numbers = {.end = wanted ? atoll(wanted) : 1000000};
    struct rusage before, after;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    int64_t given = 0, most_ahead = 0, begin = now_ms();
    int r;
    getrusage(RUSAGE_SELF, &before);
    EXPECT(mpool_map_start(client, &map, "math.square", pull_number, &numbers, NULL) == 0);
    while ((r = mpool_map_next(map, &item, 60000)) == 1) {
        if (item.code != 0 || item.index != (uint64_t)given)
            break;
        if (numbers.next - given > most_ahead)
            most_ahead = numbers.next - given;
        given++;
    }
    EXPECT(r == 0 && given == numbers.end);
    EXPECT(most_ahead <= 65536);
    mpool_map_free(map);
    getrusage(RUSAGE_SELF, &after);
    long grown_kib = after.ru_maxrss - before.ru_maxrss;
    int64_t took_ms = now_ms() - begin;
    printf("# %lld items in %lld ms (%lld/s), %ld KiB more at the peak\n", (long long)given, (long long)took_ms,
        (long long)(given * 1000 / (took_ms + 1)), grown_kib);
    /* Sanitizers keep freed memory for a while; without them a million results held would show. */
    EXPECT(SANITIZED || grown_kib < 8 << 10);
    return true;
}

static bool a_map_can_be_cancelled(mpool_client *client)
{
    int left = 1000000, r;
    uint64_t pulled, given = 0;
    mpool_map *map;
    mpool_item item = MPOOL_ITEM_INIT;
    EXPECT(mpool_map_start(client, &map, "sys.sleep", pull_sleep, &left, NULL) == 0);
    EXPECT(mpool_map_next(map, &item, 30000) == 1);
    mpool_map_cancel(map);
    for (given = 1; (r = mpool_map_next(map, &item, 30000)) == 1; given++)
        EXPECT(item.code == 0 || item.code == -ECANCELED);
    EXPECT(r == 0);
    mpool_map_progress(map, &pulled, NULL);
    EXPECT(given == pulled);
    mpool_map_free(map);
    EXPECT(mpool_call(client, NULL, "math.square", "i", 2) == 0);
    return true;
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(an_ordered_map_gives_results_in_order),
        TAP_TEST(an_unordered_map_gives_each_result_once),
        TAP_TEST(all_at_once_is_one_list),
        TAP_TEST(a_bad_item_fails_alone),
        TAP_TEST(an_item_that_kills_its_worker_fails_alone),
        TAP_TEST(long_items_spread_over_the_workers),
        TAP_TEST(millions_of_items_need_no_memory),
        TAP_TEST(a_map_can_be_cancelled),
    };
    return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
