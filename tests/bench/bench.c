/* How fast is the pool through libmpoolclient? One side of the benchmark: see ask.h for how it is asked.
 *
 *     bench SOCKET
 *
 * Verbs: `round` no-ops one after the other; `flow` no-ops with DEPTH in flight, on one connection; `clients` the same
 * on DEPTH connections at once, 64 in flight on each; `map` squares of 0 … COUNT-1 in order, pulled and
 * given one by one; `map_all` the same as one list; `argument`, `result` a
 * binary of DEPTH bytes there or back; `memcpy` the same bytes copied; `killed` the worker is killed, and the time
 * until the next one has answered is taken (the pool must have one worker). Every answer is looked at.
 */
#include "ask.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <mpool/client.h>

#define EACH_IN_FLIGHT 64u /* on each connection of `clients` */
#define CLIENTS_MAX    1024u

struct bench {
    const char *path;
    mpool_client *c;
    unsigned char *bytes; /* of `argument` and `memcpy`: an argument array with one binary */
    size_t length;
    pid_t worker; /* of `killed`: who answered last */
};

static _Noreturn void lost(mpool_client *c, const char *what, int code)
{
    fprintf(stderr, "bench: %s: %s (%s)\n", what, mpool_strerror(code), c ? mpool_error_text(c) : "");
    exit(1);
}

static mpool_client *connected(const char *path)
{
    mpool_client *c;
    int r = mpool_connect(&c, path);
    if (r < 0)
        lost(NULL, "connect", r);
    return c;
}

static bool is_nil(const mpool_result *result)
{
    size_t length;
    const unsigned char *data = mpool_result_data(result, &length);
    return length == 1 && *data == 0xc0;
}

static void one_noop(void *self, uint64_t i)
{
    struct bench *b = self;
    mpool_result *result;
    (void)i;
    int r = mpool_call_raw(b->c, &result, "sys.noop", NULL, 0, NULL);
    if (r < 0)
        lost(b->c, "call", r);
    if (!is_nil(result))
        ask_fail("a wrong answer", 0);
    mpool_result_free(result);
}

static struct ask_answer run_round(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return ask_each(self, count, one_noop);
}

/* ---- many in flight ---- */

struct flow {
    mpool_client *c;
    uint64_t *left, *done; /* to be started, and answered, by all connections together */
};

static void answered(void *userdata, int code, const mpool_result *result, const char *text);

static bool start_one(struct flow *f)
{
    int r = mpool_call_start(f->c, NULL, "sys.noop", NULL, 0, NULL, answered, f);
    if (r == -EAGAIN)
        return false;
    if (r < 0)
        lost(f->c, "call_start", r);
    --*f->left;
    return true;
}

static void answered(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct flow *f = userdata;
    if (code < 0 || !is_nil(result))
        ask_fail(code < 0 ? text : "a wrong answer", 0);
    ++*f->done;
    if (*f->left > 0)
        start_one(f);
}

static struct ask_answer run_flow(void *self, uint64_t count, uint64_t depth)
{
    struct bench *b = self;
    uint64_t left = count, done = 0, start = ask_now_ns();
    struct flow f = {.c = b->c, .left = &left, .done = &done};
    while (done < count) {
        while (left > 0 && mpool_pending(b->c) < depth && start_one(&f))
            ;
        int r = mpool_run(b->c, -1);
        if (r < 0)
            lost(b->c, "run", r);
    }
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

static void step(struct flow *f)
{
    int r = mpool_dispatch(f->c);
    if (r < 0)
        lost(f->c, "dispatch", r);
    while (mpool_events(f->c) & POLLOUT) {
        struct pollfd fd = {.fd = mpool_fd(f->c), .events = POLLIN | POLLOUT};
        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            ask_fail("poll", errno);
        if ((r = mpool_dispatch(f->c)) < 0)
            lost(f->c, "dispatch", r);
    }
}

static struct ask_answer run_clients(void *self, uint64_t count, uint64_t depth)
{
    struct bench *b = self;
    static struct flow flows[CLIENTS_MAX];
    struct epoll_event events[64];
    uint64_t left = count, done = 0;
    int loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || depth == 0 || depth > CLIENTS_MAX)
        ask_fail("clients", loop < 0 ? errno : ERANGE);
    for (uint64_t i = 0; i < depth; i++) {
        flows[i] = (struct flow){.c = connected(b->path), .left = &left, .done = &done};
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &flows[i]};
        if (epoll_ctl(loop, EPOLL_CTL_ADD, mpool_fd(flows[i].c), &event) < 0)
            ask_fail("epoll_ctl", errno);
    }
    uint64_t start = ask_now_ns();
    for (uint64_t i = 0; i < depth; i++) {
        for (unsigned n = 0; n < EACH_IN_FLIGHT && left > 0; n++)
            start_one(&flows[i]);
        step(&flows[i]);
    }
    while (done < count) {
        int n = epoll_wait(loop, events, 64, -1);
        if (n < 0 && errno != EINTR)
            ask_fail("epoll_wait", errno);
        for (int i = 0; i < n; i++)
            step(events[i].data.ptr);
    }
    struct ask_answer answer = {.total_ns = ask_now_ns() - start};
    for (uint64_t i = 0; i < depth; i++)
        mpool_disconnect(flows[i].c);
    close(loop);
    return answer;
}

/* ---- map ---- */

#define INTEGER_BYTES 9u

static void put_integer(unsigned char *to, uint64_t n)
{
    uint64_t bytes = htobe64(n);
    to[0] = 0xd3; /* int 64 */
    memcpy(to + 1, &bytes, sizeof bytes);
}

struct source {
    uint64_t next, end;
    unsigned char item[INTEGER_BYTES];
};

static int pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct source *s = userdata;
    if (s->next == s->end)
        return 0;
    put_integer(s->item, s->next++);
    *ret_item = s->item;
    *ret_length = sizeof s->item;
    return 1;
}

/* The squares come as unsigned integers of any width. */
static uint64_t integer(const unsigned char *data, size_t length)
{
    uint64_t n = 0;
    if (length == 1)
        return data[0];
    memcpy((unsigned char *)&n + 9 - length, data + 1, length - 1);
    return be64toh(n);
}

static struct ask_answer run_map(void *self, uint64_t count, uint64_t depth)
{
    struct bench *b = self;
    struct source source = {.end = count};
    uint64_t start = ask_now_ns(), index = 0;
    mpool_map *m;
    mpool_item item = MPOOL_ITEM_INIT;
    (void)depth;
    int r = mpool_map_start(b->c, &m, "math.square", pull, &source, NULL);
    if (r < 0)
        lost(b->c, "map", r);
    while ((r = mpool_map_next(m, &item, -1)) > 0) {
        if (item.code < 0 || item.index != index || integer(item.data, item.length) != index * index)
            ask_fail(item.code < 0 ? item.text : "a wrong answer", 0);
        index++;
    }
    if (r < 0 || index != count)
        lost(b->c, "map", r);
    mpool_map_free(m);
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

/* The whole list in one request and the whole list back, packed and unpacked here as Pool.map pickles and unpickles. */
static struct ask_answer run_map_all(void *self, uint64_t count, uint64_t depth)
{
    struct bench *b = self;
    (void)depth;
    if (count == 0 || count > UINT32_MAX / 16)
        ask_fail("an impossible number of items", 0);
    uint64_t start = ask_now_ns();
    size_t length = 5 + (size_t)count * INTEGER_BYTES;
    unsigned char *items = malloc(length), *at = items + 5;
    if (!items)
        ask_fail("items", ENOMEM);
    items[0] = 0xdd; /* array 32 */
    for (int i = 0; i < 4; i++)
        items[1 + i] = (unsigned char)(count >> (24 - 8 * i));
    for (uint64_t i = 0; i < count; i++, at += INTEGER_BYTES)
        put_integer(at, i);
    mpool_result *results;
    int r = mpool_map_all(b->c, &results, "math.square", items, length, NULL);
    if (r < 0)
        lost(b->c, "map_all", r);
    free(items);
    const unsigned char *answers = mpool_result_data(results, &length), *end = answers + length;
    static const unsigned char heads[] = {0x90, 0xdc, 0xdd};
    size_t head = count < 16 ? 1 : count <= UINT16_MAX ? 3 : 5;
    if (length < head || answers[0] != (heads[head / 2] | (head == 1 ? count : 0)))
        ask_fail("the answer is no list of all", 0);
    at = (unsigned char *)answers + head;
    for (uint64_t i = 0; i < count; i++) {
        static const unsigned char widths[] = {1, 2, 4, 8};
        size_t width = at < end && *at >= 0xcc && *at <= 0xcf ? 1 + widths[*at - 0xcc] : 1;
        if (width > (size_t)(end - at) || integer(at, width) != i * i)
            ask_fail("a wrong answer", 0);
        at += width;
    }
    mpool_result_free(results);
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

/* ---- large ones ---- */

static void large_ready(struct bench *b, uint64_t size)
{
    if (b->length == size + 6)
        return;
    free(b->bytes);
    b->length = size + 6;
    b->bytes = malloc(b->length);
    if (!b->bytes)
        ask_fail("no memory", ENOMEM);
    memset(b->bytes, 'x', b->length);
    b->bytes[0] = 0x91;
    b->bytes[1] = 0xc6;
    for (int i = 0; i < 4; i++)
        b->bytes[2 + i] = (unsigned char)(size >> (24 - 8 * i));
}

static void one_argument(void *self, uint64_t i)
{
    struct bench *b = self;
    mpool_result *result;
    (void)i;
    int r = mpool_call_raw(b->c, &result, "sys.noop", b->bytes, b->length, NULL);
    if (r < 0)
        lost(b->c, "call", r);
    if (!is_nil(result))
        ask_fail("a wrong answer", 0);
    mpool_result_free(result);
}

static struct ask_answer run_argument(void *self, uint64_t count, uint64_t size)
{
    large_ready(self, size);
    return ask_each(self, count, one_argument);
}

static void one_result(void *self, uint64_t i)
{
    struct bench *b = self;
    mpool_result *result;
    const void *bytes;
    size_t length;
    (void)i;
    int r = mpool_call(b->c, &result, "sys.blob", "t", (uint64_t)b->length - 6);
    if (r < 0)
        lost(b->c, "call", r);
    if (mpool_result_bytes(result, &bytes, &length) < 0 || length != b->length - 6)
        ask_fail("a wrong answer", 0);
    mpool_result_free(result);
}

static struct ask_answer run_result(void *self, uint64_t count, uint64_t size)
{
    large_ready(self, size);
    return ask_each(self, count, one_result);
}

static void one_memcpy(void *self, uint64_t i)
{
    struct bench *b = self;
    static void *copy;
    static size_t room;
    if (room != b->length) {
        free(copy);
        copy = malloc(room = b->length);
        if (!copy)
            ask_fail("no memory", ENOMEM);
        memset(copy, 1, room);
    }
    b->bytes[6] = (unsigned char)i;
    memcpy(copy, b->bytes, b->length);
    if (((unsigned char *)copy)[6] != (unsigned char)i)
        ask_fail("a wrong answer", 0);
}

static struct ask_answer run_memcpy(void *self, uint64_t count, uint64_t size)
{
    large_ready(self, size);
    one_memcpy(self, 0);
    return ask_each(self, count, one_memcpy);
}

/* ---- a worker's death ---- */

static pid_t worker_pid(struct bench *b)
{
    mpool_result *result;
    int64_t pid;
    int r = mpool_call(b->c, &result, "sys.pid", NULL);
    if (r < 0)
        lost(b->c, "sys.pid", r);
    if (mpool_result_i64(result, &pid) < 0)
        ask_fail("a wrong answer", 0);
    mpool_result_free(result);
    return (pid_t)pid;
}

/* SIGKILL is pending before kill() returns: a worker that is asleep answers nothing more. */
static void one_killed(void *self, uint64_t i)
{
    struct bench *b = self;
    pid_t last = b->worker;
    (void)i;
    if (kill(last, SIGKILL) < 0)
        ask_fail("kill", errno);
    b->worker = worker_pid(b);
    if (b->worker == last)
        ask_fail("a dead worker has answered", 0);
}

static struct ask_answer run_killed(void *self, uint64_t count, uint64_t depth)
{
    struct bench *b = self;
    (void)depth;
    b->worker = worker_pid(b);
    return ask_each(b, count, one_killed);
}

int main(int argc, char **argv)
{
    static const struct ask_verb verbs[] = {{"round", run_round}, {"flow", run_flow}, {"clients", run_clients},
        {"map", run_map}, {"map_all", run_map_all}, {"argument", run_argument}, {"result", run_result},
        {"memcpy", run_memcpy}, {"killed", run_killed}, {0}};
    struct bench b = {.path = argc > 1 ? argv[1] : NULL};
    b.c = connected(b.path);
    ask_serve(&b, verbs);
    mpool_disconnect(b.c);
    free(b.bytes);
    return 0;
}
