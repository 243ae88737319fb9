/* The library in a process that has no descriptor left, or no memory for a mapping, against a real daemon: what comes
 * in a memfd is refused with the reason, and can be had afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <mpool/queue.h>

#include "client_tap.h"

enum { LARGE = 1 << 20, HUGE = 64 << 20, FDS = 128 };

static struct rlimit limit_before;
static int taken[FDS], taken_count;

static bool use_up_descriptors(void)
{
    struct rlimit few;
    if (getrlimit(RLIMIT_NOFILE, &limit_before) < 0)
        return false;
    few = limit_before;
    few.rlim_cur = FDS;
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return false;
    taken_count = 0;
    int fd;
    while (taken_count < FDS && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        taken[taken_count++] = fd;
    return errno == EMFILE;
}

static void give_descriptors_back(void)
{
    while (taken_count > 0)
        close(taken[--taken_count]);
    setrlimit(RLIMIT_NOFILE, &limit_before);
}

static mpool_object *opened(mpool_client *client, const char *kind, bool at_least_once)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *queue = NULL;
    options.bytes = UINT64_C(1) << 30;
    options.at_least_once = at_least_once;
    return mpool_object_open(client, &queue, kind, NULL, &options) == 0 ? queue : NULL;
}

/* A bin of this size that begins and ends with `mark`. */
static bool put(mpool_object *queue, char mark, size_t size)
{
    char *bytes = malloc(size);
    if (!bytes)
        return false;
    memset(bytes, mark, size);
    int r = mpool_queue_put(queue, -1, "B", bytes, size);
    free(bytes);
    return r == 0;
}

/* The next item is this one, alone. It is confirmed where it has to be. */
static bool get(mpool_object *queue, char mark, size_t size)
{
    mpool_result *items;
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    size_t at = 0;
    if (mpool_queue_get(queue, 1, 10000, &items) != 1)
        return false;
    bool good = mpool_queue_next(queue, items, &at, &item) == 1 && item.length > size &&
                ((const char *)item.data)[item.length - size] == mark &&
                ((const char *)item.data)[item.length - 1] == mark;
    uint64_t ticket = item.ticket;
    uint32_t confirmed = 0;
    if (good && ticket)
        good = mpool_queue_confirm(queue, &ticket, 1, &confirmed) == 0 && confirmed == 1;
    mpool_result_free(items);
    return good;
}

static bool fact(mpool_client *client, const mpool_object *queue, const char *name, uint64_t *ret)
{
    mpool_result *result;
    const mpool_result *value;
    if (mpool_request(client, &result, "inspect", "s", mpool_object_handle(queue)) < 0)
        return false;
    bool good = mpool_result_get(result, name, &value) == 0 && mpool_result_u64(value, ret) == 0;
    mpool_result_free(result);
    return good;
}

static bool stays_in(mpool_client *client, const char *kind, bool at_least_once)
{
    mpool_object *q = opened(client, kind, at_least_once);
    mpool_result *items;
    uint64_t number;
    EXPECT(q);
    EXPECT(put(q, 'a', 10) && put(q, 'b', LARGE) && put(q, 'c', 10) && put(q, 'd', LARGE) && put(q, 'e', 10));
    EXPECT(use_up_descriptors());
    bool first = get(q, 'a', 10);
    int r[3];
    for (int i = 0; i < 3; i++)
        r[i] = mpool_queue_get(q, 10, 10000, &items);
    give_descriptors_back();
    EXPECT(first);
    for (int i = 0; i < 3; i++)
        EXPECT(r[i] == -EMFILE);
    EXPECT(strstr(mpool_error_text(client), "memfd"));
    EXPECT(fact(client, q, "held", &number) && number == 0);
    EXPECT(fact(client, q, "items", &number) && number == 4);
    EXPECT(fact(client, q, "returned", &number) && number == 3);
    EXPECT(get(q, 'b', LARGE) && get(q, 'c', 10) && get(q, 'd', LARGE) && get(q, 'e', 10));
    EXPECT(mpool_queue_get(q, 1, 0, &items) == -ETIMEDOUT);
    EXPECT(fact(client, q, "held", &number) && number == 0);
    EXPECT(fact(client, q, "memfds", &number) && number == 0);
    EXPECT(fact(client, q, "lost", &number) && number == 0);
    if (strcmp(kind, "joinable_queue") == 0) {
        EXPECT(mpool_queue_join(q, 0) == (at_least_once ? 0 : -ETIMEDOUT));
        EXPECT(at_least_once || mpool_queue_done(q, 5) == 0);
        EXPECT(mpool_queue_join(q, 10000) == 0);
    }
    mpool_object_close(q);
    return true;
}

static bool a_large_item_stays_when_its_taker_has_no_descriptor(mpool_client *client)
{
    return stays_in(client, "queue", false) && stays_in(client, "joinable_queue", false);
}

static bool a_ticket_of_an_item_that_was_cut_off_is_given_back(mpool_client *client)
{
    return stays_in(client, "queue", true) && stays_in(client, "joinable_queue", true);
}

static bool an_item_that_cannot_be_mapped_stays(mpool_client *client)
{
    for (int at_least_once = 0; at_least_once < 2; at_least_once++) {
        mpool_object *q = opened(client, "queue", at_least_once);
        mpool_result *items;
        struct rlimit before, none;
        uint64_t number;
        EXPECT(q && put(q, 'h', HUGE) && put(q, 's', 10));
        EXPECT(getrlimit(RLIMIT_AS, &before) == 0);
        none = before;
        none.rlim_cur = HUGE / 2; /* what there is stays, and nothing large comes */
        EXPECT(setrlimit(RLIMIT_AS, &none) == 0);
        int r = mpool_queue_get(q, 1, 10000, &items);
        setrlimit(RLIMIT_AS, &before);
        EXPECT(r == -ENOMEM);
        EXPECT(fact(client, q, "held", &number) && number == 0);
        EXPECT(get(q, 'h', HUGE) && get(q, 's', 10));
        mpool_object_close(q);
    }
    return true;
}

struct answer {
    int code, count;
    bool large;
};

static void on_items(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct answer *answer = userdata;
    size_t length = 0;
    (void)text;
    answer->count++;
    answer->code = code;
    if (code == 0)
        mpool_result_data(result, &length);
    answer->large = length > LARGE;
}

static bool with_callbacks_it_is_the_same(mpool_client *client)
{
    struct answer answers[3] = {0};
    mpool_object *q = opened(client, "queue", false);
    uint64_t number;
    EXPECT(q && put(q, 'a', LARGE));
    EXPECT(use_up_descriptors());
    int r = mpool_queue_get_start(q, NULL, 1, -1, on_items, &answers[0]);
    if (r == 0)
        r = mpool_run(client, 10000);
    give_descriptors_back();
    EXPECT(r == 0 && answers[0].count == 1 && answers[0].code == -EMFILE);
    EXPECT(mpool_queue_get_start(q, NULL, 1, -1, on_items, &answers[1]) == 0);
    EXPECT(mpool_run(client, 10000) == 0);
    EXPECT(answers[1].count == 1 && answers[1].code == 0 && answers[1].large);
    EXPECT(fact(client, q, "held", &number) && number == 0);
    EXPECT(fact(client, q, "lost", &number) && number == 0);
    EXPECT(mpool_queue_finish(q, NULL) == 0);
    EXPECT(mpool_queue_get_start(q, NULL, 1, -1, on_items, &answers[2]) == 0);
    EXPECT(mpool_run(client, 10000) == 0);
    EXPECT(answers[2].count == 1 && answers[2].code == 0);
    mpool_object_close(q);
    return true;
}

static bool the_end_waits_for_what_is_confirmed_or_comes_back(mpool_client *client)
{
    mpool_client *other;
    mpool_object *q = opened(client, "queue", false), *theirs;
    mpool_result *items;
    EXPECT(q && mpool_connect(&other, NULL) == 0);
    EXPECT(mpool_object_open(other, &theirs, "queue", mpool_object_handle(q), NULL) == 0);
    EXPECT(put(q, 'a', LARGE) && mpool_queue_finish(q, NULL) == 0);
    EXPECT(use_up_descriptors());
    int r = mpool_queue_get(q, 1, 10000, &items);
    give_descriptors_back();
    EXPECT(r == -EMFILE && get(theirs, 'a', LARGE));
    EXPECT(mpool_queue_get(q, 1, 10000, &items) == 0 && mpool_queue_get(theirs, 1, 10000, &items) == 0);
    mpool_object_close(q);
    mpool_disconnect(other);
    return true;
}

static bool a_result_that_was_cut_off_can_be_asked_for_again(mpool_client *client)
{
    uint64_t id;
    mpool_result *result;
    size_t length;
    EXPECT(mpool_submit(client, &id, "sys.blob", "i", 4 * LARGE) == 0);
    EXPECT(mpool_wait(client, id, 20000, NULL) == 0);
    EXPECT(use_up_descriptors());
    int r = mpool_fetch(client, id, 20000, &result);
    int called = mpool_call(client, &result, "sys.blob", "i", 4 * LARGE);
    give_descriptors_back();
    EXPECT(r == -EMFILE && called == -EMFILE);
    EXPECT(mpool_fetch(client, id, 20000, &result) == 0);
    mpool_result_data(result, &length);
    EXPECT(length > 4 * LARGE);
    mpool_result_free(result);
    bool dropped = false;
    EXPECT(mpool_forget(client, id, &dropped) == 0 && dropped);
    return true;
}

static bool an_object_that_was_cut_off_is_not_left_open(mpool_client *client)
{
    mpool_object *object;
    mpool_result *result;
    const mpool_result *users;
    uint64_t number;
    EXPECT(mpool_object_open(client, &object, "value", "descriptors.value", NULL) == 0);
    EXPECT(use_up_descriptors());
    mpool_object *second;
    int r = mpool_object_open(client, &second, "value", "descriptors.value", NULL);
    give_descriptors_back();
    EXPECT(r == -EMFILE);
    EXPECT(mpool_request(client, &result, "inspect", "s", "descriptors.value") == 0);
    EXPECT(mpool_result_get(result, "users", &users) == 0 && mpool_result_u64(users, &number) == 0 && number == 1);
    mpool_result_free(result);
    mpool_object_close(object);
    EXPECT(mpool_request(client, NULL, "remove", "s", "descriptors.value") == 0);
    return true;
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(a_large_item_stays_when_its_taker_has_no_descriptor),
        TAP_TEST(a_ticket_of_an_item_that_was_cut_off_is_given_back),
        TAP_TEST(an_item_that_cannot_be_mapped_stays),
        TAP_TEST(with_callbacks_it_is_the_same),
        TAP_TEST(the_end_waits_for_what_is_confirmed_or_comes_back),
        TAP_TEST(a_result_that_was_cut_off_can_be_asked_for_again),
        TAP_TEST(an_object_that_was_cut_off_is_not_left_open),
    };
    return tap_main(tests, sizeof tests / sizeof *tests);
}
