#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <msgpack.h>
#include <stdio.h>

#include "proto/pack.h"
#include "tests/unit/json/json.h"

static void pack(msgpack_packer *pk, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value;
        msgpack_pack_map(pk, json_object_size(json));
        json_object_foreach((json_t *)(uintptr_t)json, key, value)
        {
            wire_pack_text(pk, key);
            pack(pk, value);
        }
        break;
    }
    case JSON_ARRAY:
        msgpack_pack_array(pk, json_array_size(json));
        for (size_t i = 0; i < json_array_size(json); i++)
            pack(pk, json_array_get(json, i));
        break;
    case JSON_STRING: wire_pack_text(pk, json_string_value(json)); break;
    case JSON_INTEGER: msgpack_pack_int64(pk, json_integer_value(json)); break;
    case JSON_REAL: msgpack_pack_double(pk, json_real_value(json)); break;
    case JSON_TRUE: msgpack_pack_true(pk); break;
    case JSON_FALSE: msgpack_pack_false(pk); break;
    case JSON_NULL: msgpack_pack_nil(pk); break;
    }
}

void json_pack_text(struct wire_buf *b, const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);
    if (!json)
        fail_msg("%s: %s", text, error.text);
    msgpack_packer pk = wire_packer(b);
    pack(&pk, json);
    json_decref(json);
    assert_false(b->failed);
}

size_t json_show(const uint8_t *bytes, size_t length, char *text, size_t size)
{
    msgpack_unpacked value;
    size_t used = 0;
    msgpack_unpacked_init(&value);
    msgpack_unpack_return r = msgpack_unpack_next(&value, (const char *)bytes, length, &used);
    if (r == MSGPACK_UNPACK_SUCCESS) {
        /* Not msgpack_object_print_buffer(), which fails at an empty text in a map. */
        FILE *f = fmemopen(text, size, "w");
        assert_non_null(f);
        msgpack_object_print(f, value.data);
        assert_in_range(ftell(f), 1, size - 1);
        assert_int_equal(fclose(f), 0);
    } else {
        assert_int_equal(r, MSGPACK_UNPACK_CONTINUE);
        used = 0;
    }
    msgpack_unpacked_destroy(&value);
    return used;
}
