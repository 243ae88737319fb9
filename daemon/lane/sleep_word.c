/* Does the supervisor sleep? One word for all its workers, which can only read it. See lane.h.
 *
 * sleep_word_declare() stores an odd epoch, the supervisor then looks at its lanes (claim_look); a worker moves its
 * claim to DONE and then looks at the epoch (worker_lane.c). All four are sequentially consistent, so at least one side
 * sees the other: no result waits for a sleeping supervisor that was not notified.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "daemon/base/cleanup.h"
#include "daemon/lane/lane_private.h"
#include "daemon/lane/layout.h"
#include "daemon/lane/shm.h"

struct sleep_word {
    int fd;
    struct layout_sleep_word *page;
    uint32_t epoch; /* what the page says; never read back */
};

void sleep_word_free(struct sleep_word *b)
{
    if (!b)
        return;
    if (b->page)
        munmap(b->page, sizeof(*b->page));
    fd_close(&b->fd);
    free(b);
}

static void sleep_word_cleanup(struct sleep_word **b)
{
    sleep_word_free(*b);
}

int sleep_word_new(struct sleep_word **ret)
{
    _cleanup_(sleep_word_cleanup) struct sleep_word *b = calloc(1, sizeof(*b));
    void *page;

    if (!b)
        return -ENOMEM;
    b->fd = -1;
    int r = shm_create(&b->fd, "mpool-sleep-word", sizeof(*b->page));
    if (r < 0)
        return r;
    r = shm_map_plain(&page, b->fd, sizeof(*b->page), true);
    if (r < 0)
        return r;
    b->page = page;
    r = shm_seal(b->fd, true);
    if (r < 0)
        return r;
    *ret = TAKE(b);
    return 0;
}

int sleep_word_fd(const struct sleep_word *b)
{
    return b->fd;
}

void sleep_word_declare(struct sleep_word *b)
{
    /* Declared twice in a row it counts as a new sleep: a worker that rang for the first rings again. */
    b->epoch = (b->epoch + 1) | 1;
    atomic_store_explicit(&b->page->epoch, b->epoch, memory_order_seq_cst);
}

void sleep_word_clear(struct sleep_word *b)
{
    if (!(b->epoch & 1))
        return;
    b->epoch++;
    /* Relaxed: a worker that sees it late sends one needless doorbell. */
    atomic_store_explicit(&b->page->epoch, b->epoch, memory_order_relaxed);
}

const struct layout_sleep_word *sleep_word_page(const struct sleep_word *b)
{
    return b->page;
}
