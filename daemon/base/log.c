/* Writes log lines without blocking: see log.h.
 *
 * O_NONBLOCK belongs to the open file description, which a terminal or pipe shares with the process that started us, so
 * we must not set it. Instead a terminal or pipe is reopened, which gives us a description of our own; a socket gets
 * MSG_DONTWAIT on each send. If reopening is refused (the terminal belongs to another user), poll() checks first
 * whether a line fits; only if another writer fills the same pipe in between does a line block. A file never blocks
 * except for its disk. */
#include "daemon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/rate_limit.h"
#include "proto/text.h"

#define LINE_MAX_BYTES PIPE_BUF /* a pipe takes this much atomically */

struct budget {
    struct rate_limit limit;
    uint64_t suppressed; /* lines suppressed since the last one written */
    const char *whose;
};

static enum log_level threshold = LOG_LEVEL_INFO;
static const char *speaker;
static bool to_journal;
static int target = STDERR_FILENO;
static enum { BY_WRITE, BY_SEND, BY_POLL } way;
static char rest[LINE_MAX_BYTES]; /* remainder of a line that a terminal took in part */
static size_t rest_length;
static uint64_t dropped; /* lines dropped because stderr had no room */
static struct budget own = {.whose = "the daemon"};
static struct budget foreign = {.whose = "tasks"};

static const struct {
    const char *name;
    int syslog;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* ---- getting a line out ---- */

static void look_at_stderr(void)
{
    struct stat st;
    target = STDERR_FILENO;
    way = BY_WRITE;
    if (fstat(STDERR_FILENO, &st) < 0)
        return;
    if (S_ISSOCK(st.st_mode)) {
        way = BY_SEND;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0)
            target = fd;
        else
            way = BY_POLL;
    }
}

/* → bytes written; negative: none, now or ever. */
static ssize_t put(const char *bytes, size_t length)
{
    struct pollfd room = {.fd = target, .events = POLLOUT};
    ssize_t n;
    if (way == BY_POLL && poll(&room, 1, 0) <= 0)
        return -1;
    do
        n = way == BY_SEND ? send(target, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) : write(target, bytes, length);
    while (n < 0 && errno == EINTR);
    return n;
}

/* → false: there was no room, and nothing was written. */
static bool put_line(const char *line, size_t length)
{
    ssize_t n = 0;
    if (rest_length > 0 && (n = put(rest, rest_length)) > 0) {
        rest_length -= (size_t)n;
        memmove(rest, rest + n, rest_length);
    }
    if (rest_length > 0 || (n = put(line, length)) <= 0)
        return false;
    rest_length = length - (size_t)n;
    memcpy(rest, line + n, rest_length);
    return true;
}

void log_init(enum log_level level, const char *who)
{
    threshold = level;
    speaker = who;
    to_journal = getenv("JOURNAL_STREAM") != NULL;
    look_at_stderr();
}

int log_level_parse(const char *text)
{
    for (int i = 0; i < (int)(sizeof levels / sizeof levels[0]); i++)
        if (strcmp(text, levels[i].name) == 0)
            return i;
    return -1;
}

/* ---- lines ---- */

static size_t begin(char *line, size_t room, enum log_level level)
{
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
    return head > 0 ? (size_t)head : 0;
}

static size_t __attribute__((format(printf, 3, 0)))
make_line(char *line, enum log_level level, const char *format, va_list ap)
{
    size_t room = LINE_MAX_BYTES - 1, n = begin(line, room, level);
    size_t said = wire_vformat(line + n, room - n, format, ap);
    wire_utf8_scrub(line + n, said); /* log readers may insist on valid UTF-8 */
    n += said;
    line[n++] = '\n';
    return n;
}

/* Logs how many lines are missing. → whether it was written. */
static bool __attribute__((format(printf, 1, 2))) admit(const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list ap;
    va_start(ap, format);
    size_t n = make_line(line, LOG_LEVEL_WARNING, format, ap);
    va_end(ap);
    return put_line(line, n);
}

static void __attribute__((format(printf, 4, 0)))
say(struct budget *b, enum log_level level, size_t reserve, const char *format, va_list ap)
{
    char line[LINE_MAX_BYTES];
    int saved = errno;
    size_t n = make_line(line, level, format, ap);
    if (!rate_limit_take(&b->limit, LOG_RATE, LOG_BURST, n, reserve, clock_now_ns())) {
        b->suppressed++;
    } else {
        if (dropped > 0 && admit("log dropped_lines=%llu: stderr is not read", (unsigned long long)dropped))
            dropped = 0;
        if (b->suppressed > 0 && admit("log suppressed_lines=%llu of=\"%s\": more than %u bytes a second",
                                     (unsigned long long)b->suppressed, b->whose, LOG_RATE))
            b->suppressed = 0;
        dropped += !put_line(line, n); /* the error cannot be reported anywhere; keep serving */
    }
    errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list ap;
    if (level > threshold)
        return;
    va_start(ap, format);
    say(&own, level, level == LOG_LEVEL_ERROR ? 0 : LOG_RESERVE, format, ap);
    va_end(ap);
}

void log_foreign(enum log_level level, const char *format, ...)
{
    va_list ap;
    if (level > threshold)
        return;
    va_start(ap, format);
    say(&foreign, level, 0, format, ap);
    va_end(ap);
}

/* Length in bytes of the next character if it may be logged unescaped; 0: its first byte must be escaped. */
static unsigned long plain(const char *text, unsigned long left)
{
    const unsigned char *in = (const unsigned char *)text;
    if (in[0] < 0x80)
        return in[0] >= 0x20 && in[0] != 0x7f && in[0] != '"' && in[0] != '\\';
    unsigned long size = wire_utf8_character(text, left);
    if (size == 2 && in[0] == 0xc2 && in[1] < 0xa0)
        return 0; /* C1 controls: some terminals interpret them */
    /* U+2028 to 202E and U+2066 to 2069 separate lines or change the writing direction. */
    if (size == 3 && in[0] == 0xe2 &&
        ((in[1] == 0x80 && in[2] >= 0xa8 && in[2] <= 0xae) || (in[1] == 0x81 && in[2] >= 0xa6 && in[2] <= 0xa9)))
        return 0;
    return size;
}

unsigned long log_escape(char *out, unsigned long out_size, const void *text, unsigned long length)
{
    const char *in = text;
    unsigned long n = 0, i = 0;
    if (out_size == 0)
        return 0;
    while (i < length) {
        unsigned long size = plain(in + i, length - i), need = size ? size : 4;
        if (n + need + sizeof "…" > out_size) {
            if (out_size - n >= sizeof "…") {
                memcpy(out + n, "…", sizeof "…" - 1);
                n += sizeof "…" - 1;
            }
            break;
        }
        if (size > 0)
            memcpy(out + n, in + i, size);
        else
            snprintf(out + n, 5, "\\x%02x", (unsigned char)in[i]);
        n += need;
        i += size ? size : 1;
    }
    out[n] = 0;
    return i;
}
