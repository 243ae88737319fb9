/* Fuzzes the envelope: is what was read what the bytes say, and is what is then written read again the same?
 *
 * Bytes that the scan did not pass are parsed as well: any answer, but never a read outside. For bytes that it passed,
 * msgpack-c is the judge of whether they are a message.
 */
#include "tests/fuzz/fuzz.h"

#include <msgpack.h>

#include "proto/buf.h"
#include "proto/message.h"
#include "proto/reader.h"
#include "proto/scan.h"
#include "proto/tables.h"

static bool is_text(const msgpack_object *o)
{
    return o->type == MSGPACK_OBJECT_STR || o->type == MSGPACK_OBJECT_BIN;
}

static bool is_small(const msgpack_object *o, uint64_t max)
{
    return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= max;
}

/* What the protocol says of a message, told by msgpack-c's tree. */
static bool is_message(const msgpack_object *o)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size < 3)
        return false;
    uint32_t size = o->via.array.size;
    const msgpack_object *at = o->via.array.ptr;
    if (!is_small(&at[0], 2))
        return false;
    switch (at[0].via.u64) {
    case 0: return size == 4 && is_small(&at[1], UINT32_MAX) && is_text(&at[2]) && at[3].type == MSGPACK_OBJECT_ARRAY;
    case 1: return size == 4 && is_small(&at[1], UINT32_MAX);
    default: return size == 3 && is_text(&at[1]) && at[2].type == MSGPACK_OBJECT_ARRAY;
    }
}

static void parse_again(const struct wire_buf *b, struct wire_message *ret)
{
    const char *why;
    struct wire_limits limits = {1 << 17, 34};
    uint64_t length = 0;
    FUZZ_ASSERT(!b->failed);
    FUZZ_ASSERT(wire_scan_value(&limits, wire_buf_at(b), wire_buf_length(b), &length) == WIRE_SCAN_WHOLE);
    FUZZ_ASSERT(length == wire_buf_length(b));
    FUZZ_ASSERT(wire_message_parse(wire_buf_at(b), length, ret, &why) == 0);
}

/* Writes the parsed message with our own functions and reads that. */
static void write_and_read(const struct wire_message *m)
{
    struct wire_buf b = {0};
    struct wire_message again;
    if (m->kind == WIRE_RESPONSE) {
        wire_put_result(&b, m->msgid);
        wire_buf_append(&b, m->result, m->result_length);
        parse_again(&b, &again);
        FUZZ_ASSERT(again.kind == WIRE_RESPONSE && again.msgid == m->msgid);
        FUZZ_ASSERT(again.result_length == m->result_length);
        FUZZ_ASSERT(memcmp(again.result, m->result, m->result_length) == 0);

        int class;
        const char *text;
        size_t length;
        int error = wire_read_error(m->error, m->error_length, &class, &text, &length);
        FUZZ_ASSERT(error == 0 || error == -EBADMSG || error == -ENODATA);
        FUZZ_ASSERT((error == -ENODATA) == (m->error_length == 1 && *m->error == 0xc0));
        if (error == 0) {
            (void)wire_error_find(text, length);
            wire_buf_rewind(&b, 0);
            wire_put_error_text(&b, m->msgid, class, text, length);
            parse_again(&b, &again);
            int class_again;
            const char *text_again;
            size_t length_again;
            FUZZ_ASSERT(
                wire_read_error(again.error, again.error_length, &class_again, &text_again, &length_again) == 0);
            FUZZ_ASSERT(class_again == class && length_again <= length && length_again <= 4000);
        }
    } else {
        char *method = malloc(m->method_length + 1);
        FUZZ_ASSERT(method);
        memcpy(method, m->method, m->method_length);
        method[m->method_length] = 0;
        size_t length = strlen(method); /* a name with a NUL is written up to it */

        msgpack_packer pk = wire_packer(&b);
        if (m->kind == WIRE_REQUEST)
            wire_put_request(&b, m->msgid, method);
        else
            wire_put_notification(&b, method);
        msgpack_pack_array(&pk, m->params_count);
        wire_buf_append(&b, m->params, m->params_length);
        parse_again(&b, &again);
        FUZZ_ASSERT(again.kind == m->kind && again.has_msgid == m->has_msgid && again.msgid == m->msgid);
        FUZZ_ASSERT(again.method_length == length && memcmp(again.method, method, length) == 0);
        FUZZ_ASSERT(again.params_count == m->params_count && again.params_length == m->params_length);
        FUZZ_ASSERT(m->params_length == 0 || memcmp(again.params, m->params, m->params_length) == 0);

        int found = wire_method_find(m->method, m->method_length);
        FUZZ_ASSERT(found == -1 || strcmp(wire_method_info((enum mpool_method)found)->name, method) == 0);
        wire_buf_rewind(&b, 0);
        wire_put_error(&b, m->msgid, MPOOL_E_NO_METHOD, "no method %s", method);
        parse_again(&b, &again);
        free(method);
    }
    wire_buf_reset(&b);
}

/* The quick way sees nothing that scan and parse do not see. */
static void check_quick(const uint8_t *bytes, size_t size)
{
    struct wire_message quick, parsed;
    struct wire_limits limits = {1 << 16, WIRE_QUICK_DEPTH};
    const char *why;
    size_t length;
    uint64_t whole;
    if (!wire_message_quick(bytes, size, &quick, &length) || length > limits.max_bytes)
        return;
    FUZZ_ASSERT(wire_scan_value(&limits, bytes, size, &whole) == WIRE_SCAN_WHOLE && whole == length);
    FUZZ_ASSERT(wire_message_parse(bytes, length, &parsed, &why) == 0);
    FUZZ_ASSERT(quick.kind == parsed.kind && quick.msgid == parsed.msgid && quick.has_msgid == parsed.has_msgid);
    if (quick.kind == WIRE_RESPONSE)
        FUZZ_ASSERT(quick.error == parsed.error && quick.error_length == parsed.error_length &&
                    quick.result == parsed.result && quick.result_length == parsed.result_length);
    else
        FUZZ_ASSERT(quick.method == parsed.method && quick.method_length == parsed.method_length &&
                    quick.params == parsed.params && quick.params_count == parsed.params_count &&
                    quick.params_length == parsed.params_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = fuzz_copy(data, size);
    struct wire_message m;
    const char *why = NULL;
    if (wire_message_parse(bytes, size, &m, &why) != 0)
        FUZZ_ASSERT(why && (!m.has_msgid || m.kind == WIRE_REQUEST));

    check_quick(bytes, size);
    struct wire_limits limits = {1 << 16, 32};
    uint64_t length;
    if (wire_scan_value(&limits, bytes, size, &length) == WIRE_SCAN_WHOLE) {
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t off = 0;
        FUZZ_ASSERT(msgpack_unpack_next(&unpacked, (const char *)bytes, length, &off) == MSGPACK_UNPACK_SUCCESS);
        int error = wire_message_parse(bytes, length, &m, &why);
        FUZZ_ASSERT((error == 0) == is_message(&unpacked.data));
        msgpack_unpacked_destroy(&unpacked);
        if (error == 0)
            write_and_read(&m);
    }
    free(bytes);
    return 0;
}
