#include "daemon/object/object_page.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/descriptors.h"
#include "daemon/base/memfd_fill.h"
#include "daemon/conn/conn.h"
#include "daemon/object/clients.h"
#include "proto/sync/sync.h"

#define PAGE 4096u

static uint32_t element_bytes(enum mpool_element element)
{
    return wire_element_info(element)->bytes;
}

/* ---- parameters ---- */

static int bad_value(enum mpool_element element, struct object_refusal *why)
{
    return object_refuse(
        why, MPOOL_E_BAD_PARAMS, "option value: it is out of the range of %s", wire_element_info(element)->name);
}

/* The bits of a value, in the machine's byte order, in the first bytes of the cell. */
static int cell_of(const struct object_options *options, uint64_t *ret_cell, struct object_refusal *why)
{
    const struct option_number *n = &options->value;
    enum mpool_element element = options->element;
    *ret_cell = 0;
    if (element == MPOOL_ELEMENT_F64 || element == MPOOL_ELEMENT_F32) {
        float narrow = (float)n->f;
        if (element == MPOOL_ELEMENT_F32)
            memcpy(ret_cell, &narrow, sizeof narrow);
        else
            memcpy(ret_cell, &n->f, sizeof n->f);
        return 0;
    }
    if (!n->is_whole)
        return object_refuse(
            why, MPOOL_E_BAD_PARAMS, "option value: expected an integer for %s", wire_element_info(element)->name);
    unsigned bits = element_bytes(element) * 8;
    bool is_signed = element == MPOOL_ELEMENT_I8 || element == MPOOL_ELEMENT_I16 || element == MPOOL_ELEMENT_I32 ||
                     element == MPOOL_ELEMENT_I64;
    uint64_t max = is_signed ? UINT64_MAX >> (65 - bits) : UINT64_MAX >> (64 - bits);
    int64_t min = is_signed ? -(int64_t)max - 1 : 0;
    if (n->is_negative ? n->i < min : n->u > max)
        return bad_value(element, why);
    switch (bits) {
    case 8: memcpy(ret_cell, &(uint8_t){(uint8_t)n->u}, 1); break;
    case 16: memcpy(ret_cell, &(uint16_t){(uint16_t)n->u}, 2); break;
    case 32: memcpy(ret_cell, &(uint32_t){(uint32_t)n->u}, 4); break;
    default: memcpy(ret_cell, &n->u, 8); break;
    }
    return 0;
}

static int tokens_of(
    enum mpool_kind kind, const struct object_options *options, uint32_t *ret, struct object_refusal *why)
{
    const struct option_number *n = &options->value;
    uint64_t tokens = object_option_given(options, OBJECT_OPTION_value) ? n->u : 1;
    unsigned min = kind == MPOOL_KIND_BOUNDED_SEMAPHORE ? 1 : 0;
    if (!n->is_whole || n->is_negative || tokens < min || tokens > SYNC_SLOTS)
        return object_refuse(
            why, MPOOL_E_BAD_PARAMS, "option value: expected an integer from %u to %u", min, SYNC_SLOTS);
    *ret = (uint32_t)tokens;
    return 0;
}

/* → 0 with everything that sync_page_init() needs. */
static int setup_of(
    enum mpool_kind kind, const struct object_options *options, struct sync_setup *ret, struct object_refusal *why)
{
    *ret = (struct sync_setup){.set = options->set};
    switch (kind) {
    case MPOOL_KIND_VALUE:
        if (options->element == MPOOL_ELEMENT_BYTES)
            return object_refuse(why, MPOOL_E_BAD_PARAMS, "option type: a value is a number; bytes are for arrays");
        return cell_of(options, &ret->cell, why);
    case MPOOL_KIND_SEMAPHORE: ret->capacity = SYNC_SLOTS; return tokens_of(kind, options, &ret->tokens, why);
    case MPOOL_KIND_BOUNDED_SEMAPHORE:
        if (tokens_of(kind, options, &ret->tokens, why) < 0)
            return -1;
        ret->capacity = ret->tokens;
        return 0;
    case MPOOL_KIND_BARRIER:
        if (!object_option_given(options, OBJECT_OPTION_parties))
            return object_refuse(
                why, MPOOL_E_BAD_PARAMS, "option parties: a barrier needs it, from 1 to %u", SYNC_SLOTS);
        ret->capacity = (uint32_t)options->parties;
        return 0;
    case MPOOL_KIND_ARRAY:
        if (!object_option_given(options, OBJECT_OPTION_count))
            return object_refuse(why, MPOOL_E_BAD_PARAMS, "option count: an array needs it");
        return 0;
    case MPOOL_KIND_LOCK:
    case MPOOL_KIND_RLOCK:
    case MPOOL_KIND_CONDITION:
    case MPOOL_KIND_EVENT: return 0;
    case MPOOL_KIND_QUEUE:
    case MPOOL_KIND_JOINABLE_QUEUE:
    case MPOOL_KIND_PIPE:
    case MPOOL_KIND_COUNT: break;
    }
    return object_refuse(why, MPOOL_E_INTERNAL, "not a page");
}

static int measure(
    enum mpool_kind kind, const struct object_options *options, uint64_t *ret_bytes, struct object_refusal *why)
{
    struct sync_setup setup;
    if (setup_of(kind, options, &setup, why) < 0)
        return -1;
    uint64_t data = kind == MPOOL_KIND_ARRAY ? options->count * element_bytes(options->element) : 0;
    *ret_bytes = SYNC_BYTES + (data + PAGE - 1) / PAGE * PAGE; /* count is below 2^49 */
    return 0;
}

/* ---- making ---- */

static int make_failed(struct object *o, int error, struct object_refusal *why)
{
    if (o->page)
        munmap(o->page, SYNC_BYTES);
    o->page = NULL;
    fd_close(&o->fd);
    bool full = error == EMFILE || error == ENFILE || error == ENOSPC || error == EFBIG || error == ENOMEM;
    return object_refuse(
        why, full ? MPOOL_E_BUSY : MPOOL_E_INTERNAL, "the memory for it cannot be had: %s", strerror(error));
}

static int make(struct object *o, const struct object_options *options, struct object_refusal *why)
{
    struct sync_setup setup;
    if (setup_of(o->handle.kind, options, &setup, why) < 0)
        return -1;
    o->fd = memfd_new("mpool-object");
    if (o->fd < 0)
        return make_failed(o, errno, why);
    if (!descriptors_allow(o->objects->descriptors, o->fd, DESCRIPTOR_LASTING))
        return make_failed(o, EMFILE, why);
    /* memfds are created with mode 0777: a client with a read-only descriptor could reopen it for writing. The first
     * page is allocated at once, as a store into a page that cannot be allocated would kill the daemon. */
    int error = fchmod(o->fd, 0600) < 0 || ftruncate(o->fd, (off_t)o->bytes) < 0 ? errno : 0;
    if (error == 0)
        error = posix_fallocate(o->fd, 0, SYNC_BYTES);
    if (error)
        return make_failed(o, error, why);
    void *page = mmap(NULL, SYNC_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
    if (page == MAP_FAILED)
        return make_failed(o, errno, why);
    o->page = page;
    int r = sync_page_init(page, o->handle.kind, &setup);
    if (r < 0)
        return make_failed(o, -r, why);
    if (fcntl(o->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return make_failed(o, errno, why);
    o->page_bytes = o->bytes;
    if (!objects_take_descriptor(o)) /* last: only page_free() gives it back */
        return make_failed(o, EMFILE, why);
    o->capacity = setup.capacity;
    o->element = options->element;
    o->count = o->handle.kind == MPOOL_KIND_ARRAY ? options->count : 1;
    return 0;
}

static void page_free(struct object *o)
{
    munmap(o->page, SYNC_BYTES);
    fd_close(&o->fd);
    objects_give_descriptor(o);
}

static bool is_member(void *userdata, uint32_t client)
{
    const struct object *o = userdata;
    const struct client *p = client_find(o->objects, client);
    struct object_member *m = NULL;
    if (p)
        HASH_FIND(hh, p->members, &o, sizeof(struct object *), m);
    return m != NULL;
}

void object_page_sweep(struct object *o)
{
    (void)sync_sweep(o->page, o->handle.kind, o->capacity, is_member, o);
}

/* The count of released locks is not trustworthy: any writer of the page can change it. */
static void client_gone(struct object *o, const struct client *p)
{
    (void)sync_client_gone(o->page, o->handle.kind, o->capacity, p->number);
    object_page_sweep(o);
}

static void shut(struct object *o)
{
    sync_close(o->page, o->handle.kind);
}

int object_page_descriptor(const struct object_use *use, struct object_refusal *why)
{
    const struct object *o = use->object;
    char path[32];
    int fd;
    if (use->read_only) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", o->fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    } else {
        fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
    }
    if (fd >= 0 && !descriptors_allow(o->objects->descriptors, fd, DESCRIPTOR_PASSING)) {
        close(fd);
        fd = -1;
        errno = EMFILE;
    }
    if (fd < 0)
        return object_refuse(why, errno == EMFILE || errno == ENFILE ? MPOOL_E_BUSY : MPOOL_E_INTERNAL,
            "no descriptor for it can be had: %s", strerror(errno));
    return fd;
}

static int check(const struct object *o, const struct object_options *options, struct object_refusal *why)
{
    uint32_t tokens;
    char label[OBJECT_NAME_MAX + 1];
    if (object_option_given(options, OBJECT_OPTION_type) && options->element != o->element) {
        object_label(o, label);
        return object_refuse(why, MPOOL_E_EXISTS, "'%s' was made with type %s, not %s; remove it to have it made again",
            label, wire_element_info(o->element)->name, wire_element_info(options->element)->name);
    }
    if (object_option_given(options, OBJECT_OPTION_count))
        return object_check_number(o, "count", o->count, options->count, why);
    if (object_option_given(options, OBJECT_OPTION_parties))
        return object_check_number(o, "parties", o->capacity, options->parties, why);
    if (o->handle.kind == MPOOL_KIND_BOUNDED_SEMAPHORE && object_option_given(options, OBJECT_OPTION_value))
        return tokens_of(o->handle.kind, options, &tokens, why) < 0
                   ? -1
                   : object_check_number(o, "value", o->capacity, tokens, why);
    return 0;
}

/* ---- information ---- */

static bool has_element(const struct object *o)
{
    return o->handle.kind == MPOOL_KIND_VALUE || o->handle.kind == MPOOL_KIND_ARRAY;
}

static uint32_t fact_count(const struct object *o)
{
    return 1u + (has_element(o) ? 2u : 0u) + (o->capacity > 0 ? 1u : 0u);
}

static void pack_fields(const struct object *o, msgpack_packer *pk)
{
    wire_pack_key_u64(pk, "size", o->page_bytes);
    if (has_element(o)) {
        wire_pack_key_text(pk, "type", wire_element_info(o->element)->name);
        wire_pack_key_u64(pk, "count", o->count);
    }
    if (o->capacity > 0)
        wire_pack_key_u64(pk, o->handle.kind == MPOOL_KIND_BARRIER ? "parties" : "capacity", o->capacity);
}

const struct object_ops object_page_ops = {
    .measure = measure,
    .make = make,
    .free = page_free,
    .check = check,
    .client_gone = client_gone,
    .shut = shut,
    .fact_count = fact_count,
    .pack_fields = pack_fields,
};
