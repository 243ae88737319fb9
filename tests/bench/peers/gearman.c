/* How fast is gearmand through libgearman? Worker processes serve the function `noop`, the client asks for it.
 *
 *     peer-gearman PORT
 *
 * gearmand's own way: `round` is gearman_client_do(); `flow` adds DEPTH tasks and runs them together with
 * gearman_client_run_tasks(), which is how libgearman has many in flight. TCP on the loopback: gearmand knows no Unix
 * sockets.
 */
#include "ask.h"

#include <errno.h>
#include <libgearman-1.0/gearman.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static gearman_return_t noop(gearman_job_st *job, void *context)
{
    (void)job;
    (void)context;
    return GEARMAN_SUCCESS;
}

static _Noreturn void worker(in_port_t port)
{
    gearman_worker_st *w = gearman_worker_create(NULL);
    if (!w || gearman_failed(gearman_worker_add_server(w, "127.0.0.1", port)) ||
        gearman_failed(gearman_worker_define_function(w, "noop", 4, gearman_function_create(noop), 0, NULL)))
        ask_fail("gearman_worker", 0);
    while (gearman_success(gearman_worker_work(w)))
        ;
    ask_fail(gearman_worker_error(w), 0);
}

static void one(void *self, uint64_t i)
{
    size_t size;
    gearman_return_t status;
    (void)i;
    free(gearman_client_do(self, "noop", NULL, NULL, 0, &size, &status));
    if (status != GEARMAN_SUCCESS)
        ask_fail(gearman_client_error(self), 0);
}

static struct ask_answer run_round(void *self, uint64_t count, uint64_t depth)
{
    (void)depth;
    return ask_each(self, count, one);
}

static gearman_return_t completed(gearman_task_st *task)
{
    ++*(uint64_t *)gearman_task_context(task);
    return GEARMAN_SUCCESS;
}

static struct ask_answer run_flow(void *self, uint64_t count, uint64_t depth)
{
    uint64_t done = 0, start = ask_now_ns();
    gearman_client_set_complete_fn(self, completed);
    while (done < count) {
        uint64_t batch = count - done < depth ? count - done : depth, before = done;
        for (uint64_t i = 0; i < batch; i++) {
            gearman_return_t status;
            if (!gearman_client_add_task(self, NULL, &done, "noop", NULL, NULL, 0, &status) || gearman_failed(status))
                ask_fail(gearman_client_error(self), 0);
        }
        if (gearman_failed(gearman_client_run_tasks(self)) || done != before + batch)
            ask_fail(gearman_client_error(self), 0);
        gearman_client_task_free_all(self);
    }
    return (struct ask_answer){.total_ns = ask_now_ns() - start};
}

int main(int argc, char **argv)
{
    static const struct ask_verb verbs[] = {{"round", run_round}, {"flow", run_flow}, {0}};
    if (argc != 2)
        ask_fail("peer-gearman PORT", 0);
    in_port_t port = (in_port_t)atoi(argv[1]);
    for (int i = 0; i < 2; i++) {
        if (ask_fork() == 0)
            worker(port);
    }
    gearman_client_st *c = gearman_client_create(NULL);
    if (!c || gearman_failed(gearman_client_add_server(c, "127.0.0.1", port)))
        ask_fail("gearman_client", 0);
    ask_serve(c, verbs);
    gearman_client_free(c);
    return 0;
}
