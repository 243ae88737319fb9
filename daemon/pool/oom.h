/* Was it the kernel that killed a worker, for want of memory? Answered from the counter of the daemon's own cgroup.
 *
 * Workers live in the daemon's memory cgroup, and the kernel counts there each of its processes that the out-of-memory
 * killer takes, before it sends the SIGKILL: memory.events.local of cgroup v2, memory.oom_control of v1. What is
 * counted on the whole machine says nothing of a worker. Each count explains one death, and is forgotten when none
 * comes: it may have been a child of a task, or a stranger in the same cgroup.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum oom_verdict { OOM_NO, OOM_YES, OOM_PERHAPS };

struct oom {
    int fd;               /* of the counter; -1: there is none */
    uint64_t count;       /* as it was at looked_ns */
    uint64_t unexplained; /* counts to which no death has been assigned */
    uint64_t looked_ns;   /* when it was read last */
    uint64_t before_ns;   /* the unexplained ones came after this … */
    uint64_t seen_ns;     /* … and were there by then */
};

void oom_init(struct oom *o, uint64_t now_ns);
void oom_deinit(struct oom *o);
/* Reads the counter, unless that was done a moment ago: before tasks are begun, so that later the new can be told from
 * the old. */
void oom_look(struct oom *o, uint64_t now_ns);
/* A worker was killed by a SIGKILL that is not ours. since_ns: when the task that it ran was given to it; UINT64_MAX:
 * it ran none. */
enum oom_verdict oom_judge(struct oom *o, uint64_t since_ns, uint64_t now_ns);
/* "no", "yes", "perhaps" */
const char *oom_word(enum oom_verdict verdict);
/* What stands behind a sentence that tells a death; "" for no. */
const char *oom_text(enum oom_verdict verdict);
