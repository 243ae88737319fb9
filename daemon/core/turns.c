/* Whose task is next? The queue of a pool is a tree, and turns are taken at each of its levels.
 *
 *     pool → priorities → users → clients → flows → tasks
 *
 * A higher priority goes first. Below a priority everybody gets the same share of the workers' time: each node counts
 * the time that its tasks have used, and the child that has used least has the next turn. Time is counted rather than
 * tasks, because otherwise a user with tasks of 10 s would take 10,000 times as much as one with tasks of 1 ms. A task
 * counts in advance, as long as its function takes on average, and is corrected when it has run; one that is taken back
 * unrun is given back. The times are virtual, as in start-time fair queueing: a node that begins to wait starts at its
 * parent's clock, the time of the child that had the last turn, so that nobody saves up turns by not using them. And
 * what has no task left in the core owes nothing: a client with a single task at a time is served next, whatever it ran
 * before, so that its call waits for no more than the tasks that run already.
 *
 * A turn lasts 100 µs, or one task: a node keeps its place until then. So the requests of one client that came together
 * are answered together, with few system calls.
 *
 * Nodes are made when a task is admitted, by core_flow_get(), where a lack of memory can be answered, and are counted
 * by reference, so that nothing is allocated here. A turn costs a few steps in four heaps, which mostly have one
 * member.
 */
#include "daemon/core/core_private.h"

#include <stdlib.h>

#define UNKNOWN_NS  CORE_MS         /* what a run of a function counts that has not run yet */
#define COST_MAX_NS (60 * CORE_S)   /* what a run counts at most, so that nobody is locked out for hours */
#define TURN_NS     (100 * CORE_US) /* also: a smaller difference is not corrected, as the mean makes up for it */
#define FLOWS_KEPT  8u              /* flows that a client keeps for its next tasks */

struct core_client {
    LIST_HEAD(, core_flow) flows;
    uint32_t count;
};

/* ---- the tree ---- */

static void node_init(struct core_node *n, struct core_node *parent, uint32_t id)
{
    n->parent = parent;
    n->id = id;
    n->references = 1;
    if (parent) {
        parent->references++;
        LIST_INSERT_HEAD(&parent->children, n, sibling);
    }
}

static void node_unref(struct core_node *n)
{
    while (n && --n->references == 0) {
        struct core_node *parent = n->parent;
        assert(!n->place.armed && n->members == 0);
        if (parent)
            LIST_REMOVE(n, sibling);
        free(n);
        n = parent;
    }
}

/* → one reference, or NULL: no memory. */
static struct core_node *child(struct core_node *parent, uint32_t id)
{
    struct core_node *n;
    LIST_FOREACH (n, &parent->children, sibling)
        if (n->id == id) {
            n->references++;
            return n;
        }
    n = calloc(1, sizeof *n);
    if (n)
        node_init(n, parent, id);
    return n;
}

/* A level of priority: its place never changes, so that turns are not taken but the highest one goes first. */
static bool is_level(const struct core_node *n)
{
    return !n->parent->parent;
}

struct core_node *core_turns_new(void)
{
    struct core_node *root = calloc(1, sizeof *root);
    if (root)
        node_init(root, NULL, 0);
    return root;
}

static void forget(struct core_flow *flow)
{
    if (!flow->client)
        return;
    flow->client->count--;
    flow->client = NULL;
    LIST_REMOVE(flow, link);
    node_unref(&flow->node);
}

/* What nobody keeps is freed under way, so a reference holds each node while its children are visited. */
static void orphan(struct core_node *n, unsigned level)
{
    struct core_node *c, *next;
    n->references++;
    for (c = LIST_FIRST(&n->children); c; c = next) {
        next = LIST_NEXT(c, sibling);
        if (level > 0)
            orphan(c, level - 1);
        else
            forget(CORE_CONTAINER(c, struct core_flow, node));
    }
    node_unref(n);
}

void core_turns_free(struct core_node *root)
{
    if (!root)
        return;
    orphan(root, 3);
    node_unref(root);
}

/* ---- clients and flows ---- */

struct core_client *core_client_new(void)
{
    return calloc(1, sizeof(struct core_client));
}

void core_client_free(struct core_client *client)
{
    struct core_flow *flow;
    if (!client)
        return;
    while ((flow = LIST_FIRST(&client->flows)))
        forget(flow);
    free(client);
}

/* The node of a client is that of one of its flows. */
static struct core_node *client_node(const struct core_client *client, struct core_node *user)
{
    const struct core_flow *flow;
    LIST_FOREACH (flow, &client->flows, link)
        if (flow->node.parent->parent == user) {
            flow->node.parent->references++;
            return flow->node.parent;
        }
    struct core_node *n = calloc(1, sizeof *n);
    if (n)
        node_init(n, user, 0);
    return n;
}

static void forget_unused(struct core_client *client)
{
    struct core_flow *flow, *next;
    for (flow = LIST_FIRST(&client->flows); flow && client->count >= FLOWS_KEPT; flow = next) {
        next = LIST_NEXT(flow, link);
        if (flow->node.references == 1)
            forget(flow);
    }
}

static struct core_flow *flow_new(
    struct core_client *client, struct core_pool *pool, uint32_t user_id, uint8_t priority)
{
    struct core_flow *flow = calloc(1, sizeof *flow);
    struct core_node *level = flow ? child(pool->turns, UINT8_MAX - priority) : NULL;
    struct core_node *user = level ? child(level, user_id) : NULL;
    struct core_node *node = user ? client_node(client, user) : NULL;
    if (node)
        node_init(&flow->node, node, 0);
    /* The children hold them from now on. */
    node_unref(node);
    node_unref(user);
    node_unref(level);
    if (!node) {
        free(flow);
        return NULL;
    }
    flow->pool = pool;
    flow->client = client;
    TAILQ_INIT(&flow->tasks);
    forget_unused(client);
    LIST_INSERT_HEAD(&client->flows, flow, link);
    client->count++;
    return flow;
}

struct core_flow *core_flow_get(struct core_client *client, struct core_pool *pool, uint32_t user, uint8_t priority)
{
    struct core_flow *flow;
    LIST_FOREACH (flow, &client->flows, link) {
        const struct core_node *of_user = flow->node.parent->parent;
        if (flow->pool == pool && of_user->id == user && of_user->parent->id == (uint32_t)(UINT8_MAX - priority))
            break;
    }
    if (!flow)
        flow = flow_new(client, pool, user, priority);
    return flow ? core_flow_ref(flow) : NULL;
}

struct core_flow *core_flow_ref(struct core_flow *flow)
{
    flow->node.references++;
    return flow;
}

void core_flow_unref(struct core_flow *flow)
{
    if (flow)
        node_unref(&flow->node);
}

uint8_t core_flow_priority(const struct core_flow *flow)
{
    return (uint8_t)(UINT8_MAX - flow->node.parent->parent->parent->id);
}

/* ---- turns ---- */

void core_turns_enter(struct core_task *task)
{
    task->charged_us = 0;
    for (struct core_node *n = &task->flow->node; n && n->members++ == 0; n = n->parent)
        n->used_ns = 0;
}

void core_turns_leave(struct core_task *task)
{
    for (struct core_node *n = &task->flow->node; n && --n->members == 0; n = n->parent)
        ;
}

static void begin_to_wait(struct core_node *n)
{
    for (; n->parent && !n->place.armed; n = n->parent) {
        if (is_level(n))
            n->used_ns = n->id;
        else if (n->used_ns < n->parent->clock_ns)
            n->used_ns = n->parent->clock_ns;
        core_timer_arm(&n->parent->turns, &n->place, 0, n->used_ns);
    }
}

static void end_to_wait(struct core_node *n)
{
    for (; n->parent && !core_timer_first(&n->turns); n = n->parent)
        core_timer_disarm(&n->parent->turns, &n->place);
}

/* More or less time used by the flow, its client and its user. */
static void use(struct core_flow *flow, int64_t ns)
{
    for (struct core_node *n = &flow->node; !is_level(n); n = n->parent) {
        uint64_t less = ns < 0 ? (uint64_t)-ns : 0;
        n->used_ns = less > n->used_ns ? 0 : n->used_ns + (uint64_t)ns;
        if (!n->place.armed)
            continue;
        if (n->used_ns < n->parent->clock_ns)
            n->used_ns = n->parent->clock_ns;
        if (n->used_ns >= n->place.at_ns + TURN_NS || n->used_ns < n->place.at_ns)
            core_timer_arm(&n->parent->turns, &n->place, 0, n->used_ns);
    }
}

static uint32_t cost_us(uint64_t ns)
{
    return (uint32_t)((ns < COST_MAX_NS ? ns : COST_MAX_NS) / CORE_US + 1);
}

void core_turns_push(struct core_task *task, bool front)
{
    struct core_flow *flow = task->flow;
    if (front)
        TAILQ_INSERT_HEAD(&flow->tasks, task, link);
    else
        TAILQ_INSERT_TAIL(&flow->tasks, task, link);
    if (flow->length++ == 0)
        begin_to_wait(&flow->node);
}

void core_turns_remove(struct core_task *task)
{
    struct core_flow *flow = task->flow;
    TAILQ_REMOVE(&flow->tasks, task, link);
    if (--flow->length == 0)
        end_to_wait(&flow->node);
}

struct core_task *core_turns_first(const struct core_node *root)
{
    const struct core_timer *place = core_timer_first(&root->turns);
    const struct core_node *n = root;
    if (!place)
        return NULL;
    for (; place; place = core_timer_first(&n->turns))
        n = CORE_CONTAINER(place, struct core_node, place);
    return TAILQ_FIRST(&CORE_CONTAINER(n, struct core_flow, node)->tasks);
}

void core_turns_each(struct core_node *root, void (*call)(struct core_task *task, void *userdata), void *userdata)
{
    struct core_node *level, *user, *client, *n;
    LIST_FOREACH (level, &root->children, sibling)
        LIST_FOREACH (user, &level->children, sibling)
            LIST_FOREACH (client, &user->children, sibling)
                LIST_FOREACH (n, &client->children, sibling) {
                    struct core_task *task, *next;
                    for (task = TAILQ_FIRST(&CORE_CONTAINER(n, struct core_flow, node)->tasks); task; task = next) {
                        next = TAILQ_NEXT(task, link);
                        call(task, userdata);
                    }
                }
}

void core_turns_charge(struct core_task *task)
{
    uint64_t mean_ns = core_task_mean_ns(task);
    if (!task->ahead)
        for (const struct core_node *n = &task->flow->node; !is_level(n); n = n->parent)
            n->parent->clock_ns = n->place.at_ns;
    task->charged_us = cost_us(mean_ns > 0 ? mean_ns : UNKNOWN_NS);
    use(task->flow, (int64_t)(task->charged_us * CORE_US));
}

void core_turns_refund(struct core_task *task)
{
    if (task->charged_us > 0)
        use(task->flow, -(int64_t)(task->charged_us * CORE_US));
    task->charged_us = 0;
}

void core_turns_correct(struct core_task *task, uint64_t run_ns)
{
    int64_t more_ns = ((int64_t)cost_us(run_ns) - (int64_t)task->charged_us) * (int64_t)CORE_US;
    task->charged_us = 0;
    if (more_ns >= (int64_t)TURN_NS || more_ns <= -(int64_t)TURN_NS)
        use(task->flow, more_ns);
}
