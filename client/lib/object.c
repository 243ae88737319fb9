/* How is a shared object mapped into this process, and how is it released?
 *
 * The answer to `open` describes the object; the descriptor of its page comes ahead of it. The page is mapped and
 * checked, and the descriptor closed. From then on sync_*.c works on the page alone. The handle of the connection keeps
 * a list of the objects it has opened: when the connection is lost or closed, all of them are lost, because the daemon
 * has released what they held. The contents of the page are never trusted; what the daemon reports is bounded.
 */
#include "client/lib/object.h"

#include <mpool/queue.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/handle.h"
#include "client/lib/loop.h"
#include "client/lib/queue_ahead.h"
#include "client/lib/request.h"
#include "client/lib/sized.h"
#include "proto/buf.h"

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW)
#define SIZE_MOST    (UINT64_C(1) << 52)

/* ---- losing ---- */

/* If the handle was released meanwhile, the number of the socket may belong to another descriptor by now. Polling that
 * one does no harm, and `lost` is set by the next check. */
static int is_alive(void *userdata)
{
    struct mpool_object *object = userdata;
    int lost = atomic_load_explicit(&object->lost, memory_order_relaxed);
    if (lost)
        return lost;
    NOT_CANCELLED;
    struct pollfd p = {.fd = object->socket, .events = POLLRDHUP};
    int n = poll(&p, 1, 0);
    if (n <= 0 || !(p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)))
        return 0;
    int none = 0;
    return atomic_compare_exchange_strong(&object->lost, &none, -ECONNRESET) ? -ECONNRESET : none;
}

int object_look(struct mpool_object *object)
{
    return object->sync.alive ? object->sync.alive(object->sync.userdata) : 0;
}

void object_lose_all(struct mpool_object *first, int why)
{
    for (struct mpool_object *object = first; object; object = object->next) {
        int none = 0;
        atomic_compare_exchange_strong(&object->lost, &none, why);
    }
}

static void configure(struct mpool_object *object, const mpool_client *client)
{
    atomic_store(&object->call_timeout_ms, client->call_timeout_ms);
    atomic_store(&object->sync.interruptible, client->io.interruptible);
}

void object_configure_all(struct mpool_object *first, const mpool_client *client)
{
    for (struct mpool_object *object = first; object; object = object->next)
        configure(object, client);
}

static void enlist(mpool_client *client, struct mpool_object *object)
{
    object->client = client;
    object->before = &client->objects;
    object->next = client->objects;
    if (object->next)
        object->next->before = &object->next;
    client->objects = object;
}

static void delist(struct mpool_object *object)
{
    if (!object->before)
        return;
    *object->before = object->next;
    if (object->next)
        object->next->before = object->before;
    object->before = NULL;
}

void object_orphan_all(struct mpool_object *first, int why)
{
    object_lose_all(first, why);
    while (first) {
        struct mpool_object *next = first->next;
        delist(first);
        first->client = NULL;
        first = next;
    }
}

/* ---- asking ---- */

/* Looks up a group by name or number. → 0; -EINVAL: no such group. */
static int find_group(const char *name, uint64_t *ret)
{
    NOT_CANCELLED;
    char *end;
    errno = 0;
    unsigned long number = strtoul(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9' && !*end && !errno && number < UINT32_MAX) {
        *ret = number;
        return 0;
    }
    struct group group, *found = NULL;
    int r = ERANGE;
    for (size_t size = 1024; r == ERANGE && size <= (1u << 20); size *= 4) {
        char *buffer = malloc(size);
        if (!buffer)
            return -ENOMEM;
        r = getgrnam_r(name, &group, buffer, size, &found);
        if (r == 0 && found)
            *ret = found->gr_gid;
        free(buffer);
    }
    return r == 0 && found ? 0 : -EINVAL;
}

/* The options to send: only those of this kind, because the daemon refuses others. */
struct choice {
    bool type, number, real, count, tokens, set, parties, capacity, bytes, confirm, duplex, end, group;
    uint64_t gid;
};

static uint32_t choose(int kind, const mpool_object_options *o, struct choice *c)
{
    bool real = o->type && (strcmp(o->type, "f32") == 0 || strcmp(o->type, "f64") == 0);
    c->type = o->type && (kind == MPOOL_KIND_VALUE || kind == MPOOL_KIND_ARRAY);
    c->real = kind == MPOOL_KIND_VALUE && real;
    c->number = kind == MPOOL_KIND_VALUE && !real;
    c->count = kind == MPOOL_KIND_ARRAY && o->count > 0;
    c->tokens = (kind == MPOOL_KIND_SEMAPHORE || kind == MPOOL_KIND_BOUNDED_SEMAPHORE) && o->tokens >= 0;
    c->set = kind == MPOOL_KIND_EVENT && o->set;
    c->parties = kind == MPOOL_KIND_BARRIER && o->parties > 0;
    bool queue = kind == MPOOL_KIND_QUEUE || kind == MPOOL_KIND_JOINABLE_QUEUE, pipe = kind == MPOOL_KIND_PIPE;
    c->capacity = (queue || pipe) && o->capacity > 0;
    c->bytes = (queue || pipe) && o->bytes > 0;
    c->confirm = queue && o->at_least_once;
    c->duplex = pipe && o->duplex;
    c->end = (pipe || kind < 0) && o->end >= 0;
    return 1u + c->type + c->number + c->real + c->count + c->tokens + c->set + c->parties + c->capacity + c->bytes +
           c->confirm + c->duplex + c->end + c->group + (o->mode ? 1u : 0u) + (o->ttl_s ? 1u : 0u) +
           (o->read_only ? 1u : 0u);
}

static int pack_params(struct wire_buf *params, int kind, const char *name, const mpool_object_options *o)
{
    static const char *const creates[] = {
        [MPOOL_CREATE_YES] = "yes", [MPOOL_CREATE_NO] = "no", [MPOOL_CREATE_NEW] = "new"};
    struct choice c = {.group = o->group != NULL};
    if ((unsigned)o->create >= sizeof(creates) / sizeof(creates[0]))
        return -EINVAL;
    int r = o->group ? find_group(o->group, &c.gid) : 0;
    if (r < 0)
        return r;
    uint32_t pairs = choose(kind, o, &c);
    msgpack_packer pk = wire_packer(params);
    msgpack_pack_array(&pk, 3);
    wire_pack_text(&pk, kind < 0 ? NULL : wire_kind_info((enum mpool_kind)kind)->name);
    wire_pack_text(&pk, name);
    msgpack_pack_map(&pk, pairs);
    wire_pack_key_text(&pk, "create", creates[o->create]);
    if (c.group)
        wire_pack_key_u64(&pk, "group", c.gid);
    if (o->mode)
        wire_pack_key_u64(&pk, "mode", o->mode);
    if (o->ttl_s)
        wire_pack_key_u64(&pk, "ttl_s", o->ttl_s);
    if (o->read_only)
        wire_pack_key_bool(&pk, "read_only", true);
    if (c.type)
        wire_pack_key_text(&pk, "type", o->type);
    if (c.number && o->type && strcmp(o->type, "u64") == 0)
        wire_pack_key_u64(&pk, "value", (uint64_t)o->value);
    else if (c.number)
        wire_pack_key_i64(&pk, "value", o->value);
    if (c.real)
        wire_pack_key_f64(&pk, "value", o->value_f64);
    if (c.count)
        wire_pack_key_u64(&pk, "count", o->count);
    if (c.tokens)
        wire_pack_key_u64(&pk, "value", (uint64_t)o->tokens);
    if (c.set)
        wire_pack_key_bool(&pk, "set", true);
    if (c.parties)
        wire_pack_key_u64(&pk, "parties", o->parties);
    if (c.capacity)
        wire_pack_key_u64(&pk, "capacity", o->capacity);
    if (c.bytes)
        wire_pack_key_u64(&pk, "size", o->bytes);
    if (c.confirm)
        wire_pack_key_bool(&pk, "at_least_once", true);
    if (c.duplex)
        wire_pack_key_bool(&pk, "duplex", true);
    if (c.end)
        wire_pack_key_u64(&pk, "end", (uint64_t)o->end);
    return params->failed ? -ENOMEM : 0;
}

/* ---- taking what came ---- */

static int read_u64(const mpool_result *reply, const char *key, uint64_t least, uint64_t most, uint64_t *ret)
{
    const mpool_result *value;
    if (mpool_result_get(reply, key, &value) < 0 || mpool_result_u64(value, ret) < 0 || *ret < least || *ret > most)
        return MPOOL_EPROTOCOL;
    return 0;
}

static int read_text(const mpool_result *reply, const char *key, const char **ret, size_t *ret_length)
{
    const mpool_result *value;
    const void *bytes;
    if (mpool_result_get(reply, key, &value) < 0 || mpool_result_bytes(value, &bytes, ret_length) < 0)
        return MPOOL_EPROTOCOL;
    *ret = bytes;
    return 0;
}

static int read_reply(struct mpool_object *object, const mpool_result *reply)
{
    const char *text;
    size_t length;
    uint64_t number;
    int found;
    const mpool_result *value;
    if (read_text(reply, "kind", &text, &length) < 0 || (found = wire_kind_find(text, length)) < 0)
        return MPOOL_EPROTOCOL;
    object->kind = (enum mpool_kind)found;
    if (read_u64(reply, "id", 1, UINT64_MAX, &object->id) < 0 ||
        read_u64(reply, "client_id", 1, SYNC_CLIENT_MAX, &number) < 0)
        return MPOOL_EPROTOCOL;
    object->sync.client = (uint32_t)number;
    if (mpool_result_get(reply, "created", &value) < 0 || mpool_result_bool(value, &object->created) < 0 ||
        read_u64(reply, "uid", 0, UINT32_MAX, &number) < 0)
        return MPOOL_EPROTOCOL;
    object->owner = (uid_t)number;
    if (mpool_result_get(reply, "read_only", &value) < 0 || mpool_result_bool(value, &object->read_only) < 0)
        return MPOOL_EPROTOCOL;
    if (read_text(reply, "handle", &text, &length) < 0 || length == 0 || length > 255)
        return MPOOL_EPROTOCOL;
    object->handle = strndup(text, length);
    if (!object->handle)
        return -ENOMEM;
    if (!wire_kind_info(object->kind)->page &&
        (mpool_result_get(reply, "at_least_once", &value) < 0 || mpool_result_bool(value, &object->at_least_once) < 0))
        return MPOOL_EPROTOCOL;
    object->end = -1;
    if (object->kind == MPOOL_KIND_PIPE) {
        if (read_u64(reply, "end", 0, 1, &number) < 0)
            return MPOOL_EPROTOCOL;
        object->end = (int)number;
    }
    object->sync.capacity = 1;
    object->sync.bounded = object->kind == MPOOL_KIND_BOUNDED_SEMAPHORE;
    if (object->kind == MPOOL_KIND_SEMAPHORE || object->sync.bounded || object->kind == MPOOL_KIND_BARRIER) {
        const char *key = object->kind == MPOOL_KIND_BARRIER ? "parties" : "capacity";
        if (read_u64(reply, key, 1, SYNC_SLOTS, &number) < 0)
            return MPOOL_EPROTOCOL;
        object->sync.capacity = (uint32_t)number;
    }
    if (object->kind == MPOOL_KIND_VALUE || object->kind == MPOOL_KIND_ARRAY) {
        if (read_text(reply, "type", &text, &length) < 0 || (found = wire_element_find(text, length)) < 0 ||
            read_u64(reply, "count", 0, SIZE_MOST, &object->count) < 0)
            return MPOOL_EPROTOCOL;
        object->element = (enum mpool_element)found;
    }
    return 0;
}

/* fd: borrowed. size: as the daemon reports it. */
static int map_page(struct mpool_object *object, int fd, uint64_t size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    uint64_t data = object->kind == MPOOL_KIND_ARRAY ? object->count * wire_element_info(object->element)->bytes : 0;
    if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        size < SYNC_BYTES || size > SIZE_MOST || st.st_size < 0 || (uint64_t)st.st_size != size || size > SIZE_MAX ||
        data > size - SYNC_BYTES)
        return MPOOL_EPROTOCOL;
    void *map = mmap(NULL, (size_t)size, object->read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    object->map = map;
    object->map_bytes = (size_t)size;
    object->sync.area = map;
    if (object->kind == MPOOL_KIND_VALUE)
        object->data = (char *)map + SYNC_CELL_OFFSET;
    else if (object->kind == MPOOL_KIND_ARRAY)
        object->data = (char *)map + SYNC_BYTES;
    return sync_page_check(map, object->kind);
}

static void object_free(struct mpool_object *object)
{
    queue_ahead_release(object->ahead);
    if (object->map)
        munmap(object->map, object->map_bytes);
    free(object->handle);
    free(object);
}

void object_pin(struct mpool_object *object)
{
    object->pins++;
}

void object_unpin(struct mpool_object *object)
{
    if (--object->pins == 0 && object->closed)
        object_free(object);
}

/* Sends close(id), as a notification because no answer is needed. */
static void tell_closed(mpool_client *client, uint64_t id)
{
    OWN_BUF params = {0};
    msgpack_packer pk = wire_packer(&params);
    msgpack_pack_array(&pk, 1);
    msgpack_pack_uint64(&pk, id);
    if (!params.failed)
        request_notify(client, "close", wire_buf_at(&params), wire_buf_length(&params));
}

/* The daemon has opened an object that nobody uses here. */
static void close_unused(mpool_client *client, const mpool_result *reply)
{
    uint64_t id;
    if (read_u64(reply, "id", 1, UINT64_MAX, &id) == 0)
        tell_closed(client, id);
}

static void came_late(void *userdata, int code, const mpool_result *reply, const char *text)
{
    (void)text;
    if (code == 0)
        close_unused(userdata, reply);
}

/* An `open` whose answer is awaited. */
struct opening {
    mpool_client *client; /* NULL: over */
    uint32_t msgid;
    struct call_object arrived;
};

/* The caller waits no longer, or its thread was cancelled. If the object is opened after all, it is closed at once. */
static void leave(struct opening *opening)
{
    NOT_CANCELLED;
    struct call *call = opening->client ? pending_find(&opening->client->pending, opening->msgid) : NULL;
    if (call) {
        call->object = NULL;
        call->done = came_late;
        call->userdata = opening->client;
        (void)request_cancel(opening->client, opening->msgid, 0);
        (void)io_flush(&opening->client->io);
    }
    if (opening->arrived.fd >= 0)
        close(opening->arrived.fd);
}

static int ask(mpool_client *client, const struct wire_buf *params, struct opening *opening, mpool_result **ret)
{
    struct waiter waiter;
    struct call call = waiter_call(&waiter, client);
    call.object = &opening->arrived;
    int r = request_send(client, "open", wire_buf_at(params), wire_buf_length(params), &call, &opening->msgid);
    if (r < 0)
        return r;
    opening->client = client;
    r = loop_until(client, &waiter.done, CLOCK_NEVER);
    if (r == -ETIMEDOUT || r == -EINTR)
        return handle_fail(client, r, r == -ETIMEDOUT ? "The daemon did not answer in time." : NULL);
    opening->client = NULL;
    if (r < 0)
        mpool_result_free(waiter.result);
    return r < 0 ? r : waiter_wait(&waiter, opening->msgid, 0, ret);
}

static int take(
    struct mpool_object *object, mpool_client *client, const mpool_result *reply, const struct call_object *arrived)
{
    int r = read_reply(object, reply);
    if (r == 0 && wire_kind_info(object->kind)->page)
        r = arrived->fd >= 0          ? map_page(object, arrived->fd, arrived->size)
            : arrived->fd == -ENODATA ? MPOOL_EPROTOCOL
                                      : arrived->fd;
    if (r == -EBADMSG)
        return handle_fail(client, r, "The object's page is not as the daemon made it: somebody has spoiled it.");
    return r < 0 ? handle_fail(client, r, NULL) : 0;
}

int mpool_object_open(mpool_client *client, mpool_object **ret_object, const char *kind, const char *name,
    const mpool_object_options *options)
{
    mpool_object_options o = MPOOL_OBJECT_OPTIONS_INIT;
    int r = handle_check_waiting(client);
    if (r == 0)
        r = request_wait_room(client, CLOCK_NEVER);
    if (r < 0)
        return r;
    if (!ret_object)
        return handle_fail(client, -EINVAL, "ret_object may not be NULL.");
    r = sized_read(client, &o, sizeof(o), options);
    if (r < 0)
        return r;
    int found = kind ? wire_kind_find(kind, strlen(kind)) : -1;
    if (kind && found < 0)
        return handle_fail(client, -EINVAL, "There is no such kind of object.");
    OWN_BUF params = {0};
    __attribute__((cleanup(leave))) struct opening opening = {.arrived.fd = -ENODATA};
    mpool_result *reply = NULL;
    r = pack_params(&params, found, name, &o);
    if (r < 0)
        r = handle_fail(client, r, r == -EINVAL ? "Unknown group, or invalid create mode." : NULL);
    else
        r = ask(client, &params, &opening, &reply);
    NOT_CANCELLED;
    struct mpool_object *object = r < 0 ? NULL : calloc(1, sizeof(*object));
    if (r == 0 && !object)
        r = handle_fail(client, -ENOMEM, NULL);
    if (r == 0)
        r = take(object, client, reply, &opening.arrived);
    if (r < 0 && reply) {
        close_unused(client, reply);
        if (object)
            object_free(object);
    }
    mpool_result_free(reply);
    if (r < 0)
        return r;
    object->born = fork_guard_number();
    object->socket = client->io.fd;
    object->sync.alive = is_alive;
    object->sync.userdata = object;
    configure(object, client);
    enlist(client, object);
    *ret_object = object;
    return 0;
}

void mpool_object_close(mpool_object *object)
{
    if (!object || object->closed)
        return;
    NOT_CANCELLED;
    mpool_client *client = object->client;
    delist(object);
    bool ours = fork_guard_holds(object->born);
    if (client && ours && !client->loss && !client->closing)
        tell_closed(client, object->id);
    else if (ours && object->sync.area && !object->read_only)
        /* The daemon has already released what this process held, except for what was taken since. */
        (void)sync_client_gone(object->sync.area, object->kind, object->sync.capacity, object->sync.client);
    object->closed = true;
    int none = 0;
    if (object->pins > 0) /* a call that waits on it gets the daemon's answer first, then this */
        atomic_compare_exchange_strong(&object->lost, &none, -ENOTCONN);
    else
        object_free(object);
}

int mpool_object_remove(mpool_client *client, const char *name)
{
    return mpool_request(client, NULL, "remove", "s", name);
}

int mpool_object_created(const mpool_object *object, bool *ret_created)
{
    if (!object || !ret_created)
        return -EINVAL;
    *ret_created = object->created;
    return 0;
}

int mpool_object_owner(const mpool_object *object, uid_t *ret_uid)
{
    if (!object || !ret_uid)
        return -EINVAL;
    *ret_uid = object->owner;
    return 0;
}

const char *mpool_object_handle(const mpool_object *object)
{
    return object ? object->handle : NULL;
}

int mpool_pipe_end(const mpool_object *pipe, int *ret_end)
{
    if (!pipe || pipe->kind != MPOOL_KIND_PIPE || !ret_end)
        return -EINVAL;
    *ret_end = pipe->end;
    return 0;
}
