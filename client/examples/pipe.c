/* A sender and a receiver at the two ends of a pipe.
 *
 *     receiver, sender = Pipe(duplex=False)
 *     p = Process(target=send, args=(sender,))
 *     p.start(); sender.close()
 *     try:
 *         while True: print("received", receiver.recv())
 *     except EOFError: print("the other end is closed")
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/queue.h>

enum { MESSAGES = 3 };

/* The second process to open it gets the sending end. When that process ends, for whatever reason, the receiver reads
 * end of file. */
static int send_some(const char *handle)
{
    mpool_client *client;
    mpool_object *sender;
    int r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_object_open(client, &sender, "pipe", handle, NULL);
    for (int i = 0; i < MESSAGES && r >= 0; i++)
        r = mpool_queue_put(sender, -1, "[si]", "message", i);
    if (r < 0)
        fprintf(stderr, "%s\n", mpool_strerror(r));
    return r < 0;
}

int main(void)
{
    mpool_client *client;
    mpool_object *receiver;
    mpool_result *items;
    int status = 0, received = 0, r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_object_open(client, &receiver, "pipe", NULL, NULL);
    if (r < 0) {
        fprintf(stderr, "%s\n", mpool_strerror(r));
        return 1;
    }
    fflush(stdout);
    if (fork() == 0)
        _exit(send_some(mpool_object_handle(receiver)));
    while ((r = mpool_queue_get(receiver, 1, -1, &items)) > 0) {
        mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
        for (size_t at = 0; mpool_queue_next(receiver, items, &at, &item) > 0; received++)
            printf("received %zu bytes\n", item.length);
        mpool_result_free(items);
    }
    wait(&status);
    if (r == 0)
        puts("the other end is closed");
    mpool_object_close(receiver);
    mpool_disconnect(client);
    return r < 0 || status || received != MESSAGES;
}
