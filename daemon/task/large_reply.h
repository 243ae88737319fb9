/* Results that came in a memfd and go through the socket: looked over bit by bit, then streamed.
 *
 * What a worker sends may be no MessagePack at all, and the caller's reader would lose its place: so the whole result
 * is scanned before its first byte goes out, a step of it in each pass, each of those that wait in turn. It stays in
 * its memfd until it is written to the socket.
 */
#pragma once

#include <stdint.h>

struct conn;
struct outcome;
struct tasks;

/* The answer to this request is what o->memfd (taken) holds. It comes later, an error included. */
void large_reply_start(struct conn *c, uint32_t msgid, struct outcome *o);
/* The connection has gone. */
void large_replies_drop(struct conn *c);
/* Once a pass. */
void large_replies_run(struct tasks *tasks);
