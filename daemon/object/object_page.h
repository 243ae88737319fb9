/* The objects that are pages: values, arrays, locks and what is made of locks.
 *
 * One memfd each, sealed against growing and shrinking; a client that opens the object gets its descriptor and maps it.
 * The daemon maps only the sync area (4096 bytes, however large the memfd is) and trusts nothing that it reads there:
 * sizes, kinds and capacities are in struct object. */
#pragma once

#include "daemon/object/objects.h"

extern const struct object_ops object_page_ops;

/* A descriptor for the use, the caller's. A read-only one cannot be reopened for writing unless the process owns the
 * memfd. → it; -1 with *why. */
int object_page_descriptor(const struct object_use *use, struct object_refusal *why);

/* Removes from the page the numbers of clients that do not have it open. */
void object_page_sweep(struct object *o);
