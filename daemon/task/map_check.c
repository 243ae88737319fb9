#include "daemon/task/map_check.h"

#include <errno.h>
#include <sys/types.h>

#include "proto/reader.h"

#define PAIR_DEPTH 1u  /* levels around a result: [error, result] */
#define PAIR_COST  64u /* the overhead of checking one pair, in bytes */
#define HEAD_MAX   16u /* minimum step: the scan takes the head of a value whole or not at all */

void map_check_init(struct map_check *c, uint32_t count, bool pairs, uint32_t max_depth)
{
    c->pairs = pairs;
    c->count = count;
    c->done = c->failed = 0;
    c->max_depth = max_depth;
    c->at = 0;
    if (pairs)
        wire_scan_init(&c->scan);
    else
        wire_scan_init_inside(&c->scan, count);
}

static int row_step(struct map_check *c, const uint8_t *bytes, size_t length, size_t max)
{
    struct wire_limits limits = {.max_bytes = length, .max_depth = c->max_depth + 1};
    size_t left = length - (size_t)c->scan.at, upto = (size_t)c->scan.at + (left < max ? left : max);
    switch (wire_scan_feed(&c->scan, &limits, bytes, upto)) {
    case WIRE_SCAN_MORE: return upto < length ? 0 : -EBADMSG;
    case WIRE_SCAN_WHOLE: return c->scan.at == length ? 1 : -EBADMSG;
    case WIRE_SCAN_BAD_BYTE:
    case WIRE_SCAN_TOO_BIG:
    case WIRE_SCAN_TOO_DEEP: break;
    }
    return -EBADMSG;
}

int map_check_pair(const uint8_t *pair, size_t length, bool *ret_failed)
{
    struct wire_reader r = wire_reader(pair, length);
    uint32_t two;
    if (wire_read_array(&r, &two) < 0 || two != 2)
        return -EBADMSG;
    *ret_failed = wire_peek(&r) != WIRE_TYPE_NIL;
    return 0;
}

/* Checks one pair, or a part of it. → bytes passed; -EBADMSG */
static ssize_t one_pair(struct map_check *c, const uint8_t *bytes, size_t length, size_t max)
{
    struct wire_limits limits = {.max_bytes = length - c->at, .max_depth = c->max_depth + PAIR_DEPTH};
    size_t before = (size_t)c->scan.at, left = length - c->at - before;
    size_t upto = before + (left < max ? left : max);
    enum wire_scan_result verdict = wire_scan_feed(&c->scan, &limits, bytes + c->at, upto);
    size_t passed = (size_t)c->scan.at - before;
    bool failed;
    if (verdict == WIRE_SCAN_MORE && upto < length - c->at)
        return (ssize_t)passed;
    if (verdict != WIRE_SCAN_WHOLE || map_check_pair(bytes + c->at, (size_t)c->scan.at, &failed) < 0)
        return -EBADMSG;
    c->failed += failed;
    c->done++;
    c->at += (size_t)c->scan.at;
    wire_scan_init(&c->scan);
    return (ssize_t)passed;
}

static int pairs_step(struct map_check *c, const uint8_t *bytes, size_t length, size_t max)
{
    while (c->done < c->count) {
        if (c->scan.at == 0) { /* not in the middle of one: most are short and valid */
            size_t left = length - c->at;
            struct wire_reader r = wire_reader(bytes + c->at, left < max ? left : max);
            c->done += wire_skip_good_pairs(&r, c->count - c->done);
            size_t passed = (size_t)(r.at - (bytes + c->at));
            c->at += passed;
            max -= passed;
            if (c->done == c->count)
                break;
        }
        ssize_t passed = one_pair(c, bytes, length, max > HEAD_MAX ? max : HEAD_MAX);
        if (passed < 0)
            return (int)passed;
        size_t cost = (size_t)passed + PAIR_COST;
        if (cost >= max)
            return c->done < c->count ? 0 : c->at == length ? 1 : -EBADMSG;
        max -= cost;
    }
    return c->at == length ? 1 : -EBADMSG;
}

int map_check_step(struct map_check *c, const uint8_t *bytes, size_t length, size_t max)
{
    if (max < HEAD_MAX)
        max = HEAD_MAX;
    return c->pairs ? pairs_step(c, bytes, length, max) : row_step(c, bytes, length, max);
}
