/* Did the kernel's out-of-memory killer kill a worker? Answered from the counter of the daemon's own cgroup.
 *
 * Workers live in the daemon's memory cgroup, where the kernel counts each process that the out-of-memory killer takes,
 * before it sends the SIGKILL: memory.events.local of cgroup v2, memory.oom_control of v1. System-wide counters would
 * say nothing about a worker. Each count explains one death, and is dropped if no death follows: it may have been a
 * child of a task, or an unrelated process in the same cgroup. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum oom_verdict { OOM_NO, OOM_YES, OOM_PERHAPS };

struct oom {
    int fd;               /* of the counter; -1: there is none */
    uint64_t count;       /* as it was at looked_ns */
    uint64_t unexplained; /* counts not yet attributed to a death */
    uint64_t looked_ns;   /* when the counter was last read */
    uint64_t before_ns;   /* the unattributed ones came after this time … */
    uint64_t seen_ns;     /* … and had been counted by this time */
};

void oom_init(struct oom *o, uint64_t now_ns);
void oom_deinit(struct oom *o);
/* Reads the counter, unless it was read a moment ago. Call before tasks are started, so that later kills can be told
 * from earlier ones. */
void oom_look(struct oom *o, uint64_t now_ns);
/* A worker was killed by a SIGKILL that we did not send. since_ns: when its running task was given to it; UINT64_MAX:
 * it ran none. */
enum oom_verdict oom_explain(struct oom *o, uint64_t since_ns, uint64_t now_ns);
/* "no", "yes", "perhaps" */
const char *oom_word(enum oom_verdict verdict);
/* The text to append to a sentence that reports a death; "" for no. */
const char *oom_text(enum oom_verdict verdict);
