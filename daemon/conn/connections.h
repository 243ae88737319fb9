/* All connections, and what they have in common. A connection knows bytes, descriptors and its peer; what its messages
 * mean, and what is done for them, is its handler's affair. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/base/descriptors.h"
#include "daemon/base/loop.h"
#include "daemon/config/config.h"
#include "proto/message.h"

struct conn;
struct farewells;
struct listener;
struct shares;

TAILQ_HEAD(conn_list, conn);

/* What has become of a request, and of each step of reading one. */
enum rpc_result {
    RPC_CONTINUE, /* of a step: nothing is wrong so far, go on */
    RPC_ANSWERED, /* it has been answered, or will be */
    RPC_LONG,     /* the same, and it may have taken long: no batch of these in one go */
    RPC_LATER,    /* it was not taken: the same message is offered again once must_wait() no longer holds */
};

struct conn_handler {
    /* A new connection, before its first byte. → 0 or -ENOMEM. */
    int (*open)(void *context, struct conn *c);
    /* Finds out on whose behalf c->unidentified asks, if that can be told by now. */
    void (*identify)(struct conn *c);
    /* A message that has passed the scan and parsed as request or notification. Never RPC_CONTINUE. */
    enum rpc_result (*message)(void *context, struct conn *c, const struct wire_message *m);
    /* Is what the connection waits for, since the handler said RPC_LATER, still missing? */
    bool (*must_wait)(void *context, const struct conn *c);
    /* All its requests have been answered, or it is closed. */
    void (*idle)(struct conn *c);
    /* c->wants_room: it has read enough for replies to be made again. */
    void (*has_room)(struct conn *c);
};

struct connections {
    struct loop *loop;
    const struct config *config;
    const struct conn_handler *handler;
    void *context; /* the handler's */
    struct conn_list all;
    struct conn_list dirty;   /* have bytes to send, or wait to be read again */
    struct conn_list blocked; /* have stopped at a message, in the order of their coming */
    uint64_t turn_ns;         /* that requests have taken in this pass */
    uint64_t hash_key;        /* of tables whose keys clients choose: they cannot know where a key falls */
    struct descriptors *descriptors;
    struct listener *listener;
    struct farewells *farewells; /* peers that have been told why they are closed */
    struct shares *shares;       /* what users hold */
};
