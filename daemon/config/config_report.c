/* Formats mistakes as lines of text: config_report.h and config_report_reset() of config.h. */
#include "daemon/config/config_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"

#define SHOWN_MAX 80 /* bytes of a foreign text */

void config_report_reset(struct config_report *report)
{
    free(report->text);
    *report = (struct config_report){0};
}

static void put_shown(FILE *out, const char *text)
{
    size_t n = 0;
    for (; text[n] && n < SHOWN_MAX; n++)
        putc((unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n], out);
    if (text[n])
        fputs("…", out);
}

static void put_place(FILE *out, const struct config_place *place)
{
    if (!place->file) {
        /* From the command line: the key is the option's name. */
        fprintf(out, "--%s", place->key ? place->key : "");
        if (place->value) {
            putc(' ', out);
            put_shown(out, place->value);
        }
        fputs(": ", out);
        return;
    }
    fputs(place->file, out);
    if (place->line > 0)
        fprintf(out, ":%u", place->line);
    fputs(": ", out);
    if (place->section) {
        putc('[', out);
        put_shown(out, place->section);
        fputs("] ", out);
    }
    if (place->key) {
        put_shown(out, place->key);
        if (place->value) {
            fputs(" = ", out);
            put_shown(out, place->value);
        }
        fputs(": ", out);
    }
}

void config_report_mistake(struct config_report *report, const struct config_place *place, const char *format, ...)
{
    if (report->count++ >= CONFIG_REPORT_LINES)
        return;

    _cleanup_(cleanup_free) char *line = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&line, &length);
    if (!out)
        return;
    put_place(out, place);
    va_list ap;
    va_start(ap, format);
    vfprintf(out, format, ap);
    va_end(ap);
    putc('\n', out);
    if (report->count == CONFIG_REPORT_LINES)
        fputs("more mistakes are not shown\n", out);
    if (fclose(out) != 0)
        return;

    char *text = realloc(report->text, report->length + length + 1);
    if (!text)
        return;
    memcpy(text + report->length, line, length + 1);
    report->text = text;
    report->length += length;
}
