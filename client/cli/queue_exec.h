/* `queue get --exec`: runs a command with an item of a queue; its exit status decides whether the item is confirmed. */
#pragma once

#include <stdbool.h>

#include <mpool/queue.h>

#include "client/cli/keeper.h"
#include "client/cli/template.h"

struct queue_exec {
    struct template template;
    bool json; /* the command reads strings and binary as JSON, too */
};

/* words: one is a line for the shell (template.h), several are a command and its arguments; NULL after the last.
 * → 0, or -1 after reporting what is wrong. */
int queue_exec_read(struct queue_exec *exec, char **words);

/* Runs the command here, as child.h says, and confirms the item when it exits 0. number: of the item, from 1.
 * → exit status. Otherwise the caller must return the item by closing the queue; when this returns, no process works on
 * it any more. */
int queue_exec_item(const struct queue_exec *exec, struct keeper *keeper, mpool_client *client, mpool_object *queue,
    const mpool_queue_item *item, uint64_t number);
