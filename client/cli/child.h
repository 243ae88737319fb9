/* Runs a command here, as a child of mpool, and passes signals on to it. */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* What the command runs under, and may lose: `lost` is called whenever fd becomes readable or reaches end of file.
 * → true: the command gets SIGTERM, and nothing is watched any more. */
struct child_watch {
    int fd;
    bool (*lost)(void *userdata);
    void *userdata;
};

struct child {
    char **words; /* the command and its arguments, NULL after the last */
    int input;    /* its standard input; -1: ours */
    struct child_watch watch;
    /* What is to be done at its end before a signal may end mpool, or NULL. userdata: the watch's. → the status. */
    int (*ended)(int status, void *userdata);
};

/* The signals that are passed on. */
void child_signals(sigset_t *ret);

/* Signals that others send to mpool go to the command; those
 * of the terminal reach it anyway. If the caller is killed, the command gets SIGTERM, for it has lost what it was run
 * under. Other children that end meanwhile (a subreaper has such) are taken in. → its exit status, ENDED_BY + N
 * (signals.h) where signal N killed it, 126 or 127 where it could not be executed or found, EXIT_OWN. */
int child_run(const struct child *child);

/* → the last signal to end (SIGTERM, SIGINT, SIGHUP, SIGQUIT) that came while a command ran, whoever sent it, or 0. A
 * command that ended well for all that is no reason to begin another. */
int child_asked_to_end(void);
