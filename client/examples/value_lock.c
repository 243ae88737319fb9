/* Four processes add a hundred each to one value.
 *
 *     counter = Value("i", 0)
 *     def work(counter):
 *         for _ in range(100):
 *             with counter.get_lock():
 *                 counter.value += 1
 *
 * The value has no name: the others get its handle, and it is removed when the last of them has closed it.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/shared.h>

enum { PROCESSES = 4, TIMES = 100 };

static int work(const char *handle)
{
    mpool_client *client;
    mpool_object *counter;
    int r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_object_open(client, &counter, "value", handle, NULL);
    for (int i = 0; i < TIMES && r >= 0; i++) {
        int64_t n;
        r = mpool_object_lock(counter, -1, NULL); /* counter.get_lock() */
        if (r < 0)
            break;
        mpool_value_get_i64(counter, &n);
        mpool_value_set_i64(counter, n + 1);
        r = mpool_object_unlock(counter);
        /* mpool_value_add_i64(counter, 1) would do all that in one instruction. */
    }
    if (r < 0)
        fprintf(stderr, "%s\n", mpool_strerror(r));
    return r < 0;
}

int main(void)
{
    mpool_client *client;
    mpool_object *counter;
    int64_t n = 0;
    int status, bad = 0, r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_object_open(client, &counter, "value", NULL, NULL);
    if (r < 0) {
        fprintf(stderr, "%s\n", mpool_strerror(r));
        return 1;
    }
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            _exit(work(mpool_object_handle(counter)));
    while (wait(&status) > 0)
        bad |= status;
    mpool_value_get_i64(counter, &n);
    printf("%lld\n", (long long)n);

    mpool_object_close(counter);
    mpool_disconnect(client);
    return bad || n != PROCESSES * TIMES;
}
