/* The MessagePack-RPC envelope, read and written: see message.h.
 *
 * It knows neither methods nor the contents of params and results. A bad envelope fails with one sentence that a
 * client's author can act on; a write that finds no room sets the buffer's `failed`.
 */
#include "proto/message.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "proto/pack.h"
#include "proto/reader.h"
#include "proto/tables.h"
#include "proto/text.h"

/* [1, msgid, nil, … and [0, msgid, "… with a msgid of five bytes. */
#define RESULT_HEAD_MAX  8u
#define REQUEST_HEAD_MAX 8u

static int bad(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EBADMSG;
}

static int parse_call(struct wire_reader *r, struct wire_message *ret, const char **ret_why)
{
    if (wire_read_text(r, &ret->method, &ret->method_length))
        return bad(ret_why, "the method must be a string");
    if (wire_peek(r) != WIRE_TYPE_ARRAY)
        return bad(ret_why, "params must be an array");
    if (wire_read_array(r, &ret->params_count))
        return bad(ret_why, "params ends too early");

    /* The last element of a whole value: it reaches to the end, so it need not be skipped again. */
    ret->params = r->at;
    ret->params_length = (size_t)(r->end - r->at);
    if (ret->params_count == 0 && ret->params_length > 0)
        return bad(ret_why, "there are bytes behind the message");
    return 0;
}

int wire_message_parse(const uint8_t *data, size_t length, struct wire_message *ret, const char **ret_why)
{
    struct wire_reader reader = wire_reader(data, length), *r = &reader;
    uint32_t elements;
    uint64_t kind, msgid;

    *ret = (struct wire_message){0};
    if (wire_read_array(r, &elements))
        return bad(ret_why, "a message must be an array");
    if (elements == 0 || wire_read_u64(r, &kind) || kind > WIRE_NOTIFICATION)
        return bad(ret_why, "a message must begin with 0 (request), 1 (response) or 2 (notification)");
    ret->kind = (enum wire_kind)kind;

    if (ret->kind == WIRE_NOTIFICATION) {
        if (elements != 3)
            return bad(ret_why, "a notification must be [2, method, params]");
        return parse_call(r, ret, ret_why);
    }

    if (elements < 2 || wire_read_u64(r, &msgid) || msgid > UINT32_MAX)
        return bad(ret_why, "the msgid must be an integer from 0 to 4294967295");
    ret->msgid = (uint32_t)msgid;
    ret->has_msgid = ret->kind == WIRE_REQUEST;

    if (ret->kind == WIRE_REQUEST) {
        if (elements != 4)
            return bad(ret_why, "a request must be [0, msgid, method, params]");
        return parse_call(r, ret, ret_why);
    }

    if (elements != 4)
        return bad(ret_why, "a response must be [1, msgid, error, result]");
    if (wire_read_raw(r, &ret->error, &ret->error_length) || r->at == r->end)
        return bad(ret_why, "the response ends too early");
    ret->result = r->at;
    ret->result_length = (size_t)(r->end - r->at);
    return 0;
}

/* Skips `count` scalars that are there. → false if one is missing, or is not a scalar. */
static bool pass_scalars(const uint8_t **at, const uint8_t *end, unsigned count)
{
    for (; count > 0; count--) {
        if (*at == end || wire_shape[**at] >= SHAPE_COUNTED || wire_shape[**at] > end - *at)
            return false;
        *at += wire_shape[**at];
    }
    return true;
}

static bool quick_msgid(const uint8_t **at, const uint8_t *end, uint32_t *ret)
{
    const uint8_t *p = *at;
    if (!pass_scalars(at, end, 1))
        return false;
    if (*p < 0x80)
        *ret = *p;
    else if (*p == 0xcc)
        *ret = p[1];
    else if (*p == 0xcd)
        *ret = wire_be16(p + 1);
    else if (*p == 0xce)
        *ret = wire_be32(p + 1);
    else
        return false;
    return true;
}

bool wire_message_quick(const uint8_t *data, size_t length, struct wire_message *ret, size_t *ret_length)
{
    if (length < 2)
        return false;
    const uint8_t *at = data + 2, *end = data + length;
    if (data[0] != 0x94 || data[1] > WIRE_RESPONSE || !quick_msgid(&at, end, &ret->msgid))
        return false;
    ret->kind = (enum wire_kind)data[1];
    ret->has_msgid = ret->kind == WIRE_REQUEST;
    ret->first_end = NULL;
    if (ret->kind == WIRE_RESPONSE) {
        ret->error = at;
        ret->error_length = 1;
        ret->result = at + 1;
        if (at == end || *at++ != 0xc0 || !pass_scalars(&at, end, 1))
            return false;
        ret->result_length = (size_t)(at - ret->result);
        *ret_length = (size_t)(at - data);
        return true;
    }
    if (at == end || wire_type_of[*at] != WIRE_TYPE_STR)
        return false;
    ret->method = (const char *)at + 1;
    if (!pass_scalars(&at, end, 1))
        return false;
    ret->method_length = (size_t)((const char *)at - ret->method);
    if (at == end || (*at & 0xf0) != 0x90)
        return false;
    ret->params_count = *at++ & 0x0f;
    ret->params = at;
    for (uint32_t i = 0; i < ret->params_count; i++) {
        unsigned scalars = 1;
        if (at < end && (*at & 0xf0) == 0x90)
            scalars = *at++ & 0x0f;
        if (!pass_scalars(&at, end, scalars))
            return false;
    }
    ret->params_length = (size_t)(at - ret->params);
    *ret_length = (size_t)(at - data);
    return true;
}

/* The heads of requests and results are written by hand: they are most of what is sent, and would take five packer
 * calls each. */
void wire_put_request(struct wire_buf *b, uint32_t msgid, const char *method)
{
    size_t length = strlen(method);
    assert(length < 32); /* the table of methods has no longer names */
    uint8_t *to = wire_buf_reserve(b, REQUEST_HEAD_MAX + length), *at = to;
    if (!to)
        return;
    *at++ = 0x94;
    *at++ = WIRE_REQUEST;
    at = wire_put_u64(at, msgid);
    *at++ = (uint8_t)(0xa0 | length);
    memcpy(at, method, length);
    wire_buf_commit(b, (size_t)(at - to) + length);
}

void wire_put_notification(struct wire_buf *b, const char *method)
{
    msgpack_packer pk = wire_packer(b);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint8(&pk, WIRE_NOTIFICATION);
    wire_pack_text(&pk, method);
}

static void put_response(msgpack_packer *pk, uint32_t msgid)
{
    msgpack_pack_array(pk, 4);
    msgpack_pack_uint8(pk, WIRE_RESPONSE);
    msgpack_pack_uint32(pk, msgid);
}

void wire_put_result(struct wire_buf *b, uint32_t msgid)
{
    uint8_t *to = wire_buf_reserve(b, RESULT_HEAD_MAX), *at = to;
    if (!to)
        return;
    *at++ = 0x94;
    *at++ = WIRE_RESPONSE;
    at = wire_put_u64(at, msgid);
    *at++ = 0xc0; /* no error */
    wire_buf_commit(b, (size_t)(at - to));
}

void wire_put_error_value(struct wire_buf *b, int class, const char *text, size_t length)
{
    char clean[WIRE_ERROR_TEXT_MAX];
    size_t keep = wire_utf8_cut(text, length, sizeof(clean));
    if (keep)
        memcpy(clean, text, keep);
    wire_utf8_scrub(clean, keep);

    msgpack_packer pk = wire_packer(b);
    if (class != WIRE_ERROR_AS_TEXT) {
        msgpack_pack_array(&pk, 2);
        msgpack_pack_int(&pk, class);
    }
    wire_pack_str(&pk, clean, keep);
}

void wire_put_error_text(struct wire_buf *b, uint32_t msgid, int class, const char *text, size_t length)
{
    msgpack_packer pk = wire_packer(b);
    put_response(&pk, msgid);
    wire_put_error_value(b, class, text, length);
    msgpack_pack_nil(&pk);
}

size_t wire_error_words(
    char out[WIRE_ERROR_TEXT_MAX + 1], enum mpool_error error, const char *format, va_list arguments)
{
    const struct wire_error_info *info = wire_error_info(error);
    size_t size = WIRE_ERROR_TEXT_MAX + 1, named = wire_format(out, size, "%s: ", info->name);
    size_t said = wire_vformat(out + named, size - named, format, arguments);
    /* No text, or a format that cannot be printed: the table's sentence explains the name. */
    if (said == 0)
        said = wire_format(out + named, size - named, "%s", info->sentence);
    return named + said;
}

void wire_put_error(struct wire_buf *b, uint32_t msgid, enum mpool_error error, const char *format, ...)
{
    char text[WIRE_ERROR_TEXT_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    size_t length = wire_error_words(text, error, format, arguments);
    va_end(arguments);
    wire_put_error_text(b, msgid, wire_error_info(error)->class, text, length);
}

int wire_read_error(const uint8_t *error, size_t length, int *ret_class, const char **ret_text, size_t *ret_length)
{
    struct wire_reader reader = wire_reader(error, length), *r = &reader;
    if (length == 1 && wire_read_nil(r) == 0)
        return -ENODATA;

    uint32_t elements;
    uint64_t class;
    const char *text;
    size_t text_length;
    if (wire_read_array(r, &elements) || elements != 2 || wire_read_u64(r, &class) || class > INT_MAX ||
        wire_read_text(r, &text, &text_length) || r->at != r->end)
        return -EBADMSG;
    *ret_class = (int)class;
    *ret_text = text;
    *ret_length = text_length;
    return 0;
}
