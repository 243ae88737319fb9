#include "daemon/pool/forkserver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/base/start.h"
#include "daemon/config/paths.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "daemon/pool/forkserver_report.h"
#include "daemon/pool/worker.h"
#include "daemon/pool/workers.h"
#include "proto/buf.h"
#include "proto/text.h"

#define BIRTH_TIMEOUT_MS 10000 /* a fork takes milliseconds, or seconds if the forkserver is very large */
#define BIRTHS_MAX       8     /* requested at a time: they fit into any socket buffer, and keep the forkserver busy */

/* ---- messages to a forkserver ---- */

static void pack_strings(msgpack_packer *pk, const struct config_strings *first, const struct config_strings *second)
{
    msgpack_pack_array(pk, first->count + second->count);
    for (size_t i = 0; i < first->count; i++)
        wire_pack_text(pk, first->items[i]);
    for (size_t i = 0; i < second->count; i++)
        wire_pack_text(pk, second->items[i]);
}

/* See configure() in daemon/worker/forkserver_main.c for the order. */
static int send_config(const struct forkserver *t, const struct pool *pool)
{
    const struct workers *workers = pool->workers;
    const struct config_pool *c = pool->config;
    _cleanup_(wire_buf_reset) struct wire_buf out = {0};
    msgpack_packer pk = wire_packer(&out);
    msgpack_pack_array(&pk, 10);
    wire_pack_text(&pk, pool->name);
    msgpack_pack_uint64(&pk, (uint64_t)getpid());
    msgpack_pack_uint32(&pk, workers->config->max_depth);
    msgpack_pack_int(&pk, c->nice);
    if (workers->socket_is_private)
        msgpack_pack_false(&pk);
    else
        msgpack_pack_true(&pk);
    if (c->uid != (uid_t)-1)
        msgpack_pack_uint64(&pk, c->uid);
    else
        msgpack_pack_nil(&pk);
    if (c->gid != (gid_t)-1)
        msgpack_pack_uint64(&pk, c->gid);
    else
        msgpack_pack_nil(&pk);
    wire_pack_text(&pk, c->user ? c->user : "");
    char *shipped_directory[] = {(char *)(uintptr_t)paths_modules(), NULL};
    struct config_strings directories = {shipped_directory, 1}, none = {0}, shipped = {0};
    pack_strings(&pk, &workers->config->module_path, &directories);
    if (c->modules.count == 0) {
        int r = paths_shipped(&shipped);
        if (r < 0) {
            log_error("pool=%s cannot list the modules in %s: %s", pool->name, paths_modules(), strerror(-r));
            paths_free(&shipped);
            return r;
        }
    }
    bool first = c == &workers->config->pools[0];
    pack_strings(&pk, c->modules.count > 0 ? &c->modules : &shipped, first ? &workers->config->modules : &none);
    paths_free(&shipped);
    if (out.failed)
        return -ENOMEM;
    struct control_head head = {.type = CONTROL_CONFIG, .size = (uint32_t)wire_buf_length(&out)};
    struct iovec parts[] = {{&head, sizeof head}, {out.data + out.start, wire_buf_length(&out)}};
    if (sizeof head + parts[1].iov_len > CONTROL_MESSAGE_MAX)
        return -E2BIG;
    ssize_t n = packet_send(t->socket, parts, 2, NULL, 0);
    return n < 0 ? (int)n : 0;
}

/* The whole environment of the forkserver and its workers: tasks inherit nothing of ours except what is listed here. */
static char **environment(const struct pool *pool)
{
    const struct config_pool *c = pool->config;
    static const char *const kept[] = {
        "PATH",
        "LANG",
        "LC_ALL",
        "TZ",
        "HOME",
        "USER",
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        "ASAN_OPTIONS",
        "UBSAN_OPTIONS",
        "TSAN_OPTIONS",
        "LSAN_OPTIONS",
#endif
    };
    char **list = calloc(ELEMENTS(kept) + c->environment.count + 2, sizeof *list);
    size_t n = 0;
    if (!list)
        return NULL;
    bool other = c->uid != (uid_t)-1; /* the forkserver looks up that user's home and name, as the lookup may be slow */
    for (size_t i = 0; i < ELEMENTS(kept); i++) {
        const char *value = getenv(kept[i]);
        if (other && (strcmp(kept[i], "HOME") == 0 || strcmp(kept[i], "USER") == 0))
            value = NULL;
        if (!value && strcmp(kept[i], "PATH") == 0)
            value = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        size_t name = strlen(kept[i]);
        bool overridden = false;
        for (size_t j = 0; j < c->environment.count; j++)
            overridden |= strncmp(c->environment.items[j], kept[i], name) == 0 && c->environment.items[j][name] == '=';
        if (value && !overridden && asprintf(&list[n], "%s=%s", kept[i], value) >= 0)
            n++;
    }
    if (asprintf(&list[n], "MPOOL_SOCKET=%s", pool->workers->socket_path) >= 0)
        n++;
    for (size_t i = 0; i < c->environment.count; i++)
        if ((list[n] = strdup(c->environment.items[i])))
            n++;
    list[n] = NULL;
    return list;
}

static void free_strings(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* ---- messages from a forkserver ---- */

/* The forkserver must answer the current request within this time; 0: nothing is pending. */
static void set_deadline(struct forkserver *t, uint64_t ms)
{
    struct timeval tv = clock_timeval(ms);
    if (ms > 0)
        event_add(t->deadline, &tv);
    else
        event_del(t->deadline);
}

static void log_text(const struct forkserver *t, const uint8_t *body, size_t size)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
    struct control_log log;
    char line[3000];
    memcpy(&log, body, sizeof log);
    log_escape(line, sizeof line, body + sizeof log, size - sizeof log);
    log_write(levels[log.level < ELEMENTS(levels) ? log.level : LOG_LEVEL_INFO],
        "log pool=%s forkserver=%d text=\"%s\"", t->pool ? t->pool->name : "-", (int)t->pid, line);
}

static void forkserver_fail(struct forkserver *t, const char *why);

static void handle(
    struct forkserver *t, const struct control_head *head, const uint8_t *body, int *fds, size_t fd_count)
{
    if (head->type == CONTROL_FORKSERVER_READY && !t->ready && head->size == sizeof(uint64_t) && fd_count == 1) {
        uint64_t size;
        memcpy(&size, body, sizeof size);
        int r = forkserver_report_take(t, fds[0], size);
        if (r < 0) {
            forkserver_fail(t, "its report cannot be read");
            return;
        }
        t->ready = true;
        set_deadline(t, 0);
        pool_forkserver_ready(t);
    } else if (head->type == CONTROL_FORKSERVER_LOADING && !t->ready) {
        log_escape(t->loading, sizeof t->loading, body, head->size);
    } else if (head->type == CONTROL_FORKSERVER_FAILED && !t->ready) {
        char why[1200];
        log_escape(why, sizeof why, body, head->size);
        forkserver_fail(t, why);
    } else if (head->type == CONTROL_LOG && head->size >= sizeof(struct control_log)) {
        log_text(t, body, head->size);
    } else if (head->type == CONTROL_FORKED && t->ready && head->size == sizeof(struct control_forked)) {
        struct control_forked forked;
        memcpy(&forked, body, sizeof forked);
        if (!worker_forked(t, forked.worker, forked.generation, forked.pid))
            forkserver_fail(t, "it reports a worker that nobody asked for");
        else
            set_deadline(t, --t->births > 0 ? BIRTH_TIMEOUT_MS : 0);
    } else {
        forkserver_fail(t, "it violates the control protocol");
    }
}

static void on_message(evutil_socket_t socket, short what, void *arg)
{
    static union {
        struct control_head head;
        uint8_t bytes[4096];
    } message;
    struct forkserver *t = forkserver_ref(arg);
    (void)what;
    loop_tick(t->workers->loop);
    /* A budget: forks are reported one by one, and other sockets are waiting, too. */
    for (int i = 0; i < 64 && t->socket >= 0; i++) {
        int fds[PACKET_FDS_MAX];
        size_t fd_count = PACKET_FDS_MAX;
        ssize_t n = packet_receive(socket, &message, sizeof message, fds, &fd_count, NULL);
        if (n == -EAGAIN)
            break;
        if (n == 0) {
            /* Its exit event reports the rest, and always arrives: a module may have closed the socket of a live
             * process. A forkserver that is already exiting keeps its own status. */
            event_del(t->on_message);
            forkserver_kill(t);
            break;
        }
        if (n < 0) {
            char why[128];
            wire_format(why, sizeof why, "its messages cannot be received: %s", strerror((int)-n));
            forkserver_fail(t, why);
            break;
        }
        if ((size_t)n < sizeof message.head || message.head.size != (size_t)n - sizeof message.head)
            forkserver_fail(t, "it violates the control protocol");
        else
            handle(t, &message.head, message.bytes + sizeof message.head, fds, fd_count);
        while (fd_count > 0)
            close(fds[--fd_count]);
    }
    forkserver_unref(t);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct forkserver *t = arg;
    char why[400];
    (void)fd;
    (void)what;
    loop_tick(t->workers->loop);
    if (t->ready)
        wire_format(why, sizeof why, "its forkserver has made no worker for %d s", BIRTH_TIMEOUT_MS / 1000);
    else
        wire_format(why, sizeof why, "loading %s takes longer than load_timeout = %gs",
            t->loading[0] ? t->loading : "its modules", (double)t->load_timeout_ms / 1000);
    forkserver_fail(t, why);
}

static void print(void *owner, int stream, const void *bytes, size_t length)
{
    struct forkserver *t = owner;
    char who[96];
    snprintf(who, sizeof who, "pool=%s forkserver=%d stream=%d", t->name, (int)t->pid, stream);
    output_lines_add(&t->lines, who, bytes, length);
}

static void reaped(struct forkserver *t)
{
    orphans_forget(t->workers, &t->child);
    t->pid = 0;
    LIST_REMOVE(t, link);
    forkserver_unref(t);
}

static void on_death(evutil_socket_t pidfd, short what, void *arg)
{
    struct forkserver *t = forkserver_ref(arg);
    (void)what;
    loop_tick(t->workers->loop);
    siginfo_t info = {0};
    event_del(t->on_death);
    output_drain(&t->output);
    if (t->socket >= 0 && !t->failed)
        on_message(t->socket, EV_READ, t); /* its last messages */
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        log_error("forkserver pool=%s pid=%d waitid: %s", t->name, (int)t->pid, strerror(errno));
    char why[400], when[300] = "";
    const char *name = sigabbrev_np(info.si_status);
    if (!t->ready && t->loading[0])
        wire_format(when, sizeof when, " while loading %s", t->loading);
    if (info.si_code == CLD_EXITED)
        wire_format(why, sizeof why, "its forkserver exited with status %d%s", info.si_status, when);
    else
        wire_format(why, sizeof why, "its forkserver was killed by SIG%s%s", name ? name : "?", when);
    if (!t->retired)
        forkserver_fail(t, why);
    reaped(t);
    forkserver_unref(t);
}

/* The forkserver is unusable: reports that to the pool and retires it. */
static void forkserver_fail(struct forkserver *t, const char *why)
{
    if (t->failed || t->retired)
        return;
    t->failed = true;
    forkserver_ref(t);
    if (t->pool)
        pool_forkserver_failed(t, why);
    forkserver_retire(t);
    forkserver_unref(t);
}

/* ---- birth and end ---- */

static int launch(struct forkserver *t, struct pool *pool, int socket, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char *argv[] = {(char[]){"mpoold"}, (char[]){"forkserver"}, pool->name, NULL};
    char **env = environment(pool);
    if (!env)
        return -ENOMEM;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    /* A session of its own: ^C on the terminal must only reach the supervisor, which stops its workers in order. */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, socket, CONTROL_FORKSERVER_FD);
    int r = posix_spawn(&t->pid, "/proc/self/exe", &actions, &attr, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    free_strings(env);
    if (r != 0)
        return -r;
    /* It is still waiting for its configuration: none of the pool's code has run with our own limits. */
    r = start_restore_limits(t->pid);
    if (r < 0)
        kill(t->pid, SIGKILL);
    return r;
}

struct forkserver *forkserver_start(struct pool *pool, int *ret_errno)
{
    struct event_base *base = pool->workers->loop->base;
    struct forkserver *t = calloc(1, sizeof *t);
    if (!t) {
        *ret_errno = -ENOMEM;
        return NULL;
    }
    t->references = 1;
    t->pool = pool;
    memcpy(t->name, pool->name, sizeof t->name);
    t->workers = pool->workers;
    t->pidfd = t->socket = -1;
    if (workers_add_user(t->workers, pool->config->uid != (uid_t)-1 ? pool->config->uid : geteuid()) < 0) {
        *ret_errno = -ENOMEM;
        free(t);
        return NULL;
    }
    _cleanup_(fd_close) int theirs = -1, out = -1;
    int pair[2], r = packet_pair(0, pair);
    if (r == 0) {
        t->socket = pair[0];
        theirs = pair[1];
        /* The dup2 actions of launch() must not overwrite each other's sources. */
        for (int moved; r == 0 && theirs <= CONTROL_FORKSERVER_FD; theirs = moved)
            if ((moved = fcntl(theirs, F_DUPFD_CLOEXEC, CONTROL_FORKSERVER_FD + 1)) < 0)
                r = -errno, moved = -1;
            else
                close(theirs);
    }
    if (r == 0)
        r = output_open(&t->output, base, 1, NULL, print, t, &out);
    if (r == 0)
        r = fd_set_nonblock(t->socket);
    if (r == 0)
        r = launch(t, pool, theirs, out);
    if (r == 0) {
        /* It is our own unreaped child, so the pid cannot have been reused. */
        t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
        if (t->pidfd < 0)
            r = -errno;
    }
    if (r == 0) {
        t->on_death = event_new(base, t->pidfd, EV_READ | EV_PERSIST, on_death, t);
        t->on_message = event_new(base, t->socket, EV_READ | EV_PERSIST, on_message, t);
        t->deadline = evtimer_new(base, on_deadline, t);
        if (!t->on_death || !t->on_message || !t->deadline || event_add(t->on_death, NULL) < 0 ||
            event_add(t->on_message, NULL) < 0)
            r = -ENOMEM;
    }
    if (r == 0 && !orphans_know(t->workers, &t->child, t->pid))
        r = -ENOMEM;
    if (r == 0)
        r = send_config(t, pool);
    if (r == 0) {
        t->load_timeout_ms = pool->config->load_timeout_ms;
        set_deadline(t, t->load_timeout_ms);
    }
    if (r < 0) {
        log_error("forkserver pool=%s cannot start: %s", pool->name, strerror(-r));
        *ret_errno = r;
        t->retired = true;
        orphans_forget(t->workers, &t->child);
        forkserver_unref(t);
        return NULL;
    }
    log_debug("forkserver pool=%s pid=%d started", pool->name, (int)t->pid);
    forkserver_ref(t); /* the process' own reference, until it has been reaped */
    LIST_INSERT_HEAD(&t->workers->forkservers, t, link);
    return t;
}

bool forkserver_may_fork(const struct forkserver *t)
{
    return t->births < BIRTHS_MAX;
}

int forkserver_fork(struct forkserver *t, uint32_t number, uint64_t generation, const int fds[6])
{
    struct control_fork ask = {.worker = number, .generation = generation};
    struct control_head head = {.type = CONTROL_FORK, .size = sizeof ask};
    struct iovec parts[] = {{&head, sizeof head}, {&ask, sizeof ask}};
    if (t->socket < 0)
        return -EPIPE;
    ssize_t n = packet_send(t->socket, parts, 2, fds, 6);
    if (n < 0)
        return (int)n;
    if (t->births++ == 0)
        set_deadline(t, BIRTH_TIMEOUT_MS);
    return 0;
}

void forkserver_kill(struct forkserver *t)
{
    if (t->pidfd >= 0 && t->pid > 0)
        syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
}

struct forkserver *forkserver_ref(struct forkserver *t)
{
    t->references++;
    return t;
}

void forkserver_retire(struct forkserver *t)
{
    if (t->retired)
        return;
    t->retired = true;
    /* It exits at end of file, while its workers go on. Also kill it, as a module may hang in its init. */
    if (t->on_message)
        event_free(t->on_message);
    t->on_message = NULL;
    if (t->deadline)
        event_del(t->deadline);
    fd_close(&t->socket);
    forkserver_kill(t);
    t->pool = NULL;
    forkserver_unref(t);
}

/* Its process must be reaped without its event. */
static void wait_for_death(struct forkserver *t)
{
    siginfo_t info;
    forkserver_kill(t);
    waitid(P_PIDFD, (id_t)t->pidfd, &info, WEXITED);
}

void templates_end(struct workers *workers)
{
    struct forkserver *t;
    while ((t = LIST_FIRST(&workers->forkservers))) {
        wait_for_death(t);
        reaped(t);
    }
}

void forkserver_unref(struct forkserver *t)
{
    if (--t->references > 0)
        return;
    char who[96];
    snprintf(who, sizeof who, "pool=%s forkserver stream=1", t->name);
    output_lines_end(&t->lines, who);
    output_close(&t->output);
    if (t->on_death)
        event_free(t->on_death);
    if (t->on_message)
        event_free(t->on_message);
    if (t->deadline)
        event_free(t->deadline);
    if (t->pid > 0 && t->pidfd >= 0)
        wait_for_death(t); /* it could not be watched */
    fd_close(&t->pidfd);
    fd_close(&t->socket);
    for (size_t i = 0; i < t->module_count; i++) {
        free(t->modules[i].name);
        free(t->modules[i].version);
    }
    free(t->modules);
    free(t->index_of);
    free(t);
}
