/* Buffered stdout; write errors are always reported.
 *
 * A write that fails ends the program: with the reason and status 125, or, when the reader has gone (EPIPE), silently
 * by SIGPIPE, as other filters do. If a parent left us a non-blocking descriptor, writes wait until it is ready. They
 * also wait for a slow reader, until a signal (signals.h) ends the program.
 */
#pragma once

#include <stddef.h>

#include "proto/buf.h"

/* Appends to stdout's buffer, which is written when it is full. */
void out_bytes(const void *bytes, size_t length);
void out_text(const char *text);
void out_byte(char byte);
void out_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Redirects further output from stdout's buffer to `to`, whose `failed` tells whether that succeeded; NULL: back to
 * stdout. */
void out_divert(struct wire_buf *to);

/* Writes what is buffered. Call before waiting for anything, and at the end. */
void out_flush(void);

/* Writes to stdout or stderr immediately; for stdout, after flushing its buffer. */
void out_direct(int fd, const void *bytes, size_t length);

/* Writes to a descriptor and gives up silently on failure: for messages. */
void out_try(int fd, const void *bytes, size_t length);
