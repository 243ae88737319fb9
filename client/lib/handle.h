/* The state of a connection, and the checks on its use.
 *
 * Defines the parts of a handle, its release, and the checks that every public call makes first: not in a forked child,
 * not after the connection is lost, and no waiting inside a callback. Knows no methods and no maps; maps register with
 * it as sources.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mpool/client.h>

#include "client/lib/io.h"
#include "client/lib/pending.h"
#include "proto/scan.h"

#define HANDLE_TEXT_BYTES 4352u /* the daemon cuts its sentences at 4,000 */

/* Something that makes requests on its own whenever there is room for them (a map). */
struct source {
    struct source *next;
    void (*pump)(struct source *source);          /* start what can be started */
    void (*gone)(struct source *source, int why); /* the handle is being released: forget it */
};

/* What the daemon reported in its answer to hello. */
struct peer {
    uint64_t message_bytes, memfd_bytes, in_flight;
    uint32_t depth;
    bool memfd, stream, lease;
};

struct mpool_object;

struct mpool_client {
    struct io io;
    struct wire_scan scan; /* of the message at the front of io.in */
    struct wire_limits in_limits;
    struct pending pending;
    struct peer peer;
    struct source *sources;
    struct mpool_object *objects;    /* opened through it: see object.h */
    struct mpool_process *processes; /* see process.h */
    bool running;                    /* user code may be on the stack: nothing may be released */
    bool dispatching;                /* inside mpool_dispatch() */
    bool closing;                    /* mpool_disconnect() was called inside a callback */
    bool refused;                    /* the callback that has just run could not keep its result */
    int loss;                        /* 0, or why the connection was lost */
    bool loss_told;
    bool pump_wanted;        /* a source has become able to start something outside a turn */
    int64_t call_timeout_ms; /* of each call that waits; -1: none */
    uint64_t until_ns;       /* when the present one times out; CLOCK_NEVER: never */
    unsigned char *alive;    /* a page that fork() wipes; NULL where the kernel cannot */
    pid_t owner;
    char *path;
    void (*on_unsent)(void *userdata);
    void *on_unsent_userdata;
    char text[HANDLE_TEXT_BYTES];
};

/* fd: taken, also on failure. path: copied. → 0; -ENOMEM. */
int handle_new(int fd, const char *path, mpool_client **ret_client);
/* Frees immediately. Pending calls must have been completed, or their completion must not matter. */
void handle_release(mpool_client *client);

/* Is this the process that connected? */
bool handle_is_ours(const mpool_client *client);
/* Begins a call: the sentence of the last one is forgotten. → 0; -EINVAL: there is no handle; -ECHILD; -ENOTCONN when
 * closing; the loss. With the sentence set. */
int handle_check(mpool_client *client);
/* As handle_check(), for calls that wait or dispatch: also -EDEADLK. The time of the call begins. */
int handle_check_waiting(mpool_client *client);

/* Sets the sentence: text, or the code's own if text is NULL or empty. client: may be NULL. → code. */
int handle_fail(mpool_client *client, int code, const char *text);

/* Ends a call with r: if that is a failure without a sentence, it gets the code's own. client: may be NULL, and may
 * have been freed if r is -ENOTCONN. → r. */
int handle_end(mpool_client *client, int r);

/* Marks the connection as lost. Calls complete in the next turn. text as above. */
void handle_lose(mpool_client *client, int code, const char *text);

/* Completes every pending call with `code`. → callbacks run. */
int handle_complete_all(mpool_client *client, int code);

void handle_add_source(mpool_client *client, struct source *source);
void handle_remove_source(mpool_client *client, struct source *source);
