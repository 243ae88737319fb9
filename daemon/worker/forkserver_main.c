#include "daemon/worker/forkserver_main.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/packet.h"
#include "daemon/base/title.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/worker/sandbox.h"
#include "daemon/worker/atfork.h"
#include "daemon/worker/modules.h"
#include "daemon/worker/threads.h"
#include "daemon/worker/worker_main.h"
#include "proto/buf.h"
#include "proto/reader.h"
#include "proto/text.h"

_Static_assert((int)CONTROL_IDEMPOTENT == (int)MPOOL_IDEMPOTENT && (int)CONTROL_CANCELLABLE == (int)MPOOL_CANCELLABLE,
    "flags go through the control socket as they are");

_Static_assert(CONTROL_NAME_MAX == MODULES_NAME_MAX, "the supervisor takes every name that a module may have");

struct forkserver {
    char pool[64];
    pid_t supervisor;
    uint32_t max_depth;
    struct modules *modules;
    bool threads_told;
};

static int tell(uint32_t type, const void *body, size_t size, int fd)
{
    struct control_head head = {.type = type, .size = (uint32_t)size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)body, size}};
    ssize_t n = packet_send(CONTROL_FORKSERVER_FD, parts, ELEMENTS(parts), &fd, fd >= 0);
    return n < 0 ? (int)n : 0;
}

static void tell_loading(void *user, const char *module)
{
    (void)user;
    tell(CONTROL_FORKSERVER_LOADING, module, strlen(module), -1);
}

static void tell_log(void *user, const char *module, int level, const char *text)
{
    struct {
        struct control_log head;
        char text[3000];
    } body = {.head.level = (uint32_t)level};
    (void)user;
    snprintf(body.text, sizeof body.text, "%s%s%s", module ? module : "", module ? ": " : "", text);
    tell(CONTROL_LOG, &body, offsetof(__typeof__(body), text) + strlen(body.text), -1);
}

static __attribute__((format(printf, 1, 2))) int refuse(const char *format, ...)
{
    char text[MODULES_WHY_MAX + 128];
    va_list ap;
    va_start(ap, format);
    wire_vformat(text, sizeof text, format, ap);
    va_end(ap);
    tell(CONTROL_FORKSERVER_FAILED, text, strlen(text), -1);
    return 1;
}

/* Home and name of the pool's user, unless the configuration sets them. Done here, as the look-up may ask a server. */
static int set_home(uid_t uid)
{
    const struct passwd *pw = getpwuid(uid);
    if (pw && (setenv("HOME", pw->pw_dir, 0) < 0 || setenv("USER", pw->pw_name, 0) < 0))
        return -errno;
    return 0;
}

/* Switches to the pool's user. Groups first, while that is still permitted; and it must be impossible to regain them.
 */
static int become(uint64_t uid, uint64_t gid, const char *user)
{
    if (gid != UINT64_MAX) {
        int r = user[0] ? initgroups(user, (gid_t)gid) : setgroups(0, NULL);
        if (r < 0 || setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) < 0)
            return -errno;
    }
    if (uid != UINT64_MAX) {
        int r = set_home((uid_t)uid);
        if (r < 0)
            return r;
    }
    if (uid != UINT64_MAX && setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0)
        return -errno;
    return 0;
}

static int read_name(struct wire_reader *in, char (*ret)[4096])
{
    const char *text;
    size_t length;
    if (wire_read_str(in, &text, &length) < 0 || length >= sizeof *ret)
        return -EBADMSG;
    memcpy(*ret, text, length);
    (*ret)[length] = 0;
    return 0;
}

/* The first message, see send_config() of the supervisor: [pool, supervisor pid, depth, nice, shared, uid|nil, gid|nil,
 * user, [directories], [modules]]. */
static int configure(struct forkserver *t, const uint8_t *body, size_t size)
{
    struct wire_reader in = wire_reader(body, size);
    uint32_t count;
    uint64_t supervisor, depth, uid = UINT64_MAX, gid = UINT64_MAX;
    int64_t nice_value;
    bool shared;
    const char *text;
    size_t length;
    char name[4096], user[256] = "", why[MODULES_WHY_MAX];

    if (wire_read_array(&in, &count) < 0 || count != 10 || wire_read_str(&in, &text, &length) < 0 ||
        length >= sizeof t->pool)
        return refuse("the supervisor's first message cannot be read");
    memcpy(t->pool, text, length);
    if (wire_read_u64(&in, &supervisor) < 0 || wire_read_u64(&in, &depth) < 0 || wire_read_i64(&in, &nice_value) < 0 ||
        wire_read_bool(&in, &shared) < 0 || (wire_read_nil(&in) < 0 && wire_read_u64(&in, &uid) < 0) ||
        (wire_read_nil(&in) < 0 && wire_read_u64(&in, &gid) < 0) || wire_read_str(&in, &text, &length) < 0 ||
        length >= sizeof user)
        return refuse("the supervisor's first message cannot be read");
    memcpy(user, text, length);
    user[length] = 0;
    t->supervisor = (pid_t)supervisor;
    t->max_depth = (uint32_t)depth;
    title_set("mpoold-forkserver", "mpoold: forkserver %s", t->pool);

    /* The kernel's out-of-memory killer should choose a worker before the supervisor. */
    int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (oom >= 0) {
        if (write(oom, "500", 3) < 0)
            dprintf(STDERR_FILENO, "oom_score_adj: %s\n", strerror(errno));
        close(oom);
    }
    if (nice_value != 0 && setpriority(PRIO_PROCESS, 0, (int)nice_value) < 0)
        return refuse("nice = %lld: %s", (long long)nice_value, strerror(errno));
    int r = become(uid, gid, user);
    if (r < 0)
        return refuse("cannot become user %s: %s", user[0] ? user : "(by number)", strerror(-r));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return refuse("no_new_privs: %s", strerror(errno));
    if (shared && (r = sandbox_enter()) < 0)
        return refuse("cannot keep tasks out of the daemon: %s", strerror(-r));
    /* Changing credentials has cleared it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != t->supervisor)
        return 1;

    if (modules_new(&t->modules, geteuid()) < 0)
        return refuse("out of memory");
    if (wire_read_array(&in, &count) < 0)
        return refuse("the supervisor's first message cannot be read");
    for (uint32_t i = 0; i < count; i++)
        if (read_name(&in, &name) < 0 || modules_add_directory(t->modules, name) < 0)
            return refuse("the module path cannot be read");
    if (wire_read_array(&in, &count) < 0)
        return refuse("the supervisor's first message cannot be read");
    for (uint32_t i = 0; i < count; i++) {
        if (read_name(&in, &name) < 0)
            return refuse("a module's name cannot be read");
        tell_loading(NULL, name);
        if (modules_load(t->modules, name, why) < 0)
            return refuse("%s", why);
    }
    struct modules_hooks hooks = {.pool = t->pool, .log = tell_log, .before = tell_loading};
    if (modules_init(t->modules, &hooks, why) < 0)
        return refuse("%s", why);
    return 0;
}

/* [[module, version, [[function, flags, timeout_s, summary], …]], …] as a memfd, since it may be long. */
static int report(const struct forkserver *t)
{
    _cleanup_(wire_buf_reset) struct wire_buf out = {0};
    msgpack_packer pk = wire_packer(&out);
    size_t total;
    const struct module_function *functions = modules_functions(t->modules, &total);
    msgpack_pack_array(&pk, modules_count(t->modules));
    for (size_t i = 0; i < modules_count(t->modules); i++) {
        const struct module *m = modules_at(t->modules, i);
        msgpack_pack_array(&pk, 3);
        wire_pack_text(&pk, m->name);
        wire_pack_text(&pk, m->version);
        msgpack_pack_array(&pk, m->count);
        for (uint32_t j = m->first; j < m->first + m->count; j++) {
            msgpack_pack_array(&pk, 4);
            wire_pack_text(&pk, functions[j].name);
            msgpack_pack_uint32(&pk, functions[j].flags);
            msgpack_pack_uint32(&pk, functions[j].timeout_s);
            wire_pack_text(&pk, functions[j].summary);
        }
    }
    if (out.failed)
        return refuse("out of memory");
    int fd = memfd_of_bytes("mpool-functions", wire_buf_at(&out), wire_buf_length(&out));
    if (fd < 0)
        return refuse("cannot report its functions: %s", strerror(-fd));
    uint64_t size = wire_buf_length(&out);
    int r = tell(CONTROL_FORKSERVER_READY, &size, sizeof size, fd);
    close(fd);
    return r < 0 ? 1 : 0;
}

/* fork(2) for a child of our parent: the worker is the supervisor's own child and outlives the forkserver.
 *
 * glibc's fork() cannot do that, so its work for the child's thread structure is done by hand: the kernel is told where
 * glibc keeps the thread's id (PR_GET_TID_ADDRESS is what glibc registered) and the robust list is registered again.
 * Locks need no care, as the forkserver has one thread, and atfork.c runs the handlers of libraries. The exit signal is
 * inherited with CLONE_PARENT.
 */
static pid_t fork_sibling(void)
{
    void *tid_address = NULL;
    unsigned long flags = CLONE_PARENT;
    if (prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) == 0 && tid_address)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    void *robust = NULL;
    size_t robust_size = 0;
    long have_robust = syscall(SYS_get_robust_list, 0, &robust, &robust_size);
#if defined(__s390__) || defined(__CRIS__)
#error "clone(2) has another order of arguments here"
#endif
#if defined(__x86_64__)
    pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, tid_address, NULL);
#else
    pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, tid_address);
#endif
    if (pid == 0 && have_robust == 0 && robust)
        syscall(SYS_set_robust_list, robust, robust_size);
    return pid < 0 ? -errno : pid;
}

enum { FORK_CONTROL, FORK_LANE_S, FORK_LANE_W, FORK_SLEEP_WORD, FORK_OUT, FORK_ERR, FORK_FDS };

/* A thread that no fork handler has ended does not exist in the new worker, but the locks that it held stay locked
 * there. */
static void warn_of_threads(struct forkserver *t)
{
    char names[1024], text[1400];
    size_t others = t->threads_told ? 0 : threads_others(names, sizeof names);
    if (others == 0)
        return;
    t->threads_told = true;
    snprintf(text, sizeof text,
        "the forkserver has %zu thread%s beside its own (%s), which workers lack: a function that needs one, or a lock "
        "that "
        "one held, may hang; start threads in MPOOL_WORKER_INIT, or end them in a pthread_atfork() handler",
        others, others == 1 ? "" : "s", names);
    tell_log(NULL, NULL, MPOOL_LOG_WARNING, text);
}

static int serve_fork(struct forkserver *t, const struct control_fork *ask, const int fds[FORK_FDS])
{
    fflush(NULL); /* or each worker would write the forkserver's unwritten output */
    atfork_prepare();
    warn_of_threads(t);
    pid_t pid = fork_sibling();
    if (pid == 0) {
        atfork_child();
        close(CONTROL_FORKSERVER_FD);
        struct worker_setup setup = {
            .modules = t->modules,
            .pool = t->pool,
            .number = ask->worker,
            .max_depth = t->max_depth,
            .supervisor = t->supervisor,
            .control = fds[FORK_CONTROL],
            .lane_s = fds[FORK_LANE_S],
            .lane_w = fds[FORK_LANE_W],
            .sleep_word = fds[FORK_SLEEP_WORD],
            .out = fds[FORK_OUT],
            .err = fds[FORK_ERR],
        };
        worker_main(&setup);
    }
    atfork_parent();
    struct control_forked answer = {.worker = ask->worker, .pid = pid, .generation = ask->generation};
    return tell(CONTROL_FORKED, &answer, sizeof answer, -1);
}

int forkserver_main(void)
{
    static union {
        struct control_head head;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    } message;
    struct forkserver t = {.modules = NULL};
    if (fcntl(CONTROL_FORKSERVER_FD, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "mpoold: this verb is for mpoold itself\n");
        return 2;
    }
    for (bool configured = false;;) {
        int fds[PACKET_FDS_MAX];
        size_t fd_count = PACKET_FDS_MAX;
        ssize_t n = packet_receive(CONTROL_FORKSERVER_FD, &message, sizeof message, fds, &fd_count, NULL);
        if (n == 0)
            return 0; /* the supervisor no longer needs this forkserver */
        if (n < 0 || (size_t)n < sizeof message.head || message.head.size != (size_t)n - sizeof message.head)
            return 1;
        const uint8_t *body = message.bytes + sizeof message.head;
        int r;
        if (message.head.type == CONTROL_CONFIG && !configured) {
            r = configure(&t, body, message.head.size);
            if (r == 0)
                r = report(&t);
            configured = true;
        } else if (message.head.type == CONTROL_FORK && configured && fd_count == FORK_FDS &&
                   message.head.size == sizeof(struct control_fork)) {
            struct control_fork ask;
            memcpy(&ask, body, sizeof ask);
            r = serve_fork(&t, &ask, fds);
        } else {
            r = 1;
        }
        while (fd_count > 0)
            close(fds[--fd_count]);
        if (r != 0)
            return 1;
    }
}
