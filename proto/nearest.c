/* Which known name was probably meant? wire_nearest of tables.h.
 *
 * Edit distance in which a swap of neighbours counts as one, as it is a typical typing error, and case is ignored. The
 * name is untrusted: names whose lengths differ by more than the maximum distance are not compared, and a comparison
 * ends as soon as the result cannot be near.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/tables.h"

/* Longer names are never near: nobody mistypes them by hand. */
#define MOST_LENGTH 64

static unsigned char folded(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* → the distance of a and b, or anything above `most` as soon as it is known to exceed that. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length, unsigned max)
{
    unsigned rows[3][MOST_LENGTH + 1];
    unsigned *above2 = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b_length; j++)
        above2[j] = above[j] = j;

    for (unsigned i = 1; i <= a_length; i++) {
        unsigned smallest = row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            bool same = folded(a[i - 1]) == folded(b[j - 1]);
            row[j] = min(above[j - 1] + !same, min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]))
                row[j] = min(row[j], above2[j - 2] + 1);
            smallest = min(smallest, row[j]);
        }
        /* A swap looks back two rows. */
        if (smallest > max + 1)
            return smallest;
        unsigned *free_row = above2;
        above2 = above;
        above = row;
        row = free_row;
    }
    return above[b_length];
}

const char *wire_nearest(const char *name, size_t length, const char *const *names, size_t count)
{
    if (length == 0 || length > MOST_LENGTH)
        return NULL;

    /* A third of the letters, at most three: `cal` is near to `call`, `xy` is near to nothing but two-letter names. */
    unsigned near = min(3, (unsigned)(length + 2) / 3);
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if (other > MOST_LENGTH || other > length + near || length > other + near)
            continue;
        unsigned far = distance(name, length, names[i], other, near);
        if (far <= near && far < other) {
            best = names[i];
            if (far == 0)
                break;
            near = far - 1; /* the first of equals wins */
        }
    }
    return best;
}

const char *wire_suggestion(const char *near, char out[WIRE_SUGGESTION_MAX])
{
    out[0] = 0;
    if (near)
        snprintf(out, WIRE_SUGGESTION_MAX, "; did you mean '%.*s'?", WIRE_SUGGESTION_MAX - 32, near);
    return out;
}
