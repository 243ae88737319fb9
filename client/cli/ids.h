/* Ids of tasks and processes among the operands, and the verbs that do one thing to each of them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <mpool/client.h>

enum ids_of { IDS_TASKS, IDS_PROCESSES };

/* → 0 with the id, or -1 after reporting that the word is not an id. */
int ids_parse(enum ids_of of, const char *verb, const char *word, uint64_t *ret);

/* Checks all words before the first one is used. → 0, or EXIT_OWN after reporting an error; no words at all is an
 * error, too. */
int ids_check(enum ids_of of, const char *verb, char **words, size_t count);

struct ids_verb {
    enum ids_of of;
    const char *verb;
    int (*act)(mpool_client *client, uint64_t id, bool *ret_done); /* → as the library */
    const char *key;                                               /* of that answer, with --json */
    const char *not_done;                                          /* what is noted then, behind "task 17" */
};

/* Connects, and does it to each. → exit status: the last failure's; all failures are said. */
int ids_each(const struct ids_verb *verb, char **words, size_t count);
