#include "daemon/worker/atfork.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/worker/interpose.h"

typedef void handler_fn(void);

struct handlers {
    handler_fn *prepare, *parent, *child; /* each may be NULL */
    const void *object; /* an address in the shared object that registered them; NULL: the executable */
};

static struct handlers *list;
static size_t count;

#if INTERPOSES
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t room;

static bool remember(const struct handlers *handlers)
{
    pthread_mutex_lock(&lock);
    if (count == room) {
        size_t more = room ? room * 2 : 16;
        struct handlers *grown = reallocarray(list, more, sizeof *grown);
        if (grown) {
            list = grown;
            room = more;
        }
    }
    bool done = count < room;
    if (done)
        list[count++] = *handlers;
    pthread_mutex_unlock(&lock);
    return done;
}

/* glibc's own, as libc_nonshared.a calls it. */
typedef int register_fn(handler_fn *, handler_fn *, handler_fn *, void *);
__attribute__((visibility("default"))) register_fn __register_atfork;

int __register_atfork(handler_fn *prepare, handler_fn *parent, handler_fn *child, void *object)
{
    void *symbol = dlsym(RTLD_NEXT, "__register_atfork");
    register_fn *next = NULL;
    if (!symbol)
        return ENOSYS;
    memcpy(&next, &symbol, sizeof next); /* ISO C cannot cast an object pointer to a function pointer */
    int r = next(prepare, parent, child, object);
    if (r != 0)
        return r;
    return remember(&(struct handlers){prepare, parent, child, object}) ? 0 : ENOMEM;
}
#endif

/* glibc forgets the handlers of a library that is closed; here that is checked before they are run. */
static bool is_loaded(const struct handlers *handlers)
{
    Dl_info info;
    return !handlers->object || dladdr(handlers->object, &info) != 0;
}

/* Handlers that are registered while others run are for the next time. */
static size_t prepared;

void atfork_prepare(void)
{
    prepared = count;
    for (size_t i = prepared; i-- > 0;) {
        struct handlers h = list[i];
        if (h.prepare && is_loaded(&h))
            h.prepare();
    }
}

void atfork_parent(void)
{
    for (size_t i = 0; i < prepared; i++) {
        struct handlers h = list[i];
        if (h.parent && is_loaded(&h))
            h.parent();
    }
}

void atfork_child(void)
{
    for (size_t i = 0; i < prepared; i++) {
        struct handlers h = list[i];
        if (h.child && is_loaded(&h))
            h.child();
    }
}
