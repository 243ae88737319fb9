/* What tasks print: a pipe per stream, read within a budget, handed on as it came or line by line to the log.
 *
 * Log lines are escaped and prefixed, so that a worker can forge none; one that floods is throttled by its own full
 * pipe. The supervisor's end is non-blocking, and that flag is its own: the ends of a pipe share none.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/rate_limit.h"

#define OUTPUT_LINE_MAX  2048u        /* a longer line is logged in pieces */
#define OUTPUT_TEXT_MAX  3072u        /* of what is escaped, in one line of the log */
#define OUTPUT_BUDGET    (64u << 10)  /* bytes read from one pipe in one pass */
#define OUTPUT_LOG_RATE  (256u << 10) /* bytes a second that one stream may put into the log … */
#define OUTPUT_LOG_BURST (1u << 20)   /* … and what it may have saved up */

struct output;

/* Receives what was read. Bytes are borrowed. */
typedef void output_fn(void *owner, int stream, const void *bytes, size_t length);
/* Called before each read: once the bytes have been taken, whoever wrote them may be gone. NULL: nobody asks. */
typedef void output_before_fn(void *owner, int stream);

struct output {
    output_before_fn *before;
    output_fn *deliver;
    void *owner;
    int fd; /* read end; -1 when closed */
    int stream;
    struct event *on_readable;
};

/* Collects lines for the log. `who` is printed in each: "pool=x worker=3 task=17 stream=1". Zeroed at first. */
struct output_lines {
    char line[OUTPUT_LINE_MAX];
    size_t length;
    struct rate_limit limit; /* of bytes */
    uint64_t suppressed;     /* bytes that were not logged since the last line that was */
};

/* Makes the pipe and watches it. *ret_write_end: the caller's. → 0 or -errno. */
int output_open(struct output *o, struct event_base *base, int stream, output_before_fn *before, output_fn *deliver,
    void *owner, int *ret_write_end);
/* Reads what is there, within the budget. */
void output_drain(struct output *o);
void output_close(struct output *o);
/* Stops and goes on reading: the writer then waits on its full pipe. */
void output_pause(struct output *o, bool paused);

void output_lines_add(struct output_lines *l, const char *who, const void *bytes, size_t length);
/* Writes out an unfinished line. */
void output_lines_end(struct output_lines *l, const char *who);
