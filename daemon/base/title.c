#include "daemon/base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area;
static size_t area_size;

void title_init(int argc, char **argv)
{
    if (argc < 1 || !argv[0])
        return;
    char *end = argv[0];
    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end = argv[i] + strlen(argv[i]) + 1;
    /* The kernel lays the environment right behind argv; a copy of it frees its room for the title. */
    size_t count = 0;
    while (environ[count])
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    if (!copy)
        return;
    for (size_t i = 0; i < count; i++) {
        if (environ[i] == end)
            end = environ[i] + strlen(environ[i]) + 1;
        copy[i] = strdup(environ[i]);
        if (!copy[i]) {
            while (i > 0)
                free(copy[--i]);
            free(copy);
            return;
        }
    }
    environ = copy;
    area = argv[0];
    area_size = (size_t)(end - argv[0]);
    /* argv itself is still read by main(): its strings are needed until the first title_set(). */
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
