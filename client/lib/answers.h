/* Which items of a map have been answered and not yet given, and which comes next?
 *
 * Answers are kept as they came: runs of pairs [error, result] in one block of bytes, or a run of items that failed for
 * one reason. Ordered, they are given by index, and a run that is too early waits; unordered, as they came.
 * Knows nothing of requests. Its bytes are bounded by whoever pulls (answers.bytes).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <mpool/client.h>

#include "client/lib/handle.h"
#include "proto/reader.h"

struct answer_run;
TAILQ_HEAD(answer_runs, answer_run);

struct answers {
    struct answer_runs runs;
    struct answer_run *current; /* what was given last lies in it */
    bool ordered;
    uint64_t next; /* ordered: the index to give next */
    size_t bytes;  /* held by runs */
    char text[HANDLE_TEXT_BYTES];
};

void answers_init(struct answers *answers, bool ordered);
void answers_deinit(struct answers *answers);

/* pairs: `count` pairs that the caller has walked over once; copied. → 0; -ENOMEM. */
int answers_add_pairs(struct answers *answers, uint64_t first, uint32_t count, const uint8_t *pairs, size_t length);
/* text: copied. → 0; -ENOMEM. */
int answers_add_failure(struct answers *answers, uint64_t first, uint32_t count, int code, const char *text);

/* → whether one can be given now. *ret_item is valid until the next call. */
bool answers_next(struct answers *answers, mpool_item *ret_item);
