/* Registers queues and pipes as kinds of shared objects: see queue_objects.h. Each use of one is a user of its own. */
#include "daemon/object/queue_objects.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/object/queue.h"

static struct queue_options options_of(enum mpool_kind kind, const struct object_options *o)
{
    struct queue_options options = {
        .kind = kind == MPOOL_KIND_QUEUE            ? QUEUE_PLAIN
                : kind == MPOOL_KIND_JOINABLE_QUEUE ? QUEUE_JOINABLE
                                                    : QUEUE_PIPE,
        .capacity = o->capacity ? o->capacity : QUEUE_ITEMS_DEFAULT,
        .bytes = o->size ? o->size : QUEUE_BYTES_DEFAULT,
        .at_least_once = o->at_least_once,
    };
    options.one_way = options.kind == QUEUE_PIPE && !o->duplex;
    return options;
}

static int measure(
    enum mpool_kind kind, const struct object_options *options, uint64_t *ret_bytes, struct object_refusal *why)
{
    struct queue_options o = options_of(kind, options);
    if (o.capacity > CHANNEL_ITEMS_MAX)
        return object_refuse(
            why, MPOOL_E_BAD_PARAMS, "option capacity: expected a number of items from 1 to %u", CHANNEL_ITEMS_MAX);
    if (o.bytes > QUEUE_BYTES_MAX)
        return object_refuse(why, MPOOL_E_BAD_PARAMS, "option size: expected a number of bytes from 1 to %llu",
            (unsigned long long)QUEUE_BYTES_MAX);
    *ret_bytes = queue_free_bytes(&o);
    return 0;
}

static int make(struct object *object, const struct object_options *options, struct object_refusal *why)
{
    struct queue_options o = options_of(object->handle.kind, options);
    struct queue *q;
    if (queue_new(object->objects, &o, objects_memfds_of_owner(object), objects_share_of_owner(object),
            objects_purse_of_owner(object), &q) < 0)
        return object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
    object->data = q;
    return 0;
}

static void free_queue(struct object *object)
{
    queue_free(object->data);
    object->data = NULL;
}

static int check(const struct object *object, const struct object_options *options, struct object_refusal *why)
{
    const struct queue *q = object->data;
    if (options->capacity > 0 &&
        object_check_number(object, "capacity", q->options.capacity, options->capacity, why) < 0)
        return -1;
    return options->size > 0 ? object_check_number(object, "size", q->options.bytes, options->size, why) : 0;
}

static int attach(struct object_use *use, const struct object_options *options, struct object_refusal *why)
{
    struct queue_user *u = malloc(sizeof *u);
    if (!u)
        return object_refuse(why, MPOOL_E_INTERNAL, "out of memory");
    int end = object_option_given(options, OBJECT_OPTION_end) ? (int)options->end : QUEUE_ANY_END;
    int r = queue_attach(use->object->data, u, use->conn, end);
    if (r == 0) {
        use->data = u;
        return 0;
    }
    free(u);
    return r == -EBUSY
               ? object_refuse(why, MPOOL_E_BUSY, "this end of the pipe, or both of them, have a user already")
               : object_refuse(why, MPOOL_E_FINISHED, "that end of the pipe was closed, and the other is not yet");
}

static void detach(struct object_use *use)
{
    struct queue_user *u = use->data;
    queue_detach(u);
    free(u);
    use->data = NULL;
}

static uint64_t more_bytes(const struct object *object)
{
    return queue_paid(object->data);
}

static uint32_t fact_count(const struct object *object)
{
    return queue_fact_count(object->data);
}

static void pack_fields(const struct object *object, msgpack_packer *pk)
{
    queue_pack_fields(object->data, pk);
}

static int end(const struct object_use *use)
{
    const struct queue_user *u = use->data;
    return use->object->handle.kind == MPOOL_KIND_PIPE ? u->end : -1;
}

const struct object_ops queue_object_ops = {
    .measure = measure,
    .make = make,
    .free = free_queue,
    .check = check,
    .attach = attach,
    .detach = detach,
    .more_bytes = more_bytes,
    .fact_count = fact_count,
    .pack_fields = pack_fields,
    .end = end,
};
