/* What the fuzz targets share. Each target is one file with LLVMFuzzerTestOneInput; libFuzzer drives it, or replay.c
 * does with the committed corpus. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() that no build can switch off. */
#define FUZZ_ASSERT(holds)                                                                                             \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A copy of exactly that size: the address sanitizer sees the first byte read behind it. To be freed. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    FUZZ_ASSERT(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}
