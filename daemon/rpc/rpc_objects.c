/* The methods that all kinds of shared objects have: open, close, remove, objects, inspect. */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/conn/conn.h"
#include "daemon/object/clients.h"
#include "daemon/object/object_page.h"
#include "daemon/object/objects.h"
#include "daemon/rpc/rpc.h"
#include "proto/sync/sync.h"
#include "proto/tables.h"
#include "proto/text.h"

static enum rpc_result refuse(struct rpc *r, const struct object_refusal *why)
{
    return rpc_fail(r, why->error, "%s", why->text);
}

/* ---- open, close, remove ---- */

/* Its descriptor is sent ahead of the response. */
static bool pass_page(struct rpc *r, const struct object_use *use, struct object_refusal *why)
{
    int fd = object_page_descriptor(use, why);
    if (fd < 0)
        return false;
    if (!conn_pass_fd(r->conn, "object", r->msgid, use->object->page_bytes, fd)) {
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        return false;
    }
    return true;
}

static enum rpc_result answer_open(struct rpc *r, const struct object_use *use, bool created)
{
    const struct object *o = use->object;
    char label[OBJECT_NAME_MAX + 1];
    object_label(o, label);
    msgpack_packer pk = rpc_begin(r);
    int end = o->ops->end ? o->ops->end(use) : -1;
    msgpack_pack_map(&pk, 8 + o->ops->fact_count(o) + (end >= 0));
    wire_pack_key_u64(&pk, "id", use->id);
    wire_pack_key_text(&pk, "handle", label);
    wire_pack_key_text(&pk, "name", o->name[0] ? o->name : NULL);
    wire_pack_key_text(&pk, "kind", wire_kind_info(o->handle.kind)->name);
    wire_pack_key_u64(&pk, "client_id", use->member->client->number);
    wire_pack_key_bool(&pk, "created", created);
    wire_pack_key_u64(&pk, "uid", o->owner.uid);
    wire_pack_key_bool(&pk, "read_only", use->read_only);
    if (end >= 0)
        wire_pack_key_u64(&pk, "end", (uint64_t)end);
    o->ops->pack_fields(o, &pk);
    return rpc_end(r);
}

/* Finds a kind by its name; no name: any (-1). → false: answered. */
static bool find_kind(struct rpc *r, const struct option_text *name, int *ret_kind)
{
    *ret_kind = name->at ? wire_kind_find(name->at, name->length) : -1;
    if (!name->at || *ret_kind >= 0)
        return true;
    const char *names[MPOOL_KIND_COUNT];
    char suggestion[WIRE_SUGGESTION_MAX];
    for (int i = 0; i < MPOOL_KIND_COUNT; i++)
        names[i] = wire_kind_info((enum mpool_kind)i)->name;
    const char *near = wire_nearest(name->at, name->length, names, MPOOL_KIND_COUNT);
    rpc_fail(r, MPOOL_E_BAD_PARAMS, "there is no kind of object '%.*s'%s", WIRE_SHOWN(name->at, name->length, 64),
        wire_suggestion(near, suggestion));
    return false;
}

static bool read_kind(struct rpc *r, int *ret_kind)
{
    struct option_text name = {0};
    if (wire_read_nil(&r->params) < 0 && wire_read_text(&r->params, &name.at, &name.length) < 0) {
        rpc_wrong_type(r, "kind", "a string or nil");
        return false;
    }
    return find_kind(r, &name, ret_kind);
}

enum rpc_result rpc_open(struct rpc *r)
{
    struct object_options options;
    struct object_request request = {.options = &options};
    struct object_refusal why;
    struct object_use *use;
    bool created;
    if (!read_kind(r, &request.kind))
        return RPC_ANSWERED;
    if (r->count > 1 && wire_read_nil(&r->params) < 0 && wire_read_text(&r->params, &request.text, &request.length) < 0)
        return rpc_wrong_type(r, "name", "a string or nil");
    struct wire_reader none = wire_reader("\xc0", 1);
    if (object_options_read(r->count > 2 ? &r->params : &none, request.kind, &options, why.text, sizeof why.text) < 0)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s", why.text);
    if (r->no_reply)
        return rpc_fail(r, MPOOL_E_BAD_PARAMS, "open must be a request");
    if (objects_open(r->service->objects, r->conn, &request, &use, &created, &why) < 0)
        return refuse(r, &why);
    if (use->object->page) {
        object_page_sweep(use->object);
        size_t mark = wire_buf_mark(&r->conn->out);
        if (!pass_page(r, use, &why)) {
            wire_buf_rewind(&r->conn->out, mark);
            objects_undo(use, created);
            return refuse(r, &why);
        }
    }
    return answer_open(r, use, created);
}

enum rpc_result rpc_close(struct rpc *r)
{
    uint64_t id;
    if (!rpc_read_u64(r, "id", 0, UINT64_MAX, &id))
        return RPC_ANSWERED;
    struct object_use *use = objects_find_use(r->service->objects, r->conn, id);
    if (use)
        objects_close_use(use);
    return rpc_answer_bool(r, use != NULL);
}

/* The object whose name or handle is the first parameter. → NULL: answered. */
static struct object *read_object(struct rpc *r, unsigned *ret_rights)
{
    const char *text;
    size_t length;
    struct object_refusal why;
    if (wire_read_text(&r->params, &text, &length) < 0) {
        rpc_wrong_type(r, "name", "a string");
        return NULL;
    }
    struct object *o = objects_find(r->service->objects, r->conn, text, length, ret_rights, &why);
    if (!o)
        refuse(r, &why);
    return o;
}

enum rpc_result rpc_remove(struct rpc *r)
{
    unsigned rights;
    struct object_refusal why;
    struct object *o = read_object(r, &rights);
    if (!o)
        return RPC_ANSWERED;
    if (objects_remove(r->conn, o, &why) < 0)
        return refuse(r, &why);
    return rpc_answer_bool(r, true);
}

/* ---- objects, inspect ---- */

#define ROW_FACTS 10u

static void pack_row(msgpack_packer *pk, const struct object *o, const struct conn *c, uint32_t more)
{
    char label[OBJECT_NAME_MAX + 1];
    bool shown = o->owner.uid == c->uid || conn_is_admin(c);
    object_label(o, label);
    msgpack_pack_map(pk, ROW_FACTS + o->ops->fact_count(o) + more);
    wire_pack_key_text(pk, "name", o->name[0] ? o->name : NULL);
    /* For an object without a name, the handle is the right to open it. */
    wire_pack_key_text(pk, "handle", o->name[0] || shown ? label : NULL);
    wire_pack_key_text(pk, "kind", wire_kind_info(o->handle.kind)->name);
    wire_pack_key_u64(pk, "uid", o->owner.uid);
    wire_pack_key_u64(pk, "gid", o->owner.gid);
    wire_pack_key_u64(pk, "mode", o->owner.mode);
    wire_pack_key_u64(pk, "created_ms", o->created_ms);
    wire_pack_key_u64(pk, "bytes", object_bytes(o));
    wire_pack_key_u64(pk, "users", o->use_count);
    wire_pack_text(pk, "ttl_ms");
    if (o->ttl_ms > 0)
        msgpack_pack_uint64(pk, o->ttl_ms);
    else
        msgpack_pack_nil(pk);
    o->ops->pack_fields(o, pk);
}

struct filter {
    int kind; /* -1: any */
    struct option_text kind_name;
    bool all;
};

/* → false: answered. */
static bool read_filter(struct rpc *r, struct filter *f)
{
    static const struct option_row rows[] = {
        {"kind", OPTION_TEXT, offsetof(struct filter, kind_name), 0, SIZE_MAX, 1},
        {"all", OPTION_BOOL, offsetof(struct filter, all), 0, 0, 1},
    };
    static const struct option_table table = {"filter", rows, ELEMENTS(rows)};
    char why[256];
    *f = (struct filter){.kind = -1};
    if (r->count > 0 &&
        option_table_read(&table, 1, "objects", &r->params, f, NULL, (struct option_why){why, sizeof why}) < 0) {
        rpc_fail(r, MPOOL_E_BAD_PARAMS, "%s", why);
        return false;
    }
    return find_kind(r, &f->kind_name, &f->kind);
}

static bool is_listed(const struct object *o, const struct conn *c, const struct filter *f)
{
    if (f->kind >= 0 && (enum mpool_kind)f->kind != o->handle.kind)
        return false;
    if (o->owner.uid == c->uid)
        return true;
    return (f->all || !conn_is_admin(c)) && object_rights(o, c) != 0;
}

enum rpc_result rpc_objects(struct rpc *r)
{
    struct conn *c = r->conn;
    struct filter f;
    uint32_t n = 0;
    if (!read_filter(r, &f))
        return RPC_ANSWERED;
    const struct object *o, *first = objects_first(r->service->objects);
    for (o = first; o; o = objects_next(o))
        n += is_listed(o, c, &f);
    msgpack_packer pk = rpc_begin(r);
    msgpack_pack_array(&pk, n);
    for (o = first; o; o = objects_next(o))
        if (is_listed(o, c, &f))
            pack_row(&pk, o, c, 0);
    return rpc_end(r);
}

static bool is_among(const uint32_t *clients, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++)
        if (clients[i] == number)
            return true;
    return false;
}

/* Which clients have it open, from the daemon's own tables; whether they hold it is read from the page. */
static void pack_clients(msgpack_packer *pk, const struct object *o, const struct sync_snapshot *snapshot)
{
    const struct object_member *m;
    uint32_t n = 0;
    LIST_FOREACH (m, &o->members, of_object)
        n++;
    wire_pack_text(pk, "clients");
    msgpack_pack_array(pk, n);
    LIST_FOREACH (m, &o->members, of_object) {
        const struct client *p = m->client;
        msgpack_pack_map(pk, 9);
        wire_pack_key_u64(pk, "client_id", p->number);
        wire_pack_key_u64(pk, "pid", (uint64_t)(p->conn->pid > 0 ? p->conn->pid : 0));
        wire_pack_key_u64(pk, "uid", p->conn->uid);
        wire_pack_key_text(pk, "client", p->conn->name[0] ? p->conn->name : NULL);
        wire_pack_key_u64(pk, "opened_ms", m->since_ms);
        wire_pack_key_u64(pk, "uses", m->uses);
        wire_pack_key_bool(pk, "holds", is_among(snapshot->owners, snapshot->owner_count, p->number));
        wire_pack_key_bool(pk, "waits", is_among(snapshot->waiting, snapshot->waiting_count, p->number));
        wire_pack_key_bool(pk, "next", snapshot->next == p->number);
    }
}

static void pack_snapshot(msgpack_packer *pk, const struct service *s, const struct sync_snapshot *snapshot)
{
    wire_pack_text(pk, "held_since_ms");
    if (snapshot->held_ns > 0 && snapshot->held_ns <= s->loop->now_ns)
        msgpack_pack_uint64(pk, s->loop->wall_ms - (s->loop->now_ns - snapshot->held_ns) / NS_PER_MS);
    else
        msgpack_pack_nil(pk);
    wire_pack_key_u64(pk, "free", snapshot->free);
    wire_pack_key_u64(pk, "held", snapshot->owner_count);
    wire_pack_key_u64(pk, "abandoned", snapshot->abandoned);
    wire_pack_key_u64(pk, "fence", snapshot->fence);
    wire_pack_key_u64(pk, "depth", snapshot->depth);
    wire_pack_key_bool(pk, "waiters", snapshot->waiters);
    wire_pack_key_bool(pk, "set", snapshot->set);
    wire_pack_key_bool(pk, "broken", snapshot->broken);
}

enum rpc_result rpc_inspect(struct rpc *r)
{
    struct sync_snapshot snapshot = {0};
    unsigned rights;
    struct object *o = read_object(r, &rights);
    if (!o)
        return RPC_ANSWERED;
    if (o->page) {
        object_page_sweep(o);
        sync_inspect(o->page, o->handle.kind, o->capacity, &snapshot);
    }
    msgpack_packer pk = rpc_begin(r);
    pack_row(&pk, o, r->conn, o->page ? 10 : 1);
    pack_clients(&pk, o, &snapshot);
    if (o->page)
        pack_snapshot(&pk, r->service, &snapshot);
    return rpc_end(r);
}
