/* The daemon is stopped (SIGSTOP), so that it answers nothing: every call that waits ends by its time-out, or by a
 * signal where that is wanted; and after that everything is usable as before. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <mpool/process.h>
#include <mpool/queue.h>
#include <mpool/shared.h>

#include "client_tap.h"

static struct {
    mpool_client *client, *other;
    mpool_object *queue, *ahead, *joinable, *lock, *others_lock, *rlock, *others_rlock, *event, *condition, *barrier;
    mpool_process *process;
    mpool_map *map;
    uint64_t task;
    const char *path;
    int64_t timeout_ms; /* of mpool_connect_with() */
    bool interruptible;
} it;

static int connect_again(void)
{
    mpool_client *client = NULL;
    mpool_connect_options options = MPOOL_CONNECT_OPTIONS_INIT;
    options.path = it.path;
    options.timeout_ms = it.timeout_ms;
    options.interruptible = it.interruptible;
    int r = mpool_connect_with(&client, &options);
    mpool_disconnect(client);
    return r;
}

static int call(void)
{
    return mpool_call(it.client, NULL, "sys.noop", NULL);
}

static int call_large(void)
{
    static unsigned char bytes[3 << 20]; /* more than the socket takes */
    return mpool_call(it.client, NULL, "sys.noop", "B", bytes, sizeof bytes);
}

static int map_all(void)
{
    return mpool_map_all(it.client, NULL, "math.square", "\x91\x07", 2, NULL);
}

static int map_next(void)
{
    mpool_item item = MPOOL_ITEM_INIT;
    return mpool_map_next(it.map, &item, -1);
}

static int submit(void)
{
    return mpool_submit(it.client, NULL, "sys.noop", NULL);
}

static int wait_for_task(void)
{
    return mpool_wait(it.client, it.task, -1, NULL);
}

static int fetch(void)
{
    return mpool_fetch(it.client, it.task, -1, NULL);
}

static int status(void)
{
    return mpool_status(it.client, it.task, NULL);
}

static int cancel(void)
{
    return mpool_cancel(it.client, 1u << 30, NULL);
}

static int forget(void)
{
    return mpool_forget(it.client, 1u << 30, NULL);
}

static int ping(void)
{
    return mpool_ping(it.client);
}

static void ended(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)userdata;
    (void)code;
    (void)result;
    (void)text;
}

static int run(void)
{
    int r = mpool_apply_async(it.client, NULL, ended, NULL, "sys.noop", NULL);
    return r < 0 ? r : mpool_run(it.client, -1);
}

static int start_process(void)
{
    mpool_process *process;
    return mpool_process_start(it.client, &process, NULL, "sys.noop", NULL);
}

static int join_process(void)
{
    return mpool_process_join(it.process, -1);
}

static int signal_process(void)
{
    return mpool_process_signal(it.process, SIGCONT, NULL);
}

static int open_object(void)
{
    mpool_object *object;
    return mpool_object_open(it.client, &object, "lock", "stopped.lock", NULL);
}

static int put(void)
{
    return mpool_queue_put(it.joinable, -1, "i", 1);
}

static int flush_ahead(void)
{
    int r = mpool_queue_put(it.ahead, -1, "i", 1);
    return r < 0 ? r : mpool_queue_flush(it.ahead, -1);
}

static int get(void)
{
    mpool_result *items;
    return mpool_queue_get(it.queue, 1, -1, &items);
}

static int join_queue(void)
{
    return mpool_queue_join(it.joinable, -1);
}

static int finish(void)
{
    return mpool_queue_finish(it.queue, NULL);
}

static int take_lock(void)
{
    return mpool_lock_acquire(it.lock, -1, NULL);
}

static int take_rlock(void)
{
    return mpool_rlock_acquire(it.rlock, -1, NULL);
}

static int wait_for_event(void)
{
    return mpool_event_wait(it.event, -1);
}

static bool no(void *userdata)
{
    (void)userdata;
    return false;
}

static int wait_for_condition(void)
{
    bool abandoned = true;
    int r = mpool_object_lock(it.condition, -1, NULL);
    if (r == 0)
        r = mpool_condition_wait_for(it.condition, NULL, no, NULL, -1, &abandoned);
    /* It is held all the same. */
    return mpool_object_unlock(it.condition) < 0 || abandoned ? -EBADE : r;
}

static int wait_at_barrier(void)
{
    int r = mpool_barrier_wait(it.barrier, -1, NULL);
    (void)mpool_barrier_reset(it.barrier);
    return r;
}

#define CALL(function, late)                                                                                           \
    {                                                                                                                  \
#function, function, late                                                                                      \
    }
static const struct {
    const char *name;
    int (*call)(void);
    int late; /* what it returns when it times out */
} calls[] = {
    CALL(connect_again, -ETIMEDOUT),
    CALL(call, -ETIMEDOUT),
    CALL(call_large, -ETIMEDOUT),
    CALL(map_all, -ETIMEDOUT),
    CALL(map_next, -ETIMEDOUT),
    CALL(submit, -ETIMEDOUT),
    CALL(wait_for_task, -ETIMEDOUT),
    CALL(fetch, -ETIMEDOUT),
    CALL(status, -ETIMEDOUT),
    CALL(cancel, -ETIMEDOUT),
    CALL(forget, -ETIMEDOUT),
    CALL(ping, -ETIMEDOUT),
    CALL(run, -ETIMEDOUT),
    CALL(start_process, -ETIMEDOUT),
    CALL(join_process, -ETIMEDOUT),
    CALL(signal_process, -ETIMEDOUT),
    CALL(open_object, -ETIMEDOUT),
    CALL(put, -EINPROGRESS),
    CALL(flush_ahead, -ETIMEDOUT),
    CALL(get, -ETIMEDOUT),
    CALL(join_queue, -EINPROGRESS),
    CALL(finish, -EINPROGRESS),
    CALL(take_lock, -ETIMEDOUT),
    CALL(take_rlock, -ETIMEDOUT),
    CALL(wait_for_event, -ETIMEDOUT),
    CALL(wait_for_condition, -ETIMEDOUT),
    CALL(wait_at_barrier, -ETIMEDOUT),
};

static int pull_numbers(void *userdata, const void **ret_item, size_t *ret_length)
{
    (void)userdata;
    *ret_item = "\x07";
    *ret_length = 1;
    return 1;
}

static bool open_all(mpool_client *client)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    it.client = client;
    it.path = mpool_socket_path(client);
    EXPECT(mpool_connect(&it.other, it.path) == 0);
    EXPECT(mpool_object_open(client, &it.queue, "queue", NULL, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.ahead, "queue", NULL, NULL) == 0 && mpool_queue_set_ahead(it.ahead, 8) == 0);
    EXPECT(mpool_object_open(client, &it.joinable, "joinable_queue", NULL, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.lock, "lock", NULL, NULL) == 0);
    EXPECT(mpool_object_open(it.other, &it.others_lock, "lock", mpool_object_handle(it.lock), NULL) == 0);
    EXPECT(mpool_lock_acquire(it.others_lock, 0, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.rlock, "rlock", NULL, NULL) == 0);
    EXPECT(mpool_object_open(it.other, &it.others_rlock, "rlock", mpool_object_handle(it.rlock), NULL) == 0);
    EXPECT(mpool_rlock_acquire(it.others_rlock, 0, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.event, "event", NULL, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.condition, "condition", NULL, NULL) == 0);
    options.parties = 2;
    EXPECT(mpool_object_open(client, &it.barrier, "barrier", NULL, &options) == 0);
    EXPECT(mpool_submit(client, &it.task, "sys.sleep", "d", 60.0) == 0);
    EXPECT(mpool_process_start(client, &it.process, NULL, "sys.sleep", "d", 60.0) == 0);
    mpool_map_options map = MPOOL_MAP_OPTIONS_INIT;
    map.window = 4;
    EXPECT(mpool_map_start(client, &it.map, "sys.echo", pull_numbers, NULL, &map) == 0);
    return true;
}

static bool is_usable(mpool_client *client)
{
    mpool_result *result;
    mpool_item item = MPOOL_ITEM_INIT;
    int64_t n = 0;
    EXPECT(mpool_set_call_timeout(client, -1) == 0 && mpool_set_interruptible(client, false) == 0);
    EXPECT(mpool_call(client, &result, "math.square", "i", 7) == 0 && mpool_result_i64(result, &n) == 0 && n == 49);
    mpool_result_free(result);
    EXPECT(mpool_map_next(it.map, &item, -1) == 1 && item.code == 0);
    EXPECT(mpool_cancel(client, it.task, NULL) == 0 && mpool_process_kill(it.process) == 0);
    EXPECT(mpool_lock_release(it.others_lock) == 0 && mpool_lock_acquire(it.lock, 0, NULL) == 0);
    EXPECT(mpool_rlock_release(it.others_rlock) == 0 && mpool_rlock_acquire(it.rlock, 0, NULL) == 0);
    return true;
}

static void close_all(void)
{
    mpool_object *const objects[] = {it.queue, it.ahead, it.joinable, it.lock, it.others_lock, it.rlock,
        it.others_rlock, it.event, it.condition, it.barrier};
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        mpool_object_close(objects[i]);
    mpool_map_free(it.map);
    mpool_process_free(it.process);
    mpool_disconnect(it.other);
}

/* → whether each call returned what is expected: 0: its own time-out. Says which did not. */
static bool call_each(int expected)
{
    bool good = true;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int r = calls[i].call();
        if (r == (expected ? expected : calls[i].late))
            continue;
        printf("# %s returned %d (%s)\n", calls[i].name, r, mpool_strerror(r));
        good = false;
    }
    return good;
}

static bool stop_and_call(mpool_client *client, int expected)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    EXPECT(getsockopt(mpool_fd(client), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
    EXPECT(kill(peer.pid, SIGSTOP) == 0);
    bool good = call_each(expected);
    static const struct itimerval none;
    setitimer(ITIMER_REAL, &none, NULL);
    EXPECT(kill(peer.pid, SIGCONT) == 0 && good);
    return true;
}

static bool every_call_ends_by_its_time_out(mpool_client *client)
{
    EXPECT(open_all(client) && mpool_set_call_timeout(client, 40) == 0);
    it.timeout_ms = 40;
    it.interruptible = false;
    EXPECT(stop_and_call(client, 0) && is_usable(client));
    close_all();
    return true;
}

static void on_alarm(int number)
{
    (void)number;
}

static bool every_call_ends_by_a_signal_if_that_is_wanted(mpool_client *client)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    const struct itimerval often = {.it_interval.tv_usec = 30000, .it_value.tv_usec = 30000};
    EXPECT(open_all(client) && mpool_set_interruptible(client, true) == 0);
    it.timeout_ms = -1;
    it.interruptible = true;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    EXPECT(stop_and_call(client, -EINTR) && is_usable(client));
    close_all();
    return true;
}

/* The same signals, and nobody wants to hear of them: a call waits until it is answered. */
static bool otherwise_signals_end_nothing(mpool_client *client)
{
    struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {.it_interval.tv_usec = 5000, .it_value.tv_usec = 5000};
    static const struct itimerval none;
    mpool_object *event;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    EXPECT(mpool_call(client, NULL, "sys.sleep", "d", 0.1) == 0);
    EXPECT(mpool_object_open(client, &event, "event", NULL, NULL) == 0);
    EXPECT(mpool_event_wait(event, 100) == -ETIMEDOUT);
    setitimer(ITIMER_REAL, &none, NULL);
    mpool_object_close(event);
    return true;
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(every_call_ends_by_its_time_out),
        TAP_TEST(every_call_ends_by_a_signal_if_that_is_wanted),
        TAP_TEST(otherwise_signals_end_nothing),
    };
    return tap_main(tests, sizeof tests / sizeof *tests);
}
