/* Where are the results of a map's items kept, and how are they sent?
 *
 * Results are kept as runs of bytes until all are there, or sent one by one if the caller asked for a stream. The bytes
 * come from a worker: anything but a sequence of whole values is refused, and the caller of these functions ends that
 * worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map;
struct outcome;
struct task;

/* The results of `count` items from `first` on. bytes: elements without a header, from the heap; taken in any case. →
 * 0, -EBADMSG: they are malformed; -ENOMEM. It may end the map: unless the caller asked for the result of each item,
 * the first failed one cancels the rest. */
int map_take_results(struct map *m, uint32_t first, uint32_t count, uint8_t *bytes, size_t length);
/* The same for results in a memfd (taken if needed), which is validated later, one step per pass. generation: of the
 * worker to end if they are malformed. → 0; -EBADMSG; -ENOMEM */
int map_take_large(struct map *m, uint32_t first, uint32_t count, int *fd, uint64_t size, uint64_t generation);
/* One step of that. → there is more to do. */
bool map_look_over_large(struct map *m);
/* One item ends with an error of ours. */
void map_item_error(struct map *m, uint32_t item, struct outcome *o);
/* The results of a chunk without the array's header, from data or from the outcome's memfd. → 0 with *ret on the heap,
 * the caller's; -EBADMSG: there are fewer bytes than that; -ENOMEM, or another -errno of reading the memfd. */
int map_copy_results(const struct outcome *o, const uint8_t *data, uint64_t size, uint8_t **ret, size_t *ret_length);
/* Of *done results in copy: has the last one failed because its function was told to stop? Then it is cut off, as its
 * caller must get the reason of the stop instead. → whether it was. */
bool map_last_item_obeyed(
    const struct map *m, const struct task *t, uint32_t *done, const uint8_t *copy, size_t *length);
/* All items have ended: sends the one answer. */
void map_answer(struct map *m);
/* For a map that has ended: frees some of what it holds. → there is more. */
bool map_results_shed(struct map *m);
void map_results_free(struct map *m);
