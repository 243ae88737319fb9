/* A module that attacks: everything a compromised worker can do to its supervisor without leaving its process.
 *
 * It finds the lane and the sockets as an attacker would, in /proc/self, and knows nothing of their layout. Each
 * function does its harm and then, where it still can, replies as if nothing had happened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpool/module.h>

static uint64_t seed;

static uint64_t dice(void)
{
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct span {
    unsigned char *at;
    size_t size;
};

/* Shared mappings of memfds: writable ones (the worker's half of its lane) or read-only ones. */
static size_t find_spans(struct span *spans, size_t room, int writable)
{
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return 0;
    char line[512];
    while (count < room && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char protection[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, protection) != 3 || !strstr(line, "/memfd:"))
            continue;
        if (protection[3] == 's' && (protection[1] == 'w') == writable)
            spans[count++] = (struct span){(unsigned char *)start, end - start};
    }
    fclose(maps);
    return count;
}

static int for_each_fd(void (*act)(int fd, void *context), void *context)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    int fds[1024], count = 0;
    for (struct dirent *e; count < 1024 && (e = readdir(dir));)
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir))
            fds[count++] = atoi(e->d_name);
    closedir(dir);
    for (int i = 0; i < count; i++)
        act(fds[i], context);
    return count;
}

static int is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* mode, seed → fills its half of the lane: 0 zeroes, 1 ones, 2 noise everywhere, 3 a few words, 4 small numbers,
 * 5 words moved elsewhere */
static int scribble(mpool_task *task)
{
    int64_t mode, number;
    if (mpool_arg_i64(task, 0, &mode) < 0 || mpool_arg_i64(task, 1, &number) < 0)
        return -1;
    seed = (uint64_t)number;
    struct span spans[16];
    size_t count = find_spans(spans, 16, 1);
    if (count == 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "found no lane to scribble over");
    for (size_t i = 0; i < count; i++) {
        struct span s = spans[i];
        uint32_t *words = (uint32_t *)(void *)s.at;
        size_t n = s.size / 4;
        switch (mode) {
        case 0: memset(s.at, 0, s.size); break;
        case 1: memset(s.at, 0xff, s.size); break;
        case 2:
            for (size_t k = 0; k < n; k++)
                words[k] = (uint32_t)dice();
            break;
        case 3: /* the front, where the words that matter are likely to be */
            for (int k = 0; k < 64; k++)
                words[dice() % (n < 4096 ? n : 4096)] = (uint32_t)dice();
            break;
        case 4:
            for (int k = 0; k < 256; k++)
                words[dice() % (n < 4096 ? n : 4096)] = (uint32_t)(dice() % 8);
            break;
        default:
            for (int k = 0; k < 256; k++)
                words[dice() % (n < 4096 ? n : 4096)] = words[dice() % (n < 4096 ? n : 4096)];
        }
    }
    return mpool_reply_i64(task, (int64_t)count);
}

/* seed, milliseconds → a child goes on flipping words of the lane while this worker works on */
static int scribble_on(mpool_task *task)
{
    int64_t number, ms;
    if (mpool_arg_i64(task, 0, &number) < 0 || mpool_arg_i64(task, 1, &ms) < 0)
        return -1;
    struct span spans[16];
    size_t count = find_spans(spans, 16, 1);
    if (count == 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "found no lane to scribble over");
    pid_t child = fork();
    if (child < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "fork: %s", strerror(errno));
    if (child == 0) {
        struct timespec start, now;
        clock_gettime(CLOCK_MONOTONIC, &start);
        seed = (uint64_t)number;
        do {
            for (int k = 0; k < 1000; k++) {
                struct span s = spans[dice() % count];
                size_t n = s.size / 4 < 4096 ? s.size / 4 : 4096;
                ((uint32_t *)(void *)s.at)[dice() % n] = (uint32_t)(dice() % 5 ? dice() % 70 : dice());
            }
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
        _exit(0);
    }
    return mpool_reply_i64(task, child);
}

/* → [writes that succeeded, mprotects that succeeded] on the supervisor's half; each must be 0 */
static int write_supervisor_half(mpool_task *task)
{
    struct span spans[16];
    size_t count = find_spans(spans, 16, 0);
    if (count == 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "found no read-only half");
    int64_t protects = 0, reopened = 0;
    for (size_t i = 0; i < count; i++)
        if (mprotect(spans[i].at, spans[i].size, PROT_READ | PROT_WRITE) == 0)
            protects++;
    /* map_files needs no descriptor */
    for (size_t i = 0; i < count; i++) {
        char path[96];
        snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)spans[i].at,
            (unsigned long)(spans[i].at + spans[i].size));
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            continue;
        void *p = mmap(NULL, spans[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED || ftruncate(fd, 0) == 0 || pwrite(fd, "x", 1, 0) == 1)
            reopened++;
        close(fd);
    }
    mpool_reply_array(task, 2);
    mpool_reply_i64(task, reopened);
    return mpool_reply_i64(task, protects);
}

static void set_blocking(int fd, void *context)
{
    (void)context;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* → clears O_NONBLOCK on everything it holds */
static int clear_nonblock(mpool_task *task)
{
    return mpool_reply_i64(task, for_each_fd(set_blocking, NULL));
}

static void close_it(int fd, void *context)
{
    (void)context;
    close(fd);
}

/* Closes every descriptor, then waits for ever (1) or replies (0). */
static int close_everything(mpool_task *task)
{
    int64_t stay;
    if (mpool_arg_i64(task, 0, &stay) < 0)
        return -1;
    for_each_fd(close_it, NULL);
    while (stay)
        pause();
    return mpool_reply_nil(task);
}

struct flood {
    const void *bytes;
    size_t length;
    uint64_t count, sent;
};

static void flood_fd(int fd, void *context)
{
    struct flood *f = context;
    if (!is_socket(fd))
        return;
    for (uint64_t i = 0; i < f->count; i++) {
        if (send(fd, f->bytes, f->length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno != EAGAIN)
                return;
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, 10);
            continue;
        }
        f->sent++;
    }
}

/* count, bytes → sends the bytes that often to every socket it holds; → how many went out */
static int flood(mpool_task *task)
{
    struct flood f = {0};
    if (mpool_arg_u64(task, 0, &f.count) < 0 || mpool_arg_bin(task, 1, &f.bytes, &f.length) < 0)
        return -1;
    for_each_fd(flood_fd, &f);
    return mpool_reply_u64(task, f.sent);
}

/* seed, count → sends messages of noise that begin like real ones to every socket */
static int gossip(mpool_task *task)
{
    int64_t number;
    uint64_t count;
    if (mpool_arg_i64(task, 0, &number) < 0 || mpool_arg_u64(task, 1, &count) < 0)
        return -1;
    seed = (uint64_t)number;
    uint64_t sent = 0;
    for (uint64_t i = 0; i < count; i++) {
        unsigned char message[256];
        for (size_t k = 0; k < sizeof message; k++)
            message[k] = (unsigned char)dice();
        size_t length = dice() % sizeof message + 1;
        uint32_t type = (uint32_t)(dice() % 16), size = length >= 8 ? (uint32_t)(length - 8) : 0;
        if (dice() % 4 == 0)
            size = (uint32_t)dice();
        memcpy(message, &type, 4);
        memcpy(message + 4, &size, 4);
        struct flood f = {message, length, 1, 0};
        for_each_fd(flood_fd, &f);
        sent += f.sent;
    }
    return mpool_reply_u64(task, sent);
}

struct rights {
    int fd;
    uint64_t count, sent;
};

static void send_rights(int fd, void *context)
{
    struct rights *r = context;
    if (!is_socket(fd))
        return;
    for (uint64_t i = 0; i < r->count; i++) {
        char byte[8] = {0};
        struct iovec iov = {byte, sizeof byte};
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(200 * sizeof(int))];
        } control = {0};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(200 * sizeof(int));
        for (int k = 0; k < 200; k++)
            memcpy(CMSG_DATA(c) + (size_t)k * sizeof(int), &r->fd, sizeof(int));
        if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno != EAGAIN && errno != ETOOMANYREFS)
                return;
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, 10);
            continue;
        }
        r->sent++;
    }
}

/* count → messages of 200 descriptors each to every socket */
static int flood_rights(mpool_task *task)
{
    struct rights r = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (mpool_arg_u64(task, 0, &r.count) < 0)
        return -1;
    for_each_fd(send_rights, &r);
    close(r.fd);
    return mpool_reply_u64(task, r.sent);
}

/* bytes, text → writes the text over and over to stdout, past stdio, until that many bytes are out */
static int flood_output(mpool_task *task)
{
    uint64_t total, written = 0;
    const char *text;
    size_t length;
    if (mpool_arg_u64(task, 0, &total) < 0 || mpool_arg_str(task, 1, &text, &length) < 0)
        return -1;
    while (written < total) {
        ssize_t n = write(written / 65536 % 2 ? 2 : 1, text, length);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = 1, .events = POLLOUT};
            poll(&wait, 1, 10);
        } else if (n <= 0) {
            break;
        } else {
            written += (uint64_t)n;
        }
    }
    return mpool_reply_u64(task, written);
}

/* count, text → that many lines by mpool_log() */
static int flood_log(mpool_task *task)
{
    uint64_t count;
    const char *text;
    size_t length;
    if (mpool_arg_u64(task, 0, &count) < 0 || mpool_arg_str(task, 1, &text, &length) < 0)
        return -1;
    for (uint64_t i = 0; i < count; i++)
        mpool_log(task, MPOOL_LOG_INFO, "%.*s", (int)length, text);
    return mpool_reply_nil(task);
}

/* → forks a child that leaves the session, ignores every signal it can, and holds all descriptors; → its pid */
static int run_away(mpool_task *task)
{
    int report[2];
    if (pipe(report) < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "pipe: %s", strerror(errno));
    pid_t first = fork();
    if (first < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "fork: %s", strerror(errno));
    if (first == 0) {
        setsid();
        pid_t second = fork();
        if (second != 0)
            _exit(second < 0);
        for (int s = 1; s < 32; s++)
            if (s != SIGKILL && s != SIGSTOP)
                signal(s, SIG_IGN);
        pid_t me = getpid();
        if (write(report[1], &me, sizeof me) != (ssize_t)sizeof me)
            _exit(1);
        for (;;)
            pause();
    }
    waitpid(first, NULL, 0);
    pid_t away = 0;
    ssize_t n = read(report[0], &away, sizeof away);
    close(report[0]);
    close(report[1]);
    if (n != (ssize_t)sizeof away)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "the child did not get away");
    return mpool_reply_i64(task, away);
}

/* → forks a child that simply stays, in the worker's own session, and waits for it for ever */
static int keep_child(mpool_task *task)
{
    pid_t child = fork();
    if (child < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "fork: %s", strerror(errno));
    for (;;)
        pause();
}

/* status → leaves in the middle of a task */
static int leave(mpool_task *task)
{
    int64_t status;
    if (mpool_arg_i64(task, 0, &status) < 0)
        return -1;
    _exit((int)status);
}

MPOOL_MODULE("hostile", "1.0.0", MPOOL_FN("scribble", scribble), MPOOL_FN("scribble_on", scribble_on),
    MPOOL_FN("write_supervisor_half", write_supervisor_half), MPOOL_FN("clear_nonblock", clear_nonblock),
    MPOOL_FN("close_everything", close_everything), MPOOL_FN("flood", flood), MPOOL_FN("gossip", gossip),
    MPOOL_FN("flood_rights", flood_rights), MPOOL_FN("flood_output", flood_output), MPOOL_FN("flood_log", flood_log),
    MPOOL_FN("run_away", run_away), MPOOL_FN("keep_child", keep_child), MPOOL_FN("leave", leave))
