/* A library that registers fork handlers when it is loaded, as OpenBLAS does, with a thread that they end. */
#include "forklib.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static char trace[512];
static int ends[2]; /* what the thread sleeps in */
static pthread_t helper;
static int helping;

const char *forklib_trace(void)
{
    return trace;
}

void forklib_note(const char *what)
{
    size_t used = strlen(trace);
    if (used + strlen(what) + 2 < sizeof trace) {
        strcat(trace, used ? " " : "");
        strcat(trace, what);
    }
}

static void *help(void *unused)
{
    char byte;
    (void)unused;
    pthread_setname_np(pthread_self(), "forklib-helper");
    return read(ends[0], &byte, 1) < 0 ? ends : NULL;
}

void forklib_start_thread(void)
{
    helping = pipe(ends) == 0 && pthread_create(&helper, NULL, help, NULL) == 0;
}

static void prepare(void)
{
    forklib_note("lib-prepare");
    if (helping && write(ends[1], "", 1) == 1)
        pthread_join(helper, NULL);
}

static void parent(void)
{
    forklib_note("lib-parent");
    if (helping)
        forklib_start_thread();
}

static void child(void)
{
    forklib_note("lib-child");
}

__attribute__((constructor)) static void loaded(void)
{
    pthread_atfork(prepare, parent, child);
}
