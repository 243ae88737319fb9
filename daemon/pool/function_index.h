/* Finds functions by name: a hash table over the functions of all pools. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct function;
struct function_index;
struct pool;
struct workers;

struct function_index *function_index_new(void);
void function_index_free(struct function_index *n);
/* f->name must live as long as it is listed. → 0 or -ENOMEM. */
int function_index_add(struct function_index *n, struct function *f, struct pool *pool);
void function_index_remove_pool(struct function_index *n, const struct pool *pool);
struct function *function_index_find(
    struct function_index *n, const struct pool *pool, const char *name, size_t length);
/* The known name closest to a mistyped one, or NULL. Borrowed. */
const char *function_index_nearest(const struct workers *workers, const char *name, size_t length);
