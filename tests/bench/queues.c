/* How many items a second pass from one process to another, through a queue or a pipe of the daemon?
 *
 *     queues single|ahead|batch|pipe ITEMS        (MPOOL_SOCKET)
 *
 * `single`: one item a call on both sides, each waiting for its answer. `ahead`: one item a call, but both sides have
 * some calls on the way; multiprocessing.Queue has so in its feeder thread and its pipe. `batch`: 512 items a call on
 * both sides. `pipe`: one item there and back again, a round trip each. Prints the items a second. Each item is checked
 * by its number.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpool/queue.h>

enum { BATCH = 512, AHEAD = 256 };

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "queues: %s: %s\n", what, mpool_strerror(r));
    exit(1);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A MessagePack integer of five bytes. */
static size_t pack(uint8_t *to, uint32_t n)
{
    to[0] = 0xce;
    for (int i = 0; i < 4; i++)
        to[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    return 5;
}

static uint32_t unpack(const mpool_queue_item *item)
{
    const uint8_t *at = item->data;
    return item->length == 5 ? (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4]
                             : UINT32_MAX;
}

static mpool_object *open_one(mpool_client **client, const char *kind, const char *handle)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *queue;
    options.duplex = true;
    check(mpool_connect(client, NULL), "connect");
    check(mpool_object_open(*client, &queue, kind, handle, &options), "open");
    return queue;
}

/* ---- the putter, in a process of its own */

static size_t array_of(uint8_t *to, uint32_t first, uint32_t count)
{
    size_t length = 3;
    to[0] = 0xdc;
    to[1] = (uint8_t)(count >> 8);
    to[2] = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++)
        length += pack(to + length, first + i);
    return length;
}

static int on_the_way;

static void put_done(void *userdata, int code, const mpool_result *result, const char *text)
{
    (void)userdata;
    (void)result;
    (void)text;
    check(code, "put");
    on_the_way--;
}

static void put_all(const char *handle, uint32_t items, uint32_t batch, bool ahead)
{
    static uint8_t bytes[3 + BATCH * 5];
    mpool_client *client;
    mpool_object *queue = open_one(&client, "queue", handle);
    for (uint32_t i = 0; i < items; i += batch) {
        uint32_t count = items - i < batch ? items - i : batch;
        size_t length = array_of(bytes, i, count);
        if (!ahead) {
            check(mpool_queue_put_all(queue, bytes, length, -1), "put");
            continue;
        }
        check(mpool_queue_put_start(queue, NULL, bytes, length, -1, put_done, NULL), "put");
        if (++on_the_way >= AHEAD)
            while (on_the_way > AHEAD / 2) { /* then half of them are to be answered before more go out */
                struct pollfd p = {.fd = mpool_fd(client), .events = (short)mpool_events(client)};
                poll(&p, 1, -1);
                check(mpool_process(client), "process");
            }
    }
    check(mpool_run(client, -1), "run");
    mpool_object_close(queue);
    mpool_disconnect(client);
}

static void get_all(mpool_object *queue, uint32_t items, uint32_t batch)
{
    for (uint32_t seen = 0; seen < items;) {
        mpool_result *got;
        mpool_queue_item item;
        size_t at = 0;
        check(mpool_queue_get(queue, batch, -1, &got), "get");
        while (mpool_queue_next(queue, got, &at, &item) > 0)
            if (unpack(&item) != seen++) {
                fprintf(stderr, "queues: item %u is not in its place\n", seen - 1);
                exit(1);
            }
        mpool_result_free(got);
    }
}

static mpool_object *source;
static uint32_t to_see, seen_ahead;

static void got_one(void *userdata, int code, const mpool_result *result, const char *text)
{
    mpool_queue_item item;
    size_t at = 0;
    (void)userdata;
    (void)text;
    check(code, "get");
    check(mpool_queue_next(source, result, &at, &item), "next");
    if (unpack(&item) != seen_ahead++) {
        fprintf(stderr, "queues: item %u is not in its place\n", seen_ahead - 1);
        exit(1);
    }
    if (to_see > 0) {
        to_see--;
        check(mpool_queue_get_start(source, NULL, 1, -1, got_one, NULL), "get");
    }
}

static void get_ahead(mpool_client *client, mpool_object *queue, uint32_t items)
{
    source = queue;
    to_see = items;
    for (int i = 0; i < AHEAD && to_see > 0; i++, to_see--)
        check(mpool_queue_get_start(queue, NULL, 1, -1, got_one, NULL), "get");
    check(mpool_run(client, -1), "run");
}

static void echo(const char *handle, uint32_t items)
{
    mpool_client *client;
    mpool_object *pipe = open_one(&client, "pipe", handle);
    for (uint32_t i = 0; i < items; i++) {
        mpool_result *got;
        mpool_queue_item item;
        size_t at = 0;
        check(mpool_queue_get(pipe, 1, -1, &got), "get");
        check(mpool_queue_next(pipe, got, &at, &item), "next");
        check(mpool_queue_put(pipe, -1, "r", item.data, item.length), "put");
        mpool_result_free(got);
    }
    mpool_object_close(pipe);
    mpool_disconnect(client);
}

static void there_and_back(mpool_object *pipe, uint32_t items)
{
    for (uint32_t i = 0; i < items; i++) {
        mpool_result *got;
        check(mpool_queue_put(pipe, -1, "u", (uint64_t)i), "put");
        check(mpool_queue_get(pipe, 1, -1, &got), "get");
        mpool_result_free(got);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc == 3 ? argv[1] : "";
    uint32_t items = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    bool is_pipe = strcmp(mode, "pipe") == 0, batched = strcmp(mode, "batch") == 0, ahead = strcmp(mode, "ahead") == 0;
    if (items == 0 || !(is_pipe || batched || ahead || strcmp(mode, "single") == 0)) {
        fprintf(stderr, "usage: queues single|ahead|batch|pipe ITEMS\n");
        return 2;
    }
    mpool_client *client;
    mpool_object *queue = open_one(&client, is_pipe ? "pipe" : "queue", NULL);
    const char *handle = mpool_object_handle(queue);
    uint32_t batch = batched ? BATCH : 1;
    double start = now();
    pid_t pid = fork();
    if (pid == 0) {
        if (is_pipe)
            echo(handle, items);
        else
            put_all(handle, items, batch, ahead);
        exit(0);
    }
    if (is_pipe)
        there_and_back(queue, items);
    else if (ahead)
        get_ahead(client, queue, items);
    else
        get_all(queue, items, batch);
    double seconds = now() - start;
    int status;
    waitpid(pid, &status, 0);
    printf("%.0f\n", items / seconds);
    mpool_object_close(queue);
    mpool_disconnect(client);
    return status != 0;
}
