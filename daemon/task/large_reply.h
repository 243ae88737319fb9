/* Results that came in a memfd and are sent through the socket: scanned step by step, then streamed.
 *
 * A worker may send invalid MessagePack, which would make the caller's reader lose its place: so the whole result is
 * scanned before its first byte is sent, one step per pass for each result in turn. It stays in its memfd until it is
 * written to the socket. */
#pragma once

#include <stdint.h>

struct conn;
struct outcome;
struct tasks;

/* Answers this request with the content of o->memfd (taken). The answer comes later, even if it is an error. */
void large_reply_start(struct conn *c, uint32_t msgid, struct outcome *o);
/* Call when the connection is closed. */
void large_replies_drop(struct conn *c);
/* Call once per pass. */
void large_replies_run(struct tasks *tasks);
