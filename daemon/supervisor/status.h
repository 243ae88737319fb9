/* What is known about a task, as the map that `status`, `wait` and `list` answer with. */
#pragma once

#include <msgpack.h>
#include <stdint.h>

#include "proto/states.h"

struct kept;
struct map;
struct task;

void status_pack_kept(msgpack_packer *pk, const struct kept *k);
void status_pack_call(msgpack_packer *pk, const struct task *t);
void status_pack_map(msgpack_packer *pk, const struct map *m);
/* The state now: a placed task that its worker has claimed is running. */
enum mpool_state status_of(const struct task *t);
/* Progress of a running task; 0, 0 when there is none. */
void status_progress(const struct task *t, uint64_t *ret_done, uint64_t *ret_total);
