/* The daemon's log: lines of `event key=value …` on stderr.
 *
 * Under systemd (JOURNAL_STREAM set) each line starts with "<N>", which the journal reads as its priority; on a
 * terminal it starts with the time and level. Library folders (proto, lane, core) never log; the code that makes the
 * decision does. Single thread.
 *
 * Logging never blocks: a line for which stderr has no room is dropped and counted, because a stopped terminal or an
 * unread pipe must not stall the daemon. It is also rate-limited, so that no flood fills a disk: the daemon's own lines
 * and those that tasks print have separate budgets, and lines over budget are counted. Both counts are logged with the
 * next line that gets through. */
#pragma once

#include <stdint.h>

#define LOG_RATE    (64u << 10)  /* bytes per second by which each budget grows: at most 5.3 GiB a day … */
#define LOG_BURST   (4u << 20)   /* … up to this maximum, which is also the initial budget */
#define LOG_RESERVE (256u << 10) /* part of the daemon's own budget reserved for errors */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* level: the least severe level still written. who: printed in each line on a terminal, NULL for none; borrowed. Checks
 * what kind of file stderr is. */
void log_init(enum log_level level, const char *who);

/* "error", "warning", "info", "debug" → level; -1 for any other text. */
int log_level_parse(const char *text);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what a task printed or logged, with a separate budget. */
void log_foreign(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies `length` bytes of foreign text (a module's output, a client's name) to `out`. Control characters, characters
 * that change the writing direction, quotes, backslashes and invalid UTF-8 are escaped as \xNN, so that the text can
 * neither forge a line nor corrupt the log. Always terminates; truncates with "…". → how many bytes of the text were
 * consumed. */
unsigned long log_escape(char *out, unsigned long out_size, const void *text, unsigned long length);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
