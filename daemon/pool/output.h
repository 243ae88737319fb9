/* Reads what tasks print: one pipe per stream, read within a budget, passed on as it is or logged line by line.
 *
 * Log lines are escaped and prefixed, so that a worker cannot forge any; a worker that floods is throttled by its own
 * full pipe. The supervisor's end is non-blocking, which does not affect the worker: the two ends of a pipe do not
 * share flags. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/rate_limit.h"

#define OUTPUT_LINE_MAX  2048u        /* a longer line is logged in pieces */
#define OUTPUT_TEXT_MAX  3072u        /* of escaped text in one log line */
#define OUTPUT_BUDGET    (64u << 10)  /* bytes read from one pipe in one pass */
#define OUTPUT_LOG_RATE  (256u << 10) /* bytes per second that one stream may log … */
#define OUTPUT_LOG_BURST (1u << 20)   /* … and the maximum it may save up */

struct output;

/* Receives what was read. Bytes are borrowed. */
typedef void output_fn(void *owner, int stream, const void *bytes, size_t length);
/* Called before each read, because the writer may be gone once the bytes have been read. NULL: not needed. */
typedef void output_before_fn(void *owner, int stream);

struct output {
    output_before_fn *before;
    output_fn *deliver;
    void *owner;
    int fd; /* read end; -1 when closed */
    int stream;
    struct event *on_readable;
};

/* Collects lines for the log. `who` is printed in each: "pool=x worker=3 task=17 stream=1". Must be zeroed at first. */
struct output_lines {
    char line[OUTPUT_LINE_MAX];
    size_t length;
    struct rate_limit limit; /* of bytes */
    uint64_t suppressed;     /* bytes dropped since the last line that was logged */
};

/* Makes the pipe and watches it. *ret_write_end: the caller's. → 0 or -errno. */
int output_open(struct output *o, struct event_base *base, int stream, output_before_fn *before, output_fn *deliver,
    void *owner, int *ret_write_end);
/* Reads what is there, within the budget. */
void output_drain(struct output *o);
void output_close(struct output *o);
/* Pauses or resumes reading: a writer blocks on its full pipe while paused. */
void output_pause(struct output *o, bool paused);

void output_lines_add(struct output_lines *l, const char *who, const void *bytes, size_t length);
/* Logs an unfinished line. */
void output_lines_end(struct output_lines *l, const char *who);
