#include "daemon/supervisor/object_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/supervisor/option_value.h"
#include "proto/tables.h"

enum type { TEXT, UINT, BOOL, NUMBER };

static const struct row {
    const char *name;
    enum type type;
    uint64_t least, most;
    unsigned kinds;
    size_t at;
} rows[] = {
#define X(name, type, least, most, kinds) {#name, type, least, most, kinds, offsetof(struct object_options, name)},
    OBJECT_OPTIONS(X)
#undef X
};

static int read_number(struct wire_reader *in, struct object_number *n)
{
    if (wire_peek(in) == WIRE_TYPE_FLOAT) {
        n->is_float = true;
        return wire_read_f64(in, &n->f);
    }
    if (wire_peek(in) != WIRE_TYPE_INT)
        return -EBADMSG;
    if (wire_read_u64(in, &n->u) == 0)
        return 0;
    n->is_signed = true;
    return wire_read_i64(in, &n->i);
}

static int read_row(struct wire_reader *in, const struct row *row, struct object_options *ret, struct option_why why)
{
    char *at = (char *)ret + row->at;
    switch (row->type) {
    case BOOL: return option_read_bool(in, row->name, (bool *)at, why);
    case NUMBER:
        return read_number(in, (struct object_number *)(void *)at) < 0 ? option_wrong(row->name, "a number", in, why)
                                                                       : 0;
    case UINT: return option_read_uint(in, row->name, row->least, row->most, (uint64_t *)(void *)at, why);
    case TEXT: {
        struct object_text *text = (struct object_text *)(void *)at;
        return option_read_text(in, row->name, row->least, row->most, &text->at, &text->length, why);
    }
    }
    return -EINVAL;
}

static bool is(const struct object_text *text, const char *word)
{
    return text->length == strlen(word) && memcmp(text->at, word, text->length) == 0;
}

/* What the words mean. */
static int settle(struct object_options *o, char *why, size_t size)
{
    if (object_option_given(o, OBJECT_OPTION_create)) {
        if (is(&o->create, "yes")) {
            o->how = OBJECT_CREATE_YES;
        } else if (is(&o->create, "no")) {
            o->how = OBJECT_CREATE_NO;
        } else if (is(&o->create, "new")) {
            o->how = OBJECT_CREATE_NEW;
        } else {
            snprintf(why, size, "option create: expected \"yes\", \"no\" or \"new\"");
            return -EINVAL;
        }
    }
    if (object_option_given(o, OBJECT_OPTION_type)) {
        int element = wire_element_find(o->type.at, o->type.length);
        if (element < 0) {
            snprintf(why, size, "option type: expected i8, u8, i16, u16, i32, u32, i64, u64, f32, f64 or bytes");
            return -EINVAL;
        }
        o->element = (enum mpool_element)element;
    }
    if (object_option_given(o, OBJECT_OPTION_mode) && (o->mode & ~0666ull)) {
        snprintf(why, size, "option mode: expected read and write bits alone, such as 0660 (432)");
        return -EINVAL;
    }
    return 0;
}

static int unknown(const char *key, size_t length, char *why, size_t size)
{
    const char *names[ELEMENTS(rows)];
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        names[i] = rows[i].name;
    const char *near = wire_nearest(key, length, names, ELEMENTS(rows));
    snprintf(why, size, "there is no option '%.*s' here%s%s%s", length > 64 ? 64 : (int)length, key,
        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return -EINVAL;
}

int object_options_read(struct wire_reader *in, int kind, struct object_options *ret, char *why, size_t why_size)
{
    uint32_t pairs = 0;
    *ret = (struct object_options){.element = MPOOL_ELEMENT_I64};
    if (wire_read_nil(in) == 0)
        return 0;
    if (wire_read_map(in, &pairs) < 0) {
        snprintf(why, why_size, "options: expected a map, got %s", wire_type_name(wire_peek(in)));
        return -EINVAL;
    }
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length, at = 0;
        if (wire_read_text(in, &key, &length) < 0) {
            snprintf(why, why_size, "options: expected a string as key");
            return -EINVAL;
        }
        while (at < ELEMENTS(rows) && (strlen(rows[at].name) != length || memcmp(rows[at].name, key, length) != 0))
            at++;
        if (at == ELEMENTS(rows))
            return unknown(key, length, why, why_size);
        if (wire_read_nil(in) == 0)
            continue; /* the same as no such key */
        if (kind >= 0 && !(rows[at].kinds >> kind & 1u)) {
            snprintf(
                why, why_size, "option %s is not for a %s", rows[at].name, wire_kind_info((enum mpool_kind)kind)->name);
            return -EINVAL;
        }
        int r = read_row(in, &rows[at], ret, (struct option_why){why, why_size});
        if (r < 0)
            return r;
        ret->given |= 1u << at;
    }
    return settle(ret, why, why_size);
}
