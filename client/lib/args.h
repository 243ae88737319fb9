/* How do arguments given by format become MessagePack? The letters are those of <mpool/client.h>. Pure; any thread. */
#pragma once

#include <stdarg.h>

#include "proto/buf.h"

#define ARGS_DEPTH_MAX 32u
#define ARGS_WHY_BYTES 240u

/* Wraps va_list, which is an array on some machines and so cannot be passed by address directly. */
struct args_list {
    va_list ap;
    char why[ARGS_WHY_BYTES]; /* set when the format is refused: which letter, where, and what is wrong */
};

/* Appends one array with the arguments. format: NULL or "" for an empty one. → 0; -EINVAL when the format is wrong, or
 * bytes for "r" are not exactly one value; -ENOMEM. On failure *b is unchanged, and list->why is the sentence, or "".
 */
int args_pack(struct wire_buf *b, const char *format, struct args_list *list);
