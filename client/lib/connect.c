/* Where is the daemon, and does it speak our protocol?
 *
 * Tries the usual places, opens the socket, says hello and learns the limits, all within a few seconds. A path where
 * nothing answers is skipped. A peer that does not speak the protocol ends the search: something else is listening
 * there.
 */
#include <mpool/client.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/request.h"
#include "client/lib/sized.h"
#include "proto/text.h"

#define HELLO_TIMEOUT_MS 5000
#define NAME_MAX_BYTES   64u
#define PROTOCOL_VERSION 1
#define MESSAGE_MOST     (UINT64_C(1) << 30) /* cap on the limit that a daemon reports */

enum { CANDIDATES_MAX = 2 };

struct candidates {
    size_t count;
    char path[CANDIDATES_MAX][4096];
};

static void add(struct candidates *list, const char *directory, const char *rest)
{
    char *path = list->path[list->count];
    int length = snprintf(path, sizeof(list->path[0]), "%s%s", directory, rest);
    if (length > 0 && (size_t)length < sizeof(list->path[0]))
        list->count++;
}

/* secure_getenv: a set-uid program must not be led to a socket of its caller's choice. */
static void find_candidates(struct candidates *list)
{
    const char *given = secure_getenv("MPOOL_SOCKET"), *runtime = secure_getenv("XDG_RUNTIME_DIR");
    list->count = 0;
    if (given && *given) {
        add(list, given, "");
        return;
    }
    if (runtime && *runtime == '/')
        add(list, runtime, "/mpoold/mpoold.sock");
    add(list, "/run", "/mpoold/mpoold.sock");
}

int mpool_socket_candidates(char *buffer, size_t size)
{
    struct candidates list;
    size_t used = 0;
    find_candidates(&list);
    if (!buffer)
        size = 0;
    if (size > 0)
        buffer[0] = '\0';
    for (size_t i = 0; i < list.count; i++) {
        int n = snprintf(used < size ? buffer + used : NULL, used < size ? size - used : 0, "%s\n", list.path[i]);
        if (n < 0)
            return -errno;
        used += (size_t)n;
    }
    return (int)used;
}

/* How long connecting may take. */
static int64_t patience_ms(const mpool_connect_options *o)
{
    return o->timeout_ms < 0 ? HELLO_TIMEOUT_MS : o->timeout_ms;
}

/* → a connected socket, or -errno. */
static int open_socket(const char *path, const mpool_connect_options *o)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0)
        return -ENOENT;
    if (length >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* If the program was started with closed standard descriptors, its output must not reach the daemon. */
    if (fd <= STDERR_FILENO) {
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        int error = errno;
        close(low);
        if (fd < 0)
            return -error;
    }
    /* A full backlog makes connect() wait; this bounds it. */
    int64_t limit_ms = patience_ms(o) > 0 ? patience_ms(o) : 1; /* 0 is no limit */
    struct timeval limit = {.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000};
    int r = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ? -errno : 0;
    uint64_t deadline_ns = clock_deadline(limit_ms);
    while (r == 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        if (errno == EAGAIN || errno == EINPROGRESS || (errno == EINTR && clock_now_ns() >= deadline_ns))
            r = -ETIMEDOUT;
        else if (errno == EINTR && o->interruptible)
            r = -EINTR;
        else if (errno != EINTR) /* an interrupted connect() leaves a Unix socket unconnected */
            r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

/* Returns a limit by its key, or `otherwise` if the peer does not report it or reports nonsense. */
static uint64_t limit_of(const mpool_result *limits, const char *key, uint64_t otherwise)
{
    const mpool_result *value;
    uint64_t limit;
    return mpool_result_get(limits, key, &value) == 0 && mpool_result_u64(value, &limit) == 0 && limit > 0 ? limit
                                                                                                           : otherwise;
}

static bool has_feature(const mpool_result *features, const char *name)
{
    size_t length;
    const void *data = mpool_result_data(features, &length);
    struct wire_reader r = wire_reader(data, length);
    uint32_t count;
    if (wire_read_array(&r, &count) < 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const char *text;
        size_t text_length;
        if (wire_read_text(&r, &text, &text_length) < 0)
            return false;
        if (text_length == strlen(name) && memcmp(text, name, text_length) == 0)
            return true;
    }
    return false;
}

static int learn(mpool_client *client, const mpool_result *hello)
{
    const mpool_result *value;
    int64_t protocol;
    if (mpool_result_get(hello, "protocol", &value) < 0 || mpool_result_i64(value, &protocol) < 0 ||
        protocol != PROTOCOL_VERSION)
        return MPOOL_EPROTOCOL;
    struct peer *peer = &client->peer;
    if (mpool_result_get(hello, "limits", &value) == 0) {
        peer->message_bytes = limit_of(value, "message_bytes", peer->message_bytes);
        peer->memfd_bytes = limit_of(value, "memfd_bytes", 0);
        peer->in_flight = limit_of(value, "in_flight", peer->in_flight);
        uint64_t depth = limit_of(value, "depth", peer->depth);
        peer->depth = depth < WIRE_DEPTH_CAP ? (uint32_t)depth : WIRE_DEPTH_CAP;
    }
    if (mpool_result_get(hello, "features", &value) == 0) {
        peer->memfd = has_feature(value, "memfd") && peer->memfd_bytes > 0;
        peer->stream = has_feature(value, "stream");
        peer->lease = has_feature(value, "lease");
    }
    if (peer->message_bytes > client->in_limits.max_bytes)
        client->in_limits.max_bytes = peer->message_bytes < MESSAGE_MOST ? peer->message_bytes : MESSAGE_MOST;
    return 0;
}

static int say_hello(mpool_client *client, int64_t timeout_ms)
{
    const char *name = program_invocation_short_name;
    size_t name_length = wire_utf8_cut(name, strlen(name), NAME_MAX_BYTES);
    char clean[NAME_MAX_BYTES];
    memcpy(clean, name, name_length);
    wire_utf8_scrub(clean, name_length);

    OWN_BUF params = {0};
    msgpack_packer pk = wire_packer(&params);
    msgpack_pack_array(&pk, 1);
    msgpack_pack_map(&pk, 3);
    wire_pack_text(&pk, "client");
    msgpack_pack_str(&pk, name_length);
    msgpack_pack_str_body(&pk, clean, name_length);
    wire_pack_key_i64(&pk, "protocol", PROTOCOL_VERSION);
    wire_pack_key_bool(&pk, "memfd", true);

    struct waiter waiter;
    struct call call = waiter_call(&waiter, client);
    uint32_t msgid;
    int r = params.failed
                ? -ENOMEM
                : request_send(client, "hello", wire_buf_at(&params), wire_buf_length(&params), &call, &msgid);
    if (r < 0)
        return r;
    mpool_result *hello;
    r = waiter_wait(&waiter, msgid, clock_deadline(timeout_ms), &hello);
    if (r < 0)
        /* A peer that rejects hello or its parameters speaks another protocol. */
        return r == MPOOL_ENO_METHOD || r == MPOOL_EBAD_PARAMS || r == MPOOL_EREMOTE ? MPOOL_EPROTOCOL : r;
    r = learn(client, hello);
    mpool_result_free(hello);
    return r;
}

static int connect_to(mpool_client **ret_client, const char *path, const mpool_connect_options *o, bool *ret_answered)
{
    int fd = open_socket(path, o);
    *ret_answered = fd >= 0;
    if (fd < 0)
        return fd;
    mpool_client *client;
    int r = handle_new(fd, path, &client);
    if (r < 0)
        return r;
    client->io.interruptible = o->interruptible;
    client->call_timeout_ms = o->timeout_ms < 0 ? -1 : o->timeout_ms;
    r = say_hello(client, patience_ms(o));
    if (r < 0) {
        mpool_disconnect(client);
        return r;
    }
    client->text[0] = '\0';
    *ret_client = client;
    return 0;
}

int mpool_connect_with(mpool_client **ret_client, const mpool_connect_options *options)
{
    NOT_CANCELLED;
    mpool_connect_options o = MPOOL_CONNECT_OPTIONS_INIT;
    int checked = sized_read(NULL, &o, sizeof(o), options);
    struct candidates list = {.count = 0};
    bool answered = false;
    if (!ret_client || checked < 0)
        return ret_client ? checked : -EINVAL;
    if (o.path)
        return connect_to(ret_client, o.path, &o, &answered);
    find_candidates(&list);
    int worst = list.count > 0 ? -ENOENT : -ENAMETOOLONG;
    for (size_t i = 0; i < list.count && !answered; i++) {
        int r = connect_to(ret_client, list.path[i], &o, &answered);
        if (r == 0 || answered)
            return r;
        /* Report the most informative error: a socket that refuses says more than a missing one. */
        if (worst == -ENOENT)
            worst = r;
    }
    return worst;
}

int mpool_connect(mpool_client **ret_client, const char *path)
{
    mpool_connect_options options = MPOOL_CONNECT_OPTIONS_INIT;
    options.path = path;
    return mpool_connect_with(ret_client, &options);
}
