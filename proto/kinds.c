/* Names and facts of kinds and elements: see kinds.h. */
#include "proto/kinds.h"

#include <string.h>

static const struct wire_kind_info kinds[] = {
#define X(id, name, page, lock) {name, page, lock},
    MPOOL_KINDS(X)
#undef X
};

static const struct wire_element_info elements[] = {
#define X(id, name, type) {#name, sizeof(type)},
    MPOOL_ELEMENTS(X)
#undef X
        {"bytes", 1},
};

const struct wire_kind_info *wire_kind_info(enum mpool_kind kind)
{
    return &kinds[kind];
}

int wire_kind_find(const char *name, size_t length)
{
    for (int i = 0; i < MPOOL_KIND_COUNT; i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0)
            return i;
    return -1;
}

const struct wire_element_info *wire_element_info(enum mpool_element element)
{
    return &elements[element];
}

int wire_element_find(const char *name, size_t length)
{
    for (int i = 0; i < MPOOL_ELEMENT_COUNT; i++)
        if (strlen(elements[i].name) == length && memcmp(elements[i].name, name, length) == 0)
            return i;
    return -1;
}
