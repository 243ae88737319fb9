/* How does a task become a request: `call`, `map` or `submit`, its options, and arguments too large for a message? */
#pragma once

#include "client/lib/handle.h"
#include "proto/methods.h"

/* How a map answers. */
enum task_answer { TASK_ANSWER_PLAIN, TASK_ANSWER_EACH, TASK_ANSWER_STREAM };

struct task {
    enum mpool_method method;
    const char *function;
    const void *args; /* one MessagePack array, borrowed; NULL: nil */
    size_t args_length;
    const mpool_options *options; /* or NULL; borrowed */
    bool star;
    bool lives_on; /* processes: not daemonic */
    enum task_answer answer;
    uint32_t chunk; /* 0: the daemon chooses */
};

/* call: copied; its output is taken from the options. → 0 with the id; -EINVAL; MPOOL_ETOO_DEEP; as request_open() and
 * request_close(); errors of memfd_create(2). */
int task_start(mpool_client *client, const struct task *task, const struct call *call, uint32_t *ret_msgid);
