/* Every blocked call about something, and every callback that ends, frees or uses that something while it waits: all
 * pairs of them, generated. Freed memory is filled with rubbish, so that a use of it does not pass unnoticed; the
 * address sanitizer says more. */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

#include <mpool/process.h>
#include <mpool/queue.h>

#include "client_tap.h"

#define WAIT_MS 20

/* What a pair is about; NULL: gone. */
static struct {
    mpool_client *client;
    mpool_object *queue, *lock;
    struct mpool_process *process;
    mpool_map *map;
    bool acted;
} it;

/* ---- what a callback may do */

static void close_queue(void)
{
    mpool_object_close(it.queue);
    it.queue = NULL;
}

static void close_lock(void)
{
    mpool_object_close(it.lock);
    it.lock = NULL;
}

static void free_process(void)
{
    mpool_process_free(it.process);
    it.process = NULL;
}

static void free_map(void)
{
    mpool_map_free(it.map);
    it.map = NULL;
}

static void disconnect(void)
{
    mpool_disconnect(it.client);
    it.client = NULL;
}

static void end_everything(void)
{
    close_queue();
    close_lock();
    free_process();
    free_map();
    disconnect();
}

static void work_ahead(void)
{
    (void)mpool_queue_set_ahead(it.queue, 4);
}

static void wait_inside(void)
{
    mpool_result *items;
    if (mpool_queue_get(it.queue, 1, 0, &items) != -EDEADLK || mpool_queue_flush(it.queue, 0) != -EDEADLK)
        abort();
}

static void (*const actions[])(void) = {
    close_queue, close_lock, free_process, free_map, disconnect, end_everything, work_ahead, wait_inside};

static void act(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)code;
    (void)result;
    (void)text;
    it.acted = true;
    (*(void (*const *)(void))userdata)();
}

/* ---- what may be blocked */

static int put(void)
{
    return mpool_queue_put(it.queue, WAIT_MS, "i", 1);
}

static int put_ahead(void)
{
    (void)mpool_queue_set_ahead(it.queue, 1);
    (void)mpool_queue_put(it.queue, -1, "i", 1);
    return it.queue ? mpool_queue_flush(it.queue, WAIT_MS) : 0;
}

static int get(void)
{
    mpool_result *items = NULL;
    int r = mpool_queue_get(it.queue, 8, WAIT_MS, &items);
    if (r > 0)
        mpool_result_free(items);
    return r;
}

static int get_ahead(void)
{
    (void)mpool_queue_set_ahead(it.queue, 4);
    return get();
}

static int confirm(void)
{
    uint64_t ticket = 1;
    return mpool_queue_confirm(it.queue, &ticket, 1, NULL);
}

static int done(void)
{
    return mpool_queue_done(it.queue, 1);
}

static int join_queue(void)
{
    return mpool_queue_join(it.queue, WAIT_MS);
}

static int finish(void)
{
    return mpool_queue_finish(it.queue, NULL);
}

static int join(void)
{
    return mpool_process_join(it.process, WAIT_MS);
}

static int alive(void)
{
    bool is_alive;
    return mpool_process_alive(it.process, &is_alive);
}

static int exitcode(void)
{
    int code;
    return mpool_process_exitcode(it.process, &code);
}

static int result(void)
{
    mpool_result *value = NULL;
    int r = mpool_process_result(it.process, WAIT_MS, &value);
    if (r == 0)
        mpool_result_free(value);
    return r;
}

static int terminate(void)
{
    return mpool_process_terminate(it.process);
}

static int next_item(void)
{
    mpool_item item = MPOOL_ITEM_INIT;
    return mpool_map_next(it.map, &item, WAIT_MS);
}

static int call(void)
{
    return mpool_call(it.client, NULL, "sys.noop", NULL);
}

static int open_another(void)
{
    mpool_object *other;
    int r = mpool_object_open(it.client, &other, "lock", NULL, NULL);
    if (r == 0)
        mpool_object_close(other);
    return r;
}

static int (*const calls[])(void) = {put, put_ahead, get, get_ahead, confirm, done, join_queue, finish, join, alive,
    exitcode, result, terminate, next_item, call, open_another};

static int never(void *userdata, const void **ret_item, size_t *ret_length)
{
    (void)userdata;
    (void)ret_item;
    (void)ret_length;
    return -EAGAIN;
}

static bool set_up(mpool_client *client, const char *kind, bool full)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_process_options process = MPOOL_PROCESS_OPTIONS_INIT;
    options.capacity = 1;
    EXPECT(mpool_object_open(it.client, &it.queue, kind, NULL, &options) == 0);
    EXPECT(!full || mpool_queue_put(it.queue, -1, "i", 0) == 0);
    EXPECT(mpool_object_open(it.client, &it.lock, "lock", NULL, NULL) == 0);
    EXPECT(mpool_process_start(it.client, &it.process, &process, "sys.sleep", "d", 5.0) == 0);
    EXPECT(mpool_map_start(it.client, &it.map, "sys.noop", never, NULL, NULL) == 0);
    return true;
}

static bool all_pairs(mpool_client *client, const char *kind)
{
    for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++)
        for (size_t a = 0; a < sizeof actions / sizeof actions[0]; a++) {
            it.acted = false;
            EXPECT(mpool_connect(&it.client, NULL) == 0);
            if (!set_up(it.client, kind, calls[c] == put || calls[c] == put_ahead))
                return false;
            EXPECT(mpool_apply_async(it.client, NULL, act, (void *)(uintptr_t)&actions[a], "sys.noop", NULL) == 0);
            (void)calls[c]();
            if (!it.acted) /* it was over at once */
                (void)mpool_run(it.client, -1);
            EXPECT(it.acted);
            end_everything();
        }
    return true;
}

static bool a_callback_may_end_whatever_a_blocked_call_is_about(mpool_client *client)
{
    return all_pairs(client, "queue");
}

static bool and_so_with_a_joinable_queue(mpool_client *client)
{
    return all_pairs(client, "joinable_queue");
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(a_callback_may_end_whatever_a_blocked_call_is_about),
        TAP_TEST(and_so_with_a_joinable_queue),
    };
    mallopt(M_PERTURB, 0xa5);
    return tap_main(tests, sizeof tests / sizeof tests[0]);
}
