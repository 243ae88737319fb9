/* How far is the map? See bar.h. One bar a process, hence static state. */
#include "client/cli/bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/human.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/table.h"
#include "proto/clock.h"

enum {
    REDRAW_MS = 100,
    WIDTH_MAX = 40, /* of the bar itself, in columns */
    WIDTH_MIN = 10, /* narrower than this: only text, no bar */
};

static struct {
    bool on;
    bool visible;
    int64_t started_ms, drawn_ms;
} bar;

static void hide(void)
{
    static const char erase[] = "\r\033[K";
    if (bar.visible)
        out_try(STDERR_FILENO, erase, sizeof erase - 1);
    bar.visible = false;
}

bool bar_possible(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void bar_start(void)
{
    bar.on = true;
    bar.started_ms = clock_now_ms();
    bar.drawn_ms = bar.started_ms; /* a map that finishes at once shows no bar */
    say_set_before(hide);
}

void bar_end(void)
{
    hide();
    bar.on = false;
    say_set_before(NULL);
}

static double seconds_so_far(void)
{
    return (double)(clock_now_ms() - bar.started_ms) / 1e3;
}

int bar_wait_ms(void)
{
    if (!bar.on)
        return -1;
    int64_t wait = bar.drawn_ms + REDRAW_MS - clock_now_ms();
    return wait > 0 ? (int)wait : 0;
}

bool bar_is_due(void)
{
    return bar.on && bar_wait_ms() == 0;
}

/* Drawn in eighths of a column, so that even a slow map visibly moves. → bytes written. */
static size_t draw_bar(char *to, size_t size, double share, unsigned width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned steps = (unsigned)(share * width * 8);
    size_t used = 0;
    for (unsigned i = 0; i < width; i++) {
        const char *cell = i < steps / 8 ? "█" : i == steps / 8 && steps % 8 ? eighths[steps % 8] : " ";
        used += (size_t)snprintf(to + used, size - used, "%s", cell);
    }
    return used;
}

static size_t text_of(char *to, size_t size, const struct bar_state *state)
{
    char rate[HUMAN_SIZE], eta[HUMAN_SIZE] = "";
    double seconds = seconds_so_far();
    double per_second = seconds > 0 ? (double)state->done / seconds : 0;
    human_count(rate, sizeof rate, per_second);
    int n;
    if (state->total_known) {
        uint64_t left = state->total > state->done ? state->total - state->done : 0;
        uint64_t eta_s = per_second > 0 ? (uint64_t)((double)left / per_second) : 0;
        if (eta_s > 0 && eta_s < 60)
            snprintf(eta, sizeof eta, "%" PRIu64 "s", eta_s);
        else if (eta_s > 0)
            human_duration_ms(eta, sizeof eta, eta_s * 1000);
        n = snprintf(
            to, size, " %" PRIu64 "/%" PRIu64 "  %s/s%s%s", state->done, state->total, rate, *eta ? "  ETA " : "", eta);
    } else {
        n = snprintf(to, size, "%" PRIu64 " done, %" PRIu64 " read  %s/s", state->done, state->read, rate);
    }
    size_t used = (size_t)n;
    if (state->failed > 0)
        used += (size_t)snprintf(to + used, size - used, "  %" PRIu64 " failed", state->failed);
    return used;
}

void bar_update(const struct bar_state *state)
{
    if (!bar_is_due())
        return;
    bar.drawn_ms = clock_now_ms();
    char text[256], line[1024];
    size_t text_length = text_of(text, sizeof text, state);
    size_t columns = table_terminal_width(STDERR_FILENO);
    size_t used = (size_t)snprintf(line, sizeof line, "\r");
    if (state->total_known && state->total > 0 && columns > text_length + WIDTH_MIN + 4) {
        size_t width = columns - text_length - 4;
        double share = (double)state->done / (double)state->total;
        used += (size_t)snprintf(line + used, sizeof line - used, "▕");
        used += draw_bar(
            line + used, sizeof line - used, share < 1 ? share : 1, width < WIDTH_MAX ? (unsigned)width : WIDTH_MAX);
        used += (size_t)snprintf(line + used, sizeof line - used, "▏");
    }
    size_t fits = text_length < columns ? text_length : columns > 0 ? columns - 1 : 0;
    used += (size_t)snprintf(line + used, sizeof line - used, "%.*s\033[K", (int)fits, text);
    bar.visible = true;
    out_try(STDERR_FILENO, line, used);
}
