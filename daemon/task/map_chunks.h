/* Which items of a map go to the heart next, and in what chunks?
 *
 * A chunk is a run of items, sized by its function's measured time. A large item travels alone and in a memfd: where it
 * ends is looked for, and it is copied, a step in each pass, one such item of a map at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map;

/* Hands over what may go now: the rests of chunks, then new ones, and a step of what is large. It may fail the map. */
void map_hand_out(struct map *m);
/* → the offset behind so many items from an offset on. */
size_t map_skip_items(const struct map *m, size_t offset, uint32_t count);
/* Of a map whose chunks have ended. */
void map_chunks_free(struct map *m);
