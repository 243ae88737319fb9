/* All connections, and what they have in common. A connection knows bytes, descriptors and its peer; what its messages
 * mean, and how they are served, is up to its handler. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/base/descriptors.h"
#include "daemon/base/loop.h"
#include "daemon/config/config.h"
#include "proto/message.h"

struct conn;
struct lingering_closes;
struct listener;
struct service;
struct shares;

TAILQ_HEAD(conn_list, conn);

/* The outcome of a request, and of each step of reading one. */
enum rpc_result {
    RPC_CONTINUE, /* of a step: nothing is wrong so far, continue */
    RPC_ANSWERED, /* it has been answered, or will be */
    RPC_LONG,     /* the same, but it may have taken long: do not handle a batch of these at once */
    RPC_LATER,    /* it was not accepted: the same message is offered again once must_wait() returns false */
};

struct conn_handler {
    /* A new connection, before its first byte. → 0 or -ENOMEM. */
    int (*open)(struct service *service, struct conn *c);
    /* Finds out on whose behalf c->unidentified asks, if that can be determined by now. */
    void (*identify)(struct conn *c);
    /* A message that has passed the scan and was parsed as a request or notification. Never RPC_CONTINUE. */
    enum rpc_result (*message)(struct service *service, struct conn *c, const struct wire_message *m);
    /* The handler returned RPC_LATER: must the connection still wait? */
    bool (*must_wait)(struct service *service, const struct conn *c);
    /* All its requests have been answered, or it is closed. */
    void (*idle)(struct conn *c);
    /* c->wants_room: it has read enough that replies may be produced again. */
    void (*has_room)(struct conn *c);
};

struct connections {
    struct loop *loop;
    const struct config *config;
    const struct conn_handler *handler;
    struct service *service; /* the handler's; nothing of it is known here */
    struct conn_list all;
    struct conn_list dirty;   /* have bytes to send, or wait to be read again */
    struct conn_list blocked; /* stopped at a message, in order of arrival */
    uint64_t turn_ns;         /* spent on requests in this pass */
    uint64_t hash_key;        /* for hash tables whose keys clients choose, so that they cannot force collisions */
    struct descriptors *descriptors;
    struct listener *listener;
    struct lingering_closes *lingering_closes; /* peers that have been sent the reason for closing */
    struct shares *shares;                     /* what users hold */
};
