/* What goes to stderr: errors, notes and hints, each in one write and free of control characters.
 *
 * Text from the daemon or from tasks may hold anything; control bytes are shown as \xNN, so that it cannot drive a
 * terminal. Never fails: there is nowhere to report it.
 */
#pragma once

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>

/* "mpool: …" */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for things that are not errors; nothing with --quiet. */
void say_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line without "mpool: ", for what follows an error; nothing with --quiet. */
void say_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Copies text, escaping control characters (other than newlines and tabs) and invalid UTF-8 as \xNN; NUL-terminated,
 * truncated to `size`. */
void say_harmless(char *to, size_t size, const char *text, size_t length);

/* Called before anything is written to stderr or a terminal: the progress bar removes itself. NULL: nothing to do. */
void say_set_before(void (*before)(void));
void say_before(void);

/* Whether to color what goes to this descriptor (--color, NO_COLOR, TERM, is it a terminal). */
bool say_color(int fd);

enum say_style { SAY_PLAIN, SAY_BOLD, SAY_DIM, SAY_RED, SAY_GREEN, SAY_YELLOW };
/* The escape sequence of a style ("" when `color` is false), and the one that ends it. */
const char *say_style(bool color, enum say_style style);
const char *say_style_end(bool color, enum say_style style);
