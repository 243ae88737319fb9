/* How do errors and notes reach stderr? See say.h. */
#include "client/cli/say.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/out.h"
#include "client/cli/settings.h"
#include "client/cli/utf8.h"
#include "proto/text.h"

enum { LINE_CAP = 8192 }; /* maximum bytes of one message, which is then cut off */

static void (*before_write)(void);

void say_set_before(void (*before)(void))
{
    before_write = before;
}

void say_before(void)
{
    if (before_write)
        before_write();
}

bool say_color(int fd)
{
    if (settings.color && strcmp(settings.color, "always") == 0)
        return true;
    if (settings.color && strcmp(settings.color, "never") == 0)
        return false;
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return !(no && *no) && term && *term && strcmp(term, "dumb") != 0 && isatty(fd);
}

const char *say_style(bool color, enum say_style style)
{
    if (!color)
        return "";
    switch (style) {
    case SAY_PLAIN: return "";
    case SAY_BOLD: return "\033[1m";
    case SAY_DIM: return "\033[2m";
    case SAY_RED: return "\033[31m";
    case SAY_GREEN: return "\033[32m";
    case SAY_YELLOW: return "\033[33m";
    }
    return "";
}

const char *say_style_end(bool color, enum say_style style)
{
    return color && style != SAY_PLAIN ? "\033[0m" : "";
}

/* → the length of the character at p if it may be shown; 0: escape the first byte. */
static size_t harmless(const uint8_t *p, size_t left)
{
    bool control = (p[0] < 0x20 && p[0] != '\n' && p[0] != '\t') || p[0] == 0x7f || utf8_is_c1(p, left);
    return control ? 0 : wire_utf8_character((const char *)p, left);
}

void say_harmless(char *to, size_t size, const char *text, size_t length)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t used = 0;
    for (size_t i = 0; i < length && used + sizeof "\\x00" <= size;) { /* no character is longer */
        size_t n = harmless(p + i, length - i);
        if (n == 0) {
            used += (size_t)snprintf(to + used, size - used, "\\x%02x", p[i++]);
            continue;
        }
        memcpy(to + used, text + i, n);
        used += n;
        i += n;
    }
    to[used] = 0;
}

__attribute__((format(printf, 3, 0))) static void say(bool prefix, enum say_style style, const char *format, va_list ap)
{
    char text[LINE_CAP], line[LINE_CAP + 64];
    vsnprintf(text, sizeof text, format, ap);
    bool color = prefix && say_color(STDERR_FILENO);
    int head =
        prefix ? snprintf(line, sizeof line, "%smpool:%s ", say_style(color, style), say_style_end(color, style)) : 0;
    size_t used = (size_t)head;
    say_harmless(line + used, sizeof line - used - 1, text, strlen(text));
    used += strlen(line + used);
    line[used++] = '\n';
    say_before();
    out_try(STDERR_FILENO, line, used);
}

void say_error(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(true, SAY_RED, format, ap);
    va_end(ap);
}

void say_note(const char *format, ...)
{
    if (settings.quiet)
        return;
    va_list ap;
    va_start(ap, format);
    say(true, SAY_BOLD, format, ap);
    va_end(ap);
}

void say_hint(const char *format, ...)
{
    if (settings.quiet)
        return;
    va_list ap;
    va_start(ap, format);
    say(false, SAY_PLAIN, format, ap);
    va_end(ap);
}
