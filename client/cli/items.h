/* Where the items of a map come from: the words after ":::", or standard input, a line (or NUL-ended run) each.
 *
 * Memory is bounded: by the longest item, or a few mebibytes if the total is wanted. An item over ITEMS_LENGTH_CAP is
 * an error, not a truncation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ITEMS_LENGTH_CAP (16u << 20) /* bytes of one item from standard input */

struct items {
    char *const *words; /* borrowed; NULL: standard input */
    size_t word_count;
    size_t next_word;
    int fd; /* borrowed */
    char separator;
    bool end;   /* standard input has ended */
    char *data; /* read but not yet returned, in data[start … stop) */
    size_t start, stop, size;
    size_t searched; /* bytes from start that hold no separator */
    uint64_t given;
    uint64_t total; /* known once the end has been read */
    bool total_known;
};

void items_from_words(struct items *items, char *const *words, size_t count);
void items_from_fd(struct items *items, int fd, char separator);
void items_reset(struct items *items);

/* The next item: *ret borrowed until more is read, terminated by a NUL, which is not counted.
 * → 1 an item; 0 the end; -EAGAIN: nothing to read just now, poll items->fd; -EMSGSIZE: too long; other -errno. */
int items_next(struct items *items, const char **ret, size_t *ret_length);

/* Reads ahead as far as data is available, up to a few mebibytes, so that the end and with it the total is known early.
 * Must not be called while items_next() returns -EAGAIN, because poll() does not report data that was read here.
 * Failures are reported by the next items_next(). */
void items_read_ahead(struct items *items);

/* The total number of items. → whether it is known. */
bool items_total(struct items *items, uint64_t *ret);
