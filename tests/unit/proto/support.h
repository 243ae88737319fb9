/* What the tests of proto share: cmocka with its own includes, random bytes and random values, exact-size copies. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <msgpack.h>

#include "proto/buf.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The seed of this run: MPOOL_SEED from the environment or a fixed one; named in every failure of a property. */
uint64_t test_seed(void);

/* xorshift64*: the next number of a non-zero state. */
uint64_t random_next(uint64_t *state);

/* 0 … below - 1 */
uint64_t random_below(uint64_t *state, uint64_t below);

/* Packs one random value of every type that MessagePack has, nested at most `depth` deep. */
void random_value(msgpack_packer *pk, uint64_t *state, unsigned depth);

/* Appends rows of values of the same shape, each of random length, pairs [nil, value] among them, up to about `bytes`.
 * → how many values. */
uint32_t random_row(struct wire_buf *to, uint64_t *state, size_t bytes);

/* A malloc'ed copy of exactly that size, so that the address sanitizer sees a read past its end. Never NULL. */
uint8_t *exact_copy(const void *bytes, size_t length);
