/* What do all tests of shared pages need? Pages without a daemon, parties of them, threads that wait. Fails through
 * cmocka. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/sync/sync.h"

#define TEST_NET_NS 60000000000 /* what never lasts so long, and is a failure if it does */

/* Shared with children, between pages that nobody may touch. */
struct page {
    struct sync_area *area;
    enum mpool_kind kind;
    uint32_t capacity;
};

/* capacity, tokens: 0, 0 for what has none. */
struct page page_new(enum mpool_kind kind, uint32_t capacity, uint32_t tokens);
void page_free(struct page *page);

struct sync_user page_user(const struct page *page, uint32_t client);
/* As the daemon does. */
unsigned page_gone(const struct page *page, uint32_t client);

/* Until *word is not `value`; fails the test after TEST_NET_NS. */
void until_not(_Atomic uint32_t *word, uint32_t value);
void until_not_64(_Atomic uint64_t *word, uint64_t value);

/* One thread that runs one operation and keeps what it returned. */
struct waiter {
    struct sync_user user;
    int (*run)(struct sync_user *user);
    unsigned long thread;
    int result;
};
void waiter_start(struct waiter *waiter, const struct page *page, uint32_t client, int (*run)(struct sync_user *user));
int waiter_join(struct waiter *waiter);

/* A small generator with its state in the caller's hand: the same seed, the same run. */
uint32_t random_next(uint64_t *state);

int64_t now_ns(void);
