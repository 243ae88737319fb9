#include "daemon/object/object_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_DIGITS 16u

bool object_name_is_valid(const char *text, size_t length)
{
    if (length == 0 || length > OBJECT_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr("._:/@-", c)))
            return false;
    }
    return true;
}

static bool parse_number(const char *text, size_t length, uint64_t *ret)
{
    uint64_t number = 0;
    if (length == 0 || length > 16 || text[0] == '0')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = number;
    return number <= OBJECT_NUMBER_MAX;
}

static bool parse_key(const char *text, size_t length, uint64_t *ret)
{
    uint64_t key = 0;
    if (length != KEY_DIGITS)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            key = key << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            key = key << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = key;
    return true;
}

bool object_handle_parse(const char *text, size_t length, struct object_handle *ret)
{
    struct object_handle h;
    const char *end = text + length, *first = length > 0 ? memchr(text, ':', length) : NULL;
    const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return false;
    int kind = wire_kind_find(text, (size_t)(first - text));
    if (kind < 0 || !parse_number(first + 1, (size_t)(second - first - 1), &h.number) ||
        !parse_key(second + 1, (size_t)(end - second - 1), &h.key))
        return false;
    h.kind = (enum mpool_kind)kind;
    *ret = h;
    return true;
}

void object_handle_format(const struct object_handle *handle, char out[OBJECT_HANDLE_MAX])
{
    snprintf(out, OBJECT_HANDLE_MAX, "%s:%" PRIu64 ":%016" PRIx64, wire_kind_info(handle->kind)->name, handle->number,
        handle->key);
}
