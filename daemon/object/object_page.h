/* The objects that are pages: values, arrays, locks and what is made of locks.
 *
 * One memfd each, sealed against growing and shrinking; whoever opens the object gets its descriptor and maps it. The
 * daemon maps the sync area alone (4096 bytes of however many) and believes nothing that it reads there: sizes, kinds
 * and capacities are in struct object.
 */
#pragma once

#include "daemon/object/objects.h"

extern const struct object_ops object_page_ops;

/* A descriptor for the use, the caller's: of a read-only one, no other can be made of it by whoever does not own the
 * memfd. → it; -1 with *why. */
int object_page_descriptor(const struct object_use *use, struct object_refusal *why);

/* Takes out of the page what bears the number of nobody who has it open. */
void object_page_sweep(struct object *o);
