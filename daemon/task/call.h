/* A call: a task that one request of one connection waits for. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct task;

extern const struct task_ops call_ops;

/* Makes a task of these ops the answer to a request of the connection's. name: taken; NULL: none. stdin_fd: taken, or
 * -1. The caller then submits the task. → false: no memory; only these two have been taken, and the caller must free
 * the task. */
bool call_begin(struct task *t, struct conn *c, uint32_t msgid, bool no_reply, char *name, int stdin_fd);
