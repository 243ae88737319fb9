/* How fast is Redis as a task queue? A worker process takes no-ops from a list and pushes its answers onto another.
 *
 *     peer-redis PATH
 *
 * Raw sockets and Redis' own way: `round` is LPUSH by the client, BRPOP by the worker, LPUSH of the answer, BRPOP by
 * the client; `flow` moves up to DEPTH tasks by one LPUSH with many values and one BLMPOP with COUNT, on all four ways.
 * The worker takes as many as are there.
 */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEPTH_MAX 512u

struct line {
    int fd;
    size_t at, end;
    char buffer[65536];
};

static void open_line(struct line *l, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    *l = (struct line){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&to, sizeof to) < 0)
        ask_fail(path, errno);
}

static char next(struct line *l)
{
    if (l->at == l->end) {
        ssize_t got = recv(l->fd, l->buffer, sizeof l->buffer, 0);
        if (got <= 0)
            ask_fail("receive", got < 0 ? errno : ECONNRESET);
        l->at = 0;
        l->end = (size_t)got;
    }
    return l->buffer[l->at++];
}

/* One reply of the kind that its first byte says. → its number (of ':', '$' and '*') */
static long head(struct line *l, char kind)
{
    char text[128];
    size_t n = 0;
    do {
        if (n == sizeof text - 1)
            ask_fail("a line is too long", 0);
        text[n] = next(l);
    } while (text[n++] != '\n');
    text[n] = 0;
    if (text[0] != kind)
        ask_fail(text, 0);
    return atol(text + 1);
}

static void bulk(struct line *l)
{
    for (long n = head(l, '$') + 2; n > 0; n--)
        next(l);
}

/* LPUSH of n values to the list. */
static size_t push_text(char *to, const char *list, unsigned long n)
{
    static const char value[] = "$1\r\nx\r\n";
    size_t length = (size_t)sprintf(to, "*%lu\r\n$5\r\nLPUSH\r\n$1\r\n%s\r\n", n + 2, list);
    for (; n > 0; n--, length += sizeof value - 1)
        memcpy(to + length, value, sizeof value - 1);
    return length;
}

/* Takes up to DEPTH_MAX values from the list, waiting for the first. */
static size_t pop_text(char *to, const char *list)
{
    return (size_t)sprintf(to,
        "*7\r\n$6\r\nBLMPOP\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n%s\r\n$5\r\nRIGHT\r\n$5\r\nCOUNT\r\n$3\r\n512\r\n", list);
}

static unsigned long popped(struct line *l)
{
    if (head(l, '*') != 2)
        ask_fail("BLMPOP", EPROTO);
    bulk(l);
    long n = head(l, '*');
    for (long i = 0; i < n; i++)
        bulk(l);
    return (unsigned long)n;
}

static _Noreturn void worker(const char *path)
{
    static struct line l;
    static char text[DEPTH_MAX * 16 + 256];
    open_line(&l, path);
    ask_send(l.fd, text, pop_text(text, "a"));
    for (;;) {
        size_t n = push_text(text, "b", popped(&l));
        n += pop_text(text + n, "a");
        ask_send(l.fd, text, n);
        head(&l, ':');
    }
}

static struct ask_answer run_flow(void *self, uint64_t count, uint64_t depth)
{
    struct line *l = self;
    static char text[DEPTH_MAX * 16 + 256];
    uint64_t sent = 0, done = 0, start = ask_now_ns();
    if (depth == 0 || depth > DEPTH_MAX)
        ask_fail("depth", ERANGE);
    while (done < count) {
        unsigned long more = depth - (sent - done) < count - sent ? depth - (sent - done) : count - sent;
        size_t n = more ? push_text(text, "a", more) : 0;
        n += pop_text(text + n, "b");
        ask_send(l->fd, text, n);
        if (more)
            head(l, ':');
        sent += more;
        done += popped(l);
    }
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

static void one(void *self, uint64_t i)
{
    static const char text[] = "*3\r\n$5\r\nLPUSH\r\n$1\r\na\r\n$1\r\nx\r\n*3\r\n$5\r\nBRPOP\r\n$1\r\nb\r\n$1\r\n0\r\n";
    struct line *l = self;
    (void)i;
    ask_send(l->fd, text, sizeof text - 1);
    head(l, ':');
    if (head(l, '*') != 2)
        ask_fail("BRPOP", EPROTO);
    bulk(l);
    bulk(l);
}

static struct ask_answer run_round(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return ask_each(self, count, one);
}

int main(int argc, char **argv)
{
    static const struct ask_verb verbs[] = {{"round", run_round}, {"flow", run_flow}, {0}};
    static struct line l;
    if (argc != 2)
        ask_fail("peer-redis PATH", 0);
    for (int i = 0; i < 2; i++) {
        if (ask_fork() == 0)
            worker(argv[1]);
    }
    open_line(&l, argv[1]);
    ask_serve(&l, verbs);
    return 0;
}
