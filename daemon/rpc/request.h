/* Requests for tasks: reads the parameters that call, map, submit and spawn have in common, and decides whether the
 * request may be taken now. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/rpc/rpc.h"
#include "daemon/task/task.h"

struct function;

#define REQUEST_WHY_MAX 512 /* of a sentence */

/* What call, map and submit have in common, read from params and checked. */
struct request {
    struct function *function;
    struct task_options options;
    const uint8_t *args; /* one array as it came, or NULL: none */
    size_t args_length;
    int args_fd;  /* with the option args_memfd; else -1 */
    int stdin_fd; /* with the option stdin; else -1 */
};

/* method: OPTION_CALL, OPTION_MAP, … of options.h. → RPC_CONTINUE: *ret is checked, its descriptors are the caller's;
 * RPC_LATER: the same request is offered again; RPC_ANSWERED. */
enum rpc_result request_read(struct rpc *r, unsigned method, struct request *ret);
/* The same for a task whose result is kept, if there is room for one more. */
enum rpc_result request_read_job(struct rpc *r, unsigned method, struct request *ret);
