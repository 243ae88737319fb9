#include "daemon/base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area;
static size_t area_size;
static char **kept_arguments; /* for as long as the process lives */

/* → an owned copy of a NULL-terminated list, *end moved behind those of its strings that lie one after the other. */
static char **move_away(char **list, char **end)
{
    size_t count = 0;
    while (list[count])
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        if (list[i] == *end)
            *end = list[i] + strlen(list[i]) + 1;
        copy[i] = strdup(list[i]);
        if (!copy[i]) {
            while (i > 0)
                free(copy[--i]);
            free(copy);
            return NULL;
        }
    }
    return copy;
}

char **title_init(int argc, char **argv)
{
    if (argc < 1 || !argv[0])
        return argv;
    /* The kernel lays the environment right behind argv: together they are the room for the title. */
    char *end = argv[0];
    char **arguments = move_away(argv, &end);
    char **environment = arguments ? move_away(environ, &end) : NULL;
    if (!environment)
        return argv; /* what was copied stays: this happens once */
    environ = environment;
    kept_arguments = arguments;
    area = argv[0];
    area_size = (size_t)(end - argv[0]);
    return kept_arguments;
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
