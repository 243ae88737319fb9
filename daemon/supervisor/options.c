#include "daemon/supervisor/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/supervisor/option_value.h"
#include "proto/tables.h"

enum kind { UINT, BOOL, TEXT };

static const struct option {
    const char *name;
    enum kind kind;
    size_t at, length_at;
    uint64_t least, most;
    unsigned methods;
} options[] = {
#define OPTION_AT_UINT(field)                      offsetof(struct task_options, field), 0
#define OPTION_AT_BOOL(field)                      offsetof(struct task_options, field), 0
#define OPTION_AT_TEXT(field)                      offsetof(struct task_options, field), offsetof(struct task_options, field##_length)
#define X(name, kind, field, least, most, methods) {#name, kind, OPTION_AT_##kind(field), least, most, methods},
    TASK_OPTIONS(X)
#undef X
};

static int read_one(struct wire_reader *in, const struct option *o, struct task_options *ret, struct option_why why)
{
    char *at = (char *)ret + o->at;
    if (wire_read_nil(in) == 0)
        return 0;
    switch (o->kind) {
    case BOOL: return option_read_bool(in, o->name, (bool *)at, why);
    case UINT: return option_read_uint(in, o->name, o->least, o->most, (uint64_t *)(void *)at, why);
    case TEXT:
        return option_read_text(in, o->name, o->least, o->most, (const char **)(void *)at,
            (size_t *)(void *)((char *)ret + o->length_at), why);
    }
    return -EINVAL;
}

static int unknown(const char *key, size_t length, unsigned method, char *why, size_t size)
{
    const char *names[ELEMENTS(options)];
    size_t count = 0;
    for (size_t i = 0; i < ELEMENTS(options); i++)
        if (options[i].methods & method)
            names[count++] = options[i].name;
    const char *near = wire_nearest(key, length, names, count);
    snprintf(why, size, "there is no option '%.*s' here%s%s%s", length > 64 ? 64 : (int)length, key,
        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return -EINVAL;
}

int options_read(struct wire_reader *in, unsigned method, struct task_options *ret, char *why, size_t why_size)
{
    uint32_t pairs;
    *ret = (struct task_options){.daemonic = true};
    if (wire_read_nil(in) == 0)
        return 0;
    if (wire_read_map(in, &pairs) < 0) {
        snprintf(why, why_size, "options: expected a map, got %s", wire_type_name(wire_peek(in)));
        return -EINVAL;
    }
    if (pairs > ELEMENTS(options)) { /* a million times the same one would take long */
        snprintf(why, why_size, "options: %u keys are more than there are options", pairs);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length;
        const struct option *found = NULL;
        if (wire_read_text(in, &key, &length) < 0) {
            snprintf(why, why_size, "options: expected a string as key, got %s", wire_type_name(wire_peek(in)));
            return -EINVAL;
        }
        for (size_t j = 0; j < ELEMENTS(options); j++)
            if ((options[j].methods & method) && strlen(options[j].name) == length &&
                memcmp(options[j].name, key, length) == 0)
                found = &options[j];
        if (!found)
            return unknown(key, length, method, why, why_size);
        int r = read_one(in, found, ret, (struct option_why){why, why_size});
        if (r < 0)
            return r;
    }
    if (ret->each && ret->stream) {
        snprintf(why, why_size, "options each and stream exclude one another");
        return -EINVAL;
    }
    return 0;
}
