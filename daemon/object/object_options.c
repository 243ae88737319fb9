#include "daemon/object/object_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "daemon/base/cleanup.h"

static const struct option_row rows[] = {
#define X(name, type, min, max, kinds) {#name, OPTION_##type, offsetof(struct object_options, name), min, max, kinds},
    OBJECT_OPTIONS(X)
#undef X
};

static const struct option_table table = {"option", rows, ELEMENTS(rows)};

/* Converts words to their values. */
static int settle(struct object_options *o, char *why, size_t size)
{
    if (object_option_given(o, OBJECT_OPTION_create)) {
        if (option_is(&o->create, "yes")) {
            o->how = OBJECT_CREATE_YES;
        } else if (option_is(&o->create, "no")) {
            o->how = OBJECT_CREATE_NO;
        } else if (option_is(&o->create, "new")) {
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

int object_options_read(struct wire_reader *in, int kind, struct object_options *ret, char *why, size_t why_size)
{
    char here[64] = "";
    if (kind >= 0)
        snprintf(here, sizeof here, "a %s", wire_kind_info((enum mpool_kind)kind)->name);
    *ret = (struct object_options){.element = MPOOL_ELEMENT_I64, .value.is_whole = true};
    int r = option_table_read(
        &table, kind >= 0 ? 1u << kind : UINT_MAX, here, in, ret, &ret->given, (struct option_why){why, why_size});
    return r < 0 ? r : settle(ret, why, why_size);
}
