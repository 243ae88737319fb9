/* The tasks of a connection: its calls, maps, waits and processes; and whether its peer runs inside a worker. All of
 * them end with the connection. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/conn/conn.h"
#include "daemon/task/call_table.h"

struct core_client;
struct core_flow;
struct core_pool;
struct large_reply;
struct map;
struct process;
struct tasks;
struct waiter;
struct worker;

struct conn_tasks {
    struct tasks *all;
    struct conn *conn;
    struct conn_closer closer;
    struct call_table calls;    /* attached calls by msgid */
    struct core_client *client; /* its place in the queues of pools */
    LIST_HEAD(, map) maps;
    LIST_HEAD(, large_reply) large_replies;
    LIST_HEAD(, waiter) waiters;
    LIST_HEAD(, process) processes; /* that end with the connection, or print to it: see process.h */

    bool kin;              /* its user is one that workers run as, so descent.h and the fields below apply */
    bool inside_known;     /* it has been looked up */
    const char *stray;     /* why its caller cannot be determined; or NULL */
    struct worker *inside; /* the worker in which the peer runs, or NULL */
    uint64_t inside_task;  /* the task that the peer belongs to; 0: the peer is the worker itself */
    TAILQ_ENTRY(conn_tasks) of_inside; /* in that worker's list */
    TAILQ_ENTRY(conn_tasks) answered;
    bool inside_waits, in_answered;
};

/* For a new connection. → 0 or -ENOMEM. */
int conn_tasks_new(struct tasks *all, struct conn *c);
/* Where the connection's tasks queue in the pool: between users, and between a user's connections, turns are taken. → a
 * reference; NULL: no memory. */
struct core_flow *conn_tasks_flow(struct conn *c, struct core_pool *pool, uint64_t priority);
/* Does it wait for a call or map? */
bool conn_tasks_waits(const struct conn *c);
/* An attached call begins or ends: updates the counts of what it holds. → false: no memory. */
bool conn_tasks_add_call(struct conn *c, struct task *t);
void conn_tasks_remove_call(struct conn *c, struct task *t);
