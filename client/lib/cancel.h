/* Where may a thread be cancelled (pthread_cancel) inside the library?
 *
 * Only while it waits: in the poll and in the blocking read of io.c, and once a second in the sleeps of shared objects
 * (proto/sync/sync_private.h). Nothing is half done at those points: the cleanup attributes of the calling frames free
 * or return what they hold, for which proto/ and this directory are compiled with -fexceptions. Everything else that is
 * a cancellation point to the C library (sendmsg, close …), and every callback, runs under NOT_CANCELLED. That changes
 * one word of the thread and costs no system call.
 */
#pragma once

#include <pthread.h>

#include "proto/buf.h"

static inline int cancel_hold(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void cancel_restore(const int *before)
{
    int disabled;
    pthread_setcancelstate(*before, &disabled);
}

/* Disables cancellation of the thread until the end of the block. */
#define NOT_CANCELLED __attribute__((cleanup(cancel_restore), unused)) int cancel_before = cancel_hold()

/* AddressSanitizer clears its marks for an unwound frame only if a cleanup runs in that frame or below it, so each
 * cancellation point needs one. */
#if defined(__SANITIZE_ADDRESS__)
static inline void cancel_mark(const char *mark)
{
    __asm__ volatile("" : : "r"(mark));
}
#define LEFT_WHEN_CANCELLED __attribute__((cleanup(cancel_mark))) char cancelled_here = 0
#else
#define LEFT_WHEN_CANCELLED ((void)0)
#endif

/* A buffer that is freed on every way out of its block. */
#define OWN_BUF __attribute__((cleanup(wire_buf_reset))) struct wire_buf
