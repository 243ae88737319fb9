/* Requests: one handler per row of the table of methods. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/conn/connections.h"
#include "daemon/rpc/service.h"
#include "proto/errors.h"
#include "proto/message.h"
#include "proto/reader.h"

struct conn;
struct job;

struct rpc {
    struct service *service;
    struct conn *conn;
    const struct wire_message *message;
    struct wire_reader params;
    uint32_t count; /* params */
    uint32_t msgid;
    bool no_reply; /* a notification */
    size_t mark;   /* of the output, where the reply begins */
};

typedef enum rpc_result rpc_method(struct rpc *r);

/* rpc_tasks.c */
rpc_method rpc_call, rpc_map, rpc_submit, rpc_spawn;
/* rpc_follow.c */
rpc_method rpc_wait, rpc_result, rpc_status, rpc_cancel, rpc_forget;
/* rpc_pause.c */
rpc_method rpc_pause, rpc_resume;
/* rpc_process.c */
rpc_method rpc_signal;
/* rpc_info.c */
rpc_method rpc_hello, rpc_ping, rpc_list, rpc_functions, rpc_pools, rpc_workers, rpc_stats;
/* rpc_objects.c */
rpc_method rpc_open, rpc_close, rpc_remove, rpc_objects, rpc_inspect;

/* rpc_queue.c */
rpc_method rpc_put, rpc_get, rpc_confirm, rpc_done, rpc_join, rpc_finish;

/* The next parameter, which must be an array: its bytes, found without walking over them if the scan has recorded its
 * end. → 0, or -EBADMSG: it is not an array. */
int rpc_read_array(struct rpc *r, const uint8_t **ret, size_t *ret_length);
#define RPC_TIMEOUT_MAX_MS (UINT64_MAX >> 20) /* five centuries: fits 64 bits as nanoseconds */

/* Reads an integer as the next parameter. name: the parameter's, for the sentence. → false: answered. */
bool rpc_read_u64(struct rpc *r, const char *name, uint64_t min, uint64_t max, uint64_t *ret);
/* "TERM", "SIGTERM" or 15. → 0: there is no such signal. */
int rpc_read_signal(struct wire_reader *in);
/* What stands there instead of what was expected ("an array"). → RPC_ANSWERED */
enum rpc_result rpc_wrong_type(struct rpc *r, const char *name, const char *expected);
/* A detached task of this client's. → NULL: answered. */
struct job *rpc_find_job(struct rpc *r, uint64_t id);

/* conn_handler.must_wait */
bool rpc_must_wait(struct service *service, const struct conn *c);

/* Answers with an error unless it was a notification. → RPC_ANSWERED */
enum rpc_result rpc_fail(struct rpc *r, enum mpool_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Is the descriptor from conn_take_fd() a sealed memfd of this size? name: the parameter, for the sentence. → false:
 * answered. */
bool rpc_check_memfd(struct rpc *r, const char *name, int fd, uint64_t size);
/* Begins a result: pack one value, then call rpc_end(). */
msgpack_packer rpc_begin(struct rpc *r);
enum rpc_result rpc_end(struct rpc *r);
/* A whole result of one value. */
enum rpc_result rpc_answer_bool(struct rpc *r, bool value);
enum rpc_result rpc_answer_u64(struct rpc *r, uint64_t value);
