/* The answers of one map request: see map_request.h. */
#include "client/lib/map_request.h"

#include <errno.h>
#include <stdlib.h>

static bool has(const struct map_request *request, uint32_t i)
{
    return request->got[i / 64] >> (i % 64) & 1;
}

/* The bits of items i … end - 1 that are in one word. *ret_next: the first item after them. */
static uint64_t bits_of(uint32_t i, uint32_t end, uint32_t *ret_next)
{
    uint32_t here = 64 - i % 64 < end - i ? 64 - i % 64 : end - i;
    *ret_next = i + here;
    return UINT64_MAX >> (64 - here) << (i % 64);
}

static bool has_any(const struct map_request *request, uint32_t i, uint32_t end)
{
    uint32_t next;
    for (; i < end; i = next)
        if (request->got[i / 64] & bits_of(i, end, &next))
            return true;
    return false;
}

static void set_all(struct map_request *request, uint32_t i, uint32_t end)
{
    uint32_t next;
    for (; i < end; i = next)
        request->got[i / 64] |= bits_of(i, end, &next);
}

struct map_request *map_request_new(mpool_map *map, uint64_t first, uint32_t count, size_t bytes)
{
    struct map_request *request = calloc(1, sizeof(*request) + ((size_t)count + 63) / 64 * sizeof(uint64_t));
    if (request) {
        request->map = map;
        request->first = first;
        request->count = count;
        request->bytes = bytes;
    }
    return request;
}

int map_request_take(struct map_request *request, struct answers *answers, uint64_t first, struct wire_reader pairs)
{
    uint32_t count;
    if (wire_read_array(&pairs, &count) < 0 || first > request->count || count > request->count - first)
        return MPOOL_EPROTOCOL;
    if (count == 0)
        return 0;
    uint32_t end = (uint32_t)first + count;
    if (has_any(request, (uint32_t)first, end))
        return MPOOL_EPROTOCOL;
    const uint8_t *begin = pairs.at;
    for (uint32_t done = wire_skip_good_pairs(&pairs, count), two; done < count;
         done += 1 + wire_skip_good_pairs(&pairs, count - done - 1))
        if (wire_read_array(&pairs, &two) < 0 || two != 2 || wire_skip(&pairs) < 0 || wire_skip(&pairs) < 0)
            return MPOOL_EPROTOCOL;
    if (answers_add_pairs(answers, request->first + first, count, begin, (size_t)(pairs.at - begin)) < 0)
        return -ENOMEM;
    set_all(request, (uint32_t)first, end);
    request->covered += count;
    return (int)count;
}

int map_request_fail_rest(struct map_request *request, struct answers *answers, int code, const char *text)
{
    uint32_t i = 0;
    while (i < request->count) {
        if (has(request, i)) {
            i++;
            continue;
        }
        uint32_t begin = i;
        while (i < request->count && !has(request, i))
            i++;
        if (answers_add_failure(answers, request->first + begin, i - begin, code, text) < 0)
            return -ENOMEM;
        request->covered += i - begin;
    }
    return 0;
}
