/* What is a result, and who owns its bytes?
 *
 * Bytes on the heap, in a shared mapping, or borrowed. A result made on the stack for a callback is a view: it borrows,
 * and mpool_result_free() leaves it alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mpool/client.h>

#include "client/lib/memfd.h"

struct mpool_result {
    const uint8_t *data;
    size_t length;
    struct payload *payload; /* contains data, or NULL; owned results hold a reference */
    uint8_t *heap;           /* owned bytes, or NULL */
    uint64_t ticket;         /* of the one queue item in the payload; else 0 */
    bool owned;
    /* The cell that keeps the view mpool_result_get() returned last. It is separate, so that a const result can have
     * one. */
    mpool_result **view;
};

/* A view on bytes that outlive it. cell: where its own view is kept, NULL before the first; result_view_deinit frees.
 */
mpool_result result_view(const uint8_t *data, size_t length, struct payload *payload, mpool_result **cell);
void result_view_deinit(const mpool_result *view);
