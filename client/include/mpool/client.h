/* <mpool/client.h> — libmpoolclient: send tasks to mpoold from C and C++.
 *
 *     mpool_client *c;
 *     int r = mpool_connect(&c, NULL);                       // $MPOOL_SOCKET, else the usual places
 *     if (r < 0) { fprintf(stderr, "%s\n", mpool_strerror(r)); return 1; }
 *
 *     mpool_result *res;
 *     r = mpool_call(c, &res, "math.square", "i", 7);
 *     if (r < 0) fprintf(stderr, "%s\n", mpool_error_text(c));  // "E_LOST: worker 3 was killed by SIGSEGV …"
 *     else { int64_t n; mpool_result_i64(res, &n); mpool_result_free(res); }
 *     mpool_disconnect(c);
 *
 * Link with `pkg-config --cflags --libs libmpoolclient`.
 *
 * Returns. Functions return 0 on success and a negative number on failure: -errno for system errors (-ECONNREFUSED,
 * -ENOMEM, -EINVAL, -ECONNRESET when the daemon went away), or one of the codes of enum mpool_code below for what the
 * daemon said. mpool_error_text() has the sentence. What else a call has to say comes through a ret_… parameter, which
 * may be NULL where it says so, and is untouched on failure. Only functions that read return a count, as read(2) does:
 * mpool_map_next(), mpool_queue_get() and mpool_queue_next(); 0 is the end.
 *
 * Errors in common. Every function that takes a handle can fail with -EINVAL (a handle or pointer that is NULL, or an
 * invalid format or option), -ECHILD (after fork), -ENOTCONN (this program has disconnected the handle, or closed what
 * the call is about, inside a callback: do not use it any more), -EDEADLK (see Callbacks), -ENOMEM (in this process),
 * -ECONNRESET and MPOOL_EPROTOCOL (see Completion); every function that names a task or a function, with the codes that
 * PROTOCOL.md lists for its method. Three have one spelling everywhere: -ETIMEDOUT, a wait that timed out; -ECANCELED,
 * what was waited for was cancelled; -EAGAIN, not yet: try again later. The functions below mention only further
 * errors. Functions with a NULL handle that return a pointer, a bool or nothing return NULL, false or do nothing.
 *
 * Structs. Those that cross begin with their size, which an …_INIT sets: a program that was compiled with an older
 * header works with a newer library. With an older library, -E2BIG says that it lacks an option that is set; size 0, a
 * struct that was not initialised, is -EINVAL.
 *
 * Ownership. Parameters are borrowed for the call, unless they are said to be "taken"; what is returned through ret_…
 * belongs to the caller if its function says "taken", and is otherwise borrowed from the handle or object that returned
 * it.
 *
 * Threads. A client handle belongs to one thread at a time; different handles may be used by different threads at once.
 * There are no hidden threads and no signal handlers; SIGPIPE is never raised. After fork() every call of the child on
 * an inherited handle fails with -ECHILD, and the parent's handle is not disturbed; the child must connect again
 * (mpool_disconnect() in the child only frees the child's memory and runs no callback).
 *
 * Cancellation. A thread may be cancelled (pthread_cancel(), of the deferred type) while it waits in a blocking call,
 * in mpool_run() or in mpool_map_next(), and at no other point: not in mpool_connect(), mpool_dispatch() and whatever
 * does not wait, nor in a callback. Nothing leaks, and the handle and all that belongs to it are usable as before. The
 * daemon is told that nobody waits for the call any more; what it had done by then stays done, and its answer is
 * dropped, but for the items of a queue, which the next mpool_queue_get() gives. For shared objects see
 * <mpool/shared.h>. A callback may not leave by pthread_exit(), longjmp() or an exception.
 *
 * Completion. Every accepted call completes exactly once: with a result, with an error, or, if the connection is lost,
 * with the reason: -ECONNRESET when the daemon went away, MPOOL_EPROTOCOL when it broke the protocol, MPOOL_EBUSY when
 * it accepts no more connections. No call waits for a dead daemon.
 *
 * Callbacks. Inside a callback, functions that wait or dispatch (the blocking calls, mpool_dispatch, mpool_run,
 * mpool_map_next with a time-out) fail with -EDEADLK; all others may be called, including mpool_disconnect() and
 * mpool_map_free(). If a callback disconnected, the function that ran it returns -ENOTCONN, and the handle is freed.
 */
#ifndef MPOOL_CLIENT_H
#define MPOOL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mpool/format.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPOOL_CLIENT_VERSION_MAJOR 0
#define MPOOL_CLIENT_VERSION_MINOR 2

typedef struct mpool_client mpool_client; /* a connection */
typedef struct mpool_result mpool_result; /* the bytes of one result, owned by whoever was given it */
typedef struct mpool_map mpool_map;       /* a running map */
typedef uint32_t mpool_call_id;           /* a pending call of one connection */

/* What the daemon said, as negative codes below every errno. The names are the wire's (E_LOST → MPOOL_ELOST). Two are
 * an errno: E_CANCELLED is -ECANCELED; E_NOT_READY is -EAGAIN, or -ETIMEDOUT from a call that waits. */
enum mpool_code {
    MPOOL_EFAILED = -10001,   /* the function reported a failure */
    MPOOL_EBAD_ARGS = -10002, /* the function refused its arguments */
    MPOOL_ELOST = -10003,     /* the worker died while it ran the task */
    MPOOL_ETIMEOUT = -10004,  /* the task ran too long and was stopped */
    MPOOL_ESHUTDOWN = -10006, /* the daemon stopped before the task was done */
    MPOOL_ERESULT_TOO_BIG = -10007,
    MPOOL_EBAD_REQUEST = -10008,
    MPOOL_ETOO_BIG = -10009,
    MPOOL_ETOO_DEEP = -10010,
    MPOOL_ENO_METHOD = -10011,
    MPOOL_EBAD_PARAMS = -10012,
    MPOOL_ENO_FUNCTION = -10013,
    MPOOL_ENO_POOL = -10014,
    MPOOL_ENO_TASK = -10015,
    MPOOL_EDENIED = -10017,
    MPOOL_EBUSY = -10018,
    MPOOL_EPOOL_DOWN = -10019,
    MPOOL_ESTOPPING = -10020,
    MPOOL_EINTERNAL = -10021,
    MPOOL_ENO_OBJECT = -10022, /* there is no such shared object */
    MPOOL_EEXISTS = -10023,    /* … or there is one, when a new one was wanted, or one of another kind */
    MPOOL_EFINISHED = -10024,  /* the queue takes no more items, or the pipe's other end has gone */
    MPOOL_EEXPIRED = -10025,   /* the task waited past its deadline, and never ran */
    MPOOL_EREMOTE = -10098,    /* an error that this library does not know; the text has it */
    MPOOL_EPROTOCOL = -10099,  /* the peer does not speak this protocol */
};

/* ---- connection -------------------------------------------------------------------------------------------------- */

/* Connects and says hello. path: the socket; NULL: $MPOOL_SOCKET, else $XDG_RUNTIME_DIR/mpoold/mpoold.sock, else
 * /run/mpoold/mpoold.sock, the first that answers. *ret_client: taken by the caller, mpool_disconnect() ends it.
 * → 0; -ENOENT or -ECONNREFUSED: nobody answers; -EACCES; -ENAMETOOLONG (a socket's path has 107 bytes at most);
 * MPOOL_EPROTOCOL; -ECONNRESET; -ENOMEM; -ETIMEDOUT (5 s without hello); a code of the daemon's that refused it, such
 * as MPOOL_EBUSY. */
MPOOL_PUBLIC int mpool_connect(mpool_client **ret_client, const char *path);

/* How to connect, and how long calls may wait. Initialise with MPOOL_CONNECT_OPTIONS_INIT. */
typedef struct mpool_connect_options {
    size_t size;        /* sizeof (struct mpool_connect_options) */
    const char *path;   /* as of mpool_connect(); borrowed for the call */
    int64_t timeout_ms; /* as of mpool_set_call_timeout(), and of connecting itself; -1: none, and 5 s to connect */
    bool interruptible; /* as of mpool_set_interruptible(), and of connecting itself */
} mpool_connect_options;
#define MPOOL_CONNECT_OPTIONS_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(mpool_connect_options), NULL, -1, false                                                                 \
    }

/* The same. options: NULL for none. → as mpool_connect(); -EINTR. */
MPOOL_PUBLIC int mpool_connect_with(mpool_client **ret_client, const mpool_connect_options *options);

/* How long a call on this connection, its maps, processes and objects may wait, over all: for the daemon, even one that
 * is stopped, and for whatever else the call waits for; -1, as at first: no limit but the call's own. Then the call
 * returns -ETIMEDOUT (a put, join or finish of a queue -EINPROGRESS), and what it asked for is cancelled, or dropped
 * when it comes, as after the cancellation of its thread. A shorter time-out of a call itself counts. timeout_ms: of
 * each call from now on, by any thread. For the thread of the handle. → 0. */
MPOOL_PUBLIC int mpool_set_call_timeout(mpool_client *client, int64_t timeout_ms);

/* Whether a signal that this thread handles ends a call that waits, with -EINTR, whatever SA_RESTART says; otherwise,
 * as at first, the call waits on. What it asked for is cancelled, as by a time-out. A signal that is handled just
 * before the wait begins is not noticed: who depends on it sets a time-out, too. A condition's lock is held after
 * -EINTR. For the thread of the handle. → 0. */
MPOOL_PUBLIC int mpool_set_interruptible(mpool_client *client, bool interruptible);

/* The paths that mpool_connect(NULL) tries, one a line, for messages. Writes at most `size` bytes including the
 * terminator. → bytes needed without the terminator, like snprintf. */
MPOOL_PUBLIC int mpool_socket_candidates(char *buffer, size_t size);

/* Completes every pending call with -ECANCELED, and frees the handle. NULL is allowed. Inside a callback both are
 * deferred until it returns; until then new calls fail with -ENOTCONN. Maps of the connection must still be freed. */
MPOOL_PUBLIC void mpool_disconnect(mpool_client *client);

/* The path that answered. Borrowed, valid as long as the client. */
MPOOL_PUBLIC const char *mpool_socket_path(const mpool_client *client);

/* The sentence of the last call on this connection, its maps, processes and queues: why it failed, or "" if it did not.
 * Calls on locks and the like, which other threads may make, are not among them: mpool_object_error_text() has their
 * sentences. Borrowed; valid until the next call. */
MPOOL_PUBLIC const char *mpool_error_text(const mpool_client *client);

/* A short text for any negative return, static; needs no client. */
MPOOL_PUBLIC const char *mpool_strerror(int code);

/* "E_LOST" for MPOOL_ELOST, "E_CANCELLED" for -ECANCELED, "E_NOT_READY" for -EAGAIN; NULL for codes that the daemon
 * does not use. */
MPOOL_PUBLIC const char *mpool_code_name(int code);

/* Whether the same request may succeed when sent again unchanged. */
MPOOL_PUBLIC bool mpool_code_retryable(int code);

/* ---- options ----------------------------------------------------------------------------------------------------- */

/* How a task is to run. Zero-initialise with MPOOL_OPTIONS_INIT; all strings are borrowed for the call alone. */
typedef struct mpool_options {
    size_t size;        /* sizeof (struct mpool_options), set by MPOOL_OPTIONS_INIT */
    const char *pool;   /* NULL: the daemon chooses */
    const char *name;   /* a label for listings, at most 128 bytes, or NULL */
    int64_t timeout_ms; /* running time per attempt; 0: the function's own */
    uint32_t attempts;  /* runs allowed in all; 0: the function's own */
    uint32_t ttl_s;     /* submit: how long the result is kept; 0: the daemon's default */
    /* What the function prints, when set: stream 1 or 2; bytes borrowed during the call. Called from process/wait. */
    void (*on_output)(void *userdata, int stream, const void *bytes, size_t length);
    void *userdata;
    /* call: a pipe, file or character device that becomes the function's standard input; NULL: it has none. The library
     * passes a duplicate on, and the task reads what is there itself: nobody else should, as long as it runs. */
    const int *stdin_fd;
    /* When it runs; not for processes, which never wait. Times in ms; start_at and expires_at: since 1970. 0: not
     * given. */
    uint32_t priority;        /* 0 to 255: a higher one goes first */
    int64_t delay_ms;         /* it does not start before this time has passed, … */
    int64_t start_at_ms;      /* … nor before this one; a submitted task need not be waited for */
    int64_t expires_at_ms;    /* if it has not begun to run by then it never does: MPOOL_EEXPIRED */
    int64_t queue_timeout_ms; /* the same, after it has waited for so long since it could have started */
} mpool_options;
#define MPOOL_PRIORITY_DEFAULT 128u
#define MPOOL_OPTIONS_INIT                                                                                             \
    {                                                                                                                  \
        sizeof(mpool_options), NULL, NULL, 0, 0, 0, NULL, NULL, NULL, MPOOL_PRIORITY_DEFAULT, 0, 0, 0, 0               \
    }

/* ---- blocking calls -------------------------------------------------------------------------------------- */
/*
 * Arguments by format, one letter an argument, as sd-bus and Python's Py_BuildValue have them:
 *
 *     i int            x int64_t       d double          s const char * (NULL: nil)
 *     u unsigned       t uint64_t      b int (a bool)    n nothing (nil)
 *     S const char *, size_t (a str)   B const void *, size_t (a bin)
 *     r const void *, size_t (one MessagePack value: how a msgpack_sbuffer goes in)
 *     [ … ] an array of what is between   { … } a map: key, value, key, value …
 *
 * NULL or "" means no arguments; spaces are allowed. In C, arguments that do not fit their letters are an error when
 * the program is compiled, or -EINVAL when the call is made: see <mpool/format.h>. A wrong format, and bytes for "r"
 * that are not one value, are -EINVAL; mpool_error_text() names the letter and its position.
 */

/* Runs a task and waits for its result. ret_result may be NULL; *ret_result is taken by the caller
 * (mpool_result_free). On failure *ret_result is untouched and mpool_error_text() has the sentence. */
MPOOL_PUBLIC int mpool_call(
    mpool_client *client, mpool_result **ret_result, const char *function, const char *format, ...);

/* The same with options (NULL: none) and with the argument array as MessagePack (args NULL: no arguments). Large
 * arguments (above 512 KiB) travel as a memfd without another copy by the daemon. */
MPOOL_PUBLIC int mpool_call_raw(mpool_client *client, mpool_result **ret_result, const char *function, const void *args,
    size_t args_length, const mpool_options *options);

/* Submits a task that outlives this program: by format, or with the argument array as MessagePack, as above. → 0 with
 * its id, which is below 2^53; MPOOL_EBUSY: the daemon's queue, or what it keeps, is full. */
MPOOL_PUBLIC int mpool_submit(mpool_client *client, uint64_t *ret_id, const char *function, const char *format, ...);
MPOOL_PUBLIC int mpool_submit_raw(mpool_client *client, uint64_t *ret_id, const char *function, const void *args,
    size_t args_length, const mpool_options *options);

/* Waits until a submitted task has ended. timeout_ms: -1 waits indefinitely, 0 only polls. *ret_status (may be NULL):
 * the status map, taken. → 0 (ended, however); -ETIMEDOUT. */
MPOOL_PUBLIC int mpool_wait(mpool_client *client, uint64_t id, int64_t timeout_ms, mpool_result **ret_status);

/* The result of a submitted task, taken, or the error it ended with; -ETIMEDOUT after timeout_ms (-1: waits
 * indefinitely); MPOOL_ENO_TASK: there is no such task, or its result is no longer kept; MPOOL_EDENIED: it is another
 * user's. */
MPOOL_PUBLIC int mpool_fetch(mpool_client *client, uint64_t id, int64_t timeout_ms, mpool_result **ret_result);
/* The status of a task, as the map that PROTOCOL.md describes, taken. Also for calls of other connections. */
MPOOL_PUBLIC int mpool_status(mpool_client *client, uint64_t id, mpool_result **ret_status);

/* Stops a task. *ret_stopped (may be NULL): it is stopped, or being stopped; false: it had ended already. Never waits
 * for the task itself to end. → 0; MPOOL_ENO_TASK, MPOOL_EDENIED. _by: as mpool_call_cancel_by(). */
MPOOL_PUBLIC int mpool_cancel(mpool_client *client, uint64_t id, bool *ret_stopped);
MPOOL_PUBLIC int mpool_cancel_by(mpool_client *client, uint64_t id, int signal, bool *ret_stopped);

/* Drops what the daemon keeps of a submitted task. *ret_dropped (may be NULL): it is dropped; false: the task has not
 * ended, goes on, and is dropped at its end. → 0; MPOOL_ENO_TASK, MPOOL_EDENIED. */
MPOOL_PUBLIC int mpool_forget(mpool_client *client, uint64_t id, bool *ret_dropped);

/* Any method of the wire with params by format: mpool_request(c, &r, "stats", NULL). *ret_result: taken; may be NULL.
 */
MPOOL_PUBLIC int mpool_request(
    mpool_client *client, mpool_result **ret_result, const char *method, const char *format, ...);
/* → 0: the daemon answers. */
MPOOL_PUBLIC int mpool_ping(mpool_client *client);

/* ---- results --------------------------------------------------------------------------------------------- */

/* The value's MessagePack bytes. Borrowed, live with the result. Unpack them with msgpack-c for anything nested. */
MPOOL_PUBLIC const void *mpool_result_data(const mpool_result *result, size_t *ret_length);
/* Scalars. → 0; -EBADMSG when the value is of another type or out of range. */
MPOOL_PUBLIC int mpool_result_i64(const mpool_result *result, int64_t *ret);
MPOOL_PUBLIC int mpool_result_u64(const mpool_result *result, uint64_t *ret);
MPOOL_PUBLIC int mpool_result_f64(const mpool_result *result, double *ret);
MPOOL_PUBLIC int mpool_result_bool(const mpool_result *result, bool *ret);
/* str or bin; borrowed, not terminated. */
MPOOL_PUBLIC int mpool_result_bytes(const mpool_result *result, const void **ret, size_t *ret_length);
/* A map's value by its text key as a result that borrows from `result` (do not free); -ENOENT when it has no such key,
 * -EBADMSG when it is not a map. The returned view is overwritten by the next mpool_result_get on the same result; a
 * view can be asked for its own keys in turn. */
MPOOL_PUBLIC int mpool_result_get(const mpool_result *result, const char *key, const mpool_result **ret_value);
MPOOL_PUBLIC void mpool_result_free(mpool_result *result); /* NULL is allowed */

/* ---- non-blocking calls ---------------------------------------------------------------------------------- */
/*
 * Start calls, then let your own loop watch mpool_fd() for mpool_events() with mpool_timeout_ms(), and call
 * mpool_dispatch() when either fires. Callbacks run only inside mpool_dispatch(), mpool_run() and the blocking calls. A
 * callback may start and cancel calls and disconnect. Adapters: <mpool/event.h> (libevent), <mpool/sd-event.h>.
 */

/* code: 0 or negative; result: borrowed for the callback (mpool_result_keep() to keep it), NULL on failure;
 * text: the sentence on failure, else "". */
typedef void mpool_call_fn(void *userdata, int code, const mpool_result *result, const char *text);

/* Queues a call. Nothing is sent until mpool_dispatch(), mpool_flush() or a blocking call. callback may not be NULL.
 * ret_id may be NULL. → 0; -EAGAIN: too much is unsent (flush or dispatch first). */
MPOOL_PUBLIC int mpool_call_start(mpool_client *client, mpool_call_id *ret_id, const char *function, const void *args,
    size_t args_length, const mpool_options *options, mpool_call_fn *callback, void *userdata);
/* The same by format. */
MPOOL_PUBLIC int mpool_apply_async(mpool_client *client, mpool_call_id *ret_id, mpool_call_fn *callback, void *userdata,
    const char *function, const char *format, ...);
/* Any method; params: one MessagePack array, or NULL for none. */
MPOOL_PUBLIC int mpool_request_start(mpool_client *client, mpool_call_id *ret_id, const char *method,
    const void *params, size_t params_length, mpool_call_fn *callback, void *userdata);
/* Asks the daemon to stop a pending call, which then completes with -ECANCELED (or its result, if that was
 * faster). Only queues the request: never blocks. → 0; -ENOENT when it is not pending. */
MPOOL_PUBLIC int mpool_call_cancel(mpool_client *client, mpool_call_id id);
/* The same, by a signal: SIGHUP, SIGINT, SIGQUIT or SIGTERM. exec.run sends it to its command, and completes with how
 * that ended; other functions may heed it (mpool_cancelled() of <mpool/module.h>). 0: none. */
MPOOL_PUBLIC int mpool_call_cancel_by(mpool_client *client, mpool_call_id id, int signal);
/* An owned copy of a borrowed result. NULL if memory is exhausted. */
MPOOL_PUBLIC mpool_result *mpool_result_keep(const mpool_result *result);

MPOOL_PUBLIC int mpool_fd(const mpool_client *client);         /* borrowed; -1 when the connection is lost */
MPOOL_PUBLIC int mpool_events(const mpool_client *client);     /* POLLIN, with POLLOUT while something is unsent */
MPOOL_PUBLIC int mpool_timeout_ms(const mpool_client *client); /* as poll(2): -1 none, 0 dispatch at once */
/* Tells the owner of a loop that the handle may have bytes to send now: look at mpool_events() again, or call
 * mpool_dispatch() soon. `fn` (NULL: none) runs at the end of whatever queued them, mpool_call_start() for one, but
 * never inside mpool_dispatch(); it may not call into this handle. Adapters need it, few others do. */
MPOOL_PUBLIC void mpool_on_unsent(mpool_client *client, void (*fn)(void *userdata), void *userdata);
/* Sends and receives what can be without blocking, and runs callbacks. → 0; -ECONNRESET (or MPOOL_EPROTOCOL) once, when
 * the connection has been lost and all pending calls have completed with it. */
MPOOL_PUBLIC int mpool_dispatch(mpool_client *client);
/* Sends what can be sent without blocking. → 0: all; -EAGAIN: some is left. */
MPOOL_PUBLIC int mpool_flush(mpool_client *client);
/* Waits and dispatches until nothing is pending, or timeout_ms has passed (-1: no limit). → 0; -ETIMEDOUT; as
 * mpool_dispatch() when the connection is lost. */
MPOOL_PUBLIC int mpool_run(mpool_client *client, int64_t timeout_ms);
/* Calls started and not completed. */
MPOOL_PUBLIC size_t mpool_pending(const mpool_client *client);

/* ---- map ------------------------------------------------------------------------------------------------- */
/*
 * Runs a function over many items, as Pool's map, imap and imap_unordered do. Items are pulled from a source as they
 * are needed: at most a window of them is in memory, however many there are. A bad item fails alone.
 */

/* Writes the next item (one MessagePack value) to *ret_item, *ret_length; the bytes must stay valid until the next
 * pull. → 1 an item; 0 the end; -EAGAIN: nothing just now; other negative: stop with that code, once what was pulled
 * before has been given back. Not called again after the end. Bytes that are not one value fail that item alone, with
 * -EINVAL. A source that said -EAGAIN is asked again by the next mpool_map_next() and the next mpool_dispatch(), not
 * before; what it gave until then is on its way. */
typedef int mpool_pull_fn(void *userdata, const void **ret_item, size_t *ret_length);

typedef struct mpool_map_options {
    size_t size;               /* sizeof (struct mpool_map_options), set by MPOOL_MAP_OPTIONS_INIT */
    const mpool_options *task; /* pool, timeout_ms (of one item), attempts, name, on_output; copied; NULL: defaults */
    bool unordered;            /* give results as they come (imap_unordered); else in the items' order (imap) */
    bool star;                 /* each item is a whole argument array */
    uint32_t chunk;            /* items in a request; 0: chosen by measured time */
    uint32_t window;           /* items pulled and not yet given back, at most; 0: 65,536 */
    size_t window_bytes;       /* the same in bytes of items and results; 0: 64 MiB */
} mpool_map_options;
#define MPOOL_MAP_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(mpool_map_options), NULL, false, false, 0, 0, 0                                                         \
    }

/* pull: runs inside mpool_map_next() and mpool_dispatch(). *ret_map taken: mpool_map_free. options may be NULL. */
MPOOL_PUBLIC int mpool_map_start(mpool_client *client, mpool_map **ret_map, const char *function, mpool_pull_fn *pull,
    void *userdata, const mpool_map_options *options);

/* One item's end. Initialise with MPOOL_ITEM_INIT. */
typedef struct mpool_item {
    size_t size;      /* sizeof (struct mpool_item) */
    uint64_t index;   /* 0 … in the order of the source */
    int code;         /* 0, or why this item failed */
    const void *data; /* its result's MessagePack bytes, borrowed until the next mpool_map_next; NULL on failure */
    size_t length;
    const char *text; /* the sentence on failure, else "" */
} mpool_item;
#define MPOOL_ITEM_INIT                                                                                                \
    {                                                                                                                  \
        sizeof(mpool_item), 0, 0, NULL, 0, NULL                                                                        \
    }

/* The next result; waits for it if necessary. timeout_ms: -1 waits indefinitely. → 1 with *ret_item; 0 all items have
 * been given; -ETIMEDOUT; -EAGAIN, whatever the time-out: the source has nothing at the moment and no item is being
 * processed, so wait for the source; what pull returned. When the connection is lost, each item pulled and unanswered
 * is given with that code, and then, unless the source had ended, the call itself returns it: every item that was
 * pulled is given exactly once, whatever happens (-ENOMEM in this process apart). Use mpool_dispatch() and timeout 0 in
 * a loop of your own; it waits for mpool_fd(), and for the source after its -EAGAIN. */
MPOOL_PUBLIC int mpool_map_next(mpool_map *map, mpool_item *ret_item, int64_t timeout_ms);
/* Stops pulling, cancels what runs. Items in flight end with -ECANCELED; mpool_map_next() still gives them. */
MPOOL_PUBLIC void mpool_map_cancel(mpool_map *map);
MPOOL_PUBLIC void mpool_map_cancel_by(mpool_map *map, int signal); /* as mpool_call_cancel_by() */
/* The number of items pulled so far, and given back so far. Either may be NULL. */
MPOOL_PUBLIC void mpool_map_progress(const mpool_map *map, uint64_t *ret_pulled, uint64_t *ret_given);
MPOOL_PUBLIC void mpool_map_free(mpool_map *map); /* cancels first; NULL is allowed */

/* All at once (Pool.map): items is one MessagePack array; *ret_results, taken, is one array of the results in order.
 * The first failing item fails it all. */
MPOOL_PUBLIC int mpool_map_all(mpool_client *client, mpool_result **ret_results, const char *function,
    const void *items, size_t items_length, const mpool_map_options *options);

#ifdef MPOOL_HAS_FORMAT_CHECK
#define mpool_call(client, ret_result, function, ...)                                                                  \
    (mpool_call)(client, ret_result, function, MPOOL_FORMAT_(__VA_ARGS__))
#define mpool_submit(client, ret_id, function, ...) (mpool_submit)(client, ret_id, function, MPOOL_FORMAT_(__VA_ARGS__))
#define mpool_request(client, ret_result, method, ...)                                                                 \
    (mpool_request)(client, ret_result, method, MPOOL_FORMAT_(__VA_ARGS__))
#define mpool_apply_async(client, ret_id, callback, userdata, function, ...)                                           \
    (mpool_apply_async)(client, ret_id, callback, userdata, function, MPOOL_FORMAT_(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
