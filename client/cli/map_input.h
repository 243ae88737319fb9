/* The items of `mpool map`, from the words or lines that say them to the values that travel.
 *
 * Keeps the text of each item that is on its way, for messages and --json.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/items.h"
#include "client/cli/json_in.h"
#include "client/cli/kept.h"
#include "client/cli/template.h"
#include "proto/buf.h"

struct map_input {
    struct items items;
    enum json_in_kind kind;
    bool exec; /* items are for commands, after this template */
    struct template template;
    struct wire_buf value;   /* the item that was pulled last */
    struct wire_buf options; /* --exec: exec.run's option map, up to the item's own variables */
    struct wire_buf line;    /* --exec: the command line */
    struct kept kept;
    uint64_t pulled;
    bool dry;     /* standard input has nothing just now; whoever has seen more come clears this */
    bool stopped; /* take no more */
    bool failed;  /* the source was wrong, or memory short, which has been said */
};

void map_input_reset(struct map_input *input);

/* A mpool_pull_fn over a struct map_input. An item that cannot be sent is pulled as no value, and the reason kept with
 * it. Returns -EAGAIN while it is dry, and -ECANCELED after it has said why there will be no more. */
int map_input_pull(void *userdata, const void **ret_item, size_t *ret_length);
