/* Which items of a map are submitted next, and in what chunks?
 *
 * A chunk is a run of items, sized by its function's measured time. A large item is sent alone in a memfd: its end is
 * searched for, and it is copied, one step per pass, one such item of a map at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map;

/* Submits what may run now: the rests of chunks, then new ones, and one step of preparing a large item. It may fail the
 * map. */
void map_hand_out(struct map *m);
/* → the offset after this many items from an offset on. */
size_t map_skip_items(const struct map *m, size_t offset, uint32_t count);
/* For a map whose chunks have ended. */
void map_chunks_free(struct map *m);
