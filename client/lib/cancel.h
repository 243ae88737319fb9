/* Where may a thread be cancelled (pthread_cancel) inside the library?
 *
 * Only while it waits: in the poll and in the blocking read of io.c, and once a second in the sleeps of shared objects
 * (proto/sync/sync_private.h). There nothing is half done: what the frames above hold is freed or given back by their
 * cleanup attributes, for which proto/ and this directory are compiled with -fexceptions. Everything else that is a
 * cancellation point to the C library (sendmsg, close …), and every callback, runs under NOT_CANCELLED. That changes a
 * word of the thread's and is no system call.
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

/* From here to the end of the block the thread is not cancelled. */
#define NOT_CANCELLED __attribute__((cleanup(cancel_restore), unused)) int cancel_before = cancel_hold()

/* The address sanitizer clears its marks of a frame that is left by unwinding where a cleanup runs in that frame, or
 * below it: so one has to be where a thread is cancelled. */
#if defined(__SANITIZE_ADDRESS__)
static inline void cancel_mark(const char *mark)
{
    __asm__ volatile("" : : "r"(mark));
}
#define LEFT_WHEN_CANCELLED __attribute__((cleanup(cancel_mark))) char cancelled_here = 0
#else
#define LEFT_WHEN_CANCELLED ((void)0)
#endif

/* A buffer that is freed however its block is left. */
#define OWN_BUF __attribute__((cleanup(wire_buf_reset))) struct wire_buf
