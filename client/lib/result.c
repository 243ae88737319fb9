/* Reading and keeping results: see result.h. Every reader checks bounds itself; nothing here trusts that the bytes were
 * scanned before. */
#include "client/lib/result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/reader.h"

struct heap_result {
    mpool_result result;
    mpool_result *view;
};

mpool_result result_view(const uint8_t *data, size_t length, struct payload *payload, mpool_result **cell)
{
    *cell = NULL;
    return (mpool_result){.data = data, .length = length, .payload = payload, .view = cell};
}

void result_view_deinit(const mpool_result *view)
{
    /* Each level is a view of the one above; the maximum depth of messages bounds the chain. */
    mpool_result *next = *view->view;
    *view->view = NULL;
    while (next) {
        mpool_result *inner = *next->view;
        free(next);
        next = inner;
    }
}

static mpool_result *heap_new(void)
{
    struct heap_result *heap = calloc(1, sizeof(*heap));
    if (!heap)
        return NULL;
    heap->result.view = &heap->view;
    return &heap->result;
}

mpool_result *mpool_result_keep(const mpool_result *result)
{
    if (!result)
        return NULL;
    mpool_result *kept = heap_new();
    if (!kept)
        return NULL;
    kept->owned = true;
    kept->length = result->length;
    kept->ticket = result->ticket;
    if (result->payload) {
        kept->payload = payload_ref(result->payload);
        kept->data = result->data;
        return kept;
    }
    kept->heap = malloc(result->length ? result->length : 1);
    if (!kept->heap) {
        free(kept);
        return NULL;
    }
    if (result->length)
        memcpy(kept->heap, result->data, result->length);
    kept->data = kept->heap;
    return kept;
}

void mpool_result_free(mpool_result *result)
{
    if (!result || !result->owned)
        return;
    result_view_deinit(result);
    payload_unref(result->payload);
    free(result->heap);
    free(result);
}

const void *mpool_result_data(const mpool_result *result, size_t *ret_length)
{
    if (ret_length)
        *ret_length = result ? result->length : 0;
    return result ? result->data : NULL;
}

static struct wire_reader reader_of(const mpool_result *result)
{
    return wire_reader(result->data, result->length);
}

int mpool_result_i64(const mpool_result *result, int64_t *ret)
{
    if (!result || !ret)
        return -EINVAL;
    struct wire_reader r = reader_of(result);
    return wire_read_i64(&r, ret) < 0 ? -EBADMSG : 0;
}

int mpool_result_u64(const mpool_result *result, uint64_t *ret)
{
    if (!result || !ret)
        return -EINVAL;
    struct wire_reader r = reader_of(result);
    return wire_read_u64(&r, ret) < 0 ? -EBADMSG : 0;
}

int mpool_result_f64(const mpool_result *result, double *ret)
{
    if (!result || !ret)
        return -EINVAL;
    struct wire_reader r = reader_of(result);
    return wire_read_f64(&r, ret) < 0 ? -EBADMSG : 0;
}

int mpool_result_bool(const mpool_result *result, bool *ret)
{
    if (!result || !ret)
        return -EINVAL;
    struct wire_reader r = reader_of(result);
    return wire_read_bool(&r, ret) < 0 ? -EBADMSG : 0;
}

int mpool_result_bytes(const mpool_result *result, const void **ret, size_t *ret_length)
{
    if (!result || !ret || !ret_length)
        return -EINVAL;
    struct wire_reader r = reader_of(result);
    const char *text;
    if (wire_read_text(&r, &text, ret_length) < 0)
        return -EBADMSG;
    *ret = text;
    return 0;
}

static int find_value(const mpool_result *result, const char *key, const uint8_t **ret, size_t *ret_length)
{
    struct wire_reader r = reader_of(result);
    uint32_t pairs;
    if (wire_read_map(&r, &pairs) < 0)
        return -EBADMSG;
    size_t key_length = strlen(key);
    for (uint32_t i = 0; i < pairs; i++) {
        const char *name = NULL;
        size_t name_length = 0;
        if (wire_read_text(&r, &name, &name_length) < 0 && wire_skip(&r) < 0)
            return -EBADMSG;
        bool found = name && name_length == key_length && memcmp(name, key, key_length) == 0;
        if (found)
            return wire_read_raw(&r, ret, ret_length) < 0 ? -EBADMSG : 0;
        if (wire_skip(&r) < 0)
            return -EBADMSG;
    }
    return -ENOENT;
}

int mpool_result_get(const mpool_result *result, const char *key, const mpool_result **ret_value)
{
    const uint8_t *data;
    size_t length;
    if (!result || !key || !ret_value)
        return -EINVAL;
    int r = find_value(result, key, &data, &length);
    if (r < 0)
        return r;
    mpool_result *view = *result->view;
    if (!view) {
        view = heap_new();
        if (!view)
            return -ENOMEM;
        *result->view = view;
    }
    view->data = data;
    view->length = length;
    view->payload = result->payload;
    *ret_value = view;
    return 0;
}
