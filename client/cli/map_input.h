/* The items of `mpool map`, from words or lines to the values to send.
 *
 * Keeps the text of each item in flight, for messages and --json.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/items.h"
#include "client/cli/json_in.h"
#include "client/cli/inflight.h"
#include "client/cli/template.h"
#include "proto/buf.h"

struct map_input {
    struct items items;
    enum json_in_kind kind;
    bool exec; /* items are inserted into commands made from this template */
    struct template template;
    struct wire_buf value;   /* the item that was pulled last */
    struct wire_buf options; /* --exec: exec.run's option map, up to the item's own variables */
    struct wire_buf line;    /* --exec: the command line */
    struct inflight inflight;
    uint64_t pulled;
    bool dry;     /* standard input has nothing now; cleared when more arrives */
    bool stopped; /* take no more */
    bool failed;  /* bad input or out of memory, already reported */
};

void map_input_reset(struct map_input *input);

/* A mpool_pull_fn over a struct map_input. An item that cannot be sent is pulled as an empty value, and the reason is
 * kept with it. Returns -EAGAIN while it is dry, and -ECANCELED after reporting why there will be no more. */
int map_input_pull(void *userdata, const void **ret_item, size_t *ret_length);
