/* A supervisor in a process of its own, its forkserver and workers fake (fake_processes.h), and clients to talk to it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/types.h>

#include "proto/buf.h"

#define TEXT_MAX (1u << 16)

struct peer {
    int fd;
    uint32_t msgid;
    struct wire_buf in;
    char text[TEXT_MAX];  /* of the last answer */
    char notes[TEXT_MAX]; /* all notifications so far */
    int fds[8];           /* that came */
    unsigned fd_count;
};

struct started {
    pid_t pid; /* of the guardian */
    char directory[64], socket[96], config[96], log[96];
    char *text;  /* of the log, as last read; owned */
    int notices; /* to the service manager */
    struct peer peer, other;
};
extern struct started started;

/* Called first in main(): this program is also the forkserver, which is that function. → the exit status, or -1: it is
 * the test. */
int started_role(int argc, char **argv, int (*forkserver)(void));

/* Starts a daemon with these lines in its section [daemon] and in that of its pool (which begins with its modules
 * unless they are fake), and waits until it serves; cmocka's tear-down stops it and fails if it does not end with 0. */
void start(const char *daemon, const char *pool);
/* Writes another configuration, and has it read. */
void reload_with(const char *daemon, const char *pool);
int stop_it(void **state);
void write_config(const char *daemon, const char *pool);

/* The same in steps: to connect one more client; a request is sent, its answer read. */
void peer_connect(struct peer *p);
/* By that user; only root can. The socket must be open to everybody (socket_mode = 0666). */
void peer_connect_as(struct peer *p, uid_t uid);
void peer_close(struct peer *p);
/* → the msgid. params: JSON. fd: goes with it, or -1. */
uint32_t send_request(struct peer *p, const char *method, int fd, const char *params);
void send_bytes(struct peer *p, const void *bytes, size_t length);
/* → the result as text (a long one: "N bytes"), or "E_NAME: sentence"; NULL: the connection was closed. Answers to
 * other requests are lost. */
const char *get_answer(struct peer *p, uint32_t msgid);
/* By started.peer: both at once. */
const char *ask(const char *method, const char *params);
/* The file descriptor that came with answers, oldest first; the caller's. */
int take_fd(struct peer *p);

void expect(const char *method, const char *params, const char *result);
/* The answer contains that. */
void expect_part(const char *method, const char *params, const char *part);
void assert_part(const char *text, const char *part);
/* Waits until the service manager is told something that contains that. */
void wait_notice(const char *part);
/* Waits until the log contains that. */
void wait_log(const char *part);
/* Waits until the answer contains that. */
void wait_part(const char *method, const char *params, const char *part);
