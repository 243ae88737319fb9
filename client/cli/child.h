/* Runs a command here, as a child of mpool, and passes signals on to it. */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* What the command depends on and may lose (a lock, a queue item): `lost` is called whenever fd becomes readable or
 * reaches end of file.
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
    /* Called when it has ended, before a signal may end mpool; or NULL. userdata: the watch's. → the status. */
    int (*ended)(int status, void *userdata);
};

/* The signals that are passed on. */
void child_signals(sigset_t *ret);

/* Runs the command and waits for it. Signals that other processes send to mpool are forwarded to the command; those of
 * the terminal reach it anyway. If the caller is killed, the command gets SIGTERM, because it has lost what it depends
 * on. Other children that end meanwhile (those of a subreaper) are reaped. → its exit status, ENDED_BY + N (signals.h)
 * if signal N killed it, 126 or 127 if it could not be executed or found, EXIT_OWN. */
int child_run(const struct child *child);

/* → the last termination signal (SIGTERM, SIGINT, SIGHUP, SIGQUIT) received while a command ran, from any sender, or 0.
 * Start no further command after one, even if the command succeeded. */
int child_asked_to_end(void);
