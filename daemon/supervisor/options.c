#include "daemon/supervisor/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"
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

static int wrong(char *why, size_t size, const struct option *o, const char *expected, const struct wire_reader *in)
{
    snprintf(why, size, "option %s: expected %s, got %s", o->name, expected, wire_type_name(wire_peek(in)));
    return -EINVAL;
}

static int read_one(struct wire_reader *in, const struct option *o, struct task_options *ret, char *why, size_t size)
{
    void *at = (char *)ret + o->at;
    char expected[96];
    if (wire_read_nil(in) == 0)
        return 0;
    switch (o->kind) {
    case BOOL:
        if (wire_read_bool(in, at) < 0)
            return wrong(why, size, o, "a bool", in);
        return 0;
    case UINT: {
        uint64_t value;
        snprintf(expected, sizeof expected, "an integer from %llu to %llu", (unsigned long long)o->least,
            (unsigned long long)o->most);
        if (wire_peek(in) != WIRE_TYPE_INT)
            return wrong(why, size, o, expected, in);
        if (wire_read_u64(in, &value) < 0 || value < o->least || value > o->most) {
            snprintf(why, size, "option %s: expected %s", o->name, expected);
            return -EINVAL;
        }
        memcpy(at, &value, sizeof value);
        return 0;
    }
    case TEXT: {
        const char *text;
        size_t length;
        if (wire_read_text(in, &text, &length) < 0)
            return wrong(why, size, o, "a string", in);
        if (length < o->least || length > o->most) {
            snprintf(why, size, "option %s: expected %llu to %llu bytes, got %zu", o->name,
                (unsigned long long)o->least, (unsigned long long)o->most, length);
            return -EINVAL;
        }
        memcpy(at, &text, sizeof text);
        memcpy((char *)ret + o->length_at, &length, sizeof length);
        return 0;
    }
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
        int r = read_one(in, found, ret, why, why_size);
        if (r < 0)
            return r;
    }
    if (ret->each && ret->stream) {
        snprintf(why, why_size, "options each and stream exclude one another");
        return -EINVAL;
    }
    return 0;
}
