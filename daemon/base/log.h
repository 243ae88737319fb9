/* The daemon's log: lines of `event key=value …` on stderr.
 *
 * Under systemd (JOURNAL_STREAM set) each line starts with "<N>", which the journal reads as its priority; in a
 * terminal with the time and level. Library rooms (proto, lane, core) never log; the decision's owner does. Single
 * thread.
 *
 * Logging never blocks: a line for which stderr has no room is dropped and counted, as nobody shall wait for a terminal
 * that was stopped or a pipe that is not read. And it is limited in rate, so that no flood fills a disk: the daemon's
 * own words and those that tasks print have a budget each, and what is over it is counted. Either count is told with
 * the next line that gets through.
 */
#pragma once

#include <stdint.h>

#define LOG_RATE    (64u << 10)  /* bytes a second that either budget grows by: 5.3 GiB a day at most … */
#define LOG_BURST   (4u << 20)   /* … and what it may have saved up; so much it has at first */
#define LOG_RESERVE (256u << 10) /* of the daemon's own budget: for errors alone */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* level: the least important level still written. who: put in each line in a terminal, NULL for none; borrowed. Looks
 * at what stderr is. */
void log_init(enum log_level level, const char *who);

/* "error", "warning", "info", "debug" → level; -1 when it is none of them. */
int log_level_parse(const char *text);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of what a task has printed or wanted to be logged: it has a budget of its own. */
void log_foreign(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies `length` bytes of foreign text (a module's output, a client's name) to `out`. Control characters, those that
 * turn the direction of writing, quotes, backslashes and what is not UTF-8 are escaped as \xNN, so that it can neither
 * forge a line nor spoil the log. Always terminates; truncates with "…". → how many bytes it has taken. */
unsigned long log_escape(char *out, unsigned long out_size, const void *text, unsigned long length);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
