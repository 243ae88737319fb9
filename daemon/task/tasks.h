/* All tasks, and what they have in common: calls and maps that a connection waits for, and jobs whose results are kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/base/loop.h"
#include "daemon/pool/workers.h"
#include "daemon/task/attached.h"

struct config;
struct connections;
struct conn_tasks;
struct core;
struct descent;
struct job;
struct large_reply;
struct map;
struct process;
struct task;
struct task_room;

TAILQ_HEAD(conn_tasks_list, conn_tasks);
TAILQ_HEAD(job_list, job);
TAILQ_HEAD(large_reply_list, large_reply);
TAILQ_HEAD(map_list_head, map);
TAILQ_HEAD(process_list, process);
TAILQ_HEAD(task_list, task);

/* Ids of jobs: milliseconds since 2026 at the daemon's start, then consecutive; so they are short, and none is used
 * twice. Ids that an earlier daemon may have assigned begin with the day of the first one. Attached calls and chunks
 * have a range of their own. All are below 2^53. */
#define TASK_ID_EPOCH_MS 1767225600000ull
#define TASK_ID_FIRST    1000ull
#define TASK_ID_OLDEST   (324ull * 86400000) /* 2026-11-21 */
#define TASK_ID_ATTACHED (1ull << 52)

struct tasks {
    struct loop *loop;
    const struct config *config;
    struct core *core;
    struct connections *connections;
    struct workers *workers;

    struct task_list calls; /* attached calls, newest first */
    struct attached_table attached_calls, attached_maps;
    struct map_list_head maps;       /* newest first */
    struct map_list_head dirty_maps; /* may have room for another chunk, or have ended */
    struct large_reply_list large_replies;
    struct process_list processes; /* that have not ended: see process.h */
    struct job *jobs_by_id;        /* hash table */
    struct job_list jobs;          /* newest first */
    uint64_t next_id, first_id;    /* of jobs */
    uint64_t next_attached_id;
    struct descent *descent;         /* which peers are inside a worker */
    struct conn_tasks_list answered; /* of peers inside workers: may no longer be waiting, see nested.h */
    struct task_room *rooms;         /* memory of small tasks that have ended, kept for reuse */
    uint32_t room_count;
};

/* loop, config, core, connections and workers are set. */
void tasks_init(struct tasks *tasks);

/* The task operations that workers.h needs. */
extern const struct worker_task_ops task_worker_ops;
