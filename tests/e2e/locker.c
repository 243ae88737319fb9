/* A program that uses one shared object as it is told, line by line on standard input, and prints what each call
 * returned. test_lost.py drives it: it takes connections and daemons away between the lines.
 *
 *     open KIND NAME N   N: tokens or parties; 0: none
 *     take MS | release | fence | thread-take MS | join | cut | dispatch | disconnect | close
 *
 * thread-take starts a thread that takes, and join prints what that came to. cut ends the connection as the daemon
 * would, without the library's noticing.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <mpool/shared.h>

static mpool_client *client;
static mpool_object *object;
static pthread_t thread;

static int wait_at_barrier(mpool_object *barrier, int64_t timeout_ms, bool *ret_abandoned)
{
    uint32_t place = 0;
    int r = mpool_barrier_wait(barrier, timeout_ms, &place);
    (void)ret_abandoned;
    return r < 0 ? r : (int)place;
}

static int wait_for_event(mpool_object *event, int64_t timeout_ms, bool *ret_abandoned)
{
    (void)ret_abandoned;
    return mpool_event_wait(event, timeout_ms);
}

static const struct {
    const char *kind;
    int (*take)(mpool_object *object, int64_t timeout_ms, bool *ret_abandoned);
    int (*release)(mpool_object *object);
} kinds[] = {
    {"lock", mpool_lock_acquire, mpool_lock_release},
    {"rlock", mpool_rlock_acquire, mpool_rlock_release},
    {"semaphore", mpool_semaphore_acquire, mpool_semaphore_release},
    {"bounded_semaphore", mpool_semaphore_acquire, mpool_semaphore_release},
    {"condition", mpool_object_lock, mpool_object_unlock},
    {"barrier", wait_at_barrier, mpool_barrier_reset},
    {"event", wait_for_event, mpool_event_set},
};

static size_t kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, name) == 0)
            return i;
    fprintf(stderr, "locker: no kind %s\n", name);
    exit(2);
}

static int open_it(const char *kind, const char *name, uint32_t number)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    options.tokens = number;
    options.parties = number;
    int r = client ? 0 : mpool_connect(&client, NULL);
    return r < 0 ? r : mpool_object_open(client, &object, kind, name, &options);
}

/* → 1: acquired, and the previous owner died with it */
static int take(int64_t timeout_ms)
{
    bool abandoned = false;
    int r = kinds[kind_of(mpool_object_kind(object))].take(object, timeout_ms, &abandoned);
    return r == 0 && abandoned ? 1 : r;
}

static void *thread_main(void *timeout_ms)
{
    return (void *)(intptr_t)take(*(int64_t *)timeout_ms);
}

static int act(const char *line)
{
    static int64_t timeout_ms;
    char kind[64], name[128];
    unsigned number;
    void *result;
    if (sscanf(line, "open %63s %127s %u", kind, name, &number) == 3)
        return open_it(kind, name, number);
    if (sscanf(line, "take %" SCNd64, &timeout_ms) == 1)
        return take(timeout_ms);
    if (sscanf(line, "thread-take %" SCNd64, &timeout_ms) == 1)
        return -pthread_create(&thread, NULL, thread_main, &timeout_ms);
    if (strcmp(line, "join\n") == 0)
        return pthread_join(thread, &result) == 0 ? (int)(intptr_t)result : -EINVAL;
    if (strcmp(line, "release\n") == 0)
        return kinds[kind_of(mpool_object_kind(object))].release(object);
    if (strcmp(line, "fence\n") == 0) {
        uint64_t fence = 0;
        int r = mpool_lock_fence(object, &fence);
        return r < 0 ? r : (int)fence;
    }
    if (strcmp(line, "cut\n") == 0)
        return shutdown(mpool_fd(client), SHUT_RDWR) < 0 ? -errno : 0;
    if (strcmp(line, "dispatch\n") == 0)
        return mpool_dispatch(client);
    if (strcmp(line, "disconnect\n") == 0) {
        mpool_disconnect(client);
        client = NULL;
        return 0;
    }
    if (strcmp(line, "close\n") == 0) {
        mpool_object_close(object);
        return 0;
    }
    fprintf(stderr, "locker: what is '%s'?\n", line);
    exit(2);
}

int main(void)
{
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        printf("%d\n", act(line));
        fflush(stdout);
    }
    return 0;
}
