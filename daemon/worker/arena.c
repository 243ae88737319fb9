#include "daemon/worker/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define ALIGN     16u
#define CHUNK_MIN (256u << 10) /* kept between tasks */
#define CHUNK_MAX (4u << 20)   /* larger pieces get a chunk of their own */

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used;
    alignas(ALIGN) unsigned char bytes[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (c)
        *c = (struct arena_chunk){.size = size};
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size == 0)
        size = 1;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;

    struct arena_chunk *c = a->head;
    if (c && size <= c->size - c->used) {
        c->used += size;
        return c->bytes + c->used - size;
    }
    size_t fresh = c && c->size < CHUNK_MAX ? c->size * 2 : c ? CHUNK_MAX : CHUNK_MIN;
    struct arena_chunk *n = chunk_new(size > fresh ? size : fresh);
    if (!n)
        return NULL;
    n->used = size;
    if (c && size > fresh) {
        /* Its own chunk, behind the head, in which there is still room for small pieces. */
        n->next = c->next;
        c->next = n;
    } else {
        n->next = c;
        a->head = n;
    }
    return n->bytes;
}

void arena_empty(struct arena *a)
{
    struct arena_chunk *kept = NULL;
    for (struct arena_chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        if (c->size == CHUNK_MIN && !kept)
            kept = c;
        else
            free(c);
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
    }
    a->head = kept;
}

void arena_deinit(struct arena *a)
{
    arena_reset(a);
    free(a->head);
    a->head = NULL;
}
