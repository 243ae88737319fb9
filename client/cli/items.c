/* Which item comes next? See items.h. Knows nothing of what items mean. */
#include "client/cli/items.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024,
    AHEAD_BYTES = 4 * 1024 * 1024, /* read ahead this far to learn the total */
};

void items_from_words(struct items *items, char *const *words, size_t count)
{
    *items = (struct items){.words = words, .word_count = count, .fd = -1, .end = true};
}

void items_from_fd(struct items *items, int fd, char separator)
{
    *items = (struct items){.fd = fd, .separator = separator};
}

void items_reset(struct items *items)
{
    free(items->data);
    items->data = NULL;
    items->start = items->stop = items->size = items->searched = 0;
}

/* Makes room after the content for a read and a terminating NUL. → 0, -EMSGSIZE, -ENOMEM. */
static int make_room(struct items *items)
{
    size_t content = items->stop - items->start;
    if (items->size - items->stop > READ_SIZE)
        return 0;
    if (items->start > 0) {
        memmove(items->data, items->data + items->start, content);
        items->start = 0;
        items->stop = content;
        if (items->size - content > READ_SIZE)
            return 0;
    }
    if (content > ITEMS_LENGTH_CAP)
        return -EMSGSIZE;
    size_t size = items->size ? items->size * 2 : 4 * (size_t)READ_SIZE;
    char *grown = realloc(items->data, size);
    if (!grown)
        return -ENOMEM;
    items->data = grown;
    items->size = size;
    return 0;
}

/* → 1 more was read; 0 the end; -EAGAIN; other -errno. */
static int read_more(struct items *items)
{
    struct pollfd p = {.fd = items->fd, .events = POLLIN};
    int r = make_room(items);
    if (r < 0)
        return r;
    /* the descriptor is shared with others, so it is polled rather than made non-blocking */
    if (poll(&p, 1, 0) == 0)
        return -EAGAIN;
    ssize_t n = read(items->fd, items->data + items->stop, READ_SIZE);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    items->stop += (size_t)n;
    items->end = n == 0;
    return n > 0;
}

static int give(struct items *items, size_t length, size_t with_separator, const char **ret, size_t *ret_length)
{
    if (length > ITEMS_LENGTH_CAP)
        return -EMSGSIZE;
    items->data[items->start + length] = 0;
    *ret = items->data + items->start;
    *ret_length = length;
    items->start += with_separator;
    items->searched = 0;
    items->given++;
    return 1;
}

int items_next(struct items *items, const char **ret, size_t *ret_length)
{
    if (items->words) {
        if (items->next_word == items->word_count)
            return 0;
        *ret = items->words[items->next_word++];
        *ret_length = strlen(*ret);
        items->given++;
        return 1;
    }
    for (;;) {
        size_t content = items->stop - items->start;
        if (content > items->searched) {
            const char *from = items->data + items->start;
            const char *found = memchr(from + items->searched, items->separator, content - items->searched);
            if (found)
                return give(items, (size_t)(found - from), (size_t)(found - from) + 1, ret, ret_length);
        }
        items->searched = content;
        if (items->end) /* the last line may lack a newline */
            return content ? give(items, content, content, ret, ret_length) : 0;
        int r = read_more(items);
        if (r < 0)
            return r;
    }
}

void items_read_ahead(struct items *items)
{
    /* Wait until half of it has been taken, because each read moves the rest. */
    bool more = items->stop - items->start < AHEAD_BYTES / 2;
    while (more && !items->end && items->stop - items->start < AHEAD_BYTES)
        more = read_more(items) > 0;
}

/* Counts the items in the data read, which is complete, as items_next() will return them. */
static uint64_t count(const struct items *items)
{
    uint64_t found = 0;
    for (size_t at = items->start; at < items->stop; found++) {
        const char *end = memchr(items->data + at, items->separator, items->stop - at);
        at = end ? (size_t)(end - items->data) + 1 : items->stop; /* the last line may lack a newline */
    }
    return found;
}

bool items_total(struct items *items, uint64_t *ret)
{
    if (items->end && !items->total_known) {
        items->total = items->words ? items->word_count : items->given + count(items);
        items->total_known = true;
    }
    *ret = items->total;
    return items->total_known;
}
