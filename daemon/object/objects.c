#include "daemon/object/objects.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/conn/caller.h"
#include "daemon/conn/conn.h"
#include "daemon/object/clients.h"
#include "daemon/object/object_account.h"
#include "daemon/object/object_page.h"
#include "daemon/object/queue_objects.h"
#include "proto/text.h"

/* Kinds without an entry here are not served by this daemon. */
static const struct object_ops *const kinds[MPOOL_KIND_COUNT] = {
    [MPOOL_KIND_VALUE] = &object_page_ops,
    [MPOOL_KIND_ARRAY] = &object_page_ops,
    [MPOOL_KIND_LOCK] = &object_page_ops,
    [MPOOL_KIND_RLOCK] = &object_page_ops,
    [MPOOL_KIND_SEMAPHORE] = &object_page_ops,
    [MPOOL_KIND_BOUNDED_SEMAPHORE] = &object_page_ops,
    [MPOOL_KIND_CONDITION] = &object_page_ops,
    [MPOOL_KIND_EVENT] = &object_page_ops,
    [MPOOL_KIND_BARRIER] = &object_page_ops,
    [MPOOL_KIND_QUEUE] = &queue_object_ops,
    [MPOOL_KIND_JOINABLE_QUEUE] = &queue_object_ops,
    [MPOOL_KIND_PIPE] = &queue_object_ops,
};

int object_refuse(struct object_refusal *why, enum mpool_error error, const char *format, ...)
{
    va_list ap;
    why->error = error;
    va_start(ap, format);
    wire_vformat(why->text, sizeof why->text, format, ap);
    va_end(ap);
    return -1;
}

/* ---- access ---- */

static struct object_peer peer_of(const struct conn *c)
{
    return (struct object_peer){.uid = c->uid,
        .gid = c->caller->gid,
        .groups = c->caller->groups,
        .group_count = c->caller->group_count,
        .admin = conn_is_admin(c)};
}

unsigned object_rights(const struct object *o, const struct conn *c)
{
    struct object_peer peer = peer_of(c);
    return object_access(&o->owner, &peer);
}

void object_label(const struct object *o, char out[OBJECT_NAME_MAX + 1])
{
    if (o->name[0])
        memcpy(out, o->name, strlen(o->name) + 1);
    else
        object_handle_format(&o->handle, out);
}

uint64_t object_bytes(const struct object *o)
{
    return o->bytes + (o->ops->more_bytes ? o->ops->more_bytes(o) : 0);
}

/* ---- making and ending ---- */

static void unlist_name(struct objects *all, struct object *o)
{
    if (!o->name[0])
        return;
    HASH_DELETE(by_name, all->by_name, o);
    o->name[0] = 0;
}

static void object_free(struct object *o)
{
    struct objects *all = o->objects;
    assert(LIST_EMPTY(&o->uses) && LIST_EMPTY(&o->members));
    log_debug("object=%llu kind=%s name=%s is gone", (unsigned long long)o->handle.number,
        wire_kind_info(o->handle.kind)->name, o->name[0] ? o->name : "-");
    o->ops->free(o);
    if (o->expiry)
        event_free(o->expiry);
    unlist_name(all, o);
    HASH_DELETE(by_number, all->by_number, o);
    TAILQ_REMOVE(&all->list, o, link);
    all->count--;
    o->account->objects--;
    purse_give_back(&o->account->purse, o->bytes);
    object_account_let_go(all, o->account);
    free(o);
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
    struct object *o = arg;
    (void)fd;
    (void)what;
    loop_tick(o->objects->loop);
    log_info("object=%s kind=%s removed: not used for %llu s (ttl_s)", o->name, wire_kind_info(o->handle.kind)->name,
        (unsigned long long)(o->ttl_ms / 1000));
    object_free(o);
}

/* Nobody has it open any more. → whether it still exists. */
static bool let_rest(struct object *o)
{
    if (!o->name[0]) {
        object_free(o);
        return false;
    }
    o->used_ms = o->objects->loop->wall_ms;
    if (o->ttl_ms > 0) {
        struct timeval tv = clock_timeval(o->ttl_ms);
        event_add(o->expiry, &tv);
    }
    return true;
}

/* The group of a new object: the caller's own, or another one it belongs to. */
static int choose_group(
    const struct conn *c, const struct object_options *options, gid_t *ret, struct object_refusal *why)
{
    struct object_peer peer = peer_of(c);
    *ret = object_option_given(options, OBJECT_OPTION_group) ? (gid_t)options->group : c->caller->gid;
    if (!peer.admin && !object_peer_in_group(&peer, *ret))
        return object_refuse(why, MPOOL_E_DENIED, "option group: you are not in group %u", (unsigned)*ret);
    return 0;
}

static int new_key(uint64_t *ret, struct object_refusal *why)
{
    if (getrandom(ret, sizeof *ret, 0) != (ssize_t)sizeof *ret)
        return object_refuse(why, MPOOL_E_INTERNAL, "no random numbers: %s", strerror(errno));
    return 0;
}

/* Makes it known by its number and, if it has one, its name. text: a valid name, so at most OBJECT_NAME_MAX. → false:
 * out of memory; it is known by neither. */
static bool enlist(struct objects *all, struct object *o, const char *text, size_t length)
{
    HASH_ADD(by_number, all->by_number, handle.number, sizeof o->handle.number, o);
    if (!o->by_number.tbl)
        return false;
    if (!text)
        return true;
    memcpy(o->name, text, length);
    HASH_ADD_KEYPTR(by_name, all->by_name, o->name, (unsigned)length, o);
    if (o->by_name.tbl)
        return true;
    HASH_DELETE(by_number, all->by_number, o);
    return false;
}

static struct object *object_new(
    struct objects *all, struct conn *c, const struct object_request *request, struct object_refusal *why)
{
    const struct object_options *options = request->options;
    const struct object_ops *ops = kinds[request->kind];
    uint64_t bytes;
    gid_t gid;
    if (!ops) {
        object_refuse(why, MPOOL_E_BAD_PARAMS, "this daemon has no objects of the kind %s",
            wire_kind_info((enum mpool_kind)request->kind)->name);
        return NULL;
    }
    if (ops->measure((enum mpool_kind)request->kind, options, &bytes, why) < 0 ||
        choose_group(c, options, &gid, why) < 0)
        return NULL;
    struct object_account *a = object_account_of(all, c->uid);
    struct object *o = calloc(1, sizeof *o);
    if (!a || !o) {
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        goto fail;
    }
    if (object_account_has_room(all, a, bytes, why) < 0 || new_key(&o->handle.key, why) < 0)
        goto fail;
    o->objects = all;
    o->ops = ops;
    o->handle.kind = (enum mpool_kind)request->kind;
    o->handle.number = all->last_number + 1;
    o->owner = (struct object_owner){.uid = c->uid,
        .gid = gid,
        .mode = object_option_given(options, OBJECT_OPTION_mode) ? (uint32_t)options->mode : OBJECT_MODE_DEFAULT};
    o->account = a;
    a->admin = conn_is_admin(c);
    o->bytes = bytes;
    o->created_ms = o->used_ms = all->loop->wall_ms;
    o->fd = -1;
    o->ttl_ms = request->text ? options->ttl_s * 1000 : 0;
    if (o->ttl_ms > 0 && !(o->expiry = evtimer_new(all->loop->base, on_expiry, o))) {
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        goto fail;
    }
    if (ops->make(o, options, why) < 0)
        goto fail;
    if (!enlist(all, o, request->text, request->length)) {
        ops->free(o);
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        goto fail;
    }
    all->last_number++;
    TAILQ_INSERT_TAIL(&all->list, o, link);
    all->count++;
    a->objects++;
    purse_take(&a->purse, bytes); /* object_account_has_room() has found room */
    return o;
fail:
    if (o && o->expiry)
        event_free(o->expiry);
    free(o);
    if (a)
        object_account_let_go(all, a);
    return NULL;
}

struct objects *objects_new(
    struct loop *loop, const struct config *config, struct descriptors *descriptors, struct shares *shares)
{
    struct objects *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->loop = loop;
    all->config = config;
    all->descriptors = descriptors;
    all->shares = shares;
    TAILQ_INIT(&all->list);
    TAILQ_INIT(&all->freed);
    return all;
}

void objects_shut(struct objects *all)
{
    struct object *o;
    if (!all)
        return;
    TAILQ_FOREACH (o, &all->list, link)
        if (o->ops->shut)
            o->ops->shut(o);
}

void objects_free(struct objects *all)
{
    struct object *o;
    if (!all)
        return;
    while ((o = TAILQ_FIRST(&all->list)))
        object_free(o);
    free(all);
}

/* ---- finding ---- */

/* By name or handle, regardless of access rights. *ret_by_key: a handle's key matched. */
static struct object *look_up(const struct objects *all, const char *text, size_t length, bool *ret_by_key)
{
    struct object_handle handle;
    struct object *o;
    *ret_by_key = object_handle_parse(text, length, &handle);
    if (!*ret_by_key) {
        HASH_FIND(by_name, all->by_name, text, (unsigned)length, o);
        return o;
    }
    HASH_FIND(by_number, all->by_number, &handle.number, sizeof handle.number, o);
    return o && o->handle.key == handle.key && o->handle.kind == handle.kind ? o : NULL;
}

static int check_text(const char *text, size_t length, struct object_refusal *why)
{
    struct object_handle handle;
    if (object_handle_parse(text, length, &handle) || object_name_is_valid(text, length))
        return 0;
    return object_refuse(why, MPOOL_E_BAD_PARAMS,
        "name '%.*s': expected 1 to %u bytes of A-Z a-z 0-9 . _ : / @ -, or a handle",
        (int)wire_utf8_cut(text, length, 64), text, OBJECT_NAME_MAX);
}

static int no_object(const char *text, size_t length, struct object_refusal *why)
{
    return object_refuse(why, MPOOL_E_NO_OBJECT, "there is no object '%.*s'", (int)length, text);
}

/* A caller that shows the key was given the handle, and gets the owner's rights. */
static unsigned rights_of(const struct object *o, const struct conn *c, bool by_key)
{
    return by_key ? OBJECT_MAY_READ | OBJECT_MAY_WRITE : object_rights(o, c);
}

struct object *objects_find(const struct objects *all, const struct conn *c, const char *text, size_t length,
    unsigned *ret_rights, struct object_refusal *why)
{
    bool by_key;
    if (check_text(text, length, why) < 0)
        return NULL;
    struct object *o = look_up(all, text, length, &by_key);
    if (!o) {
        no_object(text, length, why);
        return NULL;
    }
    *ret_rights = rights_of(o, c, by_key);
    if (*ret_rights == 0 && o->owner.uid != c->uid) {
        object_refuse(why, MPOOL_E_DENIED, "'%.*s' is user %u's, with mode %04o", (int)length, text,
            (unsigned)o->owner.uid, o->owner.mode);
        return NULL;
    }
    return o;
}

struct object *objects_first(const struct objects *all)
{
    return TAILQ_FIRST(&all->list);
}

struct object *objects_next(const struct object *o)
{
    return TAILQ_NEXT(o, link);
}

int objects_remove(const struct conn *c, struct object *o, struct object_refusal *why)
{
    if (c->uid != o->owner.uid && !conn_is_admin(c))
        return object_refuse(why, MPOOL_E_DENIED, "only its owner (user %u) may remove it", (unsigned)o->owner.uid);
    unlist_name(o->objects, o);
    if (o->expiry)
        event_del(o->expiry);
    if (LIST_EMPTY(&o->uses))
        object_free(o);
    return 0;
}

/* ---- uses ---- */

static struct object_member *member_of(struct object *o, struct client *p)
{
    struct object_member *m;
    HASH_FIND(hh, p->members, &o, sizeof(struct object *), m);
    if (m)
        return m;
    m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->object = o;
    m->client = p;
    m->since_ms = o->objects->loop->wall_ms;
    HASH_ADD(hh, p->members, object, sizeof(struct object *), m);
    if (!m->hh.tbl) {
        free(m);
        return NULL;
    }
    LIST_INSERT_HEAD(&o->members, m, of_object);
    return m;
}

static void member_let_go(struct object_member *m)
{
    if (m->uses > 0)
        return;
    if (m->object->ops->client_gone)
        m->object->ops->client_gone(m->object, m->client);
    HASH_DELETE(hh, m->client->members, m);
    LIST_REMOVE(m, of_object);
    free(m);
}

static struct object_use *use_new(
    struct object *o, struct conn *c, const struct object_options *options, bool read_only, struct object_refusal *why)
{
    struct objects *all = o->objects;
    struct client *p = client_of(all, c, why);
    if (!p)
        return NULL;
    if (p->use_count >= o->objects->config->max_open_objects) {
        object_refuse(
            why, MPOOL_E_BUSY, "this connection has %u objects open already (max_open_objects)", p->use_count);
        return NULL;
    }
    struct object_use *u = calloc(1, sizeof *u);
    struct object_member *m = u ? member_of(o, p) : NULL;
    if (!m) {
        free(u);
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        return NULL;
    }
    *u = (struct object_use){.id = all->last_use + 1, .object = o, .member = m, .conn = c, .read_only = read_only};
    HASH_ADD(hh, all->uses, id, sizeof u->id, u);
    if (!u->hh.tbl) {
        object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
        goto fail;
    }
    if (o->ops->attach && o->ops->attach(u, options, why) < 0) {
        HASH_DELETE(hh, all->uses, u);
        goto fail;
    }
    all->last_use++;
    m->uses++;
    p->use_count++;
    o->use_count++;
    LIST_INSERT_HEAD(&o->uses, u, of_object);
    LIST_INSERT_HEAD(&p->uses, u, of_client);
    if (o->expiry)
        event_del(o->expiry);
    return u;
fail:
    member_let_go(m);
    free(u);
    return NULL;
}

struct object_use *objects_find_use(const struct objects *all, const struct conn *c, uint64_t id)
{
    struct object_use *u;
    HASH_FIND(hh, all->uses, &id, sizeof id, u);
    return u && u->conn == c ? u : NULL;
}

void objects_close_use(struct object_use *u)
{
    struct object *o = u->object;
    struct object_member *m = u->member;
    if (o->ops->detach)
        o->ops->detach(u);
    HASH_DELETE(hh, o->objects->uses, u);
    LIST_REMOVE(u, of_object);
    LIST_REMOVE(u, of_client);
    o->use_count--;
    m->client->use_count--;
    m->uses--;
    member_let_go(m);
    free(u);
    if (LIST_EMPTY(&o->uses))
        let_rest(o);
}

void objects_undo(struct object_use *u, bool created)
{
    if (created)
        unlist_name(u->object->objects, u->object); /* so that it ends with its use */
    objects_close_use(u);
}

int object_check_number(
    const struct object *object, const char *what, uint64_t is, uint64_t wanted, struct object_refusal *why)
{
    char label[OBJECT_NAME_MAX + 1];
    if (is == wanted)
        return 0;
    object_label(object, label);
    return object_refuse(why, MPOOL_E_EXISTS, "'%s' was made with %s %llu, not %llu; remove it to have it made again",
        label, what, (unsigned long long)is, (unsigned long long)wanted);
}

/* The object exists already: may this caller open it in this way? */
static int check_found(const struct object *o, const struct conn *c, const struct object_request *request, bool by_key,
    struct object_refusal *why)
{
    const char *kind = wire_kind_info(o->handle.kind)->name;
    unsigned rights = rights_of(o, c, by_key);
    unsigned needed = request->options->read_only ? OBJECT_MAY_READ : OBJECT_MAY_READ | OBJECT_MAY_WRITE;
    if (rights == 0)
        return object_refuse(why, MPOOL_E_DENIED, "'%.*s' is user %u's, with mode %04o", (int)request->length,
            request->text, (unsigned)o->owner.uid, o->owner.mode);
    if (request->kind >= 0 && (enum mpool_kind)request->kind != o->handle.kind)
        return object_refuse(why, MPOOL_E_EXISTS, "'%.*s' is not a %s, but a %s", (int)request->length, request->text,
            wire_kind_info((enum mpool_kind)request->kind)->name, kind);
    if (request->options->how == OBJECT_CREATE_NEW)
        return object_refuse(
            why, MPOOL_E_EXISTS, "there is an object '%.*s' already", (int)request->length, request->text);
    if ((rights & needed) != needed)
        return object_refuse(why, MPOOL_E_DENIED, "'%.*s' is user %u's, with mode %04o: you may not %s it%s",
            (int)request->length, request->text, (unsigned)o->owner.uid, o->owner.mode,
            rights & OBJECT_MAY_READ ? "change" : "read",
            rights & OBJECT_MAY_READ && (o->handle.kind == MPOOL_KIND_VALUE || o->handle.kind == MPOOL_KIND_ARRAY)
                ? ", but open it with read_only"
                : "");
    return o->ops->check(o, request->options, why);
}

int objects_open(struct objects *all, struct conn *c, const struct object_request *request, struct object_use **ret,
    bool *ret_created, struct object_refusal *why)
{
    struct object *o = NULL;
    bool by_key = false, created = false;
    if (request->text && check_text(request->text, request->length, why) < 0)
        return -1;
    if (request->text)
        o = look_up(all, request->text, request->length, &by_key);
    if (o && check_found(o, c, request, by_key, why) < 0)
        return -1;
    if (!o && request->text && (by_key || request->kind < 0 || request->options->how == OBJECT_CREATE_NO))
        return no_object(request->text, request->length, why);
    if (!o && request->kind < 0)
        return object_refuse(why, MPOOL_E_BAD_PARAMS, "kind: a new object has to be of some kind");
    enum mpool_kind kind = o ? o->handle.kind : (enum mpool_kind)request->kind;
    if (request->options->read_only && kind != MPOOL_KIND_VALUE && kind != MPOOL_KIND_ARRAY)
        return object_refuse(why, MPOOL_E_BAD_PARAMS, "option read_only is for values and arrays");
    if (wire_kind_info(kind)->page && !c->memfd)
        return object_refuse(why, MPOOL_E_BAD_PARAMS,
            "an object of kind %s is used through a descriptor: say hello({memfd: true}) first",
            wire_kind_info(kind)->name);
    if (!o) {
        o = object_new(all, c, request, why);
        created = true;
    }
    if (!o)
        return -1;
    struct object_use *u = use_new(o, c, request->options, request->options->read_only, why);
    if (!u) {
        if (created)
            object_free(o); /* no client knows it yet */
        return -1;
    }
    *ret = u;
    *ret_created = created;
    return 0;
}
