/* Was this created by the current process, or by the one it was forked from?
 *
 * getpid() is a system call, which costs more than taking a lock. Reading a page that fork() wipes costs a load. The
 * page holds a number that differs between a process and its child: each object records the number when it is opened,
 * and is valid as long as the page still has it. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Holds the number, in a page that fork() wipes; NULL if the kernel does not support that (before Linux 4.14). */
extern _Atomic uint64_t *_Atomic fork_guard_page;

/* The number of this process, never 0. */
uint64_t fork_guard_number(void);

/* The slow path, for kernels without such a page. */
bool fork_guard_ask(uint64_t born);

static inline bool fork_guard_holds(uint64_t born)
{
    _Atomic uint64_t *page = atomic_load_explicit(&fork_guard_page, memory_order_relaxed);

    return page ? atomic_load_explicit(page, memory_order_relaxed) == born : fork_guard_ask(born);
}
