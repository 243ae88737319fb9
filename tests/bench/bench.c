/* How fast is the pool through libmpoolclient? Measures what it is asked for on stdin, a line at a time.
 *
 * Lines: `round N` N calls one after the other; `pipe N` N calls at once; `map N` N items. Each is answered by one
 * line: nanoseconds in all, and for `round` also the median and the 99th percentile. Ends with a message at the first
 * failure: a wrong result counts as one. run.py asks this program and its peer in turns.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mpool/client.h>

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static _Noreturn void fail(mpool_client *c, const char *what, int code)
{
    fprintf(stderr, "bench: %s: %s (%s)\n", what, mpool_strerror(code), c ? mpool_error_text(c) : "");
    exit(1);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void round_trips(mpool_client *c, uint64_t count)
{
    uint64_t *took = calloc(count, sizeof *took);
    if (!took)
        fail(NULL, "calloc", -ENOMEM);
    uint64_t start = now_ns(), last = start;
    for (uint64_t i = 0; i < count; i++) {
        mpool_result *result;
        int64_t n;
        int r = mpool_call(c, &result, "math.square", "i", (int64_t)(i & 0xffff));
        if (r < 0)
            fail(c, "call", r);
        if (mpool_result_i64(result, &n) < 0 || n != (int64_t)((i & 0xffff) * (i & 0xffff)))
            fail(NULL, "a wrong result", -EBADMSG);
        mpool_result_free(result);
        uint64_t now = now_ns();
        took[i] = now - last;
        last = now;
    }
    qsort(took, count, sizeof *took, compare);
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", last - start, took[count / 2], took[count - 1 - count / 100]);
    free(took);
}

struct pipe {
    uint64_t done;
    int failed;
};

static void answered(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct pipe *p = userdata;
    int64_t n;
    p->done++;
    if (code < 0 || mpool_result_i64(result, &n) < 0) {
        p->failed = code < 0 ? code : -EBADMSG;
        fprintf(stderr, "bench: %s\n", text);
    }
}

static void pipelined(mpool_client *c, uint64_t count)
{
    struct pipe p = {0};
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        int r;
        while ((r = mpool_apply_async(c, NULL, answered, &p, "math.square", "i", (int64_t)(i & 0xffff))) == -EAGAIN) {
            r = mpool_process(c);
            if (r < 0)
                fail(c, "process", r);
        }
        if (r < 0)
            fail(c, "apply_async", r);
        if (i % 64 == 63 && (r = mpool_process(c)) < 0)
            fail(c, "process", r);
    }
    int r = mpool_run(c, -1);
    if (r < 0 || p.failed || p.done != count)
        fail(c, "run", r < 0 ? r : p.failed);
    printf("%" PRIu64 "\n", now_ns() - start);
}

struct source {
    uint64_t next, end;
    unsigned char item[9];
};

/* The numbers 0 … end-1 as MessagePack. */
static int pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct source *s = userdata;
    if (s->next == s->end)
        return 0;
    uint64_t n = s->next++;
    s->item[0] = 0xce;
    for (int i = 0; i < 4; i++)
        s->item[1 + i] = (unsigned char)(n >> (24 - 8 * i));
    *ret_item = s->item;
    *ret_length = 5;
    return 1;
}

static void map(mpool_client *c, uint64_t count)
{
    struct source source = {.end = count};
    uint64_t start = now_ns(), index = 0;
    mpool_map *m;
    int r = mpool_map_start(c, &m, "math.square", pull, &source, NULL);
    if (r < 0)
        fail(c, "map", r);
    mpool_item item;
    while ((r = mpool_map_next(m, &item, -1)) > 0) {
        if (item.code < 0 || item.index != index++)
            fail(NULL, "map item", item.code);
    }
    if (r < 0 || index != count)
        fail(c, "map", r);
    mpool_map_free(m);
    printf("%" PRIu64 "\n", now_ns() - start);
}

int main(int argc, char **argv)
{
    mpool_client *c;
    int r = mpool_connect(&c, argc > 1 ? argv[1] : NULL);
    if (r < 0)
        fail(NULL, "connect", r);
    char verb[16];
    uint64_t count;
    while (scanf("%15s %" SCNu64, verb, &count) == 2) {
        if (count == 0)
            fail(NULL, "count", -EINVAL);
        if (strcmp(verb, "round") == 0)
            round_trips(c, count);
        else if (strcmp(verb, "pipe") == 0)
            pipelined(c, count);
        else if (strcmp(verb, "map") == 0)
            map(c, count);
        else
            fail(NULL, verb, -EINVAL);
        fflush(stdout);
    }
    mpool_disconnect(c);
    return 0;
}
