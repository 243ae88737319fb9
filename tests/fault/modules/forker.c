/* A module with fork handlers of its own and a library that has some; FORKER_THREAD in the environment has it start a
 * thread that no handler ends. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/module.h>

#include "forklib.h"

static void prepare(void)
{
    forklib_note("module-prepare");
}

static void parent(void)
{
    forklib_note("module-parent");
}

static void child(void)
{
    forklib_note("module-child");
}

static void *stay(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "forker-stays");
    for (;;)
        pause();
    return NULL;
}

static int init(mpool_init *init)
{
    pthread_t thread;
    if (getenv("FORKER_THREAD") && pthread_create(&thread, NULL, stay, NULL) != 0)
        return mpool_init_fail(init, "no thread");
    forklib_start_thread();
    mpool_init_log(init, MPOOL_LOG_WARNING, "said in \"init\" with %d handlers", 2);
    return pthread_atfork(prepare, parent, child) == 0 ? 0 : mpool_init_fail(init, "pthread_atfork");
}

/* → what the handlers did in this process and in those it came of */
static int trace(mpool_task *task)
{
    return mpool_reply_str(task, forklib_trace(), strlen(forklib_trace()));
}

/* → the same in a child of an ordinary fork() */
static int trace_of_a_child(mpool_task *task)
{
    char text[512] = "";
    int ends[2];
    if (pipe(ends) < 0)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "pipe");
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(ends[1], forklib_trace(), strlen(forklib_trace())) < 0);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return mpool_reply_str(task, text, n > 0 ? (size_t)n : 0);
}

MPOOL_MODULE(
    "forker", "1.0.0", MPOOL_INIT(init), MPOOL_FN("trace", trace), MPOOL_FN("trace_of_a_child", trace_of_a_child))
