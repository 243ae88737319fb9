/* What does an error of a shared object mean, in a sentence about that object? Made on demand from the object and the
 * code, because any thread may use an object: nothing is stored. */
#include <mpool/shared.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "client/lib/object.h"

static void describe(const mpool_object *o, int code, char *buffer, size_t size)
{
    const char *kind = wire_kind_info(o->kind)->name, *name = o->handle ? o->handle : "?";
    bool is_lock = o->kind == MPOOL_KIND_LOCK || o->kind == MPOOL_KIND_RLOCK;
    switch (code) {
    case -ETIMEDOUT: snprintf(buffer, size, "timed out waiting for %s '%s'", kind, name); break;
    case -EINTR: snprintf(buffer, size, "a signal ended the wait for %s '%s'", kind, name); break;
    case -EPERM:
        snprintf(buffer, size, "%s does not hold %s%s '%s'",
            o->kind == MPOOL_KIND_LOCK ? "this process" : "this thread", is_lock ? "" : "the lock of ", kind, name);
        break;
    case -ECONNRESET:
        snprintf(buffer, size, "%s '%s' is lost: the connection to the daemon has ended", kind, name);
        break;
    case -ENOTCONN: snprintf(buffer, size, "%s '%s' has been closed by this program", kind, name); break;
    case -ECHILD:
        snprintf(buffer, size, "%s '%s' was opened by the parent process; open it again after fork()", kind, name);
        break;
    case -EACCES: snprintf(buffer, size, "%s '%s' was opened read-only", kind, name); break;
    case -EINVAL: snprintf(buffer, size, "%s '%s' does not do this, or an argument is invalid", kind, name); break;
    case -ERANGE: snprintf(buffer, size, "%s '%s' has only %" PRIu64 " elements", kind, name, o->count); break;
    case -EOVERFLOW:
        if (o->kind == MPOOL_KIND_SEMAPHORE || o->kind == MPOOL_KIND_BOUNDED_SEMAPHORE)
            snprintf(buffer, size, "%s '%s' has all its tokens already", kind, name);
        else
            snprintf(buffer, size, "%s '%s' has been taken too often by this thread", kind, name);
        break;
    case -EPIPE: snprintf(buffer, size, "%s '%s' is broken", kind, name); break;
    case -EAGAIN: snprintf(buffer, size, "%s '%s' has another number", kind, name); break;
    default: snprintf(buffer, size, "%s '%s': %s", kind, name, mpool_strerror(code)); break;
    }
}

const char *mpool_object_error_text(const mpool_object *object, int code, char *buffer, size_t size)
{
    if (!object || !buffer || size == 0)
        return mpool_strerror(code);
    describe(object, code, buffer, size);
    return buffer;
}
