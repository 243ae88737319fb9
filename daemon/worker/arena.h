/* Memory that a function borrows and never gives back: all of it is freed when the task has ended.
 *
 * Pieces are cut from chunks; the first chunk is kept for the next task, larger ones are freed. One thread.
 */
#pragma once

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head; /* the chunk that pieces are cut from; then the others */
};

/* → `size` bytes (0 counts as 1), aligned to 16, or NULL. */
void *arena_alloc(struct arena *a, size_t size);
/* Frees everything: the task has ended. */
void arena_empty(struct arena *a); /* its rarer half: use arena_reset() */
static inline void arena_reset(struct arena *a)
{
    if (a->head)
        arena_empty(a);
}
void arena_deinit(struct arena *a);
