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
#include "daemon/supervisor/call_table.h"
#include "daemon/supervisor/supervisor.h"
#include "proto/buf.h"
#include "proto/message.h"
#include "proto/scan.h"

struct caller;
struct large_reply;
struct process;
struct task;
struct map;
struct party;
struct pool;
struct queue_wait;
struct waiter;

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

struct conn {
    TAILQ_ENTRY(conn) link;
    TAILQ_ENTRY(conn) dirty;
    TAILQ_ENTRY(conn) room;
    bool in_dirty, in_room; /* in_room: stands in line with the message it has stopped at, until … */
    struct pool *waits_for; /* … this pool has loaded its modules, or has room in its queue; NULL: no matter */
    uint64_t waits_bytes;   /* … so many bytes of arguments may be held; 0: no matter */
    struct supervisor *supervisor;
    int fd;
    uint64_t number;
    struct caller *caller; /* on whose behalf it asks: owned reference */
    uid_t uid;             /* of that one */
    pid_t pid;             /* of the peer; 0: it cannot be seen from here */
    struct share *share;
    bool counted;                 /* among its user's connections */
    char name[CONN_NAME_MAX + 1]; /* as it said in hello */
    bool memfd;                   /* takes results as memfds */
    bool errors_as_text;          /* takes errors as one str */

    struct event *on_readable, *on_writable;
    bool reading, writing; /* which of them are on */
    struct wire_buf in, out;
    struct wire_scan scan;     /* of the message that `in` begins with */
    bool stopped;              /* `in` holds more, but there was no room for it */
    size_t message_length;     /* of the one that is being handled */
    bool taken;                /* and it is somebody else's now */
    bool whole;                /* that scan has ended: the message waits for room */
    bool half_closed;          /* it sends no more, but may read what it asked for */
    bool closing;              /* no more reading; closed once `out` is written: see farewell.h */
    bool closed;               /* dead: goes at the end of the pass */
    bool torn;                 /* what it owned has been cancelled */
    uint64_t partial_since_ns; /* 0: it has not begun a message that it has not finished */
    uint64_t in_counted;       /* of `in`, in its share: see conn_in.h */
    bool waits_for_descriptor; /* stands in line until one is free for its arguments */
    bool waits_to_grow;        /* stands in line until its message may become longer */
    uint64_t partial_bytes;    /* of an unfinished message, so far */
    uint64_t sent;             /* running offset of `out`'s first byte */
    uint64_t unread;           /* of `out`, as counted in its share */
    bool maps_wait;            /* some of its maps have stopped until it has read more */

    int fds[CONN_FDS_MAX]; /* received, oldest first; -1: there was no room for it */
    unsigned fd_count;
    bool fds_lost; /* some did not come: until all that is here has been read, no request has its own */
    struct conn_passing *passing;
    size_t passing_count, passing_size;
    uint64_t streaming, held_streaming; /* bytes that are still to be streamed; those that nobody else holds */

    struct call_table calls; /* attached calls by msgid */
    LIST_HEAD(, large_reply) large_replies;
    struct memfd_fill args; /* of the request that `in` begins with: so far */
    LIST_HEAD(, map) maps;
    LIST_HEAD(, waiter) waiters;
    LIST_HEAD(, queue_wait) queue_waits; /* requests that wait at queues */
    uint32_t queue_wait_count;
    struct party *party;            /* as a user of objects; NULL: has none open */
    uint64_t accepted_boot_ns;      /* by CLOCK_BOOTTIME */
    LIST_HEAD(, process) processes; /* that end with it, or print to it: see process.h */
    struct event *on_peer_death;    /* see peer.h; or NULL */
    int peer_pidfd;                 /* of that event */
    bool peer_is_watched, peer_is_dead;
    bool kin;                    /* its user is one that workers run as: see nested.h, with all that follows */
    bool inside_known;           /* it has been looked up */
    const char *stray;           /* why nobody can be told for whom it asks; or NULL */
    struct worker *inside;       /* the worker in which the peer runs, or NULL */
    uint64_t inside_task;        /* the task to which the peer belongs; 0: it is the worker itself */
    TAILQ_ENTRY(conn) of_inside; /* in that one's list */
    TAILQ_ENTRY(conn) answered;
    bool inside_waits, in_answered;
    uint32_t in_flight;  /* requests not yet answered */
    uint64_t args_bytes; /* of its tasks */
};

/* fd: taken. → NULL (closed). */
struct conn *conn_new(struct supervisor *s, int fd);
/* Marks it dead: what it owns is cancelled, and it goes, at the end of the pass. why: for the log; NULL: nothing to
 * say. */
void conn_close(struct conn *c, const char *why);
void conn_free(struct conn *c);

/* Have its replies time for some microseconds, as more of them will come? */
bool conn_may_be_held(const struct conn *c);
/* Something was appended to c->out, or c may be read again: look at it at the end of this pass. */
void conn_touch(struct conn *c);
/* Does it hold as many unread replies as it may, so that whatever makes more of them is to wait? */
bool conn_is_full(const struct conn *c);
/* Once a pass, when the heart has run: those who stand in line and need wait no longer go on, the first come first. */
void conn_serve_line(struct supervisor *s);
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

/* An attached call begins and ends: what it holds is counted. → false: no memory. */
bool conn_add_call(struct conn *c, struct task *t);
void conn_remove_call(struct conn *c, struct task *t);

/* From now on it asks on that one's behalf (borrowed), and what it holds counts for that user. → false: no memory. */
bool conn_act_for(struct conn *c, struct caller *caller);
/* Root; or the daemon's own user, where nobody else can reach the socket. Not what runs inside a worker: see nested.h
 */
bool conn_is_admin(const struct conn *c);
