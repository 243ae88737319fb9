#include "daemon/worker/touched.h"

#include <dlfcn.h>
#include <string.h>

#include "daemon/worker/interpose.h"

bool touched;

#if INTERPOSES

/* All of them take up to six integers or pointers, and return one or nothing: in the calling conventions that we have,
 * six words in and one out carry that, whatever the declaration says. The assembler's name keeps these definitions from
 * libc's declarations, several of which are macros or have other names for large files. */
typedef long words_fn(long, long, long, long, long, long);

static words_fn *behind(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    words_fn *next = NULL;
    memcpy(&next, &symbol, sizeof next); /* ISO C has no cast from an object pointer to a function's */
    return next;
}

/* The list of exports in touched.list has the same names. */
#define WATCH(name)                                                                                                    \
    __attribute__((visibility("default"))) words_fn watch_##name __asm__(#name);                                       \
    long watch_##name(long a, long b, long c, long d, long e, long f)                                                  \
    {                                                                                                                  \
        static words_fn *next;                                                                                         \
        words_fn *found = __atomic_load_n(&next, __ATOMIC_RELAXED);                                                    \
        if (!found)                                                                                                    \
            __atomic_store_n(&next, found = behind(#name), __ATOMIC_RELAXED);                                          \
        __atomic_store_n(&touched, true, __ATOMIC_RELAXED);                                                            \
        return found(a, b, c, d, e, f);                                                                                \
    }

/* clang-format off */
WATCH(umask) WATCH(chdir) WATCH(fchdir) WATCH(chroot)
WATCH(alarm) WATCH(ualarm) WATCH(setitimer) WATCH(timer_create)
WATCH(sigprocmask) WATCH(pthread_sigmask) WATCH(sigaction) WATCH(signal)
WATCH(setrlimit) WATCH(setrlimit64) WATCH(prlimit) WATCH(prlimit64)
WATCH(nice) WATCH(setpriority) WATCH(sched_setaffinity) WATCH(sched_setscheduler)
WATCH(setuid) WATCH(setgid) WATCH(setreuid) WATCH(setregid) WATCH(setresuid) WATCH(setresgid)
WATCH(seteuid) WATCH(setegid) WATCH(setgroups) WATCH(initgroups) WATCH(prctl)
WATCH(setenv) WATCH(unsetenv) WATCH(putenv) WATCH(clearenv) WATCH(setlocale) WATCH(uselocale)
WATCH(fork) WATCH(posix_spawn) WATCH(posix_spawnp) WATCH(popen)
WATCH(dup2) WATCH(dup3) WATCH(freopen) WATCH(freopen64)
/* clang-format on */
#endif
