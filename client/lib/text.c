/* Codes, names and sentences, all made from the wire's table: see text.h. */
#include "client/lib/text.h"

#include <errno.h>
#include <string.h>

#include <mpool/client.h>

#include "proto/tables.h"

#define CODE_BASE (-10000)

/* Two errors of the wire have an errno. */
#define MPOOL_ECANCELLED (CODE_BASE - (int)MPOOL_E_CANCELLED)
#define MPOOL_ENOT_READY (CODE_BASE - (int)MPOOL_E_NOT_READY)

/* The public enum is written out for its readers; it must match the wire's table. */
#define X(id, ...) _Static_assert((int)MPOOL_E##id == CODE_BASE - (int)MPOOL_E_##id, "mpool/client.h: MPOOL_E" #id);
MPOOL_ERRORS(X)
#undef X
_Static_assert(CODE_BASE - (int)MPOOL_ERROR_COUNT > (int)MPOOL_EREMOTE, "codes of the wire reach the library's own");

static const struct wire_error_info *info_of(int code)
{
    if (code == -ECANCELED)
        code = MPOOL_ECANCELLED;
    else if (code == -EAGAIN)
        code = MPOOL_ENOT_READY;
    int error = code < 0 ? CODE_BASE - code : 0;
    return error > MPOOL_ERROR_NONE && error < MPOOL_ERROR_COUNT ? wire_error_info((enum mpool_error)error) : NULL;
}

/* strerror() may use one buffer for all threads. */
static const char *describe_errno(int number)
{
#ifdef HAVE_STRERRORDESC_NP
    return strerrordesc_np(number);
#else
    return strerror(number);
#endif
}

int text_code(const char *text, size_t length)
{
    enum mpool_error error = wire_error_find(text, length);
    switch ((int)error) {
    case MPOOL_ERROR_NONE: return MPOOL_EREMOTE;
    case MPOOL_E_CANCELLED: return -ECANCELED;
    case MPOOL_E_NOT_READY: return -EAGAIN;
    default: return CODE_BASE - (int)error;
    }
}

const char *mpool_strerror(int code)
{
    switch (code) {
    case MPOOL_EREMOTE: return "The daemon reported an error that this library does not know.";
    case MPOOL_EPROTOCOL: return "The peer does not speak mpool's protocol.";
    /* errno's own texts are about sockets and files, which is not what these mean here. */
    case -ETIMEDOUT: return "The wait timed out.";
    case -ECANCELED: return "It was cancelled.";
    case -EAGAIN: return "It is not ready yet; try again later.";
    case -EINPROGRESS: return "The daemon has not answered: it may have been done, or may still be done.";
    case -EINTR: return "A signal ended the wait.";
    case -ENOTCONN: return "This program has closed it.";
    case -ECHILD: return "It belongs to the parent process; connect again after fork().";
    case -ECONNRESET: return "The daemon closed the connection.";
    case -EDEADLK: return "A callback may not wait or dispatch.";
    case -EINVAL: return "An argument is invalid.";
    case -E2BIG: return "The options have members that this version of the library lacks.";
    default: break;
    }
    const struct wire_error_info *info = info_of(code);
    if (info)
        return info->sentence;
    if (code >= 0)
        return "Success";
    const char *text = code > CODE_BASE ? describe_errno(-code) : NULL;
    return text ? text : "Unknown error";
}

const char *mpool_code_name(int code)
{
    const struct wire_error_info *info = info_of(code);
    return info ? info->name : NULL;
}

bool mpool_code_retryable(int code)
{
    const struct wire_error_info *info = info_of(code);
    return info && info->retryable;
}
