/* exec.c's side of the reaper: starting it, and sending it commands to run. See reaper.h for the messages.
 *
 * A worker has one reaper, started when it is first needed, and again if it has died. All failures are reported for the
 * task. The worker's main thread only.
 */
#pragma once

#include <mpool/module.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/modules/reaper.h"

struct exec_request {
    mpool_value command; /* array: program and arguments; string: text for /bin/sh */
    mpool_value env;     /* map: name → value, or nil to remove it; added to the worker's own */
    bool has_env;
    const char *directory; /* NULL: the worker's */
    size_t directory_length;
    uint32_t umask;
    const char *name; /* set by exec_reaper_run: the program, for messages; valid until the task ends */
};

/* Asks the reaper to run it with those descriptors as 0, 1 and 2 (borrowed). → 0 or -1. */
int exec_reaper_run(mpool_task *task, struct exec_request *request, const int *fds);
/* Asks it to stop what runs by that signal, and to kill what is left after a grace. → 0 or -1. */
int exec_reaper_stop(mpool_task *task, int number);
/* Readable when there is an answer. */
int exec_reaper_fd(void);
/* → 0 or -1. */
int exec_reaper_answer(mpool_task *task, struct reaper_answer *ret);
/* Abandons the reaper: it kills what still runs, and exits. */
void exec_reaper_abandon(void);
