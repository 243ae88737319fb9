/* The library's queues and pipes against a real daemon. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/queue.h>

#include "client_tap.h"

static mpool_object *opened(
    mpool_client *client, const char *kind, const char *name, uint32_t capacity, bool at_least_once)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *queue = NULL;
    options.capacity = capacity;
    options.at_least_once = at_least_once;
    return mpool_object_open(client, &queue, kind, name, &options) == 0 ? queue : NULL;
}

static bool is_fixint(const mpool_queue_item *item, int value)
{
    return item->length == 1 && *(const uint8_t *)item->data == value;
}

static bool items_go_in_by_format_and_come_out_in_order(mpool_client *client)
{
    static const uint8_t three[] = {0x93, 1, 2, 3};
    uint32_t count = 0;
    mpool_object *q = opened(client, "queue", NULL, 0, false);
    mpool_result *items;
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    size_t at = 0;
    EXPECT(q);
    EXPECT(mpool_queue_put(q, -1, "[si]", "hello", 7) == 0);
    EXPECT(mpool_queue_put_all(q, three, sizeof three, -1, &count) == 0 && count == 3);
    EXPECT(mpool_queue_get(q, 100, -1, &items) == 4);
    EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && item.length == 8 &&
           memcmp(item.data, "\x92\xa5hello\x07", 8) == 0);
    for (int i = 1; i <= 3; i++)
        EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && is_fixint(&item, i) && item.ticket == 0);
    EXPECT(mpool_queue_next(q, items, &at, &item) == 0);
    mpool_result_free(items);
    mpool_object_close(q);
    return true;
}

static bool what_exists_is_opened_as_it_is_and_removed(mpool_client *client)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *made, *found, *none = NULL;
    bool created = false;
    uid_t owner = (uid_t)-1;
    options.type = "u16";
    options.count = 7;
    EXPECT(mpool_object_open(client, &made, "array", "shape", &options) == 0);
    EXPECT(mpool_object_created(made, &created) == 0 && created);
    EXPECT(mpool_object_owner(made, &owner) == 0 && owner == getuid());
    EXPECT(mpool_object_open(client, &found, "array", "shape", NULL) == 0);
    EXPECT(mpool_object_created(found, &created) == 0 && !created);
    options.count = 8;
    EXPECT(mpool_object_open(client, &none, "array", "shape", &options) == MPOOL_EEXISTS);
    EXPECT(strstr(mpool_error_text(client), "count 7, not 8"));
    options.count = 7;
    options.type = "u32";
    EXPECT(mpool_object_open(client, &none, "array", "shape", &options) == MPOOL_EEXISTS && !none);
    EXPECT(mpool_object_remove(client, "shape") == 0 && mpool_object_remove(client, "shape") == MPOOL_ENO_OBJECT);
    EXPECT(mpool_object_open(client, &none, NULL, "shape", NULL) == MPOOL_ENO_OBJECT);
    mpool_object_close(found);
    mpool_object_close(made);
    return true;
}

static bool mistakes_are_told_apart(mpool_client *client)
{
    mpool_object *q = opened(client, "queue", NULL, 1, false), *event = opened(client, "event", NULL, 0, false);
    mpool_result *items;
    uint64_t ticket = 1;
    bool first = false;
    EXPECT(q && event);
    EXPECT(mpool_queue_put(NULL, 0, "n") == -EINVAL && mpool_queue_put(event, 0, "n") == -EINVAL);
    EXPECT(mpool_queue_put(q, 0, "nn") == -EINVAL && mpool_queue_put(q, 0, NULL) == -EINVAL);
    EXPECT(mpool_queue_put_all(q, "\x01", 1, 0, NULL) == -EINVAL &&
           mpool_queue_put_all(q, "\x92\x01", 2, 0, NULL) == -EINVAL);
    EXPECT(mpool_queue_get(q, 1, 0, &items) == -ETIMEDOUT && mpool_queue_get(q, 1, 10, &items) == -ETIMEDOUT);
    EXPECT(mpool_queue_get(q, 0, 0, &items) == MPOOL_EBAD_PARAMS);
    EXPECT(mpool_queue_put(q, 0, "n") == 0 && mpool_queue_put(q, 0, "n") == -ETIMEDOUT);
    EXPECT(mpool_queue_confirm(q, &ticket, 1, NULL) == MPOOL_EDENIED && mpool_queue_join(q, 0) == MPOOL_EDENIED);
    EXPECT(mpool_queue_finish(q, &first) == 0 && first);
    EXPECT(mpool_queue_finish(q, &first) == 0 && !first);
    EXPECT(mpool_queue_put(q, -1, "n") == MPOOL_EFINISHED);
    EXPECT(mpool_queue_get(q, 9, -1, &items) == 1);
    mpool_result_free(items);
    EXPECT(mpool_queue_get(q, 9, -1, &items) == 0);
    mpool_object_close(q);
    mpool_object_close(event);
    return true;
}

static bool tickets_confirm_and_joiners_hear_of_it(mpool_client *client)
{
    mpool_object *q = opened(client, "joinable_queue", NULL, 0, true);
    mpool_result *items;
    uint32_t count = 0;
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    size_t at = 0;
    EXPECT(q);
    for (int i = 0; i < 3; i++)
        EXPECT(mpool_queue_put(q, -1, "i", i) == 0);
    EXPECT(mpool_queue_get(q, 3, -1, &items) == 3);
    EXPECT(mpool_queue_join(q, 0) == -ETIMEDOUT);
    EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && is_fixint(&item, 0) && item.ticket > 0);
    EXPECT(mpool_queue_confirm(q, &item.ticket, 1, &count) == 0 && count == 1);
    EXPECT(mpool_queue_confirm(q, &item.ticket, 1, &count) == 0 && count == 0);
    EXPECT(mpool_queue_done(q, 3) == MPOOL_EBAD_PARAMS && mpool_queue_done(q, 2) == 0);
    EXPECT(mpool_queue_join(q, -1) == 0);
    mpool_result_free(items);
    mpool_object_close(q);
    return true;
}

struct seen {
    int calls, code;
};

static void on_done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct seen *seen = userdata;
    (void)result;
    (void)text;
    seen->calls++;
    seen->code = code;
}

static bool callbacks_wait_while_others_put(mpool_client *client)
{
    mpool_object *q = opened(client, "queue", NULL, 1, false);
    struct seen gets[3] = {0}, puts[2] = {0};
    mpool_call_id id;
    EXPECT(q);
    for (int i = 0; i < 3; i++)
        EXPECT(mpool_queue_get_start(q, &id, 1, -1, on_done, &gets[i]) == 0);
    EXPECT(mpool_call_cancel(client, id) == 0);
    for (int i = 0; i < 2; i++)
        EXPECT(mpool_queue_put_start(q, NULL, "\x91\xc0", 2, -1, on_done, &puts[i]) == 0);
    EXPECT(mpool_run(client, 10000) == 0);
    for (int i = 0; i < 2; i++)
        EXPECT(gets[i].calls == 1 && gets[i].code == 0 && puts[i].calls == 1 && puts[i].code == 0);
    EXPECT(gets[2].calls == 1 && gets[2].code == -ECANCELED);
    EXPECT(mpool_queue_get_start(q, &id, 1, 5, on_done, &gets[0]) == 0);
    EXPECT(mpool_run(client, 10000) == 0 && gets[0].code == -ETIMEDOUT);
    mpool_object_close(q);
    return true;
}

/* A child process with a connection of its own that uses a pipe, and says how it went. */
static pid_t echo(const char *handle, int count)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    mpool_client *client;
    mpool_object *pipe;
    mpool_result *items;
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    if (mpool_connect(&client, NULL) < 0 || mpool_object_open(client, &pipe, "pipe", handle, NULL) < 0)
        _exit(1);
    for (int i = 0; i < count; i++) {
        size_t at = 0;
        if (mpool_queue_get(pipe, 1, -1, &items) != 1 || mpool_queue_next(pipe, items, &at, &item) != 1 ||
            mpool_queue_put(pipe, -1, "r", item.data, item.length) != 0)
            _exit(2);
        mpool_result_free(items);
    }
    raise(SIGKILL);
    _exit(3);
}

static bool a_pipe_ends_with_the_other_process(mpool_client *client)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *pipe;
    mpool_result *items;
    options.duplex = true;
    EXPECT(mpool_object_open(client, &pipe, "pipe", NULL, &options) == 0);
    pid_t pid = echo(mpool_object_handle(pipe), 100);
    for (int i = 0; i < 100; i++) {
        mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
        size_t at = 0;
        EXPECT(mpool_queue_put(pipe, -1, "i", i) == 0);
        EXPECT(mpool_queue_get(pipe, 1, -1, &items) == 1);
        EXPECT(mpool_queue_next(pipe, items, &at, &item) == 1 && is_fixint(&item, i));
        mpool_result_free(items);
    }
    EXPECT(mpool_queue_get(pipe, 1, -1, &items) == 0);
    EXPECT(mpool_queue_put(pipe, -1, "n") == MPOOL_EFINISHED);
    mpool_object_close(pipe);
    waitpid(pid, NULL, 0);
    return true;
}

static bool a_forked_child_must_open_anew(mpool_client *client)
{
    mpool_object *q = opened(client, "queue", NULL, 0, false);
    int status = -1;
    EXPECT(q);
    pid_t pid = fork();
    if (pid == 0)
        _exit(mpool_queue_put(q, -1, "n") == -ECHILD && mpool_queue_finish(q, NULL) == -ECHILD ? 0 : 1);
    waitpid(pid, &status, 0);
    EXPECT(status == 0);
    EXPECT(mpool_queue_put(q, -1, "n") == 0);
    mpool_object_close(q);
    return true;
}

/* MessagePack of a binary of so many bytes, all alike; the caller's to free. */
static uint8_t *binary(uint32_t length, int fill, size_t *ret_length)
{
    uint8_t *at = malloc(length + 5u);
    if (!at)
        abort();
    at[0] = 0xc6;
    for (int i = 0; i < 4; i++)
        at[1 + i] = (uint8_t)(length >> (24 - 8 * i));
    memset(at + 5, fill, length);
    *ret_length = length + 5u;
    return at;
}

static bool large_items_come_as_they_went_in(mpool_client *client)
{
    for (int at_least_once = 0; at_least_once < 2; at_least_once++) {
        mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
        mpool_object *q;
        options.bytes = 64 << 20;
        options.at_least_once = at_least_once;
        EXPECT(mpool_object_open(client, &q, "queue", NULL, &options) == 0);
        for (int round = 0; round < 2; round++) {
            size_t lengths[3], at = 0;
            uint8_t *large[3];
            for (int i = 0; i < 3; i++) {
                large[i] = binary(1u << (20 + 2 * i), 'a' + i, &lengths[i]);
                EXPECT(mpool_queue_put(q, -1, "r", large[i], lengths[i]) == 0);
                EXPECT(mpool_queue_put(q, -1, "i", i) == 0);
            }
            for (int i = 0; i < 3; i++) {
                mpool_result *items;
                mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
                uint32_t count = 0;
                EXPECT(mpool_queue_get(q, 100, -1, &items) == 1); /* a large one is alone */
                at = 0;
                EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && item.length == lengths[i] &&
                       memcmp(item.data, large[i], item.length) == 0 && (item.ticket != 0) == at_least_once);
                EXPECT(mpool_queue_next(q, items, &at, &item) == 0);
                if (at_least_once)
                    EXPECT(mpool_queue_confirm(q, &item.ticket, 1, &count) == 0 && count == 1);
                mpool_result_free(items);
                EXPECT(mpool_queue_get(q, 1, -1, &items) == 1);
                at = 0;
                EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && is_fixint(&item, i));
                if (at_least_once)
                    EXPECT(mpool_queue_confirm(q, &item.ticket, 1, &count) == 0 && count == 1);
                mpool_result_free(items);
                free(large[i]);
            }
        }
        mpool_object_close(q);
    }
    return true;
}

static bool a_queue_works_ahead_and_keeps_the_order(mpool_client *client)
{
    enum { COUNT = 5000 };
    for (int at_least_once = 0; at_least_once < 2; at_least_once++) {
        mpool_object *q = opened(client, "joinable_queue", NULL, COUNT, at_least_once);
        mpool_result *items;
        mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
        size_t at;
        EXPECT(q);
        EXPECT(mpool_queue_set_ahead(q, MPOOL_QUEUE_AHEAD_MAX + 1) == -EINVAL);
        EXPECT(mpool_queue_set_ahead(q, 64) == 0);
        for (int i = 0; i < COUNT; i++)
            EXPECT(mpool_queue_put(q, -1, "i", i % 100) == 0);
        EXPECT(mpool_queue_flush(q, -1) == 0);
        EXPECT(mpool_queue_get_start(q, NULL, 1, -1, on_done, NULL) == -EINVAL);
        for (int i = 0, max = 1; i < COUNT; max = max % 100 + 1) {
            int got = mpool_queue_get(q, (uint32_t)max, -1, &items);
            EXPECT(got > 0 && got <= max);
            at = 0;
            for (int n = 0; n < got; n++, i++)
                EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && is_fixint(&item, i % 100) &&
                       (item.ticket != 0) == at_least_once);
            EXPECT(mpool_queue_next(q, items, &at, &item) == 0);
            mpool_result_free(items);
        }
        EXPECT(mpool_queue_done(q, COUNT) == 0 && mpool_queue_join(q, -1) == 0);
        EXPECT(mpool_queue_get(q, 1, 0, &items) == -ETIMEDOUT);
        EXPECT(mpool_queue_finish(q, NULL) == 0);
        EXPECT(mpool_queue_get(q, 1, -1, &items) == 0);
        mpool_object_close(q);
    }
    return true;
}

static bool what_failed_ahead_is_told_later(mpool_client *client)
{
    mpool_object *q = opened(client, "queue", NULL, 2, false);
    EXPECT(q && mpool_queue_set_ahead(q, 8) == 0);
    for (int i = 0; i < 4; i++)
        EXPECT(mpool_queue_put(q, -1, "i", i) == 0); /* the last two wait for room */
    EXPECT(mpool_queue_flush(q, 20) == -ETIMEDOUT);
    EXPECT(mpool_queue_put(q, 0, "n") == -ETIMEDOUT); /* this one asks */
    mpool_result *items;
    EXPECT(mpool_queue_get(q, 1, -1, &items) == 1);
    mpool_result_free(items);
    EXPECT(mpool_queue_get(q, 8, -1, &items) >= 1);
    mpool_result_free(items);
    EXPECT(mpool_queue_flush(q, -1) == 0);
    EXPECT(mpool_queue_finish(q, NULL) == 0);
    EXPECT(mpool_queue_put(q, -1, "n") == 0); /* sent; what came of it: */
    EXPECT(mpool_queue_flush(q, -1) == MPOOL_EFINISHED);
    EXPECT(mpool_queue_flush(q, -1) == 0); /* told once */
    for (int i = 0; i < 6; i++)
        mpool_queue_put(q, -1, "n");
    mpool_object_close(q); /* with answers on their way */
    EXPECT(mpool_run(client, 10000) == 0);
    return true;
}

/* The daemon itself is stopped, for longer than anybody has patience with it. */
static bool what_comes_too_late_is_not_lost(mpool_client *client)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    mpool_object *q = opened(client, "queue", NULL, 0, false);
    mpool_result *items;
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    size_t at = 0;
    EXPECT(q && getsockopt(mpool_fd(client), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
    EXPECT(mpool_queue_put_all(q, "\x93\x01\x02\x03", 4, -1, NULL) == 0);
    EXPECT(kill(peer.pid, SIGSTOP) == 0);
    int r = mpool_queue_get(q, 2, 50, &items), again = mpool_queue_get(q, 1, 0, &items);
    int put = mpool_queue_put(q, 50, "i", 4);
    EXPECT(kill(peer.pid, SIGCONT) == 0);
    EXPECT(r == -ETIMEDOUT && again == -ETIMEDOUT && put == -EINPROGRESS);
    for (int i = 1; i <= 4; i++) {
        EXPECT(mpool_queue_get(q, 1, 10000, &items) == 1);
        at = 0;
        EXPECT(mpool_queue_next(q, items, &at, &item) == 1 && is_fixint(&item, i));
        mpool_result_free(items);
    }
    EXPECT(kill(peer.pid, SIGSTOP) == 0);
    r = mpool_queue_get(q, 1, 0, &items);
    mpool_object_close(q); /* with its answer on the way */
    EXPECT(kill(peer.pid, SIGCONT) == 0 && r == -ETIMEDOUT);
    EXPECT(mpool_run(client, 10000) == 0);
    return true;
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(items_go_in_by_format_and_come_out_in_order),
        TAP_TEST(what_exists_is_opened_as_it_is_and_removed),
        TAP_TEST(mistakes_are_told_apart),
        TAP_TEST(tickets_confirm_and_joiners_hear_of_it),
        TAP_TEST(callbacks_wait_while_others_put),
        TAP_TEST(a_pipe_ends_with_the_other_process),
        TAP_TEST(a_forked_child_must_open_anew),
        TAP_TEST(large_items_come_as_they_went_in),
        TAP_TEST(a_queue_works_ahead_and_keeps_the_order),
        TAP_TEST(what_failed_ahead_is_told_later),
        TAP_TEST(what_comes_too_late_is_not_lost),
    };
    return tap_main(tests, sizeof tests / sizeof *tests);
}
