/* The daemon's log: lines of `event key=value …` on stderr.
 *
 * Under systemd (JOURNAL_STREAM set) each line starts with "<N>", which the journal reads as its priority; in a
 * terminal with the time and level. One write(2) a line, so lines of several processes do not mix. Library
 * rooms (proto, lane, core) never log; the decision's owner does. Single thread.
 */
#pragma once

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* level: the least important level still written. who: put in each line in a terminal, NULL for none; borrowed. */
void log_init(enum log_level level, const char *who);

/* "error", "warning", "info", "debug" → level; -1 when it is none of them. */
int log_level_parse(const char *text);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies `length` bytes of foreign text (a module's output, a client's name) to `out` with control characters,
 * quotes and backslashes escaped as \xNN, so that it cannot forge a line. Always terminates; truncates with "…". */
void log_escape(char *out, unsigned long out_size, const void *text, unsigned long length);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
