/* The protocol between the supervisor and the processes it makes: what they send over their sockets.
 *
 * Everything is a SOCK_SEQPACKET message that starts with struct control_head. Descriptors are attached (SCM_RIGHTS).
 * Messages from a worker or forkserver are untrusted: types, lengths and positions are checked against what the
 * supervisor knows, and a process that sends an invalid message is killed. Both ends are the same binary, so layouts
 * may change freely between versions.
 */
#pragma once

#include <signal.h>
#include <stdint.h>

#define CONTROL_MESSAGE_MAX (192u << 10)
/* Flags of a function in a forkserver's report; the same bits as in <mpool/module.h>. */
enum { CONTROL_IDEMPOTENT = 1u << 0, CONTROL_CANCELLABLE = 1u << 1 };

#define CONTROL_NAME_MAX      63u /* bytes of a module's name, and of a function's within it: a-z, 0-9, _ */
#define CONTROL_FORKSERVER_FD 3   /* the forkserver's end of its socket, when it is exec'ed */

/* A job with this function index asks the worker to exit: it comes through the lane, so that it wakes a sleeping worker
 * and is behind every task placed before it. */
#define CONTROL_FUNCTION_RETIRE UINT32_MAX

/* How a task is cancelled: by a signal that its function may pass on to a command that it runs, or with no such wish.
 * The same number as MPOOL_CANCELLED of <mpool/module.h>. */
enum { CONTROL_CANCEL_PLAIN = 128 };

/* "Look whether you are cancelled", sent to the main thread of a worker after the word in its lane was set. A signal
 * that is ignored by default: it interrupts only the function that waits for it, and what functions start finds neither
 * it blocked nor a handler. */
#define CONTROL_CANCEL_SIGNAL SIGURG

enum control_type {
    /* supervisor → forkserver */
    CONTROL_CONFIG = 1, /* body: MessagePack array, see configure() in forkserver.c; the first message */
    CONTROL_FORK,       /* body: struct control_fork; fds: control, lane S, lane W, sleep_word, stdout, stderr */

    /* forkserver → supervisor */
    CONTROL_FORKSERVER_LOADING, /* body: text, the module that is loaded next: known even if that kills the forkserver
                                 */
    CONTROL_FORKSERVER_READY,   /* body: MessagePack, list of modules with their functions, see forkserver.c */
    CONTROL_FORKSERVER_FAILED,  /* body: text, why a module did not load */
    CONTROL_FORKED,             /* body: struct control_forked */
                                /* and CONTROL_LOG, see below */

    /* supervisor → worker */
    CONTROL_ARGS,  /* body: struct control_memfd; fd: the arguments of that position */
    CONTROL_STDIN, /* body: struct control_memfd, of size 0; fd: the standard input of that position, behind ARGS */

    /* worker → supervisor */
    CONTROL_WORKER_READY,   /* no body: worker_init has passed */
    CONTROL_WORKER_FAILED,  /* body: text, why worker_init failed */
    CONTROL_WORKER_SPOILED, /* body: struct control_log then text, what a task has left behind that cannot be undone
                             */
    CONTROL_DOORBELL,       /* no body: look at the lane */
    CONTROL_RESULT,         /* body: struct control_memfd; fd: the sealed result of that position */
    CONTROL_OUTPUT,         /* body: struct control_output then bytes: what a function writes by mpool_output() */
    CONTROL_LOG,            /* body: struct control_log then text */
};

struct control_head {
    uint32_t type; /* enum control_type */
    uint32_t size; /* bytes of body that follow */
};

struct control_fork {
    uint32_t worker; /* its number */
    uint32_t reserved;
    uint64_t generation;
};

struct control_forked {
    uint32_t worker;
    int32_t pid; /* negative errno when clone failed */
    uint64_t generation;
};

struct control_memfd {
    uint32_t position;
    uint32_t reserved;
    uint64_t size;
};

struct control_output {
    uint32_t position;
    uint32_t stream; /* 1 or 2 */
};

struct control_log {
    uint32_t position; /* of the running task */
    uint32_t level;    /* MPOOL_LOG_… */
};
