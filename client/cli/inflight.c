/* What was item N? See inflight.h. */
#include "client/cli/inflight.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_FIRST = 256 };

void inflight_reset(struct inflight *inflight)
{
    for (size_t i = 0; i < inflight->size; i++)
        free(inflight->slots[i].text);
    free(inflight->slots);
    *inflight = (struct inflight){0};
}

/* Indices are consecutive. Scattering them (by the golden ratio) avoids long runs of full slots, which inflight_take()
 * would have to walk. */
static size_t home_of(const struct inflight *inflight, uint64_t index)
{
    return (size_t)((index * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (inflight->size - 1);
}

/* The slot with the index, or the free one for it. */
static size_t find(const struct inflight *inflight, uint64_t index)
{
    size_t at = home_of(inflight, index);
    while (inflight->slots[at].text && inflight->slots[at].index != index)
        at = (at + 1) & (inflight->size - 1);
    return at;
}

static int grow(struct inflight *inflight)
{
    struct inflight bigger = {.size = inflight->size ? inflight->size * 2 : SIZE_FIRST, .count = inflight->count};
    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < inflight->size; i++) {
        if (inflight->slots[i].text)
            bigger.slots[find(&bigger, inflight->slots[i].index)] = inflight->slots[i];
    }
    free(inflight->slots);
    *inflight = bigger;
    return 0;
}

int inflight_put(struct inflight *inflight, uint64_t index, const char *text, size_t length, const char *why)
{
    if (inflight->count * 2 >= inflight->size) {
        int r = grow(inflight);
        if (r < 0)
            return r;
    }
    size_t why_size = strlen(why) + 1;
    char *copy = malloc(length + 1 + why_size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, length);
    copy[length] = 0;
    memcpy(copy + length + 1, why, why_size);
    inflight->slots[find(inflight, index)] = (struct inflight_slot){copy, length, index};
    inflight->count++;
    return 0;
}

char *inflight_take(struct inflight *inflight, uint64_t index, size_t *ret_length, const char **ret_why)
{
    if (inflight->size == 0)
        return NULL;
    size_t hole = find(inflight, index);
    char *text = inflight->slots[hole].text;
    if (!text)
        return NULL;
    *ret_length = inflight->slots[hole].length;
    *ret_why = text + *ret_length + 1;
    inflight->slots[hole].text = NULL;
    inflight->count--;
    /* move back what had been pushed past the hole, or later searches would stop at it */
    for (size_t at = (hole + 1) & (inflight->size - 1); inflight->slots[at].text;
         at = (at + 1) & (inflight->size - 1)) {
        size_t home = home_of(inflight, inflight->slots[at].index);
        if (((at - home) & (inflight->size - 1)) >= ((at - hole) & (inflight->size - 1))) {
            inflight->slots[hole] = inflight->slots[at];
            inflight->slots[at].text = NULL;
            hole = at;
        }
    }
    return text;
}
