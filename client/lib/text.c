/* Codes, names and sentences, all made from the wire's table: see text.h. */
#include "client/lib/text.h"

#include <errno.h>
#include <string.h>

#include <mpool/client.h>

#include "proto/tables.h"

#define CODE_BASE (-10000)

/* The public enum is written out for its readers; it must match the wire's table. */
#define X(id, ...) _Static_assert((int)MPOOL_E##id == CODE_BASE - (int)MPOOL_E_##id, "mpool/client.h: MPOOL_E" #id);
MPOOL_ERRORS(X)
#undef X
_Static_assert(CODE_BASE - (int)MPOOL_ERROR_COUNT > (int)MPOOL_EREMOTE, "codes of the wire reach the library's own");

static const struct wire_error_info *info_of(int code)
{
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
    return error == MPOOL_ERROR_NONE ? MPOOL_EREMOTE : CODE_BASE - (int)error;
}

const char *mpool_strerror(int code)
{
    const struct wire_error_info *info = info_of(code);
    if (info)
        return info->sentence;
    switch (code) {
    case MPOOL_EREMOTE: return "The daemon reported an error that this library does not know.";
    case MPOOL_EPROTOCOL: return "The peer does not speak mpool's protocol.";
    /* The texts of these are about sockets, which is not what they mean for a call. */
    case -ECHILD: return "The connection belongs to the parent process; connect anew after fork().";
    case -ECONNRESET: return "The daemon closed the connection.";
    case -EDEADLK: return "A callback may not wait or process.";
    case -ECANCELED: return "The connection was closed by this program.";
    default: break;
    }
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
