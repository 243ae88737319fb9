/* A server that says what the test wants: one thread, one connection, literal bytes.
 *
 * It greets by itself (unless told not to), then hands the connection to the test's function. Its own failures abort
 * the test: cmocka's assertions work on the main thread alone.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/buf.h"
#include "proto/message.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: the fake server's check failed: %s\n", __FILE__, __LINE__, #condition);            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

struct fake;
typedef void fake_serve_fn(struct fake *fake);

struct fake {
    char directory[64], path[96];
    int listener, fd;
    fake_serve_fn *serve;
    void *context;
    bool no_hello;          /* the test greets */
    bool plain;             /* claims neither memfd nor stream */
    uint64_t message_bytes; /* the limit that hello tells; 0: 64 MiB */
    struct wire_buf in;
    size_t consumed; /* of `in`, by the last message */
    int fds[16];
    unsigned fd_count;
    pthread_t thread;
};

void fake_start(struct fake *fake, fake_serve_fn *serve, void *context);
/* Waits for the thread and cleans up. */
void fake_stop(struct fake *fake);

/* The next message of the client; valid until the next read. → false when the client has gone. */
bool fake_read(struct fake *fake, struct wire_message *message);
/* Reads until one with this method comes, and answers everything else that wants an answer with nil. */
bool fake_read_method(struct fake *fake, const char *method, struct wire_message *message);
bool fake_is(const struct wire_message *message, const char *method);
/* A descriptor that came, the caller's now; aborts if there is none. */
int fake_claim_fd(struct fake *fake);

void fake_send(struct fake *fake, const void *bytes, size_t length);
void fake_send_fd(struct fake *fake, const void *bytes, size_t length, int fd);
void fake_send_buf(struct fake *fake, struct wire_buf *b);
/* Answers with one value given as bytes. */
void fake_reply(struct fake *fake, uint32_t msgid, const void *value, size_t length);
void fake_reply_int(struct fake *fake, uint32_t msgid, int64_t value);
void fake_reply_nil(struct fake *fake, uint32_t msgid);
void fake_reply_error(struct fake *fake, uint32_t msgid, int class, const char *text);
void fake_hello(struct fake *fake);
/* Reads until the client has gone. */
void fake_drain(struct fake *fake);
