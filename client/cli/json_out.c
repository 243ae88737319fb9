/* How is a MessagePack value written as JSON? See json_out.h. */
#include "client/cli/json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/utf8.h"
#include "proto/text.h"

enum { DEPTH_CAP = 128 };

static void put_base64(const uint8_t *p, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out_byte('"');
    for (size_t i = 0; i < length; i += 3) {
        size_t n = length - i < 3 ? length - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0u);
        char group[4] = {
            digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '='};
        out_bytes(group, sizeof group);
    }
    out_byte('"');
}

static void put_escaped(const uint8_t *p, size_t length)
{
    static const char shorts[] = "btn.fr"; /* the short escapes of 0x08 … 0x0d; 0x0b has none */
    out_byte('"');
    size_t plain = 0; /* start of the bytes that need no escape */
    for (size_t i = 0; i < length; i++) {
        uint8_t c = p[i];
        if (utf8_is_c1(p + i, length - i)) { /* a control character, of two bytes */
            out_bytes(p + plain, i - plain);
            out_format("\\u%04x", p[++i]);
            plain = i + 1;
            continue;
        }
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        out_bytes(p + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\')
            out_format("\\%c", c);
        else if (c >= 0x08 && c <= 0x0d && c != 0x0b)
            out_format("\\%c", shorts[c - 0x08]);
        else
            out_format("\\u%04x", c);
    }
    out_bytes(p + plain, length - plain);
    out_byte('"');
}

void json_out_bytes(const void *bytes, size_t length)
{
    if (wire_is_utf8(bytes, length)) {
        put_escaped(bytes, length);
        return;
    }
    out_text("{\"base64\": ");
    put_base64(bytes, length);
    out_byte('}');
}

/* Writes the shortest digits that read back as the same number, always recognizable as a float. */
static void put_float(double value)
{
    char text[40];
    if (!isfinite(value)) {
        out_text("null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        double back = strtod(text, NULL);
        if (memcmp(&back, &value, sizeof back) == 0)
            break;
    }
    out_text(text);
    if (!strpbrk(text, ".e"))
        out_text(".0");
}

static int put_int(struct wire_reader *r)
{
    int64_t i;
    uint64_t u;
    if (wire_read_i64(r, &i) == 0) {
        out_format("%" PRId64, i);
        return 0;
    }
    int e = wire_read_u64(r, &u);
    if (e == 0)
        out_format("%" PRIu64, u);
    return e;
}

/* Writes an ext value. raw: all of its bytes. */
static void put_ext(const uint8_t *raw, size_t length)
{
    static const struct {
        uint8_t byte;
        uint8_t head; /* bytes before the type's byte */
    } kinds[] = {{0xd4, 1}, {0xd5, 1}, {0xd6, 1}, {0xd7, 1}, {0xd8, 1}, {0xc7, 2}, {0xc8, 3}, {0xc9, 5}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (raw[0] == kinds[i].byte) {
            size_t head = kinds[i].head;
            out_format("{\"ext\": %d, \"base64\": ", (int)(int8_t)raw[head]);
            put_base64(raw + head + 1, length - head - 1);
            out_byte('}');
        }
    }
}

static int put_value(struct wire_reader *r, unsigned depth);

static int put_key(struct wire_reader *r)
{
    const uint8_t *raw;
    const char *text;
    size_t length;
    enum wire_type type = wire_peek(r);
    if (wire_read_text(r, &text, &length) == 0) {
        if (wire_is_utf8(text, length))
            put_escaped((const uint8_t *)text, length);
        else
            put_base64((const uint8_t *)text, length);
        return 0;
    }
    if (type == WIRE_TYPE_ARRAY || type == WIRE_TYPE_MAP || type == WIRE_TYPE_EXT) {
        int e = wire_read_raw(r, &raw, &length);
        if (e == 0)
            put_base64(raw, length);
        return e;
    }
    out_byte('"');
    int e = put_value(r, 0);
    out_byte('"');
    return e;
}

static int put_container(struct wire_reader *r, bool map, unsigned depth)
{
    uint32_t count;
    int e = map ? wire_read_map(r, &count) : wire_read_array(r, &count);
    if (e < 0 || depth >= DEPTH_CAP)
        return e < 0 ? e : -EBADMSG;
    out_byte(map ? '{' : '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            out_text(", ");
        if (map) {
            e = put_key(r);
            if (e < 0)
                return e;
            out_text(": ");
        }
        e = put_value(r, depth + 1);
        if (e < 0)
            return e;
    }
    out_byte(map ? '}' : ']');
    return 0;
}

static int put_value(struct wire_reader *r, unsigned depth)
{
    const uint8_t *raw;
    const char *text;
    size_t length;
    bool yes;
    double number;
    int e = -EBADMSG;
    switch (wire_peek(r)) {
    case WIRE_TYPE_END: return -ENODATA;
    case WIRE_TYPE_NIL:
        e = wire_read_nil(r);
        out_text("null");
        break;
    case WIRE_TYPE_BOOL:
        e = wire_read_bool(r, &yes);
        if (e == 0)
            out_text(yes ? "true" : "false");
        break;
    case WIRE_TYPE_INT: return put_int(r);
    case WIRE_TYPE_FLOAT:
        e = wire_read_f64(r, &number);
        if (e == 0)
            put_float(number);
        break;
    case WIRE_TYPE_STR:
    case WIRE_TYPE_BIN:
        e = wire_read_text(r, &text, &length);
        if (e == 0)
            json_out_bytes(text, length);
        break;
    case WIRE_TYPE_ARRAY: return put_container(r, false, depth);
    case WIRE_TYPE_MAP: return put_container(r, true, depth);
    case WIRE_TYPE_EXT:
        e = wire_read_raw(r, &raw, &length);
        if (e == 0)
            put_ext(raw, length);
        break;
    }
    return e;
}

int json_out_value(struct wire_reader *r)
{
    return put_value(r, 0);
}

int json_out_print(const void *msgpack, size_t length)
{
    struct wire_reader r = wire_reader(msgpack, length);
    int e = json_out_value(&r);
    out_byte('\n');
    if (e == 0)
        return EXIT_OK;
    out_flush();
    say_error(
        "the result cannot be shown: its bytes are not one MessagePack value, or nested over %d levels", DEPTH_CAP);
    return EXIT_OWN;
}
