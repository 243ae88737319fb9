/* The format of arguments: see args.h. MessagePack needs the count of a container first, so it is found by looking
 * ahead. */
#include "client/lib/args.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <mpool/client.h>

#include "proto/scan.h"

/* at: just after the opening bracket. → elements up to `close`, or -EINVAL. Inner brackets are matched later, by the
 * pass that packs them. */
static int64_t count_elements(const char *at, char close)
{
    int64_t count = 0;
    unsigned depth = 0;
    for (;; at++) {
        if (depth == 0 && *at == close)
            return count;
        switch (*at) {
        case '\0': return -EINVAL;
        case ' ': break;
        case ']':
        case '}':
            if (depth == 0)
                return -EINVAL;
            depth--;
            break;
        case '[':
        case '{':
            count += depth == 0;
            depth++;
            break;
        default: count += depth == 0; break;
        }
    }
}

static bool is_one_value(const void *bytes, size_t length)
{
    uint64_t whole;
    struct wire_limits limits = {.max_bytes = length, .max_depth = WIRE_DEPTH_CAP};
    return length > 0 && wire_scan_value(&limits, bytes, length, &whole) == WIRE_SCAN_WHOLE && whole == length;
}

static int pack_bytes(msgpack_packer *pk, char letter, const void *bytes, size_t length)
{
    if (!bytes && length > 0)
        return -EINVAL;
    if (length > UINT32_MAX)
        return -EINVAL;
    if (letter == 'S') {
        msgpack_pack_str(pk, length);
        msgpack_pack_str_body(pk, bytes, length);
    } else {
        msgpack_pack_bin(pk, length);
        msgpack_pack_bin_body(pk, bytes, length);
    }
    return 0;
}

static int pack_scalar(struct wire_buf *b, msgpack_packer *pk, char letter, struct args_list *list)
{
    switch (letter) {
    case 'i': msgpack_pack_int64(pk, va_arg(list->ap, int64_t)); return 0;
    case 'u': msgpack_pack_uint64(pk, va_arg(list->ap, uint64_t)); return 0;
    case 'd': msgpack_pack_double(pk, va_arg(list->ap, double)); return 0;
    case 'n': msgpack_pack_nil(pk); return 0;
    case 's': wire_pack_text(pk, va_arg(list->ap, const char *)); return 0;
    case 'b':
        if (va_arg(list->ap, int))
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        return 0;
    case 'S':
    case 'B': {
        const void *bytes = va_arg(list->ap, const void *);
        size_t length = va_arg(list->ap, size_t);
        return pack_bytes(pk, letter, bytes, length);
    }
    case 'r': {
        const void *bytes = va_arg(list->ap, const void *);
        size_t length = va_arg(list->ap, size_t);
        if (!bytes || !is_one_value(bytes, length))
            return -EINVAL;
        wire_buf_append(b, bytes, length);
        return 0;
    }
    default: return -EINVAL;
    }
}

static int pack_open(msgpack_packer *pk, const char *at, char close)
{
    int64_t count = count_elements(at, close);
    if (count < 0 || count > UINT32_MAX || (close == '}' && count % 2 != 0))
        return -EINVAL;
    if (close == '}')
        msgpack_pack_map(pk, (size_t)count / 2);
    else
        msgpack_pack_array(pk, (size_t)count);
    return 0;
}

static int pack_all(struct wire_buf *b, const char *format, struct args_list *list)
{
    msgpack_packer pk = wire_packer(b);
    char close[ARGS_DEPTH_MAX]; /* of the open containers */
    unsigned depth = 0;
    int r = pack_open(&pk, format, '\0');
    for (const char *at = format; r == 0 && *at; at++) {
        switch (*at) {
        case ' ': break;
        case '[':
        case '{':
            if (depth == ARGS_DEPTH_MAX)
                return -EINVAL;
            close[depth] = *at == '[' ? ']' : '}';
            r = pack_open(&pk, at + 1, close[depth]);
            depth++;
            break;
        case ']':
        case '}':
            if (depth == 0 || close[depth - 1] != *at)
                return -EINVAL;
            depth--;
            break;
        default: r = pack_scalar(b, &pk, *at, list); break;
        }
    }
    if (r < 0)
        return r;
    return b->failed ? -ENOMEM : 0;
}

int args_pack(struct wire_buf *b, const char *format, struct args_list *list)
{
    size_t mark = wire_buf_length(b);
    int r = pack_all(b, format ? format : "", list);
    if (r < 0)
        wire_buf_rewind(b, mark);
    return r;
}
