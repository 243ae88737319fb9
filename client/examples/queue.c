/* A producer, a consumer, and the None that ends it.
 *
 *     def producer(queue):
 *         for i in range(5): queue.put(f"item {i}")
 *         queue.put(None)
 *     def consumer(queue):
 *         while (item := queue.get()) is not None: print("got", item)
 */
#include <msgpack.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/queue.h>

enum { ITEMS = 5 };

static mpool_object *open_queue(mpool_client **ret_client, const char *handle)
{
    mpool_object *queue = NULL;
    int r = mpool_connect(ret_client, NULL);
    if (r == 0)
        r = mpool_object_open(*ret_client, &queue, "queue", handle, NULL);
    if (r < 0)
        fprintf(stderr, "%s\n", mpool_strerror(r));
    return queue;
}

static int producer(const char *handle)
{
    mpool_client *client;
    mpool_object *queue = open_queue(&client, handle);
    char text[16];
    int r = queue ? 0 : -1;
    for (int i = 0; i < ITEMS && r == 0; i++) {
        snprintf(text, sizeof(text), "item %d", i);
        r = mpool_queue_put(queue, -1, "s", text);
    }
    if (r == 0)
        r = mpool_queue_put(queue, -1, "n"); /* None */
    if (queue) {
        mpool_object_close(queue);
        mpool_disconnect(client);
    }
    return r < 0;
}

/* → 1: printed; 0: it was None. */
static int print_item(const mpool_queue_item *item)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    int some = 0;
    if (msgpack_unpack_next(&unpacked, item->data, item->length, NULL) == MSGPACK_UNPACK_SUCCESS &&
        unpacked.data.type == MSGPACK_OBJECT_STR) {
        printf("got %.*s\n", (int)unpacked.data.via.str.size, unpacked.data.via.str.ptr);
        some = 1;
    }
    msgpack_unpacked_destroy(&unpacked);
    return some;
}

static int consumer(mpool_object *queue)
{
    mpool_result *items;
    int more = 1;
    while (more && mpool_queue_get(queue, 1, -1, &items) > 0) {
        mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
        for (size_t at = 0; mpool_queue_next(queue, items, &at, &item) > 0;)
            more = print_item(&item);
        mpool_result_free(items);
    }
    return more; /* it ended without a None */
}

int main(void)
{
    mpool_client *client;
    mpool_object *queue = open_queue(&client, NULL);
    int status = 0, bad;
    if (!queue)
        return 1;
    fflush(stdout);
    if (fork() == 0)
        _exit(producer(mpool_object_handle(queue)));
    bad = consumer(queue);
    wait(&status);
    mpool_object_close(queue);
    mpool_disconnect(client);
    if (!bad && status == 0)
        puts("None: the end");
    return bad || status;
}
