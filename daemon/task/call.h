/* A call: a task that one request of one connection waits for. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct task;

extern const struct task_ops call_ops;

/* Makes a task of these ops the answer to a request of the connection's. name: taken; NULL: none. stdin_fd: taken, or
 * -1. Then it is to be submitted. → false: no memory; it has taken nothing but these two, and the task is to be freed.
 */
bool call_begin(struct task *t, struct conn *c, uint32_t msgid, bool no_reply, char *name, int stdin_fd);
