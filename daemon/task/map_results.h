/* What has come of a map's items, and how is it told?
 *
 * Results are kept as runs of bytes until all are there, or go out one by one to who asked for a stream. The bytes come
 * from a worker: whatever is no row of whole values is refused, and the worker ended by who called.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map;
struct outcome;
struct task;

/* The results of `count` items from `first` on. bytes: elements without a header, from the heap; taken in any case.
 * → 0, -EBADMSG: they are not what was asked for; -ENOMEM. It may end the map: an item that failed ends it all where
 * the caller asked for no more than the first error. */
int map_take_results(struct map *m, uint32_t first, uint32_t count, uint8_t *bytes, size_t length);
/* The same of what came in a memfd (taken if it is needed), which is looked over later, a step in each pass.
 * generation: of the worker that is ended if it is nothing good. → 0; -EBADMSG; -ENOMEM */
int map_take_large(struct map *m, uint32_t first, uint32_t count, int *fd, uint64_t size, uint64_t generation);
/* A step of that. → there is more of it. */
bool map_look_over_large(struct map *m);
/* One item ends with an error of ours. */
void map_item_error(struct map *m, uint32_t item, struct outcome *o);
/* The results of a chunk without their array's header, out of data or out of the outcome's memfd. → on the heap, the
 * caller's; or NULL. */
uint8_t *map_copy_results(const struct outcome *o, const uint8_t *data, uint64_t size, size_t *ret_length);
/* Of *done results in copy: has the last one failed because its function was told to stop? Then it is cut off, as the
 * reason of the stop is what its caller is to hear. → whether so. */
bool map_last_item_obeyed(
    const struct map *m, const struct task *t, uint32_t *done, const uint8_t *copy, size_t *length);
/* All items have ended: the one answer. */
void map_answer(struct map *m);
/* Of a map that has ended: frees some of what it holds. → there is more. */
bool map_results_shed(struct map *m);
void map_results_free(struct map *m);
