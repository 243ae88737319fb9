/* More tasks than workers: the pool runs as many at a time as it has workers, the others wait for an idle one.
 *
 *     with Pool(2) as pool:
 *         for i in pool.imap_unordered(work, range(12)): print("task", i, "done")
 */
#include <inttypes.h>
#include <stdio.h>

#include <msgpack.h>

#include <mpool/client.h>

enum { TASKS = 12 };

struct tasks {
    int started, done;
};

static void done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct tasks *tasks = userdata;
    (void)result;
    if (code < 0) {
        fprintf(stderr, "%s\n", text);
    } else {
        tasks->done++;
        printf("%d of %d done\n", tasks->done, TASKS);
    }
}

/* How many workers there are. */
static uint32_t count_workers(mpool_client *client)
{
    mpool_result *workers;
    uint32_t count = 0;
    if (mpool_request(client, &workers, "workers", NULL) < 0)
        return 0;
    size_t length;
    const char *bytes = mpool_result_data(workers, &length);
    msgpack_unpacked list;
    msgpack_unpacked_init(&list);
    if (msgpack_unpack_next(&list, bytes, length, NULL) == MSGPACK_UNPACK_SUCCESS &&
        list.data.type == MSGPACK_OBJECT_ARRAY)
        count = list.data.via.array.size;
    msgpack_unpacked_destroy(&list);
    mpool_result_free(workers);
    return count;
}

int main(void)
{
    mpool_client *client;
    int r = mpool_connect(&client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }
    printf("%d tasks for %" PRIu32 " workers\n", TASKS, count_workers(client));

    struct tasks tasks = {0};
    for (; tasks.started < TASKS && r == 0; tasks.started++)
        r = mpool_apply_async(client, NULL, done, &tasks, "sys.sleep", "d", 0.05);
    if (r == 0)
        r = mpool_run(client, -1);
    if (r < 0)
        fprintf(stderr, "%s\n", mpool_error_text(client));
    mpool_disconnect(client);
    return r < 0 || tasks.done != TASKS;
}
