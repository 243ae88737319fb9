/* The options of call, map, submit and spawn: one table, checked key by key.
 *
 * X(name, KIND, field, minimum, maximum, methods): KIND is UINT, BOOL or TEXT (the bounds are its length in bytes);
 * methods says where the option is allowed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/task/task.h"
#include "proto/reader.h"

#define OPTION_CALL   1u
#define OPTION_MAP    2u
#define OPTION_SUBMIT 4u
#define OPTION_SPAWN  8u
#define OPTION_TASKS  (OPTION_CALL | OPTION_MAP | OPTION_SUBMIT)
#define OPTION_ALL    (OPTION_TASKS | OPTION_SPAWN)

#define OPTION_LATER_MS (100ull * 366 * 86400 * 1000) /* a century */
#define OPTION_WALL_MS  (1ull << 43)                  /* the year 2248 */

#define TASK_OPTIONS(X)                                                                                                \
    X(pool, TEXT, pool, 1, 63, OPTION_ALL)                                                                             \
    X(name, TEXT, name, 0, TASK_NAME_MAX, OPTION_ALL)                                                                  \
    X(timeout_ms, UINT, timeout_ms, 1, 1u << 31, OPTION_ALL)                                                           \
    X(priority, UINT, priority, 0, 255, OPTION_TASKS)                                                                  \
    X(delay_ms, UINT, delay_ms, 1, OPTION_LATER_MS, OPTION_TASKS)                                                      \
    X(start_at_ms, UINT, start_at_ms, 1, OPTION_WALL_MS, OPTION_TASKS)                                                 \
    X(expires_at_ms, UINT, expires_at_ms, 1, OPTION_WALL_MS, OPTION_TASKS)                                             \
    X(queue_timeout_ms, UINT, queue_timeout_ms, 1, OPTION_LATER_MS, OPTION_TASKS)                                      \
    X(attempts, UINT, attempts, 1, 100, OPTION_TASKS)                                                                  \
    X(output, BOOL, output, 0, 0, OPTION_CALL | OPTION_MAP | OPTION_SPAWN)                                             \
    X(args_memfd, UINT, args_memfd, 1, UINT64_MAX, OPTION_ALL)                                                         \
    X(stdin, BOOL, has_stdin, 0, 0, OPTION_CALL)                                                                       \
    X(ttl_s, UINT, ttl_s, 1, 1u << 31, OPTION_SUBMIT | OPTION_SPAWN)                                                   \
    X(daemonic, BOOL, daemonic, 0, 0, OPTION_SPAWN)                                                                    \
    X(star, BOOL, star, 0, 0, OPTION_MAP)                                                                              \
    X(each, BOOL, each, 0, 0, OPTION_MAP)                                                                              \
    X(stream, BOOL, stream, 0, 0, OPTION_MAP)                                                                          \
    X(chunk, UINT, chunk, 1, 1000000, OPTION_MAP)

/* in: at the options (nil: none). method: one of OPTION_…. → 0, or -EINVAL with a sentence in why. Strings borrow from
 * the bytes. */
int options_read(struct wire_reader *in, unsigned method, struct task_options *ret, char *why, size_t why_size);
