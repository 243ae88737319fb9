#include "daemon/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level threshold = LOG_LEVEL_INFO;
static const char *speaker;
static bool to_journal;

static const struct {
    const char *name;
    int syslog;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

void log_init(enum log_level level, const char *who)
{
    threshold = level;
    speaker = who;
    to_journal = getenv("JOURNAL_STREAM") != NULL;
}

int log_level_parse(const char *text)
{
    for (int i = 0; i < (int)(sizeof levels / sizeof levels[0]); i++)
        if (strcmp(text, levels[i].name) == 0)
            return i;
    return -1;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > threshold)
        return;
    int saved = errno;
    char line[4096];
    size_t room = sizeof line - 1, n = 0;
    int head;
    if (to_journal) {
        head = snprintf(line, room, "<%d>", levels[level].syslog);
    } else {
        struct timespec ts;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &ts);
        localtime_r(&ts.tv_sec, &tm);
        head = snprintf(line, room, "%02d:%02d:%02d.%03ld %s %s%s", tm.tm_hour, tm.tm_min, tm.tm_sec,
            ts.tv_nsec / 1000000, levels[level].name, speaker ? speaker : "", speaker ? ": " : "");
    }
    n = head > 0 ? (size_t)head : 0;
    va_list ap;
    va_start(ap, format);
    int body = vsnprintf(line + n, room - n, format, ap);
    va_end(ap);
    if (body > 0)
        n += (size_t)body < room - n ? (size_t)body : room - n - 1;
    line[n++] = '\n';
    /* A log that cannot be written has nobody to tell; the daemon must go on serving. */
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, n);
    while (written < 0 && errno == EINTR);
    errno = saved;
}

void log_escape(char *out, unsigned long out_size, const void *text, unsigned long length)
{
    const unsigned char *in = text;
    unsigned long n = 0;
    if (out_size == 0)
        return;
    for (unsigned long i = 0; i < length; i++) {
        bool plain = in[i] >= 0x20 && in[i] != 0x7f && in[i] != '"' && in[i] != '\\';
        unsigned long need = plain ? 1 : 4;
        if (n + need + sizeof "…" > out_size) {
            if (out_size - n >= sizeof "…") {
                memcpy(out + n, "…", sizeof "…" - 1);
                n += sizeof "…" - 1;
            }
            break;
        }
        if (plain)
            out[n++] = (char)in[i];
        else
            n += (unsigned long)snprintf(out + n, 5, "\\x%02x", in[i]);
    }
    out[n] = 0;
}
