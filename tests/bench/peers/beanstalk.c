/* How fast is beanstalkd? A worker process reserves no-ops from a tube and puts its answers into another.
 *
 *     peer-beanstalk PATH
 *
 * Raw sockets and beanstalkd's own way: beanstalkd knows no results, so an answer is a job of the tube "b". A worker
 * puts the answer, deletes the job and reserves the next in one write, which is the best that the protocol allows.
 * Verbs: `round`, and `flow`, which puts DEPTH jobs in one write and takes their answers together.
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

/* Copies one line without its end to text. */
static void read_line(struct line *l, char text[static 128])
{
    for (size_t n = 0;;) {
        if (l->at == l->end) {
            ssize_t got = recv(l->fd, l->buffer, sizeof l->buffer, 0);
            if (got <= 0)
                ask_fail("receive", got < 0 ? errno : ECONNRESET);
            l->at = 0;
            l->end = (size_t)got;
        }
        char c = l->buffer[l->at++];
        if (c == '\n' && n > 0 && text[n - 1] == '\r') {
            text[n - 1] = 0;
            return;
        }
        text[n++] = c;
        if (n == 128)
            ask_fail("a line is too long", 0);
    }
}

static void expect(struct line *l, const char *beginning)
{
    char text[128];
    read_line(l, text);
    if (strncmp(text, beginning, strlen(beginning)) != 0)
        ask_fail(text, 0);
}

static void send_text(struct line *l, const char *text)
{
    ask_send(l->fd, text, strlen(text));
}

/* Says which tube is written and which one read. */
static void choose(struct line *l, const char *write_to, const char *read_from)
{
    char text[128];
    snprintf(text, sizeof text, "use %s\r\nwatch %s\r\nignore default\r\n", write_to, read_from);
    send_text(l, text);
    expect(l, "USING");
    expect(l, "WATCHING");
    expect(l, "WATCHING");
}

/* → the job's number */
static unsigned long reserved(struct line *l)
{
    char text[128];
    unsigned long id;
    read_line(l, text);
    if (sscanf(text, "RESERVED %lu 1", &id) != 1)
        ask_fail(text, 0);
    expect(l, "x");
    return id;
}

static _Noreturn void worker(const char *path)
{
    static struct line l;
    char text[128];
    open_line(&l, path);
    choose(&l, "b", "a");
    send_text(&l, "reserve\r\n");
    for (;;) {
        unsigned long id = reserved(&l);
        snprintf(text, sizeof text, "put 0 0 60 1\r\nx\r\ndelete %lu\r\nreserve\r\n", id);
        send_text(&l, text);
        expect(&l, "INSERTED");
        expect(&l, "DELETED");
    }
}

/* Puts a batch, and reserves and deletes as many answers, each in one write. */
static void batch(struct line *l, uint64_t size)
{
    static const char put[] = "put 0 0 60 1\r\nx\r\n", reserve[] = "reserve\r\n";
    static char text[DEPTH_MAX * 64];
    size_t n = 0;
    for (uint64_t i = 0; i < size; i++, n += sizeof put - 1)
        memcpy(text + n, put, sizeof put - 1);
    for (uint64_t i = 0; i < size; i++, n += sizeof reserve - 1)
        memcpy(text + n, reserve, sizeof reserve - 1);
    ask_send(l->fd, text, n);
    for (uint64_t i = 0; i < size; i++)
        expect(l, "INSERTED");
    n = 0;
    for (uint64_t i = 0; i < size; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "delete %lu\r\n", reserved(l));
    ask_send(l->fd, text, n);
    for (uint64_t i = 0; i < size; i++)
        expect(l, "DELETED");
}

static void one(void *self, uint64_t i)
{
    (void)i;
    batch(self, 1);
}

static struct ask_answer run_round(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return ask_each(self, count, one);
}

static struct ask_answer run_flow(void *self, uint64_t count, uint64_t depth)
{
    uint64_t start = ask_now_ns();
    if (depth == 0 || depth > DEPTH_MAX)
        ask_fail("depth", ERANGE);
    for (uint64_t done = 0; done < count; done += depth)
        batch(self, count - done < depth ? count - done : depth);
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

int main(int argc, char **argv)
{
    static const struct ask_verb verbs[] = {{"round", run_round}, {"flow", run_flow}, {0}};
    static struct line l;
    if (argc != 2)
        ask_fail("peer-beanstalk PATH", 0);
    for (int i = 0; i < 2; i++) {
        if (ask_fork() == 0)
            worker(argv[1]);
    }
    open_line(&l, argv[1]);
    choose(&l, "a", "b");
    ask_serve(&l, verbs);
    return 0;
}
