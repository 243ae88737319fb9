/* How does an item enter a command line? See template.h. */
#include "client/cli/template.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* As one word for a POSIX shell, whatever is in it: single quotes, and '\'' for a single quote. */
static void append_quoted(struct wire_buf *to, const char *item, size_t length)
{
    wire_buf_append(to, "'", 1);
    for (size_t done = 0; done < length;) {
        const char *quote = memchr(item + done, '\'', length - done);
        size_t run = quote ? (size_t)(quote - item) - done : length - done;
        wire_buf_append(to, item + done, run);
        if (quote)
            wire_buf_append(to, "'\\''", 4);
        done += run + (quote ? 1 : 0);
    }
    wire_buf_append(to, "'", 1);
}

int template_fill(struct wire_buf *to, const char *template, uint64_t number, const char *item, size_t length)
{
    if (memchr(item, 0, length))
        return -EINVAL;
    bool placed = false;
    const char *p = template;
    while (*p) {
        const char *brace = strchr(p, '{');
        if (!brace)
            brace = p + strlen(p);
        wire_buf_append(to, p, (size_t)(brace - p));
        p = brace;
        if (strncmp(p, "{}", 2) == 0) {
            append_quoted(to, item, length);
            placed = true;
            p += 2;
        } else if (strncmp(p, "{#}", 3) == 0) {
            char text[24];
            int n = snprintf(text, sizeof text, "%" PRIu64, number);
            wire_buf_append(to, text, (size_t)n);
            p += 3;
        } else if (*p) {
            wire_buf_append(to, p++, 1);
        }
    }
    if (!placed) {
        wire_buf_append(to, " ", 1);
        append_quoted(to, item, length);
    }
    return to->failed ? -ENOBUFS : 0;
}
