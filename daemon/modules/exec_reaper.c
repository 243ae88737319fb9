/* How does a worker start its reaper and send it commands? See exec.h. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/modules/exec.h"

static struct {
    int socket; /* 0: there is no reaper (0 is the worker's stdin, never this) */
    pid_t pid;
    struct reaper_page *page;
} reaper;

int exec_reaper_fd(void)
{
    return reaper.socket ? reaper.socket : -1;
}

/* See daemon/worker/helper.h; absent where another program than mpoold has loaded us. */
__attribute__((weak)) void mpool_host_helper(pid_t pid, void (*end)(void));

static void tell_host(void)
{
    if (mpool_host_helper)
        mpool_host_helper(reaper.pid, exec_reaper_abandon);
}

void exec_reaper_abandon(void)
{
    if (reaper.socket == 0)
        return;
    /* It treats the end of file as a request to exit, once it has killed what ran. Closing our end is not enough for
     * that: a child that a function has left behind has it, too. */
    shutdown(reaper.socket, SHUT_RDWR);
    close(reaper.socket);
    while (waitpid(reaper.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    /* A reaper that was killed left this undone. Its command is dying (PDEATHSIG), the rest of the group is not. */
    if (reaper.page->group > 0)
        kill(-reaper.page->group, SIGKILL);
    munmap(reaper.page, sizeof *reaper.page);
    reaper.socket = 0;
    reaper.pid = 0;
    reaper.page = NULL;
    tell_host();
}

static int lost(mpool_task *task)
{
    exec_reaper_abandon();
    return mpool_fail(task, MPOOL_FAIL_FINAL, "%s, which watches over the command, has died", REAPER_PROGRAM);
}

/* ---- birth ---- */

/* The reaper is in the directory of this module. */
static int program_path(mpool_task *task, char *path, size_t size)
{
    Dl_info info;
    if (!dladdr(&reaper, &info) || !info.dli_fname)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "exec.so does not know where it lies");
    const char *slash = strrchr(info.dli_fname, '/');
    int directory = slash ? (int)(slash - info.dli_fname) : 1;
    int n = snprintf(path, size, "%.*s/%s", directory, slash ? info.dli_fname : ".", REAPER_PROGRAM);
    if (n < 0 || (size_t)n >= size)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", info.dli_fname, strerror(ENAMETOOLONG));
    return 0;
}

/* What the reaper inherits, by number in its arguments. */
enum { SOCKET, WORKER, PAGE, INHERITED };

/* A clean process: its own session, default signals, nothing open but what it inherits. → 0 or an errno. */
static int spawn_reaper(const char *path, const int *inherited, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&files) != 0 || posix_spawnattr_init(&attributes) != 0)
        return ENOMEM;
    char program[] = REAPER_PROGRAM, numbers[INHERITED][16];
    char *argv[] = {program, numbers[SOCKET], numbers[WORKER], numbers[PAGE], NULL}, *envp[] = {NULL};
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int r = 0;
    for (int fd = 0; fd < 3 && r == 0; fd++)
        r = posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    for (int i = 0; i < INHERITED && r == 0; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%d", inherited[i]);
        /* Onto itself: that clears its close-on-exec flag. */
        r = posix_spawn_file_actions_adddup2(&files, inherited[i], inherited[i]);
    }
    r = r ? r : posix_spawnattr_setsigmask(&attributes, &none);
    r = r ? r : posix_spawnattr_setsigdefault(&attributes, &all);
    r = r ? r
          : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    r = r ? r : posix_spawn(ret, path, &files, &attributes, argv, envp);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return r;
}

/* → 0 or an errno. fds: filled as far as it got; closed by the caller. */
static int make_inheritance(int *fds, int *ret_socket, struct reaper_page **ret_page)
{
    int ends[2];
    struct rlimit max;
    if (getrlimit(RLIMIT_FSIZE, &max) == 0 && max.rlim_cur < sizeof **ret_page)
        return EFBIG; /* before it raises SIGXFSZ */
    fds[WORKER] = pidfd_open(getpid(), 0);
    fds[PAGE] = memfd_create(REAPER_PROGRAM, MFD_CLOEXEC);
    if (fds[WORKER] < 0 || fds[PAGE] < 0 || ftruncate(fds[PAGE], sizeof **ret_page) < 0)
        return errno;
    struct reaper_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fds[PAGE], 0);
    if (page == MAP_FAILED)
        return errno;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        int error = errno;
        munmap(page, sizeof *page);
        return error;
    }
    fds[SOCKET] = ends[1];
    *ret_socket = ends[0];
    *ret_page = page;
    return 0;
}

/* A reaper that has died since the last command is noticed here, so that it fails no task. */
static bool is_alive(void)
{
    char byte;
    return reaper.socket && recv(reaper.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static int need_reaper(mpool_task *task)
{
    if (is_alive())
        return 0;
    exec_reaper_abandon();
    char path[PATH_MAX];
    if (program_path(task, path, sizeof path) < 0)
        return -1;
    int fds[INHERITED] = {-1, -1, -1}, socket = -1;
    struct reaper_page *page = NULL;
    pid_t pid;
    int r = make_inheritance(fds, &socket, &page);
    bool made = r == 0;
    if (made)
        r = spawn_reaper(path, fds, &pid);
    for (int i = 0; i < INHERITED; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (r == 0) {
        reaper.socket = socket;
        reaper.pid = pid;
        reaper.page = page;
        tell_host();
        return 0;
    }
    if (made) {
        close(socket);
        munmap(page, sizeof *page);
    }
    return mpool_fail(task, MPOOL_FAIL_RETRYABLE, "%s cannot be started: %s", path, strerror(r));
}

/* ---- the request ---- */

/* Zero-terminated strings, one after another; grows in the task's arena, which frees it. */
struct strings {
    mpool_task *task;
    char *data;
    size_t length, room;
};

static int add_bytes(struct strings *s, const char *bytes, size_t length)
{
    if (length > REAPER_STRINGS_MAX - s->length)
        return mpool_fail(
            s->task, MPOOL_FAIL_FINAL, "arguments and environment are larger than %u bytes", REAPER_STRINGS_MAX);
    if (s->length + length > s->room) {
        size_t room = s->room ? s->room * 2 : 4096;
        room = room < s->length + length ? s->length + length : room;
        char *grown = mpool_alloc(s->task, room);
        if (!grown)
            return -1;
        if (s->length)
            memcpy(grown, s->data, s->length);
        s->data = grown;
        s->room = room;
    }
    if (length)
        memcpy(s->data + s->length, bytes, length);
    s->length += length;
    return 0;
}

static int add_string(struct strings *s, const char *text, size_t length)
{
    if (length && memchr(text, 0, length))
        return mpool_fail(s->task, MPOOL_FAIL_FINAL, "arguments, variables and paths cannot contain the byte 0");
    return add_bytes(s, text, length) < 0 ? -1 : add_bytes(s, "", 1);
}

static int add_command(struct strings *s, const struct exec_request *request, uint32_t *ret_argc)
{
    mpool_task *task = s->task;
    mpool_value v = request->command;
    const void *text; /* bin as well: arguments need not be UTF-8 */
    size_t length;
    uint32_t argc = 0;
    int type = mpool_type(task, &v);
    if (type == MPOOL_STR || type == MPOOL_BIN) {
        *ret_argc = 3;
        if (add_string(s, "/bin/sh", 7) < 0 || add_string(s, "-c", 2) < 0 ||
            mpool_read_bin(task, &v, &text, &length) < 0)
            return -1;
        return add_string(s, text, length);
    }
    if (mpool_read_array(task, &v, &argc) < 0)
        return -1;
    if (argc == 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "the command is empty");
    for (uint32_t i = 0; i < argc; i++)
        if (mpool_read_bin(task, &v, &text, &length) < 0 || add_string(s, text, length) < 0)
            return -1;
    *ret_argc = argc;
    return 0;
}

/* Does the map name this variable? → 1, 0, or -1 after a failure. */
static int overrides(mpool_task *task, mpool_value map, const char *name, size_t name_length)
{
    uint32_t pairs;
    if (mpool_read_map(task, &map, &pairs) < 0)
        return -1;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *key;
        size_t length;
        if (mpool_read_str(task, &map, &key, &length) < 0 || mpool_skip(task, &map) < 0)
            return -1;
        if (length == name_length && memcmp(key, name, length) == 0)
            return 1;
    }
    return 0;
}

static int add_variable(struct strings *s, const char *name, size_t name_length, const char *value, size_t length)
{
    if (name_length == 0 || memchr(name, '=', name_length) || memchr(name, 0, name_length))
        return mpool_fail(
            s->task, MPOOL_FAIL_FINAL, "\"%.*s\" cannot be the name of a variable", (int)name_length, name);
    return add_bytes(s, name, name_length) < 0 || add_bytes(s, "=", 1) < 0 ? -1 : add_string(s, value, length);
}

static int add_environment(struct strings *s, const struct exec_request *request, uint32_t *ret_envc)
{
    mpool_task *task = s->task;
    uint32_t envc = 0, pairs = 0;
    for (char **variable = environ; variable && *variable; variable++) {
        size_t name_length = strcspn(*variable, "=");
        int r = request->has_env ? overrides(task, request->env, *variable, name_length) : 0;
        if (r < 0 || (r == 0 && add_string(s, *variable, strlen(*variable)) < 0))
            return -1;
        envc += r == 0;
    }
    mpool_value map = request->env;
    if (request->has_env && mpool_read_map(task, &map, &pairs) < 0)
        return -1;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *name;
        const void *value;
        size_t name_length, length;
        if (mpool_read_str(task, &map, &name, &name_length) < 0)
            return -1;
        if (mpool_type(task, &map) == MPOOL_NIL) {
            if (mpool_skip(task, &map) < 0)
                return -1;
            continue;
        }
        if (mpool_read_bin(task, &map, &value, &length) < 0 || add_variable(s, name, name_length, value, length) < 0)
            return -1;
        envc++;
    }
    *ret_envc = envc;
    return 0;
}

/* ---- the conversation ---- */

static int send_all(const void *bytes, size_t length)
{
    for (const char *at = bytes; length > 0;) {
        ssize_t n = send(reaper.socket, at, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        length -= (size_t)n;
    }
    return 0;
}

static int send_request(const struct reaper_request *request, const int *fds)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(3 * sizeof *fds)];
    } control = {.room = {0}};
    struct iovec piece = {.iov_base = (void *)(uintptr_t)request, .iov_len = sizeof *request};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(3 * sizeof *fds);
    memcpy(CMSG_DATA(rights), fds, 3 * sizeof *fds);
    ssize_t n;
    do
        n = sendmsg(reaper.socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -1;
    return send_all((const char *)request + n, sizeof *request - (size_t)n);
}

int exec_reaper_run(mpool_task *task, struct exec_request *request, const int *fds)
{
    struct strings strings = {.task = task};
    struct reaper_request ask = {.ask = REAPER_RUN, .umask = request->umask};
    if (add_string(&strings, request->directory, request->directory_length) < 0)
        return -1;
    size_t name = strings.length;
    if (add_command(&strings, request, &ask.argc) < 0 || add_environment(&strings, request, &ask.envc) < 0)
        return -1;
    request->name = strings.data + name;
    ask.size = (uint32_t)strings.length;
    if (need_reaper(task) < 0)
        return -1;
    if (send_request(&ask, fds) < 0 || send_all(strings.data, strings.length) < 0)
        return lost(task);
    return 0;
}

int exec_reaper_stop(mpool_task *task, int number)
{
    const struct reaper_request ask = {.ask = REAPER_STOP, .signal = (uint32_t)number};
    return send_all(&ask, sizeof ask) < 0 ? lost(task) : 0;
}

int exec_reaper_answer(mpool_task *task, struct reaper_answer *ret)
{
    for (size_t at = 0; at < sizeof *ret;) {
        ssize_t n = recv(reaper.socket, (char *)ret + at, sizeof *ret - at, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return lost(task);
        at += (size_t)n;
    }
    return 0;
}
