/* Names and facts of the three tables: methods, errors, states. Pure; no state; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/errors.h"
#include "proto/methods.h"
#include "proto/states.h"

enum wire_who { WIRE_WHO_ANY, WIRE_WHO_OWNER, WIRE_WHO_ADMIN };

struct wire_method_info {
    const char *name;
    unsigned min_params, max_params;
    enum wire_who who;
    const char *params, *result, *sentence;
};

/* `method` must be below MPOOL_METHOD_COUNT. */
const struct wire_method_info *wire_method_info(enum mpool_method method);

/* name: `length` bytes, not terminated. → the method, or -1 when there is none of that name. */
int wire_method_find(const char *name, size_t length);

struct wire_error_info {
    const char *name; /* "E_LOST" */
    int class;        /* 0 the task failed, 1 the request was bad */
    bool retryable;
    const char *sentence;
};

/* error: 1 … MPOOL_ERROR_COUNT - 1. */
const struct wire_error_info *wire_error_info(enum mpool_error error);

/* text: `length` bytes such as "E_LOST: worker 3 …". → the error, or MPOOL_ERROR_NONE if it does not start with a known
 * name. */
enum mpool_error wire_error_find(const char *text, size_t length);

struct wire_state_info {
    const char *name;
    bool final;
    const char *sentence;
};

const struct wire_state_info *wire_state_info(enum mpool_state state);

/* → the state, or -1. */
int wire_state_find(const char *name, size_t length);

/* The known name nearest to a mistyped one by edit distance, or NULL when none is near. names: `count` strings. */
const char *wire_nearest(const char *name, size_t length, const char *const *names, size_t count);
/* The end of a sentence about an unknown name: "; did you mean 'NEAR'?", or "" if near is NULL. → out */
#define WIRE_SUGGESTION_MAX 160
const char *wire_suggestion(const char *near, char out[WIRE_SUGGESTION_MAX]);
