#include "daemon/worker/arguments.h"

#include <errno.h>
#include <stdlib.h>

#define MARKS_MAX 65536u

void arguments_set_many(struct arguments *a, struct wire_reader values, uint32_t count)
{
    a->begin = a->next_at = values.at;
    a->end = values.end;
    a->count = count;
    a->next = 0;
    a->known = 0;
    a->shift = 0;
    while ((count >> a->shift) >= MARKS_MAX)
        a->shift++;
    if (a->room > ARGUMENTS_KEPT) {
        free(a->marks);
        a->marks = NULL;
        a->room = 0;
    }
}

void arguments_deinit(struct arguments *a)
{
    free(a->marks);
    *a = (struct arguments){0};
}

static void remember(struct arguments *a, uint32_t index, const uint8_t *at)
{
    if (a->count <= ARGUMENTS_FEW || index >> a->shift != a->known || index & ((1u << a->shift) - 1))
        return;
    if (a->known == a->room) {
        size_t room = a->room ? a->room * 2 : 64;
        size_t *grown = reallocarray(a->marks, room, sizeof *grown);
        if (!grown)
            return;
        a->marks = grown;
        a->room = room;
    }
    a->marks[a->known++] = (size_t)(at - a->begin);
}

int arguments_find(struct arguments *a, uint32_t index, struct wire_reader *ret)
{
    uint32_t i = 0;
    struct wire_reader r = {a->begin, a->end};
    if (a->known > 0) {
        size_t mark = index >> a->shift;
        if (mark >= a->known)
            mark = a->known - 1;
        i = (uint32_t)mark << a->shift;
        r.at = a->begin + a->marks[mark];
    }
    if (a->next >= i && a->next <= index) {
        i = a->next;
        r.at = a->next_at;
    }
    for (;; i++) {
        remember(a, i, r.at);
        const uint8_t *at = r.at;
        if (wire_skip(&r) < 0)
            return -EBADMSG;
        if (i == index) {
            *ret = (struct wire_reader){at, r.at};
            a->next = i + 1;
            a->next_at = r.at;
            return 0;
        }
    }
}

ssize_t arguments_locate(struct arguments *a, const uint8_t *at)
{
    if (!at || at < a->begin || at >= a->end)
        return -1;
    struct wire_reader r = {a->begin, a->end};
    for (uint32_t i = 0; i < a->count && wire_skip(&r) == 0; i++)
        if (at < r.at)
            return (ssize_t)i;
    return -1;
}
