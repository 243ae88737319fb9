/* Five processes count up under a lock.
 *
 *     lock = Lock()
 *     counter = Value("i", 0, lock=False)
 *     processes = [Process(target=increment, args=(lock, counter)) for _ in range(5)]
 *     for p in processes: p.start()
 *     for p in processes: p.join()
 *     print(f"Final counter value: {counter.value} (expected value: 5)")
 *
 * Value and lock have names here, so that the processes need nothing from one another: any program could join in.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/shared.h>

enum { PROCESSES = 5 };

static int failed(mpool_client *client, int r)
{
    fprintf(stderr, "%s\n", client ? mpool_error_text(client) : mpool_strerror(r));
    return 1;
}

/* with lock: counter.value += 1, in steps, so that without the lock two of them could take the same number. */
static int increment(const char *lock_name, const char *counter_name)
{
    mpool_client *client = NULL;
    mpool_object *lock = NULL, *counter = NULL;
    int64_t n;
    int r = mpool_connect(&client, NULL);
    if (r < 0)
        return failed(NULL, r);
    if ((r = mpool_object_open(client, &lock, "lock", lock_name, NULL)) < 0 ||
        (r = mpool_object_open(client, &counter, "value", counter_name, NULL)) < 0)
        return failed(client, r);
    r = mpool_lock_acquire(lock, -1, NULL);
    if (r == 0) {
        mpool_value_get_i64(counter, &n);
        usleep(10000);
        mpool_value_set_i64(counter, n + 1);
        r = mpool_lock_release(lock);
    }
    mpool_object_close(counter);
    mpool_object_close(lock);
    mpool_disconnect(client);
    return r < 0 ? failed(NULL, r) : 0;
}

int main(void)
{
    char lock_name[64], counter_name[64];
    mpool_client *client;
    mpool_object *lock, *counter;
    int64_t n = 0;
    int r = mpool_connect(&client, NULL), status, bad = 0;
    if (r < 0)
        return failed(NULL, r);
    snprintf(lock_name, sizeof(lock_name), "example.%d.lock", (int)getpid());
    snprintf(counter_name, sizeof(counter_name), "example.%d.counter", (int)getpid());
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    options.ttl_s = 1; /* removed a second after the last of us has left */
    if ((r = mpool_object_open(client, &lock, "lock", lock_name, &options)) < 0 ||
        (r = mpool_object_open(client, &counter, "value", counter_name, &options)) < 0)
        return failed(client, r);

    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            _exit(increment(lock_name, counter_name));
    while (wait(&status) > 0)
        bad |= status;
    mpool_value_get_i64(counter, &n);
    printf("Final counter value: %lld (expected value: %d)\n", (long long)n, PROCESSES);

    mpool_object_close(counter);
    mpool_object_close(lock);
    mpool_disconnect(client);
    return bad || n != PROCESSES;
}
