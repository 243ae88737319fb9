/* What is the value of this key in a map from the daemon? See view.h. */
#include "client/cli/view.h"

#include <string.h>

struct view view_of(const mpool_result *result)
{
    size_t length;
    const void *data = mpool_result_data(result, &length);
    return (struct view){wire_reader(data, length)};
}

bool view_get(struct view map, const char *key, struct view *ret)
{
    uint32_t pairs;
    struct wire_reader r = map.at;
    if (wire_read_map(&r, &pairs) < 0)
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *name;
        const uint8_t *raw;
        size_t name_length, length;
        bool text = wire_read_text(&r, &name, &name_length) == 0;
        if ((!text && wire_skip(&r) < 0) || wire_read_raw(&r, &raw, &length) < 0)
            return false;
        if (text && name_length == strlen(key) && memcmp(name, key, name_length) == 0) {
            *ret = (struct view){wire_reader(raw, length)};
            return wire_peek(&ret->at) != WIRE_TYPE_NIL;
        }
    }
    return false;
}

struct view_list view_list(struct view array)
{
    struct view_list list = {.at = array.at};
    if (wire_read_array(&list.at, &list.left) < 0)
        list.left = 0;
    return list;
}

bool view_next(struct view_list *list, struct view *ret)
{
    const uint8_t *raw;
    size_t length;
    if (list->left == 0 || wire_read_raw(&list->at, &raw, &length) < 0)
        return false;
    list->left--;
    *ret = (struct view){wire_reader(raw, length)};
    return true;
}

uint64_t view_u64(struct view map, const char *key, uint64_t otherwise)
{
    struct view v;
    uint64_t value;
    return view_get(map, key, &v) && wire_read_u64(&v.at, &value) == 0 ? value : otherwise;
}

bool view_has(struct view map, const char *key)
{
    struct view v;
    return view_get(map, key, &v);
}

bool view_is_true(struct view map, const char *key)
{
    struct view v;
    bool value;
    return view_get(map, key, &v) && wire_read_bool(&v.at, &value) == 0 && value;
}

double view_f64(struct view map, const char *key, double otherwise)
{
    struct view v;
    double value;
    return view_get(map, key, &v) && wire_read_f64(&v.at, &value) == 0 ? value : otherwise;
}

const char *view_text(struct view map, const char *key, char *to, size_t size)
{
    const void *bytes;
    size_t length;
    if (!view_bytes(map, key, &bytes, &length))
        return NULL;
    size_t n = length < size ? length : size - 1;
    memcpy(to, bytes, n);
    to[n] = 0;
    return to;
}

bool view_bytes(struct view map, const char *key, const void **ret, size_t *ret_length)
{
    struct view v;
    const char *text;
    if (!view_get(map, key, &v) || wire_read_text(&v.at, &text, ret_length) < 0)
        return false;
    *ret = text;
    return true;
}
