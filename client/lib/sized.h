/* How do structs cross between a program and a library of different ages?
 *
 * Every public struct begins with its size in the program. The library reads or writes no byte behind it: members that
 * an old program lacks have their defaults. A struct that is larger than the library's is taken if the bytes that the
 * library does not know are zero, as openat2(2) does. Pure.
 */
#pragma once

#include <stddef.h>

#include "client/lib/handle.h"

/* Overlays to's defaults with the caller's struct. from: NULL, or of the caller. size: of *to.
 * → 0; with the sentence in the handle (which may be NULL): -EINVAL: it was not initialised; -E2BIG: it has members
 * that this library does not know. */
int sized_read(mpool_client *client, void *to, size_t size, const void *from);

/* Fills the caller's struct, which must be initialised, and zeroes what the library does not know of it.
 * → 0; -EINVAL: it was not initialised. */
int sized_write(void *to, const void *from, size_t size);
