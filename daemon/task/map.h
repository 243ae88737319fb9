/* A map: one request, many items, chunks as tasks.
 *
 * Items stay as the bytes that came; a chunk is a run of them. Few chunks are queued at a time, sized by the function's
 * measured time; a worker hands the rest of a chunk back after a few milliseconds. When a worker dies, the items that
 * it had finished keep their results, the one it was running gets the verdict (or another attempt, alone), the others
 * run elsewhere.
 *
 * Whatever grows with items or results is done one step per pass: scans, copies, the list of results, and the clean-up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/base/memfd_fill.h"
#include "daemon/task/map_list.h"
#include "daemon/task/task.h"
#include "proto/message.h"
#include "proto/scan.h"

struct map_rest { /* items to submit to the core again, at the front */
    TAILQ_ENTRY(map_rest) link;
    uint32_t first, count, item_attempt;
    size_t offset, length; /* length 0: of one large item whose end is not known yet */
};

struct map {
    TAILQ_ENTRY(map) every; /* supervisor's list */
    struct attached by_id;
    TAILQ_ENTRY(map) dirty;
    bool in_dirty;
    LIST_ENTRY(map) of_conn;
    struct tasks *tasks;
    struct conn *conn; /* NULL once it is answered or the connection is gone */
    struct function *function;
    uint64_t id;
    uint32_t msgid;
    uint8_t cancel_signal; /* that was asked for with the cancel, or 0 */
    bool no_reply, each, stream, star;
    bool ended;                  /* answered; only waiting for its last chunks */
    char *name;                  /* owned, or NULL */
    struct caller *caller;       /* owned reference */
    struct core_flow *flow;      /* the same: of its chunks */
    struct task_options options; /* for its chunks */
    uint32_t attempts;           /* of one item */
    uint64_t submitted_ms;

    const uint8_t *items; /* the elements' bytes, without the array's header … */
    void *memory;         /* … and the memory that contains them, unless it is: */
    size_t items_length;
    void *mapping; /* of a memfd */
    size_t mapping_length, unmapped;
    struct wire_scan *scan; /* of a mapping, not finished yet: its content is not trusted; owned, or NULL */
    uint32_t count;
    uint32_t next; /* first item not yet in any chunk */
    size_t next_offset;
    uint32_t answered, failed;
    TAILQ_HEAD(, task) chunks; /* submitted to the core */
    uint32_t chunk_count;
    TAILQ_HEAD(, map_rest) rests;
    struct map_rest *coming;     /* one large item that is being prepared; or NULL */
    struct wire_scan *item_scan; /* of that item, while its end is being searched for; owned, or NULL */
    struct memfd_fill item;      /* its copy */

    struct map_list list;          /* results; unused for a streaming map */
    TAILQ_HEAD(, map_large) large; /* results that are not validated yet */
};

/* items: the array's elements, `count` of them, scanned; large ones keep the memory of the message that is being
 * handled (conn_take_message()). Or in a mapping (taken), which contains the array and is scanned step by step before
 * its first item runs. → 0 (the answer is sent later), or -errno with nothing taken but the mapping. */
int map_start(struct conn *c, uint32_t msgid, bool no_reply, struct function *f, const struct task_options *options,
    const uint8_t *items, size_t length, uint32_t count, void *mapping, size_t mapping_length);

/* A chunk has ended: called from inside the core, so that further work waits for maps_run(). */
void map_chunk_finished(struct task *t, const struct run_report *report, struct outcome *o);

/* Its connection asks for it: answers E_CANCELLED. */
void map_cancel(struct map *m, uint8_t signal); /* signal: for the commands of its items, or 0 */
/* Answers with an error of ours. */
void map_fail(struct map *m, enum mpool_error error, const char *text);
/* It has been answered: cancels its running chunks. */
void map_end(struct map *m);
struct map *map_find(const struct conn *c, uint32_t msgid);
/* Marks it dirty: it is processed in this pass. */
void map_touch(struct map *m);

/* The connection is no longer full: resumes its maps that were paused for that. */
void maps_go_on(struct conn *c);

/* Call once per pass, outside of the core: new chunks, answers, ends. */
void maps_run(struct tasks *tasks);
