/* A task's status, as the map with which `status`, `wait` and `list` answer. */
#pragma once

#include <msgpack.h>
#include <stdint.h>

#include "proto/states.h"

struct job;
struct map;
struct task;

void status_pack_job(msgpack_packer *pk, const struct job *job);
void status_pack_call(msgpack_packer *pk, const struct task *t);
void status_pack_map(msgpack_packer *pk, const struct map *m);
/* The current state, which is shown and by which `list` filters: a placed task that its worker has claimed is running,
 * and so is a map with such a chunk, or with an answer. */
enum mpool_state status_of(const struct task *t);
enum mpool_state status_of_job(const struct job *job);
enum mpool_state status_of_map(const struct map *m);
/* Progress of a running task; 0, 0 when there is none. */
void status_progress(const struct task *t, uint64_t *ret_done, uint64_t *ret_total);
