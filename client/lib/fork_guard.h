/* Was this made by the process that runs now, or by the one that it was forked from?
 *
 * Asking the kernel for the pid costs a system call, more than a whole take of a lock. A page that fork() wipes tells
 * the same by a load. It holds a number that differs between a process and its child: whoever opens an object notes the
 * number, and the object is good as long as the page still has it. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the number is: in a page that fork() wipes, or NULL where the kernel has none (before Linux 4.14). */
extern _Atomic uint64_t *_Atomic fork_guard_page;

/* The number of this process, never 0. */
uint64_t fork_guard_number(void);

/* Where there is no page. */
bool fork_guard_ask(uint64_t born);

static inline bool fork_guard_holds(uint64_t born)
{
    _Atomic uint64_t *page = atomic_load_explicit(&fork_guard_page, memory_order_relaxed);

    return page ? atomic_load_explicit(page, memory_order_relaxed) == born : fork_guard_ask(born);
}
