/* How may a task's state change? One table of legal moves, one function that makes them, one that ends a task.
 *
 * Knows no lanes and no timers' meaning. An illegal move is the core's own bug, never a client's or a worker's: it
 * stops the program.
 */
#include "daemon/core/core_private.h"

#define BIT(state) (1u << MPOOL_STATE_##state)

/* RUNNING is not in the table: only the lane knows that a PLACED task has been claimed. */
static const uint32_t legal[MPOOL_STATE_COUNT] = {
    [MPOOL_STATE_QUEUED] = BIT(PLACED) | BIT(FAILED) | BIT(CANCELLED) | BIT(SHUTDOWN) | BIT(EXPIRED),
    [MPOOL_STATE_PLACED] = BIT(QUEUED) | BIT(BACKOFF) | BIT(DONE) | BIT(FAILED) | BIT(LOST) | BIT(TIMEOUT) |
                           BIT(CANCELLED) | BIT(SHUTDOWN) | BIT(EXPIRED),
    [MPOOL_STATE_DELAYED] = BIT(QUEUED) | BIT(CANCELLED) | BIT(SHUTDOWN) | BIT(EXPIRED),
    [MPOOL_STATE_BACKOFF] = BIT(QUEUED) | BIT(DELAYED) | BIT(FAILED) | BIT(CANCELLED) | BIT(SHUTDOWN),
};

bool core_state_may_follow(enum mpool_state from, enum mpool_state to)
{
    return legal[from] >> to & 1;
}

void core_task_set_state(struct core_task *task, enum mpool_state state)
{
    assert(core_state_may_follow(task->state, state));
    task->state = state;
}

void core_task_end(struct core_task *task, enum mpool_state state, enum core_why why, void *report)
{
    struct core *core = task->pool->core;
    core_task_set_state(task, state);
    core_timer_disarm(&core->timers, &task->timer);
    task->ending = true;
    core_turns_leave(task);
    core->ops->finish(core->context, task, why, report);
}
