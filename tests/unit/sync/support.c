/* See support.h. */
#include "tests/unit/sync/support.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

struct page page_new(enum mpool_kind kind, uint32_t capacity, uint32_t tokens)
{
    struct sync_setup setup = {.capacity = capacity, .tokens = tokens};
    uint8_t *at = mmap(NULL, 3 * SYNC_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    assert_int_equal(mprotect(at + SYNC_BYTES, SYNC_BYTES, PROT_READ | PROT_WRITE), 0);
    struct page page = {.area = (void *)(at + SYNC_BYTES), .kind = kind, .capacity = capacity};
    assert_int_equal(sync_page_init(page.area, kind, &setup), 0);
    assert_int_equal(sync_page_check(page.area, kind), 0);
    return page;
}

void page_free(struct page *page)
{
    munmap((uint8_t *)page->area - SYNC_BYTES, 3 * SYNC_BYTES);
    page->area = NULL;
}

struct sync_user page_user(const struct page *page, uint32_t client)
{
    return (struct sync_user){
        .area = page->area,
        .client = client,
        .capacity = page->capacity ? page->capacity : 1,
        .bounded = page->kind == MPOOL_KIND_BOUNDED_SEMAPHORE,
    };
}

unsigned page_gone(const struct page *page, uint32_t client)
{
    return sync_client_gone(page->area, page->kind, page->capacity, client);
}

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void until_not(_Atomic uint32_t *word, uint32_t value)
{
    int64_t end = now_ns() + TEST_NET_NS;

    while (atomic_load(word) == value) {
        assert_true(now_ns() < end);
        sched_yield();
    }
}

void until_not_64(_Atomic uint64_t *word, uint64_t value)
{
    int64_t end = now_ns() + TEST_NET_NS;

    while (atomic_load(word) == value) {
        assert_true(now_ns() < end);
        sched_yield();
    }
}

static void *waiter_main(void *argument)
{
    struct waiter *waiter = argument;

    waiter->result = waiter->run(&waiter->user);
    return NULL;
}

void waiter_start(struct waiter *waiter, const struct page *page, uint32_t client, int (*run)(struct sync_user *user))
{
    *waiter = (struct waiter){.user = page_user(page, client), .run = run};
    assert_int_equal(pthread_create(&waiter->thread, NULL, waiter_main, waiter), 0);
}

int waiter_join(struct waiter *waiter)
{
    assert_int_equal(pthread_join(waiter->thread, NULL), 0);
    return waiter->result;
}

uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}
