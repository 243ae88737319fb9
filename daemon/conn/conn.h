/* A client's connection: bytes in, messages out, and who is at the other end.
 *
 * A connection that is over its caps is not read until there is room again (nothing is lost). One that does not read
 * its replies is waited for: what goes on making replies for it, such as a map that streams or a command that prints,
 * waits with it, and it is closed only when the memory that it holds is needed (see conn_out.h). One that does not
 * finish a message is closed after a while. What it owns is cancelled with it.
 */
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

#define CONN_FDS_MAX     16u          /* descriptors that came and are not used yet */
#define CONN_PASSING_MAX 64u          /* descriptors that go out and are not read, beyond which it is not read */
#define CONN_READ_BUDGET (256u << 10) /* bytes read from one connection in one pass */
#define CONN_READ_CHUNK  (64u << 10)  /* … in one call */
#define CONN_ARGS_MAX    (256u << 20) /* bytes of arguments in flight, beyond which it is not read */
#define CONN_NAME_MAX    64u

struct conn_passing { /* what goes out with, or before, a byte of the output */
    uint64_t at;      /* running offset of that byte */
    int fd;
    bool streams;          /* not the descriptor: what is in it, … */
    bool shared;           /* … which is held by others as well */
    uint64_t offset, left; /* … from here on, so much */
};

/* What depends on a connection registers for its end. Entries may be NULL. */
struct conn_closer {
    LIST_ENTRY(conn_closer) link;
    const struct conn_closer_ops {
        /* It is closed. Once. */
        void (*close)(struct conn_closer *closer);
        /* The process that connected has died; the connection may live on with a child of it. Once. */
        void (*peer_died)(struct conn_closer *closer);
        /* Nothing refers to the connection any more: it is freed after this. */
        void (*free)(struct conn_closer *closer);
    } * ops;
};

/* In the order in which they are passed through; any may be skipped. */
enum conn_state {
    CONN_OPEN,
    CONN_HALF_CLOSED, /* it sends no more, but may read what it asked for */
    CONN_DRAINING,    /* no more reading; closed once `out` is written: see farewell.h */
    CONN_CLOSED,      /* it is released at the end of the pass */
    CONN_RELEASED,    /* what it owned has been cancelled; freed with its last reference */
};

/* Why a message is not taken yet. */
enum conn_wait {
    CONN_WAIT_TURN,       /* others come first in this pass */
    CONN_WAIT_HANDLER,    /* for what the handler knows: wait_for */
    CONN_WAIT_BYTES,      /* until wait_bytes of arguments may be held */
    CONN_WAIT_DESCRIPTOR, /* until a descriptor is free for its arguments */
    CONN_WAIT_GROW,       /* until its message may become longer */
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
    struct caller *caller; /* on whose behalf it asks: owned reference */
    uid_t uid;             /* of that one */
    pid_t pid;             /* of the peer; 0: it cannot be seen from here */
    bool unidentified;     /* the handler has still to find out who that is */
    struct share *share;
    bool counted;                 /* among its user's connections */
    char name[CONN_NAME_MAX + 1]; /* as it said in hello */
    bool memfd;                   /* takes results as memfds */
    bool errors_as_text;          /* takes errors as one str */

    enum conn_state state;
    bool farewell;       /* it has been told why it is closed, and nothing is left to be sent */
    uint32_t references; /* of calls that still run */
    LIST_HEAD(, conn_closer) closers;
    struct conn_tasks *tasks; /* what it asked of tasks: see daemon/task/conn_tasks.h */
    struct client *client;    /* as a user of objects, or NULL: see daemon/object/clients.h */

    struct event *on_readable, *on_writable;
    bool reading, writing; /* which of them are on */
    struct wire_buf in, out;
    struct wire_scan scan;     /* of the message that `in` begins with */
    bool stopped;              /* `in` holds more, but there was no room for it */
    bool whole;                /* that scan has ended: the message waits for room */
    size_t message_length;     /* of the one that is being handled */
    bool taken;                /* and it is somebody else's now */
    uint64_t partial_since_ns; /* 0: it has not begun a message that it has not finished */
    uint64_t partial_bytes;    /* of an unfinished message, so far */
    uint64_t in_counted;       /* of `in`, in its share: see conn_in.h */
    uint64_t sent;             /* running offset of `out`'s first byte */
    uint64_t unread;           /* of `out`, as counted in its share */
    bool wants_room;           /* what makes replies for it has stopped until it has read more */
    struct memfd_fill args;    /* of the request that `in` begins with: so far */
    uint32_t in_flight;        /* requests not yet answered */
    uint64_t args_bytes;       /* of its tasks */

    int fds[CONN_FDS_MAX]; /* received, oldest first; -1: there was no room for it */
    unsigned fd_count;
    bool fds_lost; /* some did not come: until all that is here has been read, no request has its own */
    struct conn_passing *passing;
    size_t passing_count, passing_size;
    uint64_t streaming, held_streaming; /* bytes that are still to be streamed; those that nobody else holds */

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
/* Marks it dead: what it owns is cancelled, and it goes, at the end of the pass. why: for the log; NULL: nothing to
 * say. */
void conn_close(struct conn *c, const char *why);
void conn_free(struct conn *c);
/* Runs closer->ops at its end; those that were registered last come first. */
void conn_on_close(struct conn *c, struct conn_closer *closer, const struct conn_closer_ops *ops);
/* Before the closer goes away by itself. */
void conn_forget_closer(struct conn_closer *closer);
/* It is not freed before as many conn_unref(). */
void conn_ref(struct conn *c);
void conn_unref(struct conn *c);
/* It will be offered its message again: in the next pass, or once what it waits for has come. */
enum rpc_result conn_wait_turn(struct conn *c);
enum rpc_result conn_wait_handler(struct conn *c, void *wait_for);
enum rpc_result conn_wait_bytes(struct conn *c, uint64_t bytes);
enum rpc_result conn_wait_descriptor(struct conn *c);

/* Have its replies time for some microseconds, as more of them will come? */
bool conn_may_be_held(const struct conn *c);
/* Something was appended to c->out, or c may be read again: look at it at the end of this pass. */
void conn_touch(struct conn *c);
/* Does it hold as many unread replies as it may, so that whatever makes more of them is to wait? */
bool conn_is_full(const struct conn *c);
/* Once a pass, when the heart has run: those who stand in line and need wait no longer go on, the first come first. */
void conn_resume_blocked(struct connections *conns);
/* The end of a pass: writes what can be written, reads on if there is room. May free it. */
void conn_flush(struct conn *c);
/* The deadlines of slow readers and writers. → true: it still needs looking after. */
bool conn_housekeeping(struct conn *c);

/* Answers end one request each; they touch. */
void conn_reply_error(struct conn *c, uint32_t msgid, enum mpool_error error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void conn_vreply_error(struct conn *c, uint32_t msgid, enum mpool_error error, const char *format, va_list ap)
    __attribute__((format(printf, 4, 0)));
/* The response, in the shape that this client takes. text: with its "E_NAME: ". Does not end the request. */
void conn_put_error(struct conn *c, uint32_t msgid, int class, const char *text, size_t length);
/* Tells why it is closed, to whoever it is, and closes it. */
void conn_farewell(struct conn *c, enum mpool_error error, const char *text);
/* After the response has been packed into c->out, or none is wanted. */
void conn_replied(struct conn *c);
/* Room for one more, so that the next conn_pass_fd() cannot fail. → false: no memory. */
bool conn_may_pass_fd(struct conn *c);
/* Appends [2, what, [msgid, size]], whose first byte carries the descriptor (taken). → false: no memory; it is closed.
 */
bool conn_pass_fd(struct conn *c, const char *what, uint32_t msgid, uint64_t size, int fd);
/* Bytes of its output that have not been written yet. */
uint64_t conn_unsent(const struct conn *c);
/* What is in a memfd that nobody can change is appended to the output, piece by piece as it is read, and never copied
 * to memory. fd: taken. shared: others hold it as well, so that it takes no memory of this connection. → false: no
 * memory; it is closed. */
bool conn_stream(struct conn *c, int fd, uint64_t size, bool shared);
/* The same of `size` bytes from an offset on. */
bool conn_stream_from(struct conn *c, int fd, uint64_t offset, uint64_t size, bool shared);
/* The message that is being handled: the memory in which it lies is the caller's from here on (from the heap, to be
 * freed), what has come behind it is copied. → NULL: no memory; nothing has changed. */
void *conn_take_message(struct conn *c);
/* The oldest descriptor that came with the requests, now the caller's; -ENOENT: none came; -EMFILE: it came, but there
 * was no room for it. */
int conn_take_fd(struct conn *c);
/* Back in front: the request will be offered again. fd: taken. */
void conn_return_fd(struct conn *c, int fd);

/* Arguments that are kept in memory until its call or map has ended. */
/* May it hold so many more? One request of a user's alone always may. */
bool conn_may_hold(const struct conn *c, uint64_t bytes);
void conn_hold(struct conn *c, uint64_t bytes);
void conn_let_go(struct conn *c, uint64_t bytes);

/* From now on it asks on that one's behalf (borrowed), and what it holds counts for that user. → false: no memory. */
bool conn_act_for(struct conn *c, struct caller *caller);
/* Root; or the daemon's own user, where nobody else can reach the socket. Not what runs inside a worker: see
 * daemon/task/descent.h
 */
bool conn_is_admin(const struct conn *c);
