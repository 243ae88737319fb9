/* A bench for channels: one whose items are numbers, some users, and those who wait. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "daemon/core/channel.h"

enum { PARTIES = 4, MOST = 4096 };

struct user {
    struct channel_client client;
    uint64_t tickets[MOST]; /* of what it holds, oldest first */
    uint32_t numbers[MOST];
    uint32_t holds;
};

struct waiting {
    struct channel_wait wait;
    struct user *user;
    uint32_t want, ended, got, number; /* of a get: how many it takes at most, how many it took, the last of them */
    enum channel_end end;
};

struct channel_bench {
    struct channel ch;
    struct core_timers timers;
    struct user users[PARTIES];
    bool leases;    /* items are taken with a ticket, whatever the options say */
    bool ascending; /* numbers were put in their order, and must be taken so */
    uint32_t last;
};
extern struct channel_bench b;

/* Takes the first item, and checks that it is whole. → its number. */
uint32_t take_one(struct user *u);
/* The channel's callback: a get takes what it wants. */
void ended(struct channel_wait *w, enum channel_end end);
/* A new channel; what options leave out has small values here. */
void start(struct channel_options o);
/* All clients go; nothing may be left. */
void finish(void);
/* An item of this number and length. → as channel_put() */
int put_sized(uint32_t number, size_t length);
/* … of four bytes, and settled. */
int put(uint32_t number);
/* take_one(), and settled. */
uint32_t take(struct user *u);
/* The at-th of what the user holds. → as channel_confirm() */
int confirm(struct user *u, uint32_t at);
/* … → as channel_give_back() */
int give_back(struct user *u, uint32_t at);
/* The user's client goes. */
void gone(struct user *u);
/* Waits to put count items from `first` on. → as channel_wait() */
int wait_put(struct waiting *w, struct user *u, uint32_t first, uint32_t count, uint64_t at_ns);
/* Waits to get up to count, or to join. → as channel_wait() */
int wait_for(struct waiting *w, struct user *u, enum channel_want want, uint32_t count, uint64_t at_ns);
