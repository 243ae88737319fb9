/* The contract between the supervisor and the processes it makes: what they send over their sockets.
 *
 * Everything is a SOCK_SEQPACKET message that starts with struct contract_head. Descriptors are attached (SCM_RIGHTS).
 * Messages from a worker or template are untrusted: types, lengths and positions are checked against what the
 * supervisor knows, and a process that sends an invalid message is killed. Both ends are the same binary, so layouts
 * may change freely between versions.
 */
#pragma once

#include <signal.h>
#include <stdint.h>

#define CONTRACT_MESSAGE_MAX (192u << 10)
/* Flags of a function in a template's report; the same bits as in <mpool/module.h>. */
enum { CONTRACT_IDEMPOTENT = 1u << 0, CONTRACT_CANCELLABLE = 1u << 1 };

#define CONTRACT_NAME_MAX    63u /* bytes of a module's name, and of a function's within it: a-z, 0-9, _ */
#define CONTRACT_TEMPLATE_FD 3   /* the template's end of its socket, when it is exec'ed */

/* A job with this function index asks the worker to exit: it comes through the lane, so that it wakes a sleeping worker
 * and is behind every task placed before it. */
#define CONTRACT_FUNCTION_RETIRE UINT32_MAX

/* How a task is cancelled: by a signal that its function may pass on to a command that it runs, or with no such wish.
 * The same number as MPOOL_CANCELLED of <mpool/module.h>. */
enum { CONTRACT_CANCEL_PLAIN = 128 };

/* "Look whether you are cancelled", sent to the main thread of a worker after the word in its lane was set. A signal
 * that is ignored by default: it interrupts only the function that waits for it, and what functions start finds neither
 * it blocked nor a handler. */
#define CONTRACT_CANCEL_SIGNAL SIGURG

enum contract_type {
    /* supervisor → template */
    CONTRACT_CONFIG = 1, /* body: MessagePack map, see template_config.h; the first message */
    CONTRACT_FORK,       /* body: struct contract_fork; fds: control, lane S, lane W, beacon, stdout, stderr */

    /* template → supervisor */
    CONTRACT_TEMPLATE_LOADING, /* body: text, the module that is loaded next: known even if that kills the template */
    CONTRACT_TEMPLATE_READY,   /* body: MessagePack, list of modules with their functions, see template.c */
    CONTRACT_TEMPLATE_FAILED,  /* body: text, why a module did not load */
    CONTRACT_FORKED,           /* body: struct contract_forked */
                               /* and CONTRACT_LOG, see below */

    /* supervisor → worker */
    CONTRACT_ARGS,  /* body: struct contract_memfd; fd: the arguments of that position */
    CONTRACT_STDIN, /* body: struct contract_memfd, of size 0; fd: the standard input of that position, behind ARGS */

    /* worker → supervisor */
    CONTRACT_WORKER_READY,   /* no body: worker_init has passed */
    CONTRACT_WORKER_FAILED,  /* body: text, why worker_init failed */
    CONTRACT_WORKER_SPOILED, /* body: struct contract_log then text, what a task has left behind that cannot be undone
                              */
    CONTRACT_DOORBELL,       /* no body: look at the lane */
    CONTRACT_RESULT,         /* body: struct contract_memfd; fd: the sealed result of that position */
    CONTRACT_OUTPUT,         /* body: struct contract_output then bytes: what a function writes by mpool_output() */
    CONTRACT_LOG,            /* body: struct contract_log then text */
};

struct contract_head {
    uint32_t type; /* enum contract_type */
    uint32_t size; /* bytes of body that follow */
};

struct contract_fork {
    uint32_t worker; /* its number */
    uint32_t reserved;
    uint64_t generation;
};

struct contract_forked {
    uint32_t worker;
    int32_t pid; /* negative errno when clone failed */
    uint64_t generation;
};

struct contract_memfd {
    uint32_t position;
    uint32_t reserved;
    uint64_t size;
};

struct contract_output {
    uint32_t position;
    uint32_t stream; /* 1 or 2 */
};

struct contract_log {
    uint32_t position; /* of the running task */
    uint32_t level;    /* MPOOL_LOG_… */
};
