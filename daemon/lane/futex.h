/* How does a process sleep until another changes a word, and how is it woken?
 *
 * Shared futexes (never FUTEX_PRIVATE_FLAG): the two ends are two processes, and the kernel finds the sleeper by inode
 * and offset. No policy here; errors come back as -errno.
 */
#pragma once

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/futex.h"

/* deadline: CLOCK_MONOTONIC, absolute; NULL: wait forever. → 0 woken (perhaps spuriously); -EAGAIN the word is not
 * `expected`; -ETIMEDOUT; -EINTR. */
static inline int futex_wait(_Atomic uint32_t *word, uint32_t expected, const struct futex_time *deadline)
{
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline, NULL, FUTEX_BITSET_MATCH_ANY);

    return r < 0 ? -errno : 0;
}

/* Wakes one sleeper. It cannot fail for a word in a live mapping, and it is not an error if nobody sleeps. Keeps errno.
 */
static inline void futex_wake(_Atomic uint32_t *word)
{
    int saved = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    errno = saved;
}

/* The time timeout_ms (≥ 0) from now. */
static inline struct futex_time futex_deadline(int timeout_ms)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    long ns = now.tv_nsec + (long)(timeout_ms % 1000) * 1000000;
    return (struct futex_time){
        .s = (long)now.tv_sec + timeout_ms / 1000 + ns / 1000000000,
        .ns = ns % 1000000000,
    };
}
