/* A client's connection: bytes in, messages out, and the identity of the peer.
 *
 * A connection over its caps is not read until there is room again (nothing is lost). If it does not read its replies,
 * whatever produces more of them, such as a streaming map or a command that prints, is paused; the connection is closed
 * only when the memory that it holds is needed (see conn_out.h). One that does not finish a message is closed after a
 * while. What it owns is cancelled with it. */
#pragma once

#include <event2/event.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/base/memfd_fill.h"
#include "daemon/conn/connections.h"
#include "proto/buf.h"
#include "proto/errors.h"
#include "proto/scan.h"

struct caller;
struct client;
struct conn_tasks;
struct share;

#define CONN_FDS_MAX     16u          /* received descriptors that are not used yet */
#define CONN_PASSING_MAX 64u          /* unread outgoing descriptors beyond which the connection is not read */
#define CONN_READ_BUDGET (256u << 10) /* bytes read from one connection in one pass */
#define CONN_READ_CHUNK  (64u << 10)  /* … in one call */
#define CONN_ARGS_MAX    (256u << 20) /* bytes of arguments in flight beyond which the connection is not read */
#define CONN_NAME_MAX    64u

struct conn_passing { /* something sent with, or before, a byte of the output */
    uint64_t at;      /* running offset of that byte */
    int fd;
    bool streams;          /* send the content, not the descriptor, … */
    bool shared;           /* … which others hold, too */
    uint64_t offset, left; /* … from this offset, this many bytes */
};

/* An object that depends on a connection registers to be notified of its end. Entries may be NULL. */
struct conn_closer {
    LIST_ENTRY(conn_closer) link;
    const struct conn_closer_ops {
        /* The connection is closed. Called once. */
        void (*close)(struct conn_closer *closer);
        /* The process that connected has died; the connection may live on with a child of it. Called once. */
        void (*peer_died)(struct conn_closer *closer);
        /* Nothing refers to the connection any more: it is freed after this. */
        void (*free)(struct conn_closer *closer);
    } * ops;
};

/* States are passed through in this order; any may be skipped. */
enum conn_state {
    CONN_OPEN,
    CONN_HALF_CLOSED, /* it sends no more, but may still read replies */
    CONN_DRAINING,    /* no longer read; closed once `out` is written: see lingering_close.h */
    CONN_CLOSED,      /* released at the end of the pass */
    CONN_RELEASED,    /* what it owned has been cancelled; freed with its last reference */
};

/* Why a message is not accepted yet. */
enum conn_wait {
    CONN_WAIT_TURN,       /* others come first in this pass */
    CONN_WAIT_HANDLER,    /* for something that the handler knows: wait_for */
    CONN_WAIT_BYTES,      /* until wait_bytes of arguments may be held */
    CONN_WAIT_DESCRIPTOR, /* until a descriptor is free for its arguments */
    CONN_WAIT_GROW,       /* until its message may grow */
};

struct conn {
    TAILQ_ENTRY(conn) link;
    TAILQ_ENTRY(conn) dirty;
    TAILQ_ENTRY(conn) blocked;
    bool in_dirty, in_blocked;
    enum conn_wait wait; /* in_blocked: for what … */
    void *wait_for;      /* … */
    uint64_t wait_bytes; /* … */
    struct connections *connections;
    int fd;
    uint64_t number;
    struct caller *caller; /* on whose behalf it asks; owned reference */
    uid_t uid;             /* of caller */
    pid_t pid;             /* of the peer; 0: not visible from here */
    bool unidentified;     /* the handler must still find out who that is */
    struct share *share;
    bool counted;                 /* counted among its user's connections */
    char name[CONN_NAME_MAX + 1]; /* as given in hello */
    bool memfd;                   /* takes results as memfds */
    bool errors_as_text;          /* takes errors as one str */

    enum conn_state state;
    bool lingers;        /* the reason for closing has been sent, and nothing is left to send */
    uint32_t references; /* by calls that still run */
    LIST_HEAD(, conn_closer) closers;
    struct conn_tasks *tasks; /* its tasks: see daemon/task/conn_tasks.h */
    struct client *client;    /* as a user of objects, or NULL: see daemon/object/clients.h */

    struct event *on_readable, *on_writable;
    bool reading, writing; /* which events are enabled */
    struct wire_buf in, out;
    struct wire_scan scan;     /* of the first message in `in` */
    bool stopped;              /* `in` holds more, but there was no room to handle it */
    bool whole;                /* that scan is complete: the message waits for room */
    size_t message_length;     /* of the message being handled */
    bool taken;                /* and its memory now belongs to somebody else */
    uint64_t partial_since_ns; /* since when a message is incomplete; 0: none is */
    uint64_t partial_bytes;    /* of an incomplete message so far */
    uint64_t in_counted;       /* of `in`, in its share: see conn_in.h */
    uint64_t sent;             /* running offset of `out`'s first byte */
    uint64_t unread;           /* of `out`, as counted in its share */
    bool wants_room;           /* producers of its replies are paused until it has read more */
    struct memfd_fill args;    /* of the request that `in` begins with, as far as copied */
    uint32_t in_flight;        /* requests not yet answered */
    uint64_t args_bytes;       /* of its tasks */

    int fds[CONN_FDS_MAX]; /* received, oldest first; -1: refused */
    unsigned fd_count;
    bool fds_lost; /* some were lost: none can be matched until all received input has been read */
    struct conn_passing *passing;
    size_t passing_count, passing_size;
    uint64_t streaming, held_streaming; /* bytes still to be streamed; those that only this connection holds */

    uint64_t accepted_boot_ns;   /* by CLOCK_BOOTTIME */
    struct event *on_peer_death; /* see peer.h; or NULL */
    int peer_pidfd;              /* of that event */
    bool peer_is_watched, peer_is_dead;
};

static inline bool conn_is_closed(const struct conn *c)
{
    return c->state >= CONN_CLOSED;
}

/* fd: taken. → NULL (closed). */
struct conn *conn_new(struct connections *conns, int fd);
/* Marks it closed: at the end of the pass what it owns is cancelled and it is released. why: for the log; NULL: do not
 * log. */
void conn_close(struct conn *c, const char *why);
void conn_free(struct conn *c);
/* Runs closer->ops when the connection ends, last registered first. */
void conn_on_close(struct conn *c, struct conn_closer *closer, const struct conn_closer_ops *ops);
/* Must be called before the closer is freed. */
void conn_forget_closer(struct conn_closer *closer);
/* The connection is not freed before the matching number of conn_unref() calls. */
void conn_ref(struct conn *c);
void conn_unref(struct conn *c);
/* The message will be offered again: in the next pass, or once what it waits for is available. */
enum rpc_result conn_wait_turn(struct conn *c);
enum rpc_result conn_wait_handler(struct conn *c, void *wait_for);
enum rpc_result conn_wait_bytes(struct conn *c, uint64_t bytes);
enum rpc_result conn_wait_descriptor(struct conn *c);

/* May its replies be held back a few microseconds to batch them with others? */
bool conn_may_be_held(const struct conn *c);
/* Something was appended to c->out, or c may be read again: process it at the end of this pass. */
void conn_touch(struct conn *c);
/* Does it hold as many unread replies as allowed, so that producers of more must pause? */
bool conn_is_full(const struct conn *c);
/* Once per pass, after the core has run: resumes blocked connections that can proceed, in FIFO order. */
void conn_resume_blocked(struct connections *conns);
/* The end of a pass: writes what can be written, and resumes reading if there is room. May free it. */
void conn_flush(struct conn *c);
/* Checks the deadlines of slow readers and writers. → true: call again. */
bool conn_housekeeping(struct conn *c);

/* Each reply completes one request, and touches the connection. */
void conn_reply_error(struct conn *c, uint32_t msgid, enum mpool_error error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void conn_vreply_error(struct conn *c, uint32_t msgid, enum mpool_error error, const char *format, va_list ap)
    __attribute__((format(printf, 4, 0)));
/* The response, in the form that this client wants. text: with its "E_NAME: ". Does not complete the request. */
void conn_put_error(struct conn *c, uint32_t msgid, int class, const char *text, size_t length);
/* Sends the reason for closing, even if the peer is unidentified, and closes the connection. */
void conn_close_with_error(struct conn *c, enum mpool_error error, const char *text);
/* Call after the response has been packed into c->out, or if none is wanted. */
void conn_replied(struct conn *c);
/* Reserves room for one more, so that the next conn_pass_fd() cannot fail. → false: no memory. */
bool conn_may_pass_fd(struct conn *c);
/* Appends [2, what, [msgid, size]], whose first byte carries the descriptor (taken). → false: no memory; the descriptor
 * is closed. */
bool conn_pass_fd(struct conn *c, const char *what, uint32_t msgid, uint64_t size, int fd);
/* Bytes of its output that are not written yet. */
uint64_t conn_unsent(const struct conn *c);
/* Appends the content of a sealed memfd to the output, read piece by piece as the peer reads, and never copied to
 * memory as a whole. fd: taken. shared: others hold it as well, so that it costs this connection no memory. → false: no
 * memory; the descriptor is closed. */
bool conn_stream(struct conn *c, int fd, uint64_t size, bool shared);
/* The same for `size` bytes from an offset on. */
bool conn_stream_from(struct conn *c, int fd, uint64_t offset, uint64_t size, bool shared);
/* Takes the memory that holds the message being handled; it becomes the caller's (heap, to be freed). The bytes
 * received after the message are copied. → NULL: no memory; nothing has changed. */
void *conn_take_message(struct conn *c);
/* The oldest descriptor received with the requests, now the caller's; -ENOENT: there is none; -EMFILE: it was sent, but
 * could not be accepted. */
int conn_take_fd(struct conn *c);
/* Puts it back in front: the request will be offered again. fd: taken. */
void conn_return_fd(struct conn *c, int fd);

/* Counts arguments that are kept in memory until their call or map has ended. */
/* May it hold this many more? A user's only request always may. */
bool conn_may_hold(const struct conn *c, uint64_t bytes);
void conn_hold(struct conn *c, uint64_t bytes);
void conn_let_go(struct conn *c, uint64_t bytes);

/* From now on it asks on that caller's behalf (borrowed), and what it holds counts for that user. → false: no memory.
 */
bool conn_act_for(struct conn *c, struct caller *caller);
/* Root; or the daemon's own user if nobody else can reach the socket. Never a peer that runs inside a worker: see
 * daemon/task/descent.h */
bool conn_is_admin(const struct conn *c);
