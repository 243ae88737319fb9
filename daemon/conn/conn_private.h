/* What the files about one connection (conn.c, conn_read.c) have in common, and nobody else needs. */
#pragma once

#include <event2/util.h>
#include <stdbool.h>

struct conn;

/* May another message be taken from it? Not while it waits with one, holds too much, or is about to be closed. */
bool conn_has_room(const struct conn *c);
/* Has the peer closed the connection completely, not just its sending side? One system call. */
bool conn_has_hung_up(const struct conn *c);
/* It is blocked only until the next pass: not worth the two system calls of watching it less and more. */
bool conn_only_waits_its_turn(const struct conn *c);
/* Lets the handler find out on whose behalf it asks, if that is still open. */
void conn_identify(struct conn *c);
/* Handles the messages that it has sent, as far as there is room and time. May close it. */
void conn_handle_input(struct conn *c);
/* Closes the descriptors that came and were not used. */
void conn_drop_fds(struct conn *c);
/* Handler of its socket. */
void conn_on_readable(evutil_socket_t fd, short what, void *arg);
