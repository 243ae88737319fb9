/* The store of a map's answers: see answers.h. */
#include "client/lib/answers.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/text.h"
#include "proto/message.h"
#include "proto/reader.h"

struct answer_run {
    TAILQ_ENTRY(answer_run) link;
    uint64_t first;
    uint32_t count, given;
    int code; /* of all items, or 0: bytes are pairs */
    struct wire_reader at;
    size_t length;
    uint8_t bytes[];
};

void answers_init(struct answers *answers, bool ordered)
{
    *answers = (struct answers){.ordered = ordered};
    TAILQ_INIT(&answers->runs);
}

static void drop_current(struct answers *answers)
{
    if (answers->current)
        answers->bytes -= answers->current->length;
    free(answers->current);
    answers->current = NULL;
}

void answers_deinit(struct answers *answers)
{
    drop_current(answers);
    struct answer_run *run;
    while ((run = TAILQ_FIRST(&answers->runs))) {
        TAILQ_REMOVE(&answers->runs, run, link);
        free(run);
    }
    answers->bytes = 0;
}

static int add(struct answers *answers, uint64_t first, uint32_t count, int code, const void *bytes, size_t length)
{
    assert(count > 0);
    struct answer_run *run = malloc(sizeof(*run) + length);
    if (!run)
        return -ENOMEM;
    *run = (struct answer_run){.first = first, .count = count, .code = code, .length = length};
    memcpy(run->bytes, bytes, length);
    run->at = wire_reader(run->bytes, length);
    answers->bytes += length;

    /* Runs come nearly in order, so their place is near the end. */
    struct answer_run *before = answers->ordered ? TAILQ_LAST(&answers->runs, answer_runs) : NULL;
    while (before && before->first > first)
        before = TAILQ_PREV(before, answer_runs, link);
    if (before)
        TAILQ_INSERT_AFTER(&answers->runs, before, run, link);
    else if (answers->ordered)
        TAILQ_INSERT_HEAD(&answers->runs, run, link);
    else
        TAILQ_INSERT_TAIL(&answers->runs, run, link);
    return 0;
}

int answers_add_pairs(struct answers *answers, uint64_t first, uint32_t count, const uint8_t *pairs, size_t length)
{
    return add(answers, first, count, 0, pairs, length);
}

int answers_add_failure(struct answers *answers, uint64_t first, uint32_t count, int code, const char *text)
{
    return add(answers, first, count, code, text, strlen(text) + 1);
}

/* Reads one pair [error, result]. */
static void read_pair(struct answers *answers, struct answer_run *run, mpool_item *item)
{
    uint32_t two;
    const uint8_t *error, *result;
    size_t error_length, result_length;
    int r = wire_read_array(&run->at, &two);
    if (r == 0)
        r = wire_read_raw(&run->at, &error, &error_length);
    if (r == 0)
        r = wire_read_raw(&run->at, &result, &result_length);
    assert(r == 0); /* validated before it was added */

    int class;
    const char *text;
    size_t length;
    r = wire_read_error(error, error_length, &class, &text, &length);
    if (r == -ENODATA) {
        item->data = result;
        item->length = result_length;
        return;
    }
    item->code = r < 0 ? MPOOL_EREMOTE : text_code(text, length);
    if (r < 0)
        snprintf(answers->text, sizeof(answers->text), "%s", mpool_strerror(MPOOL_EREMOTE));
    else
        snprintf(answers->text, sizeof(answers->text), "%.*s",
            (int)(length < sizeof(answers->text) ? length : sizeof(answers->text)), text);
    item->text = answers->text;
}

bool answers_next(struct answers *answers, mpool_item *ret_item)
{
    struct answer_run *run = answers->current;
    if (run && run->given == run->count) {
        drop_current(answers);
        run = NULL;
    }
    if (!run) {
        run = TAILQ_FIRST(&answers->runs);
        if (!run || (answers->ordered && run->first != answers->next))
            return false;
        TAILQ_REMOVE(&answers->runs, run, link);
        answers->current = run;
    }
    /* Read field by field: copying the whole struct would stall on its most recent stores. */
    const uint8_t *at = run->at.at;
    ret_item->index = run->first + run->given;
    ret_item->code = run->code;
    ret_item->data = NULL;
    ret_item->length = 0;
    ret_item->text = "";
    if (run->code) {
        ret_item->text = (const char *)run->bytes;
    } else if (run->at.end - at >= 3 && wire_is_good_pair(at)) { /* the usual case; validated before it was added */
        ret_item->data = at + 2;
        ret_item->length = wire_shape[at[2]];
        run->at.at = at + 2 + ret_item->length;
    } else {
        read_pair(answers, run, ret_item);
    }
    run->given++;
    answers->next = ret_item->index + 1;
    return true;
}
