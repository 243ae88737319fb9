/* What goes to stdout: data, buffered, and never lost without a word.
 *
 * A write that fails ends the program: with the reason and status 125, or, when the reader has gone (EPIPE), silently
 * by SIGPIPE, as other filters do. Non-blocking descriptors that a parent left us are waited for. A reader that does
 * not read is waited for as well, until a signal (signals.h) ends the program.
 */
#pragma once

#include <stddef.h>

#include "proto/buf.h"

/* Appends to stdout's buffer, which is written when it is full. */
void out_bytes(const void *bytes, size_t length);
void out_text(const char *text);
void out_byte(char byte);
void out_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on what would be appended to stdout's buffer goes to `to` instead, whose `failed` says if that went well;
 * NULL: no longer. */
void out_divert(struct wire_buf *to);

/* Writes what is buffered. Call before waiting for anything, and at the end. */
void out_flush(void);

/* Writes to stdout or stderr at once, behind what is buffered for stdout when it is stdout. */
void out_direct(int fd, const void *bytes, size_t length);

/* Writes to a descriptor, and gives up silently when it cannot: for messages. */
void out_try(int fd, const void *bytes, size_t length);
