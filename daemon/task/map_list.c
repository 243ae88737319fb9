#include "daemon/task/map_list.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE     (256u << 10) /* written to the memfd in one go */
#define PART_COST 256u         /* the overhead of one part, in bytes */

void map_part_free(struct map_part *part)
{
    if (part->mapping > 0)
        munmap((char *)part->memory + part->unmapped, part->mapping - part->unmapped);
    else
        free(part->memory);
    *part = (struct map_part){0};
}

/* Unmaps what has been read of a mapping at once, instead of all of it at the end. */
static void give_back(struct map_part *part)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t read = (size_t)(part->bytes + part->done - (const uint8_t *)part->memory) & ~(page - 1);
    if (part->mapping == 0 || read <= part->unmapped || read >= part->mapping)
        return;
    munmap((char *)part->memory + part->unmapped, read - part->unmapped);
    part->unmapped = read;
}

void map_list_init(struct map_list *l, uint32_t count)
{
    *l = (struct map_list){.count = count, .file = MEMFD_FILL_NONE};
    msgpack_packer pk = wire_packer(&l->tail);
    msgpack_pack_array(&pk, count);
}

void map_list_deinit(struct map_list *l)
{
    while (map_list_shed(l, UINT32_MAX))
        ;
    map_part_free(&l->current);
    memfd_fill_drop(&l->file);
    wire_buf_reset(&l->tail);
    free(l->early);
    l->early = NULL;
    l->early_size = 0;
}

bool map_list_shed(struct map_list *l, unsigned max)
{
    for (; l->early_count > 0 && max > 0; max--)
        map_part_free(&l->early[--l->early_count]);
    return l->early_count > 0;
}

/* ---- early results ---- */

static int early_push(struct map_list *l, struct map_part *part)
{
    if (l->early_count == l->early_size) {
        size_t size = l->early_size ? l->early_size * 2 : 16;
        struct map_part *grown = realloc(l->early, size * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        l->early = grown;
        l->early_size = size;
    }
    size_t at = l->early_count++;
    for (; at > 0 && l->early[(at - 1) / 2].first > part->first; at = (at - 1) / 2)
        l->early[at] = l->early[(at - 1) / 2];
    l->early[at] = *part;
    return 0;
}

static struct map_part early_pop(struct map_list *l)
{
    struct map_part first = l->early[0], *last = &l->early[--l->early_count];
    size_t at = 0, count = l->early_count;
    for (size_t child; (child = at * 2 + 1) < count; at = child) {
        if (child + 1 < count && l->early[child + 1].first < l->early[child].first)
            child++;
        if (last->first <= l->early[child].first)
            break;
        l->early[at] = l->early[child];
    }
    l->early[at] = *last;
    return first;
}

int map_list_add(struct map_list *l, struct map_part part)
{
    l->bytes += part.length;
    if (part.first == l->next && l->current.count == 0) {
        l->current = part;
        return 0;
    }
    int r = early_push(l, &part);
    if (r < 0)
        map_part_free(&part);
    return r;
}

/* ---- appending ---- */

/* Writes the tail once it is large enough. */
static int flush(struct map_list *l, size_t min)
{
    size_t length = wire_buf_length(&l->tail);
    if (l->no_file || length < min || length == 0)
        return 0;
    if (!memfd_fill_is_on(&l->file) && memfd_fill_begin(&l->file, "mpool-map") < 0) {
        l->no_file = true;
        return 0;
    }
    int r = memfd_fill_add(&l->file, wire_buf_at(&l->tail), length);
    if (r == 0)
        wire_buf_consume(&l->tail, length);
    return r;
}

/* → bytes; -errno */
static ssize_t append(struct map_list *l, size_t max)
{
    struct map_part *part = &l->current;
    size_t left = part->length - part->done, here = left < max ? left : max;
    const uint8_t *from = part->bytes + part->done;
    int r = 0;
    if (memfd_fill_is_on(&l->file) && here >= PIECE) { /* directly from the source */
        r = flush(l, 0);
        if (r == 0)
            r = memfd_fill_add(&l->file, from, here);
    } else {
        wire_buf_append(&l->tail, from, here);
        r = l->tail.failed ? -ENOMEM : flush(l, memfd_fill_is_on(&l->file) ? PIECE : MAP_LIST_MEMFD_MIN);
    }
    if (r < 0)
        return r;
    part->done += here;
    give_back(part);
    return (ssize_t)here;
}

int map_list_step(struct map_list *l, size_t max)
{
    for (;;) {
        struct map_part *part = &l->current;
        if (part->count == 0) {
            if (l->early_count == 0 || l->early[0].first != l->next)
                return 0;
            *part = early_pop(l);
        }
        ssize_t n = append(l, max);
        if (n < 0)
            return (int)n;
        if (part->done == part->length) {
            l->next += part->count;
            map_part_free(part);
            n += PART_COST;
        }
        if ((size_t)n >= max)
            return part->count > 0 || (l->early_count > 0 && l->early[0].first == l->next);
        max -= (size_t)n;
    }
}

int map_list_take_file(struct map_list *l, uint64_t *ret_size)
{
    if (!memfd_fill_is_on(&l->file))
        return -ENOENT;
    int r = flush(l, 0);
    if (r < 0)
        return r;
    *ret_size = l->file.size;
    return memfd_fill_end(&l->file);
}
