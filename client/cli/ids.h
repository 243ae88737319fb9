/* Ids of tasks and processes among the operands. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum ids_of { IDS_TASKS, IDS_PROCESSES };

/* → 0 with the id, or -1 after it was said that the word is none. */
int ids_parse(enum ids_of of, const char *verb, const char *word, uint64_t *ret);

/* Checks all words before anything is done with the first. → 0, or EXIT_OWN, said; none at all is a mistake too. */
int ids_check(enum ids_of of, const char *verb, char **words, size_t count);
