/* What was item N? See kept.h. */
#include "client/cli/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_FIRST = 256 };

void kept_reset(struct kept *kept)
{
    for (size_t i = 0; i < kept->size; i++)
        free(kept->slots[i].text);
    free(kept->slots);
    *kept = (struct kept){0};
}

/* Indices are consecutive. Scattering them (by the golden ratio) avoids long runs of full slots, which kept_take()
 * would have to walk. */
static size_t home_of(const struct kept *kept, uint64_t index)
{
    return (size_t)((index * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (kept->size - 1);
}

/* The slot with the index, or the free one for it. */
static size_t find(const struct kept *kept, uint64_t index)
{
    size_t at = home_of(kept, index);
    while (kept->slots[at].text && kept->slots[at].index != index)
        at = (at + 1) & (kept->size - 1);
    return at;
}

static int grow(struct kept *kept)
{
    struct kept bigger = {.size = kept->size ? kept->size * 2 : SIZE_FIRST, .count = kept->count};
    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < kept->size; i++) {
        if (kept->slots[i].text)
            bigger.slots[find(&bigger, kept->slots[i].index)] = kept->slots[i];
    }
    free(kept->slots);
    *kept = bigger;
    return 0;
}

int kept_put(struct kept *kept, uint64_t index, const char *text, size_t length, const char *why)
{
    if (kept->count * 2 >= kept->size) {
        int r = grow(kept);
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
    kept->slots[find(kept, index)] = (struct kept_slot){copy, length, index};
    kept->count++;
    return 0;
}

char *kept_take(struct kept *kept, uint64_t index, size_t *ret_length, const char **ret_why)
{
    if (kept->size == 0)
        return NULL;
    size_t hole = find(kept, index);
    char *text = kept->slots[hole].text;
    if (!text)
        return NULL;
    *ret_length = kept->slots[hole].length;
    *ret_why = text + *ret_length + 1;
    kept->slots[hole].text = NULL;
    kept->count--;
    /* move back what had been pushed past the hole, or later searches would stop at it */
    for (size_t at = (hole + 1) & (kept->size - 1); kept->slots[at].text; at = (at + 1) & (kept->size - 1)) {
        size_t home = home_of(kept, kept->slots[at].index);
        if (((at - home) & (kept->size - 1)) >= ((at - hole) & (kept->size - 1))) {
            kept->slots[hole] = kept->slots[at];
            kept->slots[at].text = NULL;
            hole = at;
        }
    }
    return text;
}
