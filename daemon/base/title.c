#include "daemon/base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area;
static size_t area_size;
/* Kept for the life of the process. volatile so that the pointer is kept and LeakSanitizer can reach the block. */
static char **volatile kept_arguments;

/* → an owned copy of a NULL-terminated list, in one block with its strings, so that unsetenv() leaks none; *end is
 * moved past those strings that are contiguous. */
static char **move_away(char **list, char **end)
{
    size_t count = 0, bytes = 0;
    while (list[count])
        bytes += strlen(list[count++]) + 1;
    char **copy = malloc((count + 1) * sizeof *copy + bytes);
    if (!copy)
        return NULL;
    char *to = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(list[i]) + 1;
        if (list[i] == *end)
            *end = list[i] + size;
        copy[i] = memcpy(to, list[i], size);
        to += size;
    }
    copy[count] = NULL;
    return copy;
}

char **title_init(int argc, char **argv)
{
    if (argc < 1 || !argv[0])
        return argv;
    /* The kernel places the environment directly after argv: together they are the room for the title. */
    char *end = argv[0];
    char **arguments = move_away(argv, &end);
    char **environment = arguments ? move_away(environ, &end) : NULL;
    if (!environment)
        return argv; /* the copy is never freed: this runs once */
    environ = environment;
    kept_arguments = arguments;
    area = argv[0];
    area_size = (size_t)(end - argv[0]);
    return arguments;
}

void title_set(const char *comm, const char *format, ...)
{
    prctl(PR_SET_NAME, comm);
    if (!area || area_size < 2)
        return;
    va_list ap;
    va_start(ap, format);
    char text[256];
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t length = strlen(text);
    if (length > area_size - 1)
        length = area_size - 1;
    memcpy(area, text, length);
    memset(area + length, 0, area_size - length);
}
