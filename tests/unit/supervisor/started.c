#include "tests/unit/supervisor/started.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/base/packet.h"
#include "daemon/base/start.h"
#include "daemon/base/title.h"
#include "daemon/config/config.h"
#include "daemon/config/paths.h"
#include "daemon/pool/guardian.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/worker/forkserver_main.h"
#include "proto/reader.h"
#include "tests/unit/json/json.h"

#define PATIENCE_MS 20000

struct started started;

int started_role(int argc, char **argv, int (*forkserver)(void))
{
    paths_init();
    argv = title_init(argc, argv);
    return argc == 3 && strcmp(argv[1], FORKSERVER_VERB) == 0 ? forkserver() : -1;
}

/* ---- the daemon ---- */

static int serve(void)
{
    struct config *config;
    struct config_report report = {0};
    struct config_arguments arguments = {.file = started.config, .socket_path = started.socket};
    struct supervisor *supervisor;
    int log = open(started.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        return 90;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (start_clean() < 0)
        return 91;
    if (config_load(&config, &arguments, &report) < 0) {
        fprintf(stderr, "%s\n", report.text);
        return 92;
    }
    config_report_reset(&report);
    log_init((enum log_level)config->log_level, NULL);
    guardian_fork();
    if (supervisor_new(&supervisor, config, &arguments) < 0)
        return 93;
    int status = supervisor_run(supervisor);
    supervisor_free(supervisor);
    return status;
}

void write_config(const char *daemon, const char *pool)
{
    FILE *f = fopen(started.config, "we");
    assert_non_null(f);
    fprintf(f, "[daemon]\nlog_level = debug\nstop_grace = 50ms\n%s\n[pool default]\n%s%s\n", daemon,
        strstr(pool, "modules =") == pool ? "" : "modules = fake\n", pool);
    assert_int_equal(fclose(f), 0);
}

static bool try_connect(struct peer *p)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, started.socket, strlen(started.socket) + 1);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->fd >= 0);
    if (connect(p->fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return true;
    fd_close(&p->fd);
    return false;
}

/* The service manager's end. */
static void listen_for_notices(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", started.directory);
    assert_true(length > 0 && (size_t)length < sizeof address.sun_path);
    started.notices = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(started.notices, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
}

void wait_notice(const char *part)
{
    char text[200];
    struct pollfd wait = {.fd = started.notices, .events = POLLIN};
    do {
        if (poll(&wait, 1, PATIENCE_MS) != 1)
            fail_msg("the service manager is not told \"%s\"", part);
        ssize_t n = recv(started.notices, text, sizeof text - 1, 0);
        assert_true(n >= 0);
        text[n] = 0;
    } while (!strstr(text, part));
}

static void moment(void)
{
    poll(NULL, 0, 2);
}

void start(const char *daemon, const char *pool)
{
    memset(&started, 0, sizeof started);
    started.peer.fd = started.other.fd = -1;
    snprintf(started.directory, sizeof started.directory, "/tmp/mpool-unit-XXXXXX");
    assert_non_null(mkdtemp(started.directory));
    snprintf(started.socket, sizeof started.socket, "%s/sock", started.directory);
    snprintf(started.config, sizeof started.config, "%s/conf", started.directory);
    snprintf(started.log, sizeof started.log, "%s/log", started.directory);
    write_config(daemon, pool);
    listen_for_notices();
    started.pid = fork();
    assert_true(started.pid >= 0);
    if (started.pid == 0)
        exit(serve());
    for (unsigned waited = 0; !try_connect(&started.peer); waited += 2) {
        assert_int_equal(waitpid(started.pid, NULL, WNOHANG), 0);
        assert_true(waited < PATIENCE_MS);
        moment();
    }
}

void reload_with(const char *daemon, const char *pool)
{
    write_config(daemon, pool);
    assert_int_equal(kill(started.pid, SIGHUP), 0);
}

int stop_it(void **state)
{
    char command[128];
    int status = -1;
    (void)state;
    peer_close(&started.peer);
    peer_close(&started.other);
    kill(started.pid, SIGTERM);
    kill(started.pid, SIGTERM);
    assert_int_equal(waitpid(started.pid, &status, 0), started.pid);
    if (status != 0)
        wait_log("nothing, but it ended badly");
    free(started.text);
    fd_close(&started.notices);
    snprintf(command, sizeof command, "rm -rf %s", started.directory);
    return system(command);
}

/* ---- clients ---- */

void peer_connect(struct peer *p)
{
    *p = (struct peer){.fd = -1};
    assert_true(try_connect(p));
}

void peer_connect_as(struct peer *p, uid_t uid)
{
    *p = (struct peer){.fd = -1};
    assert_int_equal(chmod(started.directory, 0711), 0);
    assert_int_equal(seteuid(uid), 0);
    bool connected = try_connect(p);
    assert_int_equal(seteuid(0), 0);
    assert_true(connected);
}

void peer_close(struct peer *p)
{
    fd_close(&p->fd);
    wire_buf_reset(&p->in);
    while (p->fd_count > 0)
        close(p->fds[--p->fd_count]);
}

void send_bytes(struct peer *p, const void *bytes, size_t length)
{
    assert_int_equal(send(p->fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

uint32_t send_request(struct peer *p, const char *method, int fd, const char *params)
{
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    msgpack_packer pk = wire_packer(&b);
    msgpack_pack_array(&pk, 4);
    msgpack_pack_int(&pk, 0);
    msgpack_pack_uint32(&pk, ++p->msgid);
    wire_pack_text(&pk, method);
    json_pack_text(&b, params);
    size_t sent = 0, length = wire_buf_length(&b);
    while (sent < length) {
        struct iovec part = {(void *)(uintptr_t)(wire_buf_at(&b) + sent), length - sent};
        ssize_t n = packet_send(p->fd, &part, 1, &fd, fd >= 0 && sent == 0);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    return p->msgid;
}

/* → false: end of file. */
static bool read_more(struct peer *p)
{
    uint8_t bytes[65536];
    size_t count = ELEMENTS(p->fds) - p->fd_count;
    struct pollfd wait = {.fd = p->fd, .events = POLLIN};
    if (poll(&wait, 1, PATIENCE_MS) != 1)
        fail_msg("no answer in time");
    ssize_t n = packet_receive(p->fd, bytes, sizeof bytes, p->fds + p->fd_count, &count, NULL);
    p->fd_count += (unsigned)count;
    if (n > 0)
        wire_buf_append(&p->in, bytes, (size_t)n);
    return n > 0;
}

/* One whole message at the start of p->in. → it was the answer to msgid, in p->text. */
static bool take_message(struct peer *p, size_t length, uint32_t msgid)
{
    struct wire_reader in = wire_reader(wire_buf_at(&p->in), length);
    uint32_t count;
    uint64_t type, id;
    bool found = false;
    assert_int_equal(wire_read_array(&in, &count), 0);
    assert_int_equal(wire_read_u64(&in, &type), 0);
    if (type == 2) {
        size_t at = strlen(p->notes);
        json_show(in.at, (size_t)(in.end - in.at), p->notes + at, sizeof p->notes - at - 1);
        in.at += length; /* the name; then its parameters */
        in = wire_reader(wire_buf_at(&p->in), length);
        assert_int_equal(wire_read_array(&in, &count), 0);
        wire_skip(&in);
        wire_skip(&in);
        at = strlen(p->notes);
        json_show(in.at, (size_t)(in.end - in.at), p->notes + at, sizeof p->notes - at - 1);
    } else if (wire_read_u64(&in, &id) == 0 && id == msgid) {
        const char *text;
        size_t size;
        int class;
        const uint8_t *error;
        found = true;
        assert_int_equal(wire_read_raw(&in, &error, &size), 0);
        if (*error == 0xc0 && (size_t)(in.end - in.at) >= sizeof p->text)
            snprintf(p->text, sizeof p->text, "%zu bytes", (size_t)(in.end - in.at));
        else if (*error == 0xc0)
            json_show(in.at, (size_t)(in.end - in.at), p->text, sizeof p->text);
        else if (wire_read_error(error, size, &class, &text, &size) == 0)
            snprintf(p->text, sizeof p->text, "%.*s", (int)size, text);
        else
            fail_msg("an error that is none");
    }
    wire_buf_consume(&p->in, length);
    return found;
}

const char *get_answer(struct peer *p, uint32_t msgid)
{
    for (;;) {
        struct wire_reader in = wire_reader(wire_buf_at(&p->in), wire_buf_length(&p->in));
        if (wire_buf_length(&p->in) == 0 || wire_skip(&in) < 0) {
            if (!read_more(p))
                return NULL;
        } else if (take_message(p, (size_t)(in.at - wire_buf_at(&p->in)), msgid)) {
            return p->text;
        }
    }
}

int take_fd(struct peer *p)
{
    assert_true(p->fd_count > 0);
    int fd = p->fds[0];
    memmove(p->fds, p->fds + 1, --p->fd_count * sizeof p->fds[0]);
    return fd;
}

const char *ask(const char *method, const char *params)
{
    const char *answer = get_answer(&started.peer, send_request(&started.peer, method, -1, params));
    return answer ? answer : "closed";
}

/* ---- judging ---- */

void assert_part(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text ? text : "nothing");
}

void expect(const char *method, const char *params, const char *result)
{
    assert_string_equal(ask(method, params), result);
}

void expect_part(const char *method, const char *params, const char *part)
{
    assert_part(ask(method, params), part);
}

static const char *read_log(void)
{
    FILE *f = fopen(started.log, "re");
    size_t size = 0;
    assert_non_null(f);
    if (getdelim(&started.text, &size, 0, f) < 0)
        return "";
    fclose(f);
    return started.text;
}

void wait_log(const char *part)
{
    for (unsigned waited = 0; !strstr(read_log(), part); waited += 2) {
        if (waited >= PATIENCE_MS)
            fail_msg("the log does not say \"%s\":\n%s", part, started.text);
        free(started.text);
        started.text = NULL;
        moment();
    }
    free(started.text);
    started.text = NULL;
}

void wait_part(const char *method, const char *params, const char *part)
{
    for (unsigned waited = 0; !strstr(ask(method, params), part); waited += 2) {
        if (waited >= PATIENCE_MS)
            fail_msg("%s does not say \"%s\" but %s", method, part, started.peer.text);
        moment();
    }
}
