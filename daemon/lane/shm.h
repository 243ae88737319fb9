/* How is the shared memory of lanes and sleep word made, sealed and mapped? Knows sizes, not meanings.
 *
 * Errors are -errno; nothing is left behind by a failed call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A memfd of exactly `size` bytes, all of them allocated: a shortage of memory is an error here (-ENOSPC, -ENOMEM,
 * -EMFILE) and never a SIGBUS later. *ret_fd: owned by the caller, close-on-exec, not executable where the kernel
 * supports that. name: shown in /proc only. */
int shm_create(int *ret_fd, const char *name, size_t size);

/* Forbids further changes of size and of seals; with future_write also new writable mappings and write(2): what is
 * mapped for writing by then remains the only way in. */
int shm_seal(int fd, bool future_write);

/* A mapped lane memory: ring twice in a row, then the head. */
struct shm_map {
    uint8_t *ring;
    void *head;
    size_t length; /* of everything, for shm_unmap */
};

/* Maps a file of LANE_AREA_BYTES and head_size bytes. writable: else read-only. → 0; -EINVAL: the file has another
 * size; -ENOMEM, -EPERM (sealed). fd stays the caller's. */
int shm_map_lane(struct shm_map *ret, int fd, size_t head_size, bool writable);
void shm_unmap(struct shm_map *map);

/* Maps a file of exactly `size` bytes, without a ring. Errors as above. Unmapped with munmap(). */
int shm_map_plain(void **ret, int fd, size_t size, bool writable);
