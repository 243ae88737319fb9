#include "daemon/worker/helper.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

static struct {
    pid_t pid;
    void (*end)(void);
} helper;

__attribute__((visibility("default"))) void mpool_host_helper(pid_t pid, void (*end)(void))
{
    helper.pid = pid;
    helper.end = end;
}

pid_t helper_pid(void)
{
    return helper.pid;
}

/* libc's functions that wait for any child. See touched.c for how the executable overrides them; `any` tells whether
 * this call is one. */
typedef long words_fn(long, long, long, long, long);

static words_fn *behind(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    words_fn *next = NULL;
    memcpy(&next, &symbol, sizeof next); /* ISO C cannot cast an object pointer to a function pointer */
    return next;
}

#define BEFORE(name, any)                                                                                              \
    __attribute__((visibility("default"))) words_fn before_##name __asm__(#name);                                      \
    long before_##name(long a, long b, long c, long d, long e)                                                         \
    {                                                                                                                  \
        static words_fn *next;                                                                                         \
        words_fn *found = __atomic_load_n(&next, __ATOMIC_RELAXED);                                                    \
        if (!found)                                                                                                    \
            __atomic_store_n(&next, found = behind(#name), __ATOMIC_RELAXED);                                          \
        if (helper.pid > 0 && (any))                                                                                   \
            helper.end();                                                                                              \
        return found(a, b, c, d, e);                                                                                   \
    }

BEFORE(wait, true)
BEFORE(wait3, true)
BEFORE(wait4, (pid_t)a == -1)
BEFORE(waitpid, (pid_t)a == -1)
BEFORE(waitid, (idtype_t)a == P_ALL)
