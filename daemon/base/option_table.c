#include "daemon/base/option_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/tables.h"
#include "proto/text.h"

#define KEY_SHOWN 64u

__attribute__((format(printf, 2, 3))) static int refuse(struct option_why why, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    wire_vformat(why.text, why.size, format, ap);
    va_end(ap);
    return -EINVAL;
}

static int wrong(const struct option_table *table, const struct option_row *row, const char *expected,
    const struct wire_reader *in, struct option_why why)
{
    char got[WIRE_DESCRIBED_MAX];
    wire_describe(in, got);
    return refuse(why, "%s %s: expected %s, got %s", table->noun, row->name, expected, got);
}

static int read_number(struct wire_reader *in, struct option_number *n)
{
    struct wire_reader whole = *in;
    n->is_negative = false;
    n->is_whole = wire_read_u64(&whole, &n->u) == 0;
    if (!n->is_whole)
        n->is_whole = n->is_negative = wire_read_i64(&whole, &n->i) == 0;
    return wire_read_f64(in, &n->f);
}

static int read_value(const struct option_table *table, const struct option_row *row, struct wire_reader *in, void *to,
    struct option_why why)
{
    char expected[96];
    const struct wire_reader before = *in;
    switch (row->type) {
    case OPTION_BOOL:
        if (wire_read_bool(in, to) < 0)
            return wrong(table, row, "a bool", in, why);
        return 0;
    case OPTION_NUMBER:
        if (read_number(in, to) < 0)
            return wrong(table, row, "a number", in, why);
        return 0;
    case OPTION_UINT: {
        uint64_t value;
        if (wire_read_u64(in, &value) == 0 && value >= row->min && value <= row->max) {
            *(uint64_t *)to = value;
            return 0;
        }
        snprintf(expected, sizeof expected, "an integer from %llu to %llu", (unsigned long long)row->min,
            (unsigned long long)row->max);
        return wrong(table, row, expected, &before, why);
    }
    case OPTION_TEXT: {
        struct option_text *text = to;
        if (wire_read_text(in, &text->at, &text->length) < 0)
            return wrong(table, row, "a string", in, why);
        if (text->length >= row->min && text->length <= row->max)
            return 0;
        return refuse(why, "%s %s: expected %llu to %llu bytes, got %zu", table->noun, row->name,
            (unsigned long long)row->min, (unsigned long long)row->max, text->length);
    }
    }
    return -EINVAL;
}

static int unknown(
    const struct option_table *table, unsigned where, const char *key, size_t length, struct option_why why)
{
    const char *names[32];
    char suggestion[WIRE_SUGGESTION_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < table->count; i++)
        if (table->rows[i].where & where)
            names[count++] = table->rows[i].name;
    const char *near = wire_nearest(key, length, names, count);
    return refuse(why, "there is no %s '%.*s' here%s", table->noun, WIRE_SHOWN(key, length, KEY_SHOWN),
        wire_suggestion(near, suggestion));
}

int option_table_read(const struct option_table *table, unsigned where, const char *here, struct wire_reader *in,
    void *ret, uint32_t *ret_given, struct option_why why)
{
    char got[WIRE_DESCRIBED_MAX];
    uint32_t pairs, given = 0;
    if (ret_given)
        *ret_given = 0;
    if (wire_read_nil(in) == 0)
        return 0;
    if (wire_read_map(in, &pairs) < 0) {
        wire_describe(in, got);
        return refuse(why, "%ss: expected a map, got %s", table->noun, got);
    }
    if (pairs > table->count) /* a key repeated a million times would take long */
        return refuse(why, "%ss: %u keys are more than there are", table->noun, pairs);
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length;
        uint32_t at = 0;
        if (wire_read_text(in, &key, &length) < 0) {
            wire_describe(in, got);
            return refuse(why, "%ss: expected a string as key, got %s", table->noun, got);
        }
        while (at < table->count && !option_is(&(struct option_text){key, length}, table->rows[at].name))
            at++;
        if (at == table->count)
            return unknown(table, where, key, length, why);
        const struct option_row *row = &table->rows[at];
        if (wire_read_nil(in) == 0)
            continue;
        if (!(row->where & where))
            return refuse(why, "%s %s is not for %s", table->noun, row->name, here);
        int r = read_value(table, row, in, (char *)ret + row->at, why);
        if (r < 0)
            return r;
        given |= 1u << at;
    }
    if (ret_given)
        *ret_given = given;
    return 0;
}

bool option_is(const struct option_text *text, const char *word)
{
    return text->length == strlen(word) && memcmp(text->at, word, text->length) == 0;
}
