/* How fast is shared state? One side of the benchmark: see ask.h for how it is asked.
 *
 *     shared SOCKET
 *
 * Verbs: `lock` takes and releases a lock that nobody else wants; `contended` the same in DEPTH processes at once,
 * COUNT times in all, around a plain counter, whose end is checked; `value` adds to a shared integer; `array` one
 * process fills COUNT 64-bit numbers and another sums them up, opening and closing included. `ranges` squares COUNT
 * numbers where they lie, by a map over ranges of DEPTH of them; `queue` and
 * `pipe` hand COUNT numbers from one process to another, one in a call, ahead of the answers; `steps` waits for each
 * call, `batch` has DEPTH numbers in a call, `large` items of DEPTH bytes. Processes are forked and open everything
 * anew, as strangers would.
 */
#include "ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/queue.h>
#include <mpool/shared.h>

#define PROCESSES_MAX 64u
#define RANGES_MAX    1000u
#define HANDLE_MAX    64u
#define RANGE_BYTES   (HANDLE_MAX + 21u)

struct shared {
    const char *path;
    mpool_client *client;
    mpool_object *lock, *value;
};

static unsigned char *put_u32(unsigned char *at, unsigned char head, uint32_t n)
{
    *at++ = head;
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (unsigned char)(n >> shift);
    return at;
}

static uint32_t get_u32(const unsigned char *item)
{
    return (uint32_t)item[1] << 24 | (uint32_t)item[2] << 16 | (uint32_t)item[3] << 8 | item[4];
}

static int sound(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "shared: %s: %s\n", what, mpool_strerror(r));
        exit(1);
    }
    return r;
}

static mpool_object *opened(mpool_client *client, const char *kind, const char *name, uint64_t count)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *object;
    options.count = count;
    int r = mpool_object_open(client, &object, kind, name, &options);
    if (r < 0) {
        fprintf(stderr, "shared: open %s: %s\n", kind, mpool_error_text(client));
        exit(1);
    }
    return object;
}

static struct ask_answer run_lock(void *self, uint64_t count, uint64_t depth)
{
    struct shared *s = self;
    (void)depth;
    uint64_t start = ask_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        if (mpool_lock_acquire(s->lock, -1, NULL) != 0 || mpool_lock_release(s->lock) != 0)
            ask_fail("the lock", 0);
    }
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

static struct ask_answer run_value(void *self, uint64_t count, uint64_t depth)
{
    struct shared *s = self;
    int64_t before, after;
    (void)depth;
    sound(mpool_value_get_i64(s->value, &before), "value");
    uint64_t start = ask_now_ns();
    for (uint64_t i = 0; i < count; i++)
        if (mpool_value_add_i64(s->value, 1) != 0)
            ask_fail("the value", 0);
    uint64_t took = ask_now_ns() - start;
    sound(mpool_value_get_i64(s->value, &after), "value");
    if (after - before != (int64_t)count)
        ask_fail("a wrong sum", 0);
    return (struct ask_answer){.total_ns = took};
}

/* ---- several processes ---- */

/* Runs one(child, …) in `depth` processes that begin together. → nanoseconds from the first's begin to the last's end
 */
static uint64_t in_processes(
    const struct shared *s, uint64_t depth, void (*one)(mpool_client *client, void *arg), void *arg)
{
    int go[2];
    pid_t pids[PROCESSES_MAX];
    char byte = 0;
    if (depth == 0 || depth > PROCESSES_MAX)
        ask_fail("an impossible number of processes", 0);
    if (pipe(go) < 0)
        ask_fail("pipe", errno);
    int ready[2];
    if (pipe(ready) < 0)
        ask_fail("pipe", errno);
    for (uint64_t i = 0; i < depth; i++) {
        pids[i] = ask_fork();
        if (pids[i] > 0)
            continue;
        mpool_client *client;
        sound(mpool_connect(&client, s->path), "connect");
        close(go[1]);
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        if (read(go[0], &byte, 1) != 0) /* until the parent lets go of its end */
            _exit(1);
        one(client, arg);
        mpool_disconnect(client);
        _exit(0);
    }
    for (uint64_t i = 0; i < depth; i++)
        if (read(ready[0], &byte, 1) != 1)
            ask_fail("a process has failed", 0);
    uint64_t start = ask_now_ns();
    close(go[1]);
    for (uint64_t i = 0; i < depth; i++) {
        int status;
        if (waitpid(pids[i], &status, 0) < 0 || status != 0)
            ask_fail("a process has failed", 0);
    }
    uint64_t took = ask_now_ns() - start;
    close(go[0]);
    close(ready[0]);
    close(ready[1]);
    return took;
}

struct contest {
    const char *lock, *counter;
    uint64_t each;
};

static void contend(mpool_client *client, void *arg)
{
    const struct contest *c = arg;
    mpool_object *lock = opened(client, NULL, c->lock, 0), *counter = opened(client, NULL, c->counter, 0);
    for (uint64_t i = 0; i < c->each; i++) {
        int64_t n;
        if (mpool_lock_acquire(lock, -1, NULL) != 0 || mpool_value_get_i64(counter, &n) != 0 ||
            mpool_value_set_i64(counter, n + 1) != 0 || mpool_lock_release(lock) != 0)
            _exit(1);
    }
    mpool_object_close(lock);
    mpool_object_close(counter);
}

static struct ask_answer run_contended(void *self, uint64_t count, uint64_t depth)
{
    struct shared *s = self;
    int64_t n;
    struct contest contest = {mpool_object_handle(s->lock), mpool_object_handle(s->value), count / depth};
    sound(mpool_value_set_i64(s->value, 0), "value");
    uint64_t took = in_processes(s, depth, contend, &contest);
    sound(mpool_value_get_i64(s->value, &n), "value");
    if (n != (int64_t)(contest.each * depth))
        ask_fail("the lock has let two in", 0);
    return (struct ask_answer){.total_ns = took * count / (uint64_t)n};
}

/* Argument arrays [handle, first, count], in MessagePack by hand. */
struct wire {
    unsigned char bytes[RANGES_MAX * RANGE_BYTES + 5];
    size_t length;
};

static void put(struct wire *w, unsigned char head, uint64_t value, unsigned width)
{
    w->bytes[w->length++] = head;
    for (unsigned i = 0; i < width; i++)
        w->bytes[w->length++] = (unsigned char)(value >> (8 * (width - 1 - i)));
}

static void put_ranges(struct wire *w, const char *handle, uint64_t count, uint64_t each)
{
    size_t length = strlen(handle);
    if (length > HANDLE_MAX)
        ask_fail("a long handle", 0);
    put(w, 0xdd, (count + each - 1) / each, 4); /* array 32 */
    for (uint64_t first = 0; first < count; first += each) {
        put(w, 0x93, 0, 0);
        put(w, 0xd9, length, 1); /* str 8 */
        memcpy(w->bytes + w->length, handle, length);
        w->length += length;
        put(w, 0xcf, first, 8); /* uint 64 */
        put(w, 0xcf, each < count - first ? each : count - first, 8);
    }
}

struct sum {
    const char *array, *value;
    uint64_t count;
};

static void sum_up(mpool_client *client, void *arg)
{
    const struct sum *sum = arg;
    mpool_object *array = opened(client, NULL, sum->array, 0), *value = opened(client, NULL, sum->value, 0);
    uint64_t count;
    const int64_t *numbers = mpool_array_data(array, &count);
    int64_t total = 0;
    if (!numbers || count != sum->count)
        _exit(1);
    for (uint64_t i = 0; i < count; i++)
        total += numbers[i];
    if (mpool_value_set_i64(value, total) != 0)
        _exit(1);
    mpool_object_close(array);
    mpool_object_close(value);
}

static struct ask_answer run_array(void *self, uint64_t count, uint64_t depth)
{
    struct shared *s = self;
    int64_t total;
    (void)depth;
    uint64_t start = ask_now_ns();
    mpool_object *array = opened(s->client, "array", NULL, count);
    int64_t *numbers = mpool_array_data(array, NULL);
    if (!numbers)
        ask_fail("no array", 0);
    for (uint64_t i = 0; i < count; i++)
        numbers[i] = (int64_t)i;
    struct sum sum = {mpool_object_handle(array), mpool_object_handle(s->value), count};
    in_processes(s, 1, sum_up, &sum);
    mpool_object_close(array);
    uint64_t took = ask_now_ns() - start;
    sound(mpool_value_get_i64(s->value, &total), "value");
    if ((uint64_t)total != count * (count - 1) / 2)
        ask_fail("a wrong sum", 0);
    return (struct ask_answer){.total_ns = took};
}

/* ---- queues and pipes ---- */

#define AHEAD 512u

struct flow {
    uint64_t count, each; /* items in all; numbers in one call, or bytes of one item */
    void (*put)(mpool_object *queue, const struct flow *f);
    bool (*is)(const mpool_queue_item *item, uint64_t number, const struct flow *f);
    uint64_t bytes; /* that the queue is to hold; 0: the default */
    uint32_t ahead;
};

static void put_lists(mpool_object *queue, const struct flow *f)
{
    unsigned char *items = malloc(5 + f->each * 5);
    if (!items)
        ask_fail("items", ENOMEM);
    for (uint64_t done = 0; done < f->count;) {
        uint64_t n = f->each < f->count - done ? f->each : f->count - done;
        unsigned char *at = items;
        at = put_u32(at, 0xdd, (uint32_t)n); /* array 32 */
        for (uint64_t i = 0; i < n; i++)
            at = put_u32(at, 0xce, (uint32_t)(done + i)); /* uint 32 */
        uint32_t put;
        if (mpool_queue_put_all(queue, items, (size_t)(at - items), -1, &put) != 0 || put != n)
            ask_fail("the queue did not take all", 0);
        done += n;
    }
    free(items);
}

static void put_singly(mpool_object *queue, const struct flow *f)
{
    unsigned char item[5];
    for (uint64_t i = 0; i < f->count; i++) {
        put_u32(item, 0xce, (uint32_t)i);
        sound(mpool_queue_put(queue, -1, "r", item, sizeof item), "put");
    }
}

static bool is_number(const mpool_queue_item *item, uint64_t number, const struct flow *f)
{
    (void)f;
    return item->length == 5 && get_u32(item->data) == (uint32_t)number;
}

/* Items of many bytes, each with its number at both ends. */
static void put_large(mpool_object *queue, const struct flow *f)
{
    unsigned char *item = calloc(1, 5 + f->each);
    if (!item)
        ask_fail("item", ENOMEM);
    put_u32(item, 0xc6, (uint32_t)f->each); /* bin 32 */
    for (uint64_t i = 0; i < f->count; i++) {
        item[5] = item[4 + f->each] = (unsigned char)i;
        sound(mpool_queue_put(queue, -1, "r", item, (size_t)(5 + f->each)), "put");
    }
    free(item);
}

static bool is_large(const mpool_queue_item *item, uint64_t number, const struct flow *f)
{
    const unsigned char *bytes = item->data;
    return item->length == 5 + f->each && bytes[5] == (unsigned char)number &&
           bytes[4 + f->each] == (unsigned char)number;
}

/* The other process; it ends with its work done. */
static pid_t producer(const struct shared *s, const char *handle, const struct flow *f)
{
    pid_t pid = ask_fork();
    if (pid != 0)
        return pid;
    mpool_client *client;
    sound(mpool_connect(&client, s->path), "connect");
    mpool_object *queue = opened(client, NULL, handle, 0);
    sound(mpool_queue_set_ahead(queue, f->ahead), "ahead");
    f->put(queue, f);
    sound(mpool_queue_flush(queue, -1), "flush");
    mpool_object_close(queue);
    mpool_disconnect(client);
    _exit(0);
}

/* One process puts, this one gets up to `most` in a call, in order; and every item is looked at. */
static struct ask_answer hand_over(const struct shared *s, const char *kind, uint32_t max, const struct flow *f)
{
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_object *queue;
    options.bytes = f->bytes;
    sound(mpool_object_open(s->client, &queue, kind, NULL, &options), "open");
    sound(mpool_queue_set_ahead(queue, f->ahead), "ahead");
    uint64_t got = 0, start = ask_now_ns();
    pid_t pid = producer(s, mpool_object_handle(queue), f);
    while (got < f->count) {
        mpool_result *items;
        mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
        sound(mpool_queue_get(queue, max, -1, &items), "get");
        for (size_t at = 0; mpool_queue_next(queue, items, &at, &item) > 0; got++)
            if (!f->is(&item, got, f))
                ask_fail("a wrong item", 0);
        mpool_result_free(items);
    }
    int status;
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        ask_fail("the producer has failed", 0);
    uint64_t took = ask_now_ns() - start;
    mpool_object_close(queue);
    return (struct ask_answer){.total_ns = took};
}

/* As multiprocessing does it: its puts go through a thread, and its pipe holds what has not been taken yet. */
static struct ask_answer run_queue(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return hand_over(self, "queue", 1, &(struct flow){count, 1, put_singly, is_number, 0, AHEAD});
}

static struct ask_answer run_pipe(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return hand_over(self, "pipe", 1, &(struct flow){count, 1, put_singly, is_number, 0, AHEAD});
}

/* Each side waits for the answer of each call. */
static struct ask_answer run_steps(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return hand_over(self, "queue", 1, &(struct flow){count, 1, put_singly, is_number, 0, 0});
}

static struct ask_answer run_batch(void *self, uint64_t count, uint64_t depth)
{
    return hand_over(self, "queue", (uint32_t)depth, &(struct flow){count, depth, put_lists, is_number, 0, 0});
}

static struct ask_answer run_large(void *self, uint64_t count, uint64_t depth)
{
    return hand_over(self, "queue", 1, &(struct flow){count, depth, put_large, is_large, depth * 4, 0});
}

/* ---- a map over what lies in an array ---- */

static struct ask_answer run_ranges(void *self, uint64_t count, uint64_t depth)
{
    struct shared *s = self;
    static struct wire items;
    if (depth == 0 || (count + depth - 1) / depth > RANGES_MAX)
        ask_fail("an impossible number of ranges", 0);
    mpool_object *array = opened(s->client, "array", NULL, count);
    int64_t *numbers = mpool_array_data(array, NULL);
    if (!numbers)
        ask_fail("no array", 0);
    for (uint64_t i = 0; i < count; i++)
        numbers[i] = (int64_t)i;
    uint64_t start = ask_now_ns();
    items.length = 0;
    put_ranges(&items, mpool_object_handle(array), count, depth);
    mpool_map_options options = MPOOL_MAP_OPTIONS_INIT;
    options.star = true;
    int r = mpool_map_all(s->client, NULL, "range.square", items.bytes, items.length, &options);
    uint64_t took = ask_now_ns() - start;
    if (r < 0) {
        fprintf(stderr, "shared: ranges: %s\n", mpool_error_text(s->client));
        exit(1);
    }
    for (uint64_t i = 0; i < count; i++)
        if ((uint64_t)numbers[i] != i * i)
            ask_fail("a wrong square", 0);
    mpool_object_close(array);
    return (struct ask_answer){.total_ns = took};
}

int main(int argc, char **argv)
{
    static const struct ask_verb verbs[] = {{"lock", run_lock}, {"contended", run_contended}, {"value", run_value},
        {"array", run_array}, {"ranges", run_ranges}, {"queue", run_queue}, {"steps", run_steps}, {"batch", run_batch},
        {"pipe", run_pipe}, {"large", run_large}, {NULL, NULL}};
    struct shared s = {.path = argc == 2 ? argv[1] : NULL};
    if (!s.path) {
        fprintf(stderr, "usage: shared SOCKET\n");
        return 2;
    }
    sound(mpool_connect(&s.client, s.path), "connect");
    s.lock = opened(s.client, "lock", NULL, 0);
    s.value = opened(s.client, "value", NULL, 0);
    ask_serve(&s, verbs);
    mpool_object_close(s.lock);
    mpool_object_close(s.value);
    mpool_disconnect(s.client);
    return 0;
}
