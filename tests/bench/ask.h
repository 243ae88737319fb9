/* How is a program asked to measure something?
 *
 * The runner starts every side (mpool, the floor, each peer) as a program that reads lines from stdin, `VERB COUNT
 * DEPTH`, and answers each with one line: nanoseconds in all, then the median, the 99th and the 99.9th percentile of
 * one task in nanoseconds (0 where single tasks are not timed). So all sides are measured alike, by their own clock
 * and from the inside, and none pays for the runner.
 */
#pragma once

#include <stdint.h>
#include <stddef.h>

/* What one measurement says. A side begins with all zero. */
struct ask_answer {
    uint64_t total_ns;
    uint64_t p50_ns, p99_ns, p999_ns;
};

struct ask_verb {
    const char *name;
    /* Measures count tasks; ends the program with a message if it cannot, or if an answer is wrong. */
    struct ask_answer (*run)(void *self, uint64_t count, uint64_t depth);
};

uint64_t ask_now_ns(void); /* CLOCK_MONOTONIC */

/* Calls one(self, i) count times, one after the other, and times each. */
struct ask_answer ask_each(void *self, uint64_t count, void (*one)(void *self, uint64_t i));

/* Answers lines until stdin ends; verbs ends with a row whose name is NULL. */
void ask_serve(void *self, const struct ask_verb *verbs);

/* Says so on stderr, with errno's text if error is not 0, and ends the program with 1. */
_Noreturn void ask_fail(const char *what, int error);

/* The whole of length bytes to, or from, a blocking descriptor. Ends the program on failure. */
void ask_send(int fd, const void *bytes, size_t length);
void ask_receive(int fd, void *bytes, size_t length);

/* A child that dies with its parent. → as fork(), but it never fails. */
int ask_fork(void);

/* From here on only this CPU of those that were allowed (0: the first); negative: as it was. */
void ask_pin(int nth);
