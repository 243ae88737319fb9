#include "daemon/worker/interpose.h"
#include "daemon/worker/worker_main.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/packet.h"
#include "daemon/base/title.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/lane/worker_lane.h"
#include "daemon/worker/host.h"
#include "daemon/worker/touched.h"
#include "daemon/worker/process_state.h"

struct worker {
    const struct modules *modules;
    struct worker_lane *lane;
    struct host *host;
    int control;
    struct process_state *state; /* as it was when the worker was ready */
    uint32_t position;           /* of the running job */
};

/* The control socket is blocking at this end: when the supervisor is behind, only the worker waits. */
static int say(
    int control, uint32_t type, const void *head_body, size_t head_size, const void *body, size_t size, int fd)
{
    struct control_head head = {.type = type, .size = (uint32_t)(head_size + size)};
    struct iovec parts[] = {
        {&head, sizeof head},
        {(void *)(uintptr_t)head_body, head_size},
        {(void *)(uintptr_t)body, size},
    };
    ssize_t n = packet_send(control, parts, ELEMENTS(parts), &fd, fd >= 0);
    return n < 0 ? (int)n : 0;
}

static uint8_t *op_result_space(void *user, size_t *ret_room)
{
    return worker_lane_result_space(((struct worker *)user)->lane, ret_room);
}

static void op_partial(void *user, uint32_t items, size_t size)
{
    worker_lane_partial(((struct worker *)user)->lane, items, size);
}

static int op_result_memfd(void *user, uint32_t position, int fd, uint64_t size)
{
    struct control_memfd body = {.position = position, .size = size};
    return say(((struct worker *)user)->control, CONTROL_RESULT, &body, sizeof body, NULL, 0, fd);
}

static int op_cancelled(void *user)
{
    return (int)worker_lane_cancelled(((struct worker *)user)->lane);
}

static void op_progress(void *user, uint64_t done, uint64_t total)
{
    worker_lane_progress(((struct worker *)user)->lane, done, total);
}

static int op_output(void *user, uint32_t position, int stream, const void *bytes, size_t length)
{
    struct control_output body = {.position = position, .stream = (uint32_t)stream};
    return say(((struct worker *)user)->control, CONTROL_OUTPUT, &body, sizeof body, bytes, length, -1);
}

static void op_log(void *user, uint32_t position, int level, const char *text, size_t length)
{
    struct control_log body = {.position = position, .level = (uint32_t)level};
    say(((struct worker *)user)->control, CONTROL_LOG, &body, sizeof body, text, length, -1);
}

static const struct host_ops ops = {
    .result_space = op_result_space,
    .partial = op_partial,
    .result_memfd = op_result_memfd,
    .cancelled = op_cancelled,
    .progress = op_progress,
    .output = op_output,
    .log = op_log,
};

/* The descriptor that belongs to `position`. Those of positions that were taken back come first, and are dropped. →
 * -EMFILE: it was sent, but this process had no free descriptor for it. */
static int receive_descriptor(int control, uint32_t type, uint32_t position, uint64_t size)
{
    for (;;) {
        struct {
            struct control_head head;
            struct control_memfd body;
        } message;
        int fd = -1;
        size_t count = 1;
        bool lost;
        ssize_t n = packet_receive(control, &message, sizeof message, &fd, &count, &lost);
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        if (n != sizeof message || (count != 1 && !lost) ||
            (message.head.type != CONTROL_ARGS && message.head.type != CONTROL_STDIN)) {
            fd_close(&fd);
            return -EPROTO;
        }
        if (message.body.position == position && message.body.size == size && message.head.type == type)
            return count == 1 ? fd : -EMFILE;
        fd_close(&fd);
        if (!lane_position_before(message.body.position, position))
            return -EPROTO;
    }
}

/* Closes the descriptors that came for jobs which were taken back: an idle worker may get no other job for long, and
 * somebody may wait for the end of a pipe, or own the memory. Those of a job that is still to come stay. */
static void drop_descriptors(const struct worker *w)
{
    struct {
        struct control_head head;
        struct control_memfd body;
    } message;
    while (recv(w->control, &message, sizeof message, MSG_PEEK | MSG_DONTWAIT) == sizeof message &&
           lane_position_before(message.body.position, worker_lane_ahead(w->lane))) {
        int fd = -1;
        size_t count = 1;
        bool lost;
        if (packet_receive(w->control, &message, sizeof message, &fd, &count, &lost) <= 0)
            return;
        fd_close(&fd);
    }
}

static void hook_log(void *user, const char *module, int level, const char *text)
{
    char line[4096];
    int n = snprintf(line, sizeof line, "%s: %s", module, text);
    struct control_log body = {.level = (uint32_t)level};
    if (n > 0)
        say(*(int *)user, CONTROL_LOG, &body, sizeof body, line, strlen(line), -1);
}

/* Exits normally. */
static _Noreturn void leave(const struct worker *w)
{
    modules_worker_fini(w->modules);
    fflush(NULL);
    _exit(0);
}

static _Noreturn void give_up(const char *what, int error, int status)
{
    dprintf(STDERR_FILENO, "worker: %s: %s\n", what, strerror(-error));
    _exit(status);
}

/* Takes ownership of fd, and thereby closes the standard input of the task before. */
static void take_stdin(int fd)
{
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        give_up("cannot set standard input", -errno, WORKER_EXIT_SETUP);
    if (fd != STDIN_FILENO) /* where a task had closed its own */
        close(fd);
}

/* KILLING: the supervisor has decided to kill us; nothing that is done from here on may be seen. */
static _Noreturn void await_end(void)
{
    for (;;)
        pause();
}

/* A task that took no longer than this has printed nothing: a write to a pipe takes longer. */
#define PRINT_LEAST_NS 400
#define PRINT_WAIT_NS  (500 * NS_PER_MS)

static bool is_read(int fd)
{
    int unread;
    return ioctl(fd, FIONREAD, &unread) < 0 || unread <= 0;
}

/* What a task has printed is in its pipe: a task is over when that has been read, so that the supervisor knows which
 * task printed it. The kernel does not signal that a pipe has become empty, so this polls at growing intervals. It
 * gives up eventually, as the pipe may have another writer, or have become a file. */
static void await_readers(const struct worker_outcome *outcome)
{
    if (outcome->run_ns < PRINT_LEAST_NS)
        return;
    uint64_t end_ns = 0;
    for (long pause_ns = 20000; !is_read(STDOUT_FILENO) || !is_read(STDERR_FILENO); pause_ns += pause_ns / 2) {
        uint64_t now_ns = clock_now_ns();
        end_ns = end_ns ? end_ns : now_ns + PRINT_WAIT_NS;
        if (now_ns > end_ns)
            break;
        nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
    }
}

/* A task that called none of the watched functions may have changed something by raw system calls. That is checked only
 * after tasks long enough for the check, of some 50 µs, not to matter. */
#define LOOK_ANYWAY_NS (5 * NS_PER_MS)

/* After a task whose result is out, before the next one is claimed: nobody waits for it. If something cannot be undone
 * the worker is replaced; the tasks in its lane run elsewhere, as none of them was claimed. */
static void clean_up(struct worker *w, const struct worker_outcome *outcome)
{
    if (INTERPOSES && !touched && outcome->run_ns < LOOK_ANYWAY_NS)
        return;
    const char *left = process_state_restore(w->state);
    touched = false;
    if (!left)
        return;
    struct control_log body = {.position = w->position, .level = MPOOL_LOG_INFO};
    say(w->control, CONTROL_WORKER_SPOILED, &body, sizeof body, left, strlen(left), -1);
    leave(w);
}

/* Fails only the job whose descriptor did not come through: an earlier function may have left the worker with low
 * limits, or with leaked descriptors. */
static void refuse(struct worker *w, const struct worker_job *job, const char *what, int error)
{
    struct worker_outcome outcome;
    char why[160];
    snprintf(why, sizeof why, "the worker cannot take %s: %s", what, strerror(error));
    int r = host_refuse(w->host, job, why, &outcome);
    if (r < 0)
        give_up("cannot hand over a failure", r, WORKER_EXIT_CONTROL);
    if (!worker_lane_finish(w->lane, &outcome))
        await_end();
}

/* Claims and runs one job. → false: asked to retire. */
static bool run_one(struct worker *w, const struct worker_job *job)
{
    struct worker_outcome outcome = {0};
    if (job->job.function == CONTROL_FUNCTION_RETIRE) {
        worker_lane_finish(w->lane, &outcome);
        return false;
    }
    const uint8_t *args = job->args;
    size_t args_length = job->args_length;
    void *mapping = NULL;
    if (job->job.flags & LANE_JOB_MEMFD) {
        int fd = receive_descriptor(w->control, CONTROL_ARGS, job->position, job->job.args_size);
        if (fd == -EMFILE) {
            refuse(w, job, "large arguments", EMFILE);
            return true;
        }
        if (fd < 0)
            give_up("cannot receive large arguments", fd, WORKER_EXIT_CONTROL);
        args_length = (size_t)job->job.args_size;
        /* Private and sealed: neither the client nor the function can change what the other sees. */
        mapping = mmap(NULL, args_length, PROT_READ, MAP_PRIVATE, fd, 0);
        int error = errno;
        close(fd);
        if (mapping == MAP_FAILED) {
            refuse(w, job, "large arguments", error);
            return true;
        }
        args = mapping;
    }
    if (job->job.flags & LANE_JOB_STDIN) {
        int fd = receive_descriptor(w->control, CONTROL_STDIN, job->position, 0);
        if (fd == -EMFILE) {
            if (mapping)
                munmap(mapping, args_length);
            refuse(w, job, "standard input", EMFILE);
            return true;
        }
        if (fd < 0)
            give_up("cannot receive standard input", fd, WORKER_EXIT_CONTROL);
        take_stdin(fd);
    }
    w->position = job->position;
    int r = host_run(w->host, job, args, args_length, &outcome);
    if (r < 0)
        give_up("cannot hand over a result", r, WORKER_EXIT_CONTROL);
    if (mapping)
        munmap(mapping, args_length);
    if (job->job.flags & LANE_JOB_STDIN)
        take_stdin(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!(job->job.flags & LANE_JOB_OUTPUT)) /* which is alone in its lane */
        await_readers(&outcome);
    if (!worker_lane_finish(w->lane, &outcome))
        await_end();
    clean_up(w, &outcome);
    return true;
}

_Noreturn void worker_main(struct worker_setup *setup)
{
    /* PDEATHSIG first, then the check: a supervisor that died in between is seen by one or the other. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != setup->supervisor)
        _exit(WORKER_EXIT_ORPHAN);
    /* kill(0, …) in a function is for this worker and what it has started. */
    if (setsid() < 0)
        _exit(WORKER_EXIT_SETUP);
    title_set("mpoold-worker", "mpoold: worker %s/%u", setup->pool, setup->number);

    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(setup->out, STDOUT_FILENO) < 0 ||
        dup2(setup->err, STDERR_FILENO) < 0)
        _exit(WORKER_EXIT_SETUP);
    close(null);
    close(setup->out);
    close(setup->err);
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);

    struct worker w = {.modules = setup->modules, .control = setup->control};
    int r = worker_lane_open(&w.lane, setup->lane_s, setup->lane_w, setup->sleep_word, setup->control);
    if (r < 0)
        give_up("cannot map its lane", r, WORKER_EXIT_SETUP);
    close(setup->lane_s);
    close(setup->lane_w);
    close(setup->sleep_word);

    struct host_config config = {.max_depth = setup->max_depth};
    config.functions = modules_functions(setup->modules, &config.function_count);
    r = host_new(&w.host, &config, &ops, &w);
    if (r < 0)
        give_up("cannot make its host", r, WORKER_EXIT_SETUP);

    struct modules_hooks hooks = {.pool = setup->pool, .worker = setup->number, .log = hook_log, .user = &w.control};
    char why[MODULES_WHY_MAX];
    pid_t self = getpid();
    int failed = modules_worker_init(setup->modules, &hooks, why);
    if (getpid() != self)
        _exit(WORKER_EXIT_INIT); /* a child that worker_init has forked is not the worker, and must not send in its name
                                  */
    if (failed < 0) {
        say(w.control, CONTROL_WORKER_FAILED, NULL, 0, why, strlen(why), -1);
        _exit(WORKER_EXIT_INIT);
    }
    r = process_state_new(&w.state);
    if (r < 0)
        give_up("cannot remember its state", r, WORKER_EXIT_SETUP);
    touched = false;
    r = say(w.control, CONTROL_WORKER_READY, NULL, 0, NULL, 0, -1);
    if (r < 0)
        give_up("cannot report", r, WORKER_EXIT_CONTROL);

    for (;;) {
        struct worker_job job;
        if (worker_lane_next(w.lane, &job, -1) != 1)
            drop_descriptors(&w);
        else if (!run_one(&w, &job))
            break;
    }
    leave(&w);
}
