#include "daemon/pool/function_index.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "daemon/pool/pool.h"
#include "daemon/pool/workers.h"
#include "proto/tables.h"

struct listed {
    struct function *function;
    const struct pool *pool;
    struct listed *next;
};

struct name {
    UT_hash_handle hh;
    char *text; /* owned: a removed pool's functions free their names */
    size_t length;
    struct listed *first;
};

struct function_index {
    struct name *by_text;
    struct name *last;   /* the last match, which usually matches the next time, too. NULL: none */
    size_t longest_ever; /* a longer name matches none, and need not be hashed or read, whatever a client sends */
};

struct function_index *function_index_new(void)
{
    return calloc(1, sizeof(struct function_index));
}

void function_index_free(struct function_index *n)
{
    struct name *name, *next;
    if (!n)
        return;
    HASH_ITER (hh, n->by_text, name, next) {
        HASH_DEL(n->by_text, name);
        while (name->first) {
            struct listed *l = name->first;
            name->first = l->next;
            free(l);
        }
        free(name->text);
        free(name);
    }
    free(n);
}

static struct name *find(struct function_index *n, const char *text, size_t length)
{
    struct name *name = n->last;
    if (name && name->length == length && memcmp(name->text, text, length) == 0)
        return name;
    if (length > n->longest_ever)
        return NULL;
    HASH_FIND(hh, n->by_text, text, (unsigned)length, name);
    if (name)
        n->last = name;
    return name;
}

int function_index_add(struct function_index *n, struct function *f, struct pool *pool)
{
    size_t length = strlen(f->name);
    struct name *name = find(n, f->name, length);
    struct listed *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    if (!name) {
        name = calloc(1, sizeof *name);
        if (name)
            name->text = strdup(f->name);
        if (!name || !name->text) {
            free(name);
            free(l);
            return -ENOMEM;
        }
        name->length = length;
        HASH_ADD_KEYPTR(hh, n->by_text, name->text, (unsigned)length, name);
        if (!name->hh.tbl) {
            free(name->text);
            free(name);
            free(l);
            return -ENOMEM;
        }
        if (length > n->longest_ever)
            n->longest_ever = length;
    }
    l->function = f;
    l->pool = pool;
    struct listed **end = &name->first;
    while (*end)
        end = &(*end)->next;
    *end = l;
    return 0;
}

void function_index_remove_pool(struct function_index *n, const struct pool *pool)
{
    struct name *name, *next;
    HASH_ITER (hh, n->by_text, name, next) {
        for (struct listed **at = &name->first; *at;) {
            struct listed *l = *at;
            if (l->pool != pool) {
                at = &l->next;
                continue;
            }
            *at = l->next;
            free(l);
        }
        if (!name->first) {
            HASH_DEL(n->by_text, name);
            if (n->last == name)
                n->last = NULL;
            free(name->text);
            free(name);
        }
    }
}

struct function *function_index_find(struct function_index *n, const struct pool *pool, const char *text, size_t length)
{
    const struct name *name = find(n, text, length);
    for (struct listed *l = name ? name->first : NULL; l; l = l->next)
        if (l->pool == pool)
            return l->function;
    return NULL;
}

const char *function_index_nearest(const struct workers *workers, const char *text, size_t length)
{
    unsigned count = HASH_COUNT(workers->functions->by_text), i = 0;
    const char **all = calloc(count ? count : 1, sizeof *all);
    const char *nearest = NULL;
    struct name *name, *next;
    if (!all)
        return NULL;
    HASH_ITER (hh, workers->functions->by_text, name, next)
        for (struct listed *l = name->first; l; l = l->next)
            if (l->function->present) {
                all[i++] = name->text;
                break;
            }
    nearest = wire_nearest(text, length, all, i);
    free(all);
    return nearest;
}
