/* Which function is meant by a name, and in which pools is it? A hash over the functions of all pools. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct function;
struct names;
struct pool;
struct supervisor;

struct names *names_new(void);
void names_free(struct names *n);
/* f->name must live as long as it is listed. → 0 or -ENOMEM. */
int names_add(struct names *n, struct function *f, struct pool *pool);
void names_remove_pool(struct names *n, const struct pool *pool);
struct function *names_find_in(struct names *n, const struct pool *pool, const char *name, size_t length);
/* The name most like a mistyped one, or NULL. Borrowed. */
const char *names_nearest(const struct supervisor *s, const char *name, size_t length);
