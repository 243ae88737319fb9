/* pthread_cancel() of a thread in a blocked call of the library: all of them, generated. The thread ends, and the
 * handle is as good as before: nothing is pending, nothing is held, and nothing that was on its way is lost. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mpool/process.h>
#include <mpool/queue.h>

#include "client_tap.h"

/* What the calls are about. */
static struct {
    mpool_client *client, *other;
    mpool_object *queue, *full, *joinable, *lock, *rlock, *semaphore, *event, *condition, *barrier;
    mpool_object *others_lock, *others_rlock, *others_semaphore;
    struct mpool_process *process;
    mpool_map *map;
    uint64_t task;
} it;

/* ---- a thread that is blocked, and cancelled there */

struct victim {
    int (*call)(void);
    int (*at_end)(void); /* runs as a handler of the cancelled thread; or NULL */
    int at_end_result;
    _Atomic int tid;
    pthread_t thread;
};

/* The address sanitizer does not see that frames are left by unwinding, and would take their marks, above and below in
 * the stack, for those of the next. */
#if defined(__SANITIZE_ADDRESS__)
void __asan_handle_no_return(void);
void __asan_unpoison_memory_region(void const volatile *at, size_t length);
#define FORGET_FRAMES()                                                                                                \
    (__asan_handle_no_return(),                                                                                        \
        __asan_unpoison_memory_region((char *)__builtin_frame_address(0) - (256 << 10), 256 << 10))
#else
#define FORGET_FRAMES() ((void)0)
#endif

static void handler(void *userdata)
{
    struct victim *victim = userdata;
    FORGET_FRAMES();
    if (victim->at_end)
        victim->at_end_result = victim->at_end();
}

static void *run(void *userdata)
{
    struct victim *victim = userdata;
    pthread_cleanup_push(handler, victim);
    victim->tid = (int)syscall(SYS_gettid);
    (void)victim->call();
    pthread_cleanup_pop(0);
    return NULL;
}

/* The system call that a thread of this process sleeps in; -1: none. */
static long sleeps_in(int tid)
{
    char path[64];
    long number = -1;
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
    FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%ld", &number) != 1)
        number = -1;
    if (f)
        fclose(f);
    return number;
}

static bool start(struct victim *victim)
{
    victim->at_end_result = -1;
    victim->tid = 0;
    return pthread_create(&victim->thread, NULL, run, victim) == 0;
}

static void await_blocked(const struct victim *victim)
{
    long number = -1;
    while (victim->tid == 0)
        usleep(100);
    while (number != SYS_poll && number != SYS_ppoll && number != SYS_recvmmsg && number != SYS_futex &&
           syscall(SYS_tgkill, getpid(), victim->tid, 0) == 0) {
        usleep(100);
        number = sleeps_in(victim->tid);
    }
}

/* → whether it was cancelled, and not over before that. */
static bool was_cancelled(const struct victim *victim)
{
    void *end = NULL;
    return pthread_join(victim->thread, &end) == 0 && end == PTHREAD_CANCELED;
}

static bool cancel_in(int (*call)(void))
{
    struct victim victim = {.call = call};
    if (!start(&victim))
        return false;
    await_blocked(&victim);
    pthread_cancel(victim.thread);
    return was_cancelled(&victim);
}

static bool serves(mpool_client *client)
{
    mpool_result *result;
    int64_t number = 0;
    EXPECT(mpool_call(client, &result, "math.square", "i", 7) == 0);
    EXPECT(mpool_result_i64(result, &number) == 0 && number == 49);
    mpool_result_free(result);
    EXPECT(mpool_pending(client) == 0);
    return true;
}

/* ---- the calls */

static int call(void)
{
    return mpool_call(it.client, NULL, "sys.sleep", "d", 60.0);
}

static int call_with_much(void)
{
    static char bytes[300000];
    return mpool_call(it.client, NULL, "sys.sleep", "dB", 60.0, bytes, sizeof bytes);
}

static int map_all(void)
{
    static const uint8_t items[] = {0x92, 60, 60};
    return mpool_map_all(it.client, NULL, "sys.sleep", items, sizeof items, NULL);
}

static int next_item(void)
{
    mpool_item item = MPOOL_ITEM_INIT;
    return mpool_map_next(it.map, &item, -1);
}

static int next_item_in_time(void)
{
    mpool_item item = MPOOL_ITEM_INIT;
    return mpool_map_next(it.map, &item, 60000);
}

static int wait_for_task(void)
{
    return mpool_wait(it.client, it.task, -1, NULL);
}

static int fetch(void)
{
    return mpool_fetch(it.client, it.task, 60000, NULL);
}

static int process_all(void)
{
    (void)mpool_call_start(it.client, NULL, "sys.noop", NULL, 0, NULL, NULL, NULL); /* refused: no callback */
    return mpool_request(it.client, NULL, "wait", "tn", it.task);
}

static int join_process(void)
{
    return mpool_process_join(it.process, -1);
}

static int process_result(void)
{
    return mpool_process_result(it.process, -1, NULL);
}

static int get(void)
{
    mpool_result *items;
    return mpool_queue_get(it.queue, 8, -1, &items);
}

static int put(void)
{
    return mpool_queue_put(it.full, -1, "s", "a text that needs a buffer");
}

static int put_in_time(void)
{
    return mpool_queue_put(it.full, 60000, "i", 1);
}

static int join_queue(void)
{
    return mpool_queue_join(it.joinable, -1);
}

static int ping(void)
{
    return mpool_ping(it.client);
}

static int submit(void)
{
    return mpool_submit(it.client, NULL, "sys.noop", NULL);
}

static int start_process(void)
{
    struct mpool_process *process;
    return mpool_process_start(it.client, &process, NULL, "sys.sleep", "d", 0.0);
}

static int alive(void)
{
    bool is_alive;
    return mpool_process_alive(it.process, &is_alive);
}

static int terminate(void)
{
    return mpool_process_signal(it.process, 0, NULL);
}

static int confirm(void)
{
    const uint64_t tickets[] = {1, 2, 3};
    return mpool_queue_confirm(it.queue, tickets, 3, NULL);
}

static int done(void)
{
    return mpool_queue_done(it.joinable, 1);
}

static int status(void)
{
    return mpool_status(it.client, it.task, NULL);
}

static int open_object(void)
{
    mpool_object *object;
    return mpool_object_open(it.client, &object, "lock", NULL, NULL);
}

/* Objects that are open: few, so the head of the list is one byte. */
static int count_objects(void)
{
    mpool_result *list;
    size_t length;
    if (mpool_request(it.client, &list, "objects", NULL) < 0)
        return -1;
    int count = *(const uint8_t *)mpool_result_data(list, &length) & 0x0f;
    mpool_result_free(list);
    return count;
}

/* ---- connection: the daemon lets them wait, or is stopped */

static const uint8_t sixty = 60;

static int pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    int *left = userdata;
    if (--*left < 0)
        return 0;
    *ret_item = &sixty;
    *ret_length = 1;
    return 1;
}

static bool open_it(mpool_client *client)
{
    static int left;
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    options.capacity = 1;
    left = 4;
    it.client = client;
    EXPECT(mpool_object_open(client, &it.queue, "queue", NULL, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.full, "queue", NULL, &options) == 0);
    EXPECT(mpool_queue_put(it.full, -1, "i", 0) == 0);
    EXPECT(mpool_object_open(client, &it.joinable, "joinable_queue", NULL, NULL) == 0);
    EXPECT(mpool_queue_put(it.joinable, -1, "i", 0) == 0);
    EXPECT(mpool_submit(client, &it.task, "sys.sleep", "d", 60.0) == 0);
    EXPECT(mpool_process_start(client, &it.process, NULL, "sys.sleep", "d", 60.0) == 0);
    EXPECT(mpool_map_start(client, &it.map, "sys.sleep", pull, &left, NULL) == 0);
    return true;
}

static void close_it(void)
{
    mpool_cancel(it.client, it.task, NULL);
    mpool_map_free(it.map);
    mpool_process_kill(it.process);
    mpool_process_free(it.process);
    mpool_object_close(it.queue);
    mpool_object_close(it.full);
    mpool_object_close(it.joinable);
}

/* Nothing that is put is lost to a get that was cancelled, and nothing is put by a cancelled put. */
static bool queues_are_whole(mpool_client *client)
{
    mpool_result *items;
    EXPECT(mpool_queue_put(it.queue, -1, "i", 1) == 0);
    EXPECT(mpool_queue_get(it.queue, 8, 5000, &items) == 1);
    mpool_result_free(items);
    EXPECT(mpool_queue_get(it.full, 8, 5000, &items) == 1);
    mpool_result_free(items);
    EXPECT(mpool_queue_get(it.full, 8, 0, &items) == -ETIMEDOUT);
    EXPECT(mpool_queue_put(it.full, 0, "i", 0) == 0);
    return true;
}

static bool a_thread_in_any_blocked_call_may_be_cancelled(mpool_client *client)
{
    static int (*const calls[])(void) = {call, call_with_much, map_all, wait_for_task, fetch, process_all, join_process,
        process_result, get, put, put_in_time, join_queue, next_item, next_item_in_time};
    if (!open_it(client))
        return false;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        printf("# call %zu\n", i);
        EXPECT(cancel_in(calls[i]));
        if (calls[i] == next_item) /* its own requests go on */
            continue;
        EXPECT(mpool_ping(client) == 0);
        if (!queues_are_whole(client))
            return false;
    }
    mpool_map_cancel(it.map);
    mpool_item item = MPOOL_ITEM_INIT;
    for (uint64_t n = 0; n < 4; n++)
        EXPECT(mpool_map_next(it.map, &item, -1) == 1 && item.index == n && item.code == -ECANCELED);
    EXPECT(mpool_map_next(it.map, &item, -1) == 0);
    close_it();
    return serves(client);
}

static bool even_if_the_daemon_does_not_answer_at_all(mpool_client *client)
{
    static int (*const calls[])(void) = {ping, submit, start_process, alive, terminate, confirm, done, status,
        open_object, call, map_all, wait_for_task, get, put, join_queue};
    struct ucred daemon;
    socklen_t length = sizeof daemon;
    EXPECT(getsockopt(mpool_fd(client), SOL_SOCKET, SO_PEERCRED, &daemon, &length) == 0);
    if (!open_it(client))
        return false;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        printf("# call %zu\n", i);
        EXPECT(kill(daemon.pid, SIGSTOP) == 0);
        bool cancelled = cancel_in(calls[i]);
        EXPECT(kill(daemon.pid, SIGCONT) == 0);
        EXPECT(cancelled);
        EXPECT(mpool_ping(client) == 0);
        EXPECT(mpool_pending(client) <= 5); /* the map's own */
        if (!queues_are_whole(client))
            return false;
        EXPECT(count_objects() == 3);
    }
    close_it();
    return serves(client);
}

/* Whatever has come of a large answer when the thread is cancelled, the next answers are read right. */
static bool at_any_moment(mpool_client *client)
{
    static uint8_t much[200000];
    uint32_t seed = 1;
    mpool_result *result;
    it.client = client;
    for (int i = 0; i < 300; i++) {
        struct victim victim = {.call = i % 2 ? ping : call_with_much};
        memset(much, 'a' + i % 26, sizeof much);
        EXPECT(start(&victim));
        seed = seed * 1103515245 + 12345;
        for (uint32_t n = seed >> 16 & 0xfff; n > 0; n--)
            __asm__ volatile("" ::: "memory");
        if (i % 3 == 0)
            usleep(seed >> 16 & 0xff);
        pthread_cancel(victim.thread);
        (void)was_cancelled(&victim); /* or was faster */
        const void *bytes;
        size_t length;
        EXPECT(mpool_call(client, &result, "sys.echo", "B", much, sizeof much) == 0);
        EXPECT(mpool_result_bytes(result, &bytes, &length) == 0 && length == sizeof much);
        EXPECT(memcmp(bytes, much, length) == 0);
        mpool_result_free(result);
    }
    return serves(client);
}

/* ---- shared objects: another party has them */

static int take_lock(void)
{
    return mpool_lock_acquire(it.lock, -1, NULL);
}

static int take_rlock(void)
{
    return mpool_rlock_acquire(it.rlock, -1, NULL);
}

static int take_semaphore(void)
{
    return mpool_semaphore_acquire(it.semaphore, 60000, NULL);
}

static int wait_for_event(void)
{
    return mpool_event_wait(it.event, -1);
}

static int wait_for_condition(void)
{
    if (mpool_object_lock(it.condition, -1, NULL) < 0 || mpool_object_lock(it.condition, -1, NULL) < 0)
        return -1;
    return mpool_condition_wait(it.condition, NULL, -1, NULL);
}

static int has_it_twice(void)
{
    int first = mpool_object_unlock(it.condition), second = mpool_object_unlock(it.condition);
    return first == 0 && second == 0 && mpool_object_unlock(it.condition) == -EPERM ? 0 : -1;
}

static int wait_at_barrier(void)
{
    return mpool_barrier_wait(it.barrier, -1, NULL);
}

static bool open_locks(mpool_client *client)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    options.parties = 2;
    it.client = client;
    EXPECT(mpool_connect(&it.other, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.lock, "lock", "c.lock", NULL) == 0);
    EXPECT(mpool_object_open(client, &it.rlock, "rlock", "c.rlock", NULL) == 0);
    EXPECT(mpool_object_open(client, &it.semaphore, "semaphore", "c.semaphore", NULL) == 0);
    EXPECT(mpool_object_open(client, &it.event, "event", NULL, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.condition, "condition", NULL, NULL) == 0);
    EXPECT(mpool_object_open(client, &it.barrier, "barrier", NULL, &options) == 0);
    EXPECT(mpool_object_open(it.other, &it.others_lock, "lock", "c.lock", NULL) == 0);
    EXPECT(mpool_object_open(it.other, &it.others_rlock, "rlock", "c.rlock", NULL) == 0);
    EXPECT(mpool_object_open(it.other, &it.others_semaphore, "semaphore", "c.semaphore", NULL) == 0);
    EXPECT(mpool_lock_acquire(it.others_lock, 0, NULL) == 0);
    EXPECT(mpool_rlock_acquire(it.others_rlock, 0, NULL) == 0);
    EXPECT(mpool_semaphore_acquire(it.others_semaphore, 0, NULL) == 0);
    return true;
}

static bool a_thread_that_waits_for_another_party_may_be_cancelled(mpool_client *client)
{
    struct victim all[] = {{.call = take_lock}, {.call = take_rlock}, {.call = take_semaphore},
        {.call = wait_for_event}, {.call = wait_at_barrier}, {.call = wait_for_condition, .at_end = has_it_twice}};
    const size_t count = sizeof all / sizeof all[0];
    if (!open_locks(client))
        return false;
    for (size_t i = 0; i < count; i++)
        EXPECT(start(&all[i]));
    for (size_t i = 0; i < count; i++) {
        await_blocked(&all[i]);
        pthread_cancel(all[i].thread);
    }
    for (size_t i = 0; i < count; i++)
        EXPECT(was_cancelled(&all[i]));

    EXPECT(mpool_lock_release(it.others_lock) == 0);
    EXPECT(mpool_rlock_release(it.others_rlock) == 0);
    EXPECT(mpool_semaphore_release(it.others_semaphore) == 0);
    /* Nobody has taken what is free now, and who waits comes to it at once, privilege or not. */
    EXPECT(mpool_lock_acquire(it.others_lock, 0, NULL) == 0 && mpool_lock_release(it.others_lock) == 0);
    EXPECT(mpool_rlock_acquire(it.others_rlock, 0, NULL) == 0 && mpool_rlock_release(it.others_rlock) == 0);
    EXPECT(mpool_semaphore_acquire(it.others_semaphore, 0, NULL) == 0);
    EXPECT(mpool_lock_acquire(it.lock, 0, NULL) == 0 && mpool_rlock_acquire(it.rlock, 0, NULL) == 0);
    EXPECT(mpool_event_set(it.event) == 0 && mpool_event_wait(it.event, 0) == 0);
    /* As with a time-out, the round is broken. */
    bool broken = false;
    EXPECT(mpool_barrier_broken(it.barrier, &broken) == 0 && broken);
    /* As with pthread_cond_wait(), its handlers found the lock taken, as deep as it was. */
    EXPECT(all[5].at_end_result == 0);
    EXPECT(mpool_object_lock(it.condition, 0, NULL) == 0 && mpool_object_unlock(it.condition) == 0);
    mpool_disconnect(it.other);
    return serves(client);
}

/* ---- callbacks */

static void pass_a_point(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)code;
    (void)result;
    (void)text;
    pthread_cancel(pthread_self());
    pthread_testcancel();
    *(bool *)userdata = true;
}

static bool ran;

static int run_callback(void)
{
    if (mpool_apply_async(it.client, NULL, pass_a_point, &ran, "sys.noop", NULL) < 0)
        return -1;
    return call();
}

static bool no_thread_is_cancelled_inside_a_callback(mpool_client *client)
{
    struct victim victim = {.call = run_callback};
    it.client = client;
    EXPECT(start(&victim));
    EXPECT(was_cancelled(&victim));
    EXPECT(ran);
    return serves(client);
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(a_thread_in_any_blocked_call_may_be_cancelled),
        TAP_TEST(even_if_the_daemon_does_not_answer_at_all),
        TAP_TEST(at_any_moment),
        TAP_TEST(a_thread_that_waits_for_another_party_may_be_cancelled),
        TAP_TEST(no_thread_is_cancelled_inside_a_callback),
    };
    return tap_main(tests, sizeof tests / sizeof tests[0]);
}
