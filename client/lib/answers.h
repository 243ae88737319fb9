/* Which items of a map have been answered but not yet returned to the caller, and which comes next?
 *
 * Answers are stored as they arrive: runs of pairs [error, result] in one block of bytes, or a run of items that failed
 * for the same reason. An ordered map returns them by index, so an early run waits; an unordered one returns them in
 * order of arrival. Knows nothing of requests. The code that pulls items bounds the memory used (answers.bytes).
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
    struct answer_run *current; /* holds the item returned last */
    bool ordered;
    uint64_t next; /* ordered: the index to return next */
    size_t bytes;  /* held by runs */
    char text[HANDLE_TEXT_BYTES];
};

void answers_init(struct answers *answers, bool ordered);
void answers_deinit(struct answers *answers);

/* pairs: `count` pairs, already validated by the caller; copied. → 0; -ENOMEM. */
int answers_add_pairs(struct answers *answers, uint64_t first, uint32_t count, const uint8_t *pairs, size_t length);
/* text: copied. → 0; -ENOMEM. */
int answers_add_failure(struct answers *answers, uint64_t first, uint32_t count, int code, const char *text);

/* → whether an answer is ready. *ret_item is valid until the next call. */
bool answers_next(struct answers *answers, mpool_item *ret_item);
