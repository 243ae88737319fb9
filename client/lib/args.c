/* The format of arguments: see args.h. MessagePack needs the count of a container first, so it is found by looking
 * ahead. */
#include "client/lib/args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <mpool/client.h>

#include "proto/scan.h"

/* What mpool_format_check() returns instead of a format: this, and the sentence behind it. No letter begins like it. */
#define MISFIT '\1'

/* ---- do the arguments fit? ---- */

struct letter {
    char letter;
    unsigned char first, second; /* classes of the arguments that it takes; 0: none */
    const char *takes;
};

#define CLASS_SIZE (sizeof(size_t) == 8 ? MPOOL_CLASS_LONG : MPOOL_CLASS_INT)

static const struct letter letters[] = {
    {'i', MPOOL_CLASS_INT, 0, "an int"},
    {'u', MPOOL_CLASS_INT, 0, "an unsigned int"},
    {'x', MPOOL_CLASS_LONG, 0, "an int64_t"},
    {'t', MPOOL_CLASS_LONG, 0, "a uint64_t"},
    {'d', MPOOL_CLASS_DOUBLE, 0, "a double"},
    {'b', MPOOL_CLASS_INT, 0, "an int or bool"},
    {'n', 0, 0, "nothing"},
    {'s', MPOOL_CLASS_TEXT, 0, "a const char *"},
    {'S', MPOOL_CLASS_BYTES, CLASS_SIZE, "a pointer and a size_t"},
    {'B', MPOOL_CLASS_BYTES, CLASS_SIZE, "a pointer and a size_t"},
    {'r', MPOOL_CLASS_BYTES, CLASS_SIZE, "a pointer and a size_t"},
};

static const struct letter *find_letter(char c)
{
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (letters[i].letter == c)
            return &letters[i];
    return NULL;
}

static const char *class_name(unsigned char class)
{
    switch (class) {
    case 0: return "missing";
    case MPOOL_CLASS_INT: return "an integer of 32 bits or less";
    case MPOOL_CLASS_LONG: return "an integer of 64 bits";
    case MPOOL_CLASS_DOUBLE: return "a floating-point number";
    default: return "a pointer";
    }
}

const char *mpool_format_check(const char *format, const unsigned char *classes)
{
    static _Thread_local char misfit[1 + ARGS_WHY_BYTES];
    const unsigned char *class = classes;
    if (!classes)
        return format;
    for (const char *at = format ? format : ""; *at; at++) {
        const struct letter *letter = find_letter(*at);
        if (!letter) /* a bracket, or what args_pack() refuses */
            continue;
        const unsigned char wants[] = {letter->first, letter->second};
        for (unsigned i = 0; i < 2 && wants[i]; i++) {
            if (!(*class & wants[i])) {
                snprintf(misfit, sizeof(misfit),
                    "%cformat \"%.40s\": letter '%c' at position %td takes %s, but argument %td is %s", MISFIT, format,
                    *at, at - format + 1, letter->takes, class - classes + 1, class_name(*class));
                return misfit;
            }
            class ++;
        }
    }
    if (!*class)
        return format;
    snprintf(misfit, sizeof(misfit), "%cformat \"%.40s\": no letter takes argument %td", MISFIT, format ? format : "",
        class - classes + 1);
    return misfit;
}

/* ---- packing ---- */

/* A format on its way to becoming values. */
struct packing {
    struct wire_buf *b;
    msgpack_packer pk;
    const char *format;
    struct args_list *list;
};

/* at: the letter that is wrong. → -EINVAL. */
static int refuse(const struct packing *p, const char *at, const char *why)
{
    snprintf(p->list->why, sizeof(p->list->why), "format \"%.40s\": '%c' at position %td %s", p->format, *at,
        at - p->format + 1, why);
    return -EINVAL;
}

/* The elements up to the bracket `close`; at: just behind the opening one. close: NUL for the whole format. → -EINVAL:
 * it is not closed. The pass that packs finds all other faults of the brackets. */
static int64_t count_elements(const char *at, char close)
{
    int64_t count = 0;
    unsigned depth = 0;
    for (; *at; at++) {
        bool opens = *at == '[' || *at == '{', closes = *at == ']' || *at == '}';
        if (closes && depth == 0)
            return *at == close || !close ? count : -EINVAL;
        count += depth == 0 && *at != ' ';
        depth += opens;
        depth -= closes;
    }
    return close ? -EINVAL : count;
}

static bool is_one_value(const void *bytes, size_t length)
{
    struct wire_limits limits = {.max_bytes = length, .max_depth = WIRE_DEPTH_CAP};
    return length > 0 && wire_is_whole(&limits, bytes, length);
}

/* S, B or r: a pointer and a length. */
static int pack_bytes(struct packing *p, const char *at)
{
    const void *bytes = va_arg(p->list->ap, const void *);
    size_t length = va_arg(p->list->ap, size_t);
    if (*at == 'r') {
        if (!bytes || !is_one_value(bytes, length))
            return refuse(p, at, "was given bytes that are not one MessagePack value");
        wire_buf_append(p->b, bytes, length);
        return 0;
    }
    if (!bytes && length > 0)
        return refuse(p, at, "was given NULL with a length");
    if (length > UINT32_MAX)
        return refuse(p, at, "was given more than 4 GiB");
    if (*at == 'S') {
        msgpack_pack_str(&p->pk, length);
        msgpack_pack_str_body(&p->pk, bytes, length);
    } else {
        msgpack_pack_bin(&p->pk, length);
        msgpack_pack_bin_body(&p->pk, bytes, length);
    }
    return 0;
}

static int pack_letter(struct packing *p, const char *at)
{
    msgpack_packer *pk = &p->pk;
    switch (*at) {
    case 'i': msgpack_pack_int64(pk, va_arg(p->list->ap, int)); return 0;
    case 'u': msgpack_pack_uint64(pk, va_arg(p->list->ap, unsigned)); return 0;
    case 'x': msgpack_pack_int64(pk, va_arg(p->list->ap, int64_t)); return 0;
    case 't': msgpack_pack_uint64(pk, va_arg(p->list->ap, uint64_t)); return 0;
    case 'd': msgpack_pack_double(pk, va_arg(p->list->ap, double)); return 0;
    case 'n': msgpack_pack_nil(pk); return 0;
    case 's': wire_pack_text(pk, va_arg(p->list->ap, const char *)); return 0;
    case 'b':
        if (va_arg(p->list->ap, int))
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        return 0;
    case 'S':
    case 'B':
    case 'r': return pack_bytes(p, at);
    default: return refuse(p, at, "is not a letter of formats: those are i u x t d b n s S B r [ ] { }");
    }
}

/* open: the bracket, or NULL for the whole format. */
static int pack_open(struct packing *p, const char *open)
{
    char close = !open ? '\0' : *open == '[' ? ']' : '}';
    int64_t count = count_elements(open ? open + 1 : p->format, close);
    if (open && count < 0)
        return refuse(p, open, "is not closed");
    if (close == '}' && count % 2 != 0)
        return refuse(p, open, "opens a map whose last key has no value");
    if (close == '}')
        msgpack_pack_map(&p->pk, (size_t)count / 2);
    else
        msgpack_pack_array(&p->pk, (size_t)count);
    return 0;
}

static int pack_all(struct packing *p)
{
    char close[ARGS_DEPTH_MAX]; /* of the open containers */
    unsigned depth = 0;
    int r = pack_open(p, NULL);
    for (const char *at = p->format; r == 0 && *at; at++) {
        switch (*at) {
        case ' ': break;
        case '[':
        case '{':
            if (depth == ARGS_DEPTH_MAX)
                return refuse(p, at, "is nested too deep");
            close[depth] = *at == '[' ? ']' : '}';
            r = pack_open(p, at);
            depth++;
            break;
        case ']':
        case '}':
            if (depth == 0 || close[depth - 1] != *at)
                return refuse(p, at, "closes nothing");
            depth--;
            break;
        default: r = pack_letter(p, at); break;
        }
    }
    if (r < 0)
        return r;
    return p->b->failed ? -ENOMEM : 0;
}

int args_pack(struct wire_buf *b, const char *format, struct args_list *list)
{
    size_t mark = wire_buf_length(b);
    struct packing p = {.b = b, .pk = wire_packer(b), .format = format ? format : "", .list = list};
    int r;
    list->why[0] = '\0';
    if (p.format[0] == MISFIT) {
        snprintf(list->why, sizeof(list->why), "%s", p.format + 1);
        r = -EINVAL;
    } else {
        r = pack_all(&p);
    }
    if (r < 0)
        wire_buf_rewind(b, mark);
    return r;
}
