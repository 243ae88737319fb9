/* <mpool/process.h> — run one function in a process of its own, as multiprocessing's Process does. Link libmpoolclient.
 *
 *     mpool_process *p;
 *     int r = mpool_process_start(client, &p, NULL, "text.wordcount", "s", "/etc/services");
 *     if (r == 0)
 *         r = mpool_process_join(p, -1);
 *     int status;
 *     if (r == 0 && mpool_process_exitcode(p, &status) == 0)
 *         printf("%s ended with %d\n", mpool_process_name(p), status);
 *     mpool_process_free(p);
 *
 * The process is forked from the pool's warm forkserver, is not one of its workers, and is never used again. Unless it
 * is to live on, it ends when the connection that started it does. A handle belongs to its connection: use it on the
 * same thread, and not in a forked child (-ECHILD). What fails leaves its sentence in mpool_error_text() of the
 * connection. Once the connection was ended by mpool_disconnect(), every function but free, id, pid and name returns
 * -ECANCELED.
 */
#ifndef MPOOL_PROCESS_H
#define MPOOL_PROCESS_H

#include <mpool/client.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpool_process mpool_process; /* a handle */

typedef struct mpool_process_options {
    size_t size; /* sizeof (struct mpool_process_options), set by MPOOL_PROCESS_OPTIONS_INIT */
    /* pool, name, timeout_ms (0: none), ttl_s (of its result), on_output. NULL: defaults */
    const mpool_options *task;
    bool lives_on; /* not daemonic: it outlives the connection that started it */
} mpool_process_options;
#define MPOOL_PROCESS_OPTIONS_INIT                                                                                     \
    {                                                                                                                  \
        sizeof(mpool_process_options), NULL, false                                                                     \
    }

/* Starts it, and waits until it has its pid, which is a matter of a millisecond. options: NULL: none; its strings are
 * borrowed for the call, on_output and its userdata until the process has ended. on_output runs where callbacks do.
 * *ret_process: taken by the caller (mpool_process_free). Arguments by format as in mpool_call(), or as one MessagePack
 * array (NULL: none). → 0; MPOOL_EBUSY: as many processes as the pool or the user may have; MPOOL_EDENIED: the pool has
 * none; -EINVAL: the options, the format or the array are wrong; as mpool_call(). */
MPOOL_PUBLIC int mpool_process_start(mpool_client *client, mpool_process **ret_process,
    const mpool_process_options *options, const char *function, const char *format, ...);
MPOOL_PUBLIC int mpool_process_start_raw(mpool_client *client, mpool_process **ret_process,
    const mpool_process_options *options, const char *function, const void *args, size_t args_length);

/* Waits until it has ended, however. timeout_ms: -1 waits indefinitely, 0 only polls. → 0; -ETIMEDOUT: it has not
 * ended; MPOOL_ENO_TASK: it ended so long ago that it has been forgotten; -ECONNRESET and the like. */
MPOOL_PUBLIC int mpool_process_join(mpool_process *process, int64_t timeout_ms);

/* → 0 with *ret_alive: whether it runs; negative: as join. */
MPOOL_PUBLIC int mpool_process_alive(mpool_process *process, bool *ret_alive);

/* 0: the function returned; 1: it failed; n: it called exit(n); -n: signal n ended it. → 0 with *ret; -EAGAIN: it
 * has not ended, *ret is untouched; negative: as join. */
MPOOL_PUBLIC int mpool_process_exitcode(mpool_process *process, int *ret);

/* What the function returned, taken (mpool_result_free), or the error it ended with. timeout_ms: how long to wait for
 * that, -1: indefinitely. → as mpool_fetch(). */
MPOOL_PUBLIC int mpool_process_result(mpool_process *process, int64_t timeout_ms, mpool_result **ret_result);

/* SIGTERM; SIGKILL; any signal by its number. Does not wait for the effect. *ret_sent (may be NULL): false: it had
 * ended. → 0; -EAGAIN: it has not begun to run, and the signal is none that ends it; MPOOL_EBAD_PARAMS: there is no
 * such signal. */
MPOOL_PUBLIC int mpool_process_terminate(mpool_process *process);
MPOOL_PUBLIC int mpool_process_kill(mpool_process *process);
MPOOL_PUBLIC int mpool_process_signal(mpool_process *process, int number, bool *ret_sent);

/* Known from the start on. The id is that of a submitted task: mpool_wait(), mpool_status() and the rest take it, on
 * other connections, too. name: what the options said, else "Process-ID"; borrowed, lives with the
 * handle. Of NULL: 0, -EINVAL, NULL. */
MPOOL_PUBLIC uint64_t mpool_process_id(const mpool_process *process);
MPOOL_PUBLIC pid_t mpool_process_pid(const mpool_process *process);
MPOOL_PUBLIC const char *mpool_process_name(const mpool_process *process);

/* Frees the handle. The process goes on; its output is dropped. NULL is allowed. */
MPOOL_PUBLIC void mpool_process_free(mpool_process *process);

#ifdef MPOOL_HAS_FORMAT_CHECK
#define mpool_process_start(client, ret_process, options, function, ...)                                               \
    (mpool_process_start)(client, ret_process, options, function, MPOOL_FORMAT_(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
