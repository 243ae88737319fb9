/* The progress bar of a map: one line on stderr, redrawn at most ten times a second and removed before anything else is
 * written (it hooks say_before()). Does nothing until bar_start(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bar_state {
    uint64_t done, failed;
    uint64_t read;  /* items taken from the source so far */
    uint64_t total; /* when total_known */
    bool total_known;
};

/* Can a bar be shown? Requires that stderr is a terminal that obeys escape sequences. */
bool bar_possible(void);
void bar_start(void);
/* Is it time to draw? */
bool bar_is_due(void);
/* Draws the bar if it is due. */
void bar_update(const struct bar_state *state);
/* → milliseconds until bar_update() is due again; -1: never. */
int bar_wait_ms(void);
/* Removes the bar permanently. */
void bar_end(void);
