/* The number that tells a process from its forked child: see fork_guard.h. */
#include "client/lib/fork_guard.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

_Atomic uint64_t *_Atomic fork_guard_page;

/* In memory that fork() copies: the child's next number is not one of its parent's. */
static _Atomic uint64_t last;

static _Atomic uint64_t *make_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    _Atomic uint64_t *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    _Atomic uint64_t *none = NULL;

    if (page == MAP_FAILED)
        return NULL;
    if (madvise((void *)page, size, MADV_WIPEONFORK) < 0) {
        munmap((void *)page, size);
        return NULL;
    }
    /* Two threads may race here; only one page is kept. Release order: readers must see the page already set up for
     * wiping. */
    if (!atomic_compare_exchange_strong(&fork_guard_page, &none, page)) {
        munmap((void *)page, size);
        return none;
    }
    return page;
}

bool fork_guard_ask(uint64_t born)
{
    return (uint64_t)getpid() == born;
}

uint64_t fork_guard_number(void)
{
    _Atomic uint64_t *page = atomic_load(&fork_guard_page);
    uint64_t number = 0;

    if (!page)
        page = make_page();
    if (!page)
        return (uint64_t)getpid();
    if (atomic_load(page) == 0)
        atomic_compare_exchange_strong(page, &number, atomic_fetch_add(&last, 1) + 1);
    return atomic_load(page);
}
