#include "tests/unit/supervisor/fake_processes.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/packet.h"
#include "daemon/lane/worker_lane.h"
#include "proto/message.h"
#include "proto/pack.h"
#include "proto/reader.h"

enum function {
#define X(name, ...) FAKE_##name,
    FAKE_FUNCTIONS(X)
#undef X
        FAKE_COUNT
};

static bool is_mode(const char *name, const char *mode)
{
    const char *value = getenv(name);
    return value && strcmp(value, mode) == 0;
}

static void say(int socket, uint32_t type, const void *body, size_t size, int fd)
{
    struct control_head head = {.type = type, .size = (uint32_t)size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)body, size}};
    if (packet_send(socket, parts, 2, &fd, fd >= 0) < 0)
        _exit(50);
}

/* By the signal itself, which a sanitizer would turn into an exit. */
static void die_by(int number)
{
    signal(number, SIG_DFL);
    kill(getpid(), number);
}

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

/* ---- a worker ---- */

struct fake_worker {
    struct worker_lane *lane;
    int control;
    struct worker_job job;
    const uint8_t *args;
    size_t args_length;
};

static void finish(struct fake_worker *w, struct worker_outcome outcome, const void *bytes)
{
    size_t room;
    uint8_t *space = worker_lane_result_space(w->lane, &room);
    if (outcome.size > 0 && !outcome.memfd) {
        if (outcome.size > room)
            _exit(51);
        memcpy(space, bytes, (size_t)outcome.size);
    }
    outcome.run_ns = 1000;
    if (!worker_lane_finish(w->lane, &outcome))
        hang();
}

static void finish_value(struct fake_worker *w, enum lane_outcome outcome, uint32_t items, const struct wire_buf *value)
{
    finish(w, (struct worker_outcome){.outcome = outcome, .items_done = items, .size = wire_buf_length(value)},
        wire_buf_at(value));
}

static void put_error(struct wire_buf *b, const char *text)
{
    msgpack_packer pk = wire_packer(b);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_int(&pk, 0);
    wire_pack_text(&pk, text);
}

static void finish_error(struct fake_worker *w, enum lane_outcome outcome, const char *text)
{
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    put_error(&b, text);
    finish_value(w, outcome, 0, &b);
}

static void finish_number(struct fake_worker *w, int64_t number)
{
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_int64(&pk, number);
    finish_value(w, LANE_OUTCOME_OK, 0, &b);
}

/* The first argument. */
static int64_t number_of(const struct fake_worker *w)
{
    struct wire_reader in = wire_reader(w->args, w->args_length);
    uint32_t count;
    int64_t number = 0;
    if (wire_read_array(&in, &count) == 0 && count > 0)
        (void)wire_read_i64(&in, &number);
    return number;
}

/* A chunk: each item is its own result. refuse: those that are 0 fail. → how many failed. */
static void finish_chunk(struct fake_worker *w, uint32_t most, bool refuse, bool die)
{
    bool pairs = w->job.job.flags & LANE_JOB_PAIRS;
    struct wire_reader in = wire_reader(w->args, w->args_length);
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    uint32_t count, done;
    if (wire_read_array(&in, &count) < 0)
        _exit(52);
    count = count < most ? count : most;
    const uint8_t head[5] = {0xdd, 0, 0, (uint8_t)(count >> 8), (uint8_t)count};
    wire_buf_append(&b, head, sizeof head);
    for (done = 0; done < count; done++) {
        const uint8_t *item;
        size_t length;
        if (wire_read_raw(&in, &item, &length) < 0)
            _exit(53);
        bool fails = refuse && *item == 0;
        if (fails && !pairs) {
            finish_error(w, LANE_OUTCOME_FAILED, "E_FAILED: it is 0");
            return;
        }
        if (pairs)
            wire_buf_append(&b, (const uint8_t[]){0x92}, 1);
        if (pairs && fails)
            put_error(&b, "E_FAILED: it is 0");
        else if (pairs)
            wire_buf_append(&b, (const uint8_t[]){0xc0}, 1);
        if (fails)
            wire_buf_append(&b, (const uint8_t[]){0xc0}, 1);
        else
            wire_buf_append(&b, item, length);
    }
    if (die) {
        size_t room;
        memcpy(worker_lane_result_space(w->lane, &room), wire_buf_at(&b), wire_buf_length(&b));
        worker_lane_partial(w->lane, done, wire_buf_length(&b));
        die_by(SIGKILL);
    }
    finish_value(w, LANE_OUTCOME_OK, done, &b);
}

/* Those functions return the same in a chunk, which makes it wrong there. */
static bool is_wrong_in_chunk(enum function f)
{
    return f == FAKE_large || f == FAKE_bad_value || f == FAKE_bad_large;
}

/* The bytes are kept until the next result, so that the worker's memory grows. bad: not one value, but many. */
static void finish_large(struct fake_worker *w, uint64_t size, bool bad)
{
    static uint8_t *bytes;
    free(bytes);
    bytes = malloc((size_t)size);
    if (!bytes || size < 5)
        _exit(54);
    memset(bytes, 'x', (size_t)size);
    if (!bad)
        wire_put_be(bytes, 0xc6, 4, size - 5);
    int fd = memfd_of_bytes("result", bytes, (size_t)size);
    struct control_memfd body = {.position = w->job.position, .size = size};
    say(w->control, CONTROL_RESULT, &body, sizeof body, fd);
    close(fd);
    finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .items_done = 1, .memfd = true, .size = size}, NULL);
}

/* Messages that no honest worker sends; the supervisor must kill us for each. */
static void bad_message(struct fake_worker *w, int64_t which)
{
    static const uint8_t zeros[64];
    struct control_head head = {.type = CONTROL_LOG, .size = 1000};
    struct control_memfd memfd = {.position = w->job.position, .size = 8};
    struct control_output output = {.position = w->job.position, .stream = 7};
    int fd = memfd_of_bytes("result", "12345678", 8);
    switch (which) {
    case 0: (void)!write(w->control, zeros, 3); break;
    case 1: (void)!write(w->control, &head, sizeof head); break;
    case 2: say(w->control, CONTROL_FORKED, zeros, sizeof(struct control_forked), -1); break;
    case 3: say(w->control, 4711, NULL, 0, -1); break;
    case 4: say(w->control, CONTROL_RESULT, &memfd, sizeof memfd, -1); break;
    case 5: say(w->control, CONTROL_RESULT, &memfd, 3, fd); break;
    case 6:
        for (int i = 0; i < 3; i++)
            say(w->control, CONTROL_RESULT, &memfd, sizeof memfd, fd);
        break;
    case 7: say(w->control, CONTROL_OUTPUT, &output, 3, -1); break;
    case 8: say(w->control, CONTROL_OUTPUT, &output, sizeof output, -1); break;
    case 9: say(w->control, CONTROL_LOG, zeros, 3, -1); break;
    case 10: say(w->control, CONTROL_WORKER_SPOILED, zeros, 3, -1); break;
    case 11: say(w->control, CONTROL_WORKER_READY, NULL, 0, -1); break;
    case 12: /* a result that was never sent */
        finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .memfd = true, .size = 1u << 20}, NULL);
        break;
    case 13: /* larger than the caller may get */
        finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .memfd = true, .size = 1ull << 60}, NULL);
        break;
    case 14: { /* one that can still be changed */
        int open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        memfd.size = 1u << 20;
        (void)!ftruncate(open_fd, 1 << 20);
        say(w->control, CONTROL_RESULT, &memfd, sizeof memfd, open_fd);
        finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .memfd = true, .size = 1u << 20}, NULL);
        break;
    }
    default: _exit(55);
    }
    hang();
}

/* One request [0, 1, "call", arguments] to the daemon that runs us, on the caller's behalf. */
static void ask(struct fake_worker *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("MPOOL_SOCKET");
    uint8_t answer[4096];
    size_t length = 0;
    if (!path)
        _exit(56);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        _exit(57);
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    wire_buf_append(&b,
        (const uint8_t *)"\x94\x00\x01\xa4"
                         "call",
        8);
    wire_buf_append(&b, w->args, w->args_length);
    if (write(fd, wire_buf_at(&b), wire_buf_length(&b)) != (ssize_t)wire_buf_length(&b))
        _exit(58);
    for (;;) {
        ssize_t n = read(fd, answer + length, sizeof answer - length);
        if (n <= 0)
            _exit(59);
        length += (size_t)n;
        struct wire_reader in = wire_reader(answer, length);
        if (wire_skip(&in) == 0)
            break;
    }
    close(fd);
    finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .size = length}, answer);
}

static void print(struct fake_worker *w)
{
    struct {
        struct control_output head;
        char text[4];
    } message = {{.position = w->job.position, .stream = 1}, "sent"};
    (void)!write(STDOUT_FILENO, "out\npart", 8);
    (void)!write(STDERR_FILENO, "err\n", 4);
    say(w->control, CONTROL_OUTPUT, &message, sizeof message, -1);
    finish_number(w, 1);
}

static void note(struct fake_worker *w)
{
    for (uint32_t level = 0; level < 5; level++) {
        struct {
            struct control_log head;
            char text[8];
        } message = {{.position = w->job.position, .level = level}, "level 0"};
        message.text[6] = (char)('0' + level);
        say(w->control, CONTROL_LOG, &message, sizeof message - 1, -1);
    }
    finish_number(w, 1);
}

static void run(struct fake_worker *w)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    bool chunk = w->job.job.flags & LANE_JOB_CHUNK;
    int64_t number = number_of(w);
    uint32_t attempt = w->job.job.attempt;
    if (chunk && w->job.job.function != FAKE_end && w->job.job.function != FAKE_wait &&
        !is_wrong_in_chunk((enum function)w->job.job.function)) {
        bool die = w->job.job.function == FAKE_half && w->job.job.items > 1;
        finish_chunk(
            w, w->job.job.function == FAKE_one || die ? 1 : UINT32_MAX, w->job.job.function == FAKE_refuse, die);
        return;
    }
    switch ((enum function)w->job.job.function) {
    case FAKE_echo:
    case FAKE_one:
        finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .size = w->args_length}, w->args);
        break;
    case FAKE_refuse: finish_error(w, LANE_OUTCOME_FAILED, "E_FAILED: refused"); break;
    case FAKE_retry:
        if (attempt == 1)
            finish_error(w, LANE_OUTCOME_FAILED_RETRYABLE, "E_FAILED: not yet");
        else
            finish_number(w, attempt);
        break;
    case FAKE_end:
        if (number < 0)
            die_by((int)-number);
        _exit((int)number);
    case FAKE_crash_once:
    case FAKE_half:
        if (attempt == 1)
            die_by(SIGSEGV);
        finish_number(w, attempt);
        break;
    case FAKE_wait:
        worker_lane_progress(w->lane, 3, 10);
        while (!worker_lane_cancelled(w->lane))
            nanosleep(&moment, NULL);
        finish_error(w, LANE_OUTCOME_FAILED, "E_CANCELLED: it obeys");
        break;
    case FAKE_hang:
    case FAKE_limit: hang();
    case FAKE_print: print(w); break;
    case FAKE_note: note(w); break;
    case FAKE_spoil: {
        struct {
            struct control_log head;
            char text[8];
        } message = {{.position = w->job.position}, "a umask"};
        say(w->control, CONTROL_WORKER_SPOILED, &message, sizeof message - 1, -1);
        finish_number(w, 1);
        _exit(0);
    }
    case FAKE_large: finish_large(w, (uint64_t)number, false); break;
    case FAKE_bad_value:
        finish(w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK, .items_done = 1, .size = 2}, "\xc1\xc1");
        break;
    case FAKE_bad_large: finish_large(w, (uint64_t)number, true); break;
    case FAKE_bad_message: bad_message(w, number); break;
    case FAKE_ask: ask(w); break;
    case FAKE_COUNT:
    default: _exit(60);
    }
}

/* Arguments that came in a memfd, over the control socket. */
static void map_args(struct fake_worker *w)
{
    struct {
        struct control_head head;
        struct control_memfd body;
    } message;
    int fd = -1;
    size_t count = 1;
    do {
        fd_close(&fd);
        count = 1;
        if (packet_receive(w->control, &message, sizeof message, &fd, &count, NULL) <= 0 || count != 1)
            _exit(61);
    } while (message.head.type != CONTROL_ARGS || message.body.position != w->job.position);
    w->args_length = (size_t)message.body.size;
    w->args = mmap(NULL, w->args_length, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
}

static _Noreturn void worker(int fds[6])
{
    static const char why[] = "its hook has failed";
    struct fake_worker w = {.control = fds[0]};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fds[4], STDOUT_FILENO);
    dup2(fds[5], STDERR_FILENO);
    if (worker_lane_open(&w.lane, fds[1], fds[2], fds[3], fds[0]) < 0)
        _exit(62);
    if (is_mode("FAKE_WORKER", "exit"))
        _exit(7);
    if (is_mode("FAKE_WORKER", "kill"))
        die_by(SIGKILL);
    if (is_mode("FAKE_WORKER", "fail")) {
        say(w.control, CONTROL_WORKER_FAILED, why, sizeof why - 1, -1);
        _exit(3);
    }
    if (is_mode("FAKE_WORKER", "slow"))
        hang();
    say(w.control, CONTROL_WORKER_READY, NULL, 0, -1);
    for (;;) {
        if (worker_lane_next(w.lane, &w.job, -1) != 1)
            continue;
        if (w.job.job.function == CONTROL_FUNCTION_RETIRE) {
            if (is_mode("FAKE_WORKER", "stay"))
                hang();
            finish(&w, (struct worker_outcome){.outcome = LANE_OUTCOME_OK}, NULL);
            _exit(0);
        }
        w.args = w.job.args;
        w.args_length = w.job.args_length;
        if (w.job.job.flags & LANE_JOB_MEMFD)
            map_args(&w);
        run(&w);
        if (w.job.job.flags & LANE_JOB_MEMFD)
            munmap((void *)(uintptr_t)w.args, w.args_length);
    }
}

/* ---- the forkserver ---- */

static void pack_function(msgpack_packer *pk, const char *name, unsigned flags, const char *summary)
{
    msgpack_pack_array(pk, 4);
    wire_pack_text(pk, name);
    msgpack_pack_uint32(pk, flags);
    msgpack_pack_uint32(pk, strcmp(name, "fake.limit") == 0 ? 1 : 0);
    wire_pack_text(pk, summary);
}

static void report(int socket)
{
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, 1);
    msgpack_pack_array(&pk, 3);
    wire_pack_text(&pk, "fake");
    wire_pack_text(&pk, "1.0");
    msgpack_pack_array(&pk, FAKE_COUNT);
#define X(name, flags, summary) pack_function(&pk, "fake." #name, flags, summary);
    FAKE_FUNCTIONS(X)
#undef X
    uint64_t size = wire_buf_length(&b);
    int fd = memfd_of_bytes("report", wire_buf_at(&b), (size_t)size);
    say(socket, CONTROL_FORKSERVER_READY, &size, sizeof size, is_mode("FAKE_FORKSERVER", "no report") ? -1 : fd);
    close(fd);
}

/* A report of these bytes. */
static void bad_report(int socket, const char *bytes, size_t length)
{
    uint64_t size = length;
    int fd = memfd_of_bytes("report", bytes, length);
    say(socket, CONTROL_FORKSERVER_READY, &size, sizeof size, fd);
    hang();
}

#define REPORT(mode, bytes)                                                                                            \
    if (is_mode("FAKE_FORKSERVER", mode))                                                                              \
    bad_report(CONTROL_FORKSERVER_FD, bytes, sizeof(bytes) - 1)

static void misbehave(int socket)
{
    static const char refusal[] = "no module here\n";
    if (is_mode("FAKE_FORKSERVER", "refuse"))
        say(socket, CONTROL_FORKSERVER_FAILED, refusal, sizeof refusal - 1, -1);
    else if (is_mode("FAKE_FORKSERVER", "exit"))
        _exit(9);
    else if (is_mode("FAKE_FORKSERVER", "crash"))
        die_by(SIGSEGV);
    else if (is_mode("FAKE_FORKSERVER", "close"))
        close(socket);
    else if (is_mode("FAKE_FORKSERVER", "short"))
        (void)!write(socket, "abc", 3);
    else if (is_mode("FAKE_FORKSERVER", "long"))
        (void)!write(socket, calloc(1, 8192), 8192);
    else if (is_mode("FAKE_FORKSERVER", "unknown"))
        say(socket, 4711, NULL, 0, -1);
    else if (!is_mode("FAKE_FORKSERVER", "slow"))
        return;
    hang();
}

static void serve_fork(int socket, const struct control_fork *fork_, int fds[6])
{
    struct control_forked answer = {.worker = fork_->worker, .generation = fork_->generation};
    if (is_mode("FAKE_FORKSERVER", "dead"))
        _exit(5);
    pid_t pid = is_mode("FAKE_FORKSERVER", "no forks")
                    ? -EAGAIN
                    : (pid_t)syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL);
    if (pid == 0)
        worker(fds);
    answer.pid = pid;
    if (is_mode("FAKE_FORKSERVER", "liar"))
        answer.generation += 100;
    if (is_mode("FAKE_FORKSERVER", "stranger"))
        answer.pid = 1;
    if (is_mode("FAKE_FORKSERVER", "itself"))
        answer.pid = getpid();
    say(socket, CONTROL_FORKED, &answer, sizeof answer, -1);
    if (is_mode("FAKE_FORKSERVER", "one birth"))
        _exit(4);
}

int fake_forkserver(void)
{
    static union {
        struct control_head head;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    } message;
    static const char module[] = "fake\x1b";
    struct {
        struct control_log head;
        char text[8];
    } log = {{.level = 1}, "it loads"};
    if (packet_receive(CONTROL_FORKSERVER_FD, &message, sizeof message, NULL, &(size_t){0}, NULL) <= 0 ||
        message.head.type != CONTROL_CONFIG)
        return 1;
    say(CONTROL_FORKSERVER_FD, CONTROL_FORKSERVER_LOADING, module, sizeof module - 1, -1);
    say(CONTROL_FORKSERVER_FD, CONTROL_LOG, &log, sizeof log, -1);
    (void)!write(STDOUT_FILENO, "loading\n", 8);
    misbehave(CONTROL_FORKSERVER_FD);
    REPORT("no value", "\xc1");
    REPORT("two values", "\x90\x90");
    REPORT("no list", "\x01");
    REPORT("no module", "\x91\x01");
    REPORT("bad module name", "\x91\x93\xa2"
                              "A!"
                              "\xa1"
                              "1"
                              "\x90");
    REPORT("no function", "\x91\x93\xa1"
                          "m"
                          "\xa1"
                          "1"
                          "\x91\x01");
    REPORT("foreign function", "\x91\x93\xa1"
                               "m"
                               "\xa1"
                               "1"
                               "\x91\x94\xa3"
                               "n.f"
                               "\x00\x00\xa0");
    REPORT("bad timeout", "\x91\x93\xa1"
                          "m"
                          "\xa1"
                          "1"
                          "\x91\x94\xa3"
                          "m.f"
                          "\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa0");
    report(CONTROL_FORKSERVER_FD);
    for (;;) {
        int fds[PACKET_FDS_MAX];
        size_t count = PACKET_FDS_MAX;
        if (packet_receive(CONTROL_FORKSERVER_FD, &message, sizeof message, fds, &count, NULL) <= 0)
            return 0;
        if (message.head.type != CONTROL_FORK || count != 6)
            return 2;
        struct control_fork ask;
        memcpy(&ask, message.bytes + sizeof message.head, sizeof ask);
        serve_fork(CONTROL_FORKSERVER_FD, &ask, fds);
        while (count > 0)
            close(fds[--count]);
    }
}
