/* The messages between exec.so and its reaper, over one stream socket, one command at a time.
 *
 * Both come from the same build and are in the same directory, so this may change freely.
 */
#pragma once

#include <stdint.h>

#define REAPER_PROGRAM     "mpool-reaper"
#define REAPER_STRINGS_MAX (16u << 20) /* of one request */
#define REAPER_GRACE_MS    1000        /* from TERM to KILL */

/* A page that the worker, its reaper and the reaper's child before its exec map: what the worker must know of a command
 * if its reaper is killed, and why a command could not be executed. */
struct reaper_page {
    _Atomic int32_t group; /* of the command that runs; 0: none */
    _Atomic int32_t stage; /* enum reaper_stage */
    _Atomic int32_t error; /* errno */
};

enum reaper_ask {
    REAPER_RUN = 1, /* `size` bytes of strings follow; three descriptors ride along: the command's 0, 1 and 2 */
    REAPER_STOP,    /* `signal` for the command's group, KILL for everything after the grace; no answer of its own */
};

struct reaper_request {
    uint32_t ask;  /* enum reaper_ask */
    uint32_t argc; /* at least 1 */
    uint32_t envc;
    uint32_t size;   /* directory (empty: this one), arguments, environment; each ends with a 0 */
    uint32_t umask;  /* the command's */
    uint32_t signal; /* to stop it */
};

enum reaper_stage {
    REAPER_ENDED = 0, /* `status` is the command's; nothing that it started is alive */
    REAPER_NO_EXEC,   /* `error` is the errno; so below */
    REAPER_NO_DIRECTORY,
    REAPER_NO_FORK,
    REAPER_UNFIT, /* sent instead of an answer when the reaper cannot work in this environment; it then exits */
};

struct reaper_answer {
    int32_t stage; /* enum reaper_stage */
    int32_t error;
    int32_t status; /* as wait(2) has it */
    int32_t reserved;
    uint64_t cpu_us;   /* of the command and all its descendants */
    uint64_t peak_kib; /* of the largest one */
};
