/* How does a word of the command line become a value? See json_in.h. */
#include "client/cli/json_in.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cleanup.h"
#include "client/cli/pack.h"

static void json_freep(json_t **value)
{
    json_decref(*value);
}

static void pack_json(struct wire_buf *to, json_t *value)
{
    msgpack_packer packer = wire_packer(to), *pk = &packer;
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        msgpack_pack_map(pk, json_object_size(value));
        json_object_foreach(value, key, member)
        {
            pack_text(to, key, strlen(key));
            pack_json(to, member);
        }
        break;
    }
    case JSON_ARRAY:
        msgpack_pack_array(pk, json_array_size(value));
        for (size_t i = 0; i < json_array_size(value); i++)
            pack_json(to, json_array_get(value, i));
        break;
    case JSON_STRING: pack_text(to, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: msgpack_pack_int64(pk, json_integer_value(value)); break;
    case JSON_REAL: msgpack_pack_double(pk, json_real_value(value)); break;
    case JSON_TRUE: msgpack_pack_true(pk); break;
    case JSON_FALSE: msgpack_pack_false(pk); break;
    case JSON_NULL: msgpack_pack_nil(pk); break;
    }
}

/* Plain integers, by far the most common items: needs no parser and no allocation, and covers the upper half of uint64,
 * which jansson lacks. → whether it was one. */
static bool pack_plain_integer(struct wire_buf *to, const char *text, size_t length)
{
    char digits[24];
    size_t sign = length > 0 && text[0] == '-' ? 1 : 0;
    if (length == sign || length >= sizeof digits || (text[sign] == '0' && length > sign + 1))
        return false;
    for (size_t i = sign; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
    }
    memcpy(digits, text, length);
    digits[length] = 0;
    errno = 0;
    msgpack_packer pk = wire_packer(to);
    if (sign) {
        int64_t value = strtoll(digits, NULL, 10);
        if (errno == 0)
            msgpack_pack_int64(&pk, value);
    } else {
        uint64_t value = strtoull(digits, NULL, 10);
        if (errno == 0)
            msgpack_pack_uint64(&pk, value);
    }
    return errno == 0;
}

/* Skips the parser for words that cannot be JSON, which most words are not. */
static bool may_be_json(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length && memchr(" \t\r\n", text[i], 4))
        i++;
    return i < length && memchr("{[\"-0123456789tfn", text[i], 17);
}

/* → 0; -EINVAL with the reason; 1: it is not JSON. */
static int pack_if_json(struct wire_buf *to, enum json_in_kind kind, const char *text, size_t length, char *why)
{
    json_error_t error;
    _cleanup_(json_freep) json_t *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value && json_error_code(&error) == json_error_numeric_overflow) {
        snprintf(why, JSON_IN_WHY, "%s (is it meant as text? quote it as a JSON string, or use --strings)", error.text);
        return -EINVAL;
    }
    if (!value && json_error_code(&error) == json_error_stack_overflow) {
        snprintf(why, JSON_IN_WHY, "it is nested too deep");
        return -EINVAL;
    }
    if (kind == JSON_IN_ARRAY && (!value || !json_is_array(value))) {
        if (value)
            snprintf(why, JSON_IN_WHY, "not a JSON array");
        else
            snprintf(
                why, JSON_IN_WHY, "not a JSON array: line %d, column %d: %s", error.line, error.column, error.text);
        return -EINVAL;
    }
    if (!value)
        return 1;
    pack_json(to, value);
    return 0;
}

int json_in_value(struct wire_buf *to, enum json_in_kind kind, const char *text, size_t length, char *why)
{
    size_t mark = wire_buf_length(to);
    int r = 1;
    if (kind == JSON_IN_WORD && pack_plain_integer(to, text, length))
        r = 0;
    else if (kind == JSON_IN_ARRAY || (kind == JSON_IN_WORD && may_be_json(text, length)))
        r = pack_if_json(to, kind, text, length, why);
    if (r == 1) {
        pack_text(to, text, length);
        r = 0;
    }
    if (r == 0 && to->failed) {
        snprintf(why, JSON_IN_WHY, "no memory, or larger than is allowed");
        r = -ENOMEM;
    }
    if (r < 0)
        wire_buf_rewind(to, mark);
    return r;
}
