/* How does a verb connect to the daemon, and how are failures reported? See daemon.h. */
#include "client/cli/daemon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/when.h"
#include "proto/clock.h"
#include "proto/tables.h"

enum {
    LABEL_CAP = 128, /* bytes, the wire's own limit */
    PATHS_SIZE = 4096,
    OBJECT_TEXT_SIZE = 512,
    MS_PER_S = 1000,
};

/* Why can we not connect to this path? → a positive errno; 0: something answers. */
static int probe(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = errno;
    struct stat st;
    return error == ECONNREFUSED && stat(path, &st) == 0 && !S_ISSOCK(st.st_mode) ? ENOTSOCK : error;
}

static const char *reason(int error)
{
    switch (error) {
    case 0: return "somebody listens, but does not answer as mpoold";
    case EAGAIN: return "somebody listens, but takes no more connections";
    case EACCES: return "you may not use it";
    case ENOTSOCK: return "it is not a socket";
    case ENAMETOOLONG: return "it is too long for the path of a socket (107 bytes)";
    case ECONNREFUSED: return "nobody listens there any more";
    }
    return strerror(error);
}

static void say_paths(char *paths)
{
    bool denied = false, none = true;
    for (char *save = NULL, *path = strtok_r(paths, "\n", &save); path; path = strtok_r(NULL, "\n", &save)) {
        int error = probe(path);
        denied = denied || error == EACCES;
        none = none && (error == ENOENT || error == ECONNREFUSED);
        say_hint("  tried %s: %s", path, reason(error));
    }
    if (denied)
        say_hint("Its socket may be used by a group only: is your user in it? (`id`, and `ls -l` of the socket)");
    if (none)
        say_hint("To start one: type `mpoold` in another terminal, or `systemctl start mpoold` for all users.");
}

int daemon_connect(mpool_client **ret)
{
    if (settings.socket && !*settings.socket) {
        say_error("--socket is empty");
        return EXIT_OWN;
    }
    mpool_connect_options options = MPOOL_CONNECT_OPTIONS_INIT;
    options.path = settings.socket;
    options.timeout_ms = settings.call_timeout_ms;
    int r = mpool_connect_with(ret, &options);
    if (r >= 0)
        return EXIT_OK;
    if (mpool_code_name(r)) { /* something has answered */
        say_error("the daemon does not take this connection: %s (%s)", mpool_strerror(r), mpool_code_name(r));
        return EXIT_OWN;
    }
    if (r == -EACCES)
        say_error("you may not use the daemon's socket: %s", mpool_strerror(r));
    else
        say_error("no daemon answers: %s", mpool_strerror(r));
    char paths[PATHS_SIZE] = "";
    if (settings.socket)
        snprintf(paths, sizeof paths, "%s", settings.socket);
    else if (mpool_socket_candidates(paths, sizeof paths) == 0)
        say_hint("  $MPOOL_SOCKET is longer than any path");
    say_paths(paths);
    return EXIT_OWN;
}

/* Is this an error of the task (it ran and failed, was lost, cancelled, …) rather than of the request? */
static bool daemon_task_failed(int code)
{
    const char *name = mpool_code_name(code);
    if (!name)
        return false;
    enum mpool_error error = wire_error_find(name, strlen(name));
    return error != MPOOL_ERROR_NONE && wire_error_info(error)->class == 0;
}

/* → the exit status for a negative return of the library: TASK_FAILED, TIMED_OUT or OWN. */
static int daemon_status_of(int code)
{
    if (code >= 0)
        return EXIT_OK;
    if (code == MPOOL_ETIMEOUT || code == -EAGAIN || code == -ETIMEDOUT || code == -EINPROGRESS)
        return EXIT_TIMED_OUT;
    return daemon_task_failed(code) ? EXIT_TASK_FAILED : EXIT_OWN;
}

int daemon_say_text(int code, const char *text)
{
    if (text && *text)
        say_error("%s", text);
    else
        say_error("%s", mpool_strerror(code));
    return daemon_status_of(code);
}

int daemon_say(mpool_client *client, int code)
{
    return daemon_say_text(code, mpool_error_text(client));
}

int daemon_say_object(const mpool_object *object, int code)
{
    char text[OBJECT_TEXT_SIZE];
    return daemon_say_text(code, mpool_object_error_text(object, code, text, sizeof text));
}

int daemon_left_ms(int64_t heard_ms)
{
    if (settings.call_timeout_ms < 0)
        return -1;
    int64_t left_ms = settings.call_timeout_ms - (clock_now_ms() - heard_ms);
    return left_ms < 0 ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

int daemon_say_silent(void)
{
    return daemon_say_text(-ETIMEDOUT, "the daemon did not answer within --call-timeout");
}

int daemon_ask(mpool_client *client, const char *method, mpool_result **ret)
{
    int r = mpool_request(client, ret, method, NULL);
    return r < 0 ? daemon_say(client, r) : EXIT_OK;
}

mpool_options daemon_task_options(void)
{
    mpool_options options = MPOOL_OPTIONS_INIT;
    options.pool = settings.pool;
    options.name = settings.label;
    options.timeout_ms = settings.timeout_ms > 0 ? settings.timeout_ms : 0;
    options.ttl_s = settings.ttl_ms < 0 ? 0 : (uint32_t)((settings.ttl_ms + MS_PER_S - 1) / MS_PER_S);
    options.attempts = (uint32_t)settings.attempts.value;
    if (settings.priority.given)
        options.priority = (uint32_t)settings.priority.value;
    options.delay_ms = settings.delay_ms;
    options.queue_timeout_ms = settings.queue_timeout_ms;
    options.start_at_ms = settings.at ? when_ms(settings.at) : 0;
    options.expires_at_ms = settings.expires ? when_ms(settings.expires) : 0;
    return options;
}

int daemon_check_task_options(void)
{
    if (settings.timeout_ms == 0) {
        say_error("--timeout: a task needs at least 1ms");
        return EXIT_OWN;
    }
    if (settings.label && strlen(settings.label) > LABEL_CAP) {
        say_error("--name: at most %d bytes", LABEL_CAP);
        return EXIT_OWN;
    }
    if (settings.at && when_ms(settings.at) < 0) {
        say_error("--at: '%s' is not a time; allowed are " WHEN_FORMS, settings.at);
        return EXIT_OWN;
    }
    if (settings.expires && when_ms(settings.expires) < 0) {
        say_error("--expires: '%s' is not a time; allowed are " WHEN_FORMS, settings.expires);
        return EXIT_OWN;
    }
    return EXIT_OK;
}
