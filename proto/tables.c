/* Names and facts of methods, errors and states, made from the three lists: see tables.h.
 *
 * Nothing is listed here. Not finding a name is an ordinary result, never an error.
 */
#include "proto/tables.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static const struct wire_method_info methods[] = {
#define X(id, name_, min, max, who_, params_, result_, sentence_)                                                      \
    [MPOOL_METHOD_##id] = {                                                                                            \
        .name = name_,                                                                                                 \
        .min_params = min,                                                                                             \
        .max_params = max,                                                                                             \
        .who = WIRE_WHO_##who_,                                                                                        \
        .params = params_,                                                                                             \
        .result = result_,                                                                                             \
        .sentence = sentence_,                                                                                         \
    },
    MPOOL_METHODS(X)
#undef X
};

static const struct wire_error_info errors[] = {
#define X(id, class_, retryable_, sentence_)                                                                           \
    [MPOOL_E_##id] = {.name = "E_" #id, .class = class_, .retryable = retryable_, .sentence = sentence_},
    MPOOL_ERRORS(X)
#undef X
};

static const struct wire_state_info states[] = {
#define X(id, name_, final_, sentence_) [MPOOL_STATE_##id] = {.name = name_, .final = final_, .sentence = sentence_},
    MPOOL_STATES(X)
#undef X
};

static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

const struct wire_method_info *wire_method_info(enum mpool_method method)
{
    assert(method < MPOOL_METHOD_COUNT);
    return &methods[method];
}

int wire_method_find(const char *name, size_t length)
{
    /* Compares the length first, which the compiler knows: it distinguishes most names. */
#define X(id, name_, ...)                                                                                              \
    if (length == sizeof(name_) - 1 && memcmp(name, name_, sizeof(name_) - 1) == 0)                                    \
        return MPOOL_METHOD_##id;
    MPOOL_METHODS(X)
#undef X
    return -1;
}

const struct wire_error_info *wire_error_info(enum mpool_error error)
{
    assert(error > MPOOL_ERROR_NONE && error < MPOOL_ERROR_COUNT);
    return &errors[error];
}

enum mpool_error wire_error_find(const char *text, size_t length)
{
    const char *colon = length ? memchr(text, ':', length) : NULL;
    size_t name_length = colon ? (size_t)(colon - text) : length;
    for (int i = MPOOL_ERROR_NONE + 1; i < MPOOL_ERROR_COUNT; i++)
        if (is_name(errors[i].name, text, name_length))
            return (enum mpool_error)i;
    return MPOOL_ERROR_NONE;
}

const struct wire_state_info *wire_state_info(enum mpool_state state)
{
    assert(state < MPOOL_STATE_COUNT);
    return &states[state];
}

int wire_state_find(const char *name, size_t length)
{
    for (int i = 0; i < MPOOL_STATE_COUNT; i++)
        if (is_name(states[i].name, name, length))
            return i;
    return -1;
}
