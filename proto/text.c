/* UTF-8 as defined by RFC 3629: see text.h. Knows no meaning of the text; cannot fail. */
#include "proto/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* → the length of the well-formed character that begins at `at`, or 0. */
static size_t character_length(const uint8_t *at, size_t here)
{
    uint8_t lead = at[0];
    if (lead < 0x80)
        return 1;

    /* The second byte's range is narrower after some leads: that excludes overlong forms, surrogates and code points
     * beyond U+10FFFF. */
    size_t length;
    uint8_t min = 0x80, max = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        min = lead == 0xe0 ? 0xa0 : 0x80;
        max = lead == 0xed ? 0x9f : 0xbf;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        min = lead == 0xf0 ? 0x90 : 0x80;
        max = lead == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (here < length || at[1] < min || at[1] > max)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

size_t wire_utf8_character(const char *text, size_t length)
{
    return length > 0 ? character_length((const uint8_t *)text, length) : 0;
}

size_t wire_utf8_prefix(const char *text, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t at = 0, passed = 1;
    while (at < length && passed > 0) {
        uint64_t word;
        while (length - at >= sizeof word) { /* most text is ASCII */
            memcpy(&word, bytes + at, sizeof word);
            if (word & 0x8080808080808080u)
                break;
            at += sizeof word;
        }
        passed = at < length ? character_length(bytes + at, length - at) : 0;
        at += passed;
    }
    return at;
}

size_t wire_utf8_cut(const char *text, size_t length, size_t max)
{
    if (length <= max)
        return length;

    /* A character that straddles the cut began at most three bytes before it. */
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t back = 1; back <= 3 && back <= max; back++) {
        size_t begin = max - back;
        if ((bytes[begin] & 0xc0) == 0x80)
            continue;
        return begin + character_length(bytes + begin, length - begin) > max ? begin : max;
    }
    return max;
}

void wire_utf8_scrub(char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t passed = text[i] ? character_length((const uint8_t *)text + i, length - i) : 0;
        if (passed == 0)
            text[i] = '?';
        i += passed ? passed : 1;
    }
}

char *wire_label(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = 0;
    wire_utf8_scrub(copy, length);
    return copy;
}

size_t wire_utf8_whole(const char *text, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        uint8_t lead = bytes[length - back];
        if ((lead & 0xc0) == 0x80)
            continue;
        size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        return whole > back ? length - back : length;
    }
    return length;
}

size_t wire_vformat(char *to, size_t size, const char *format, va_list arguments)
{
    int said = vsnprintf(to, size, format, arguments);
    size_t length = said < 0 ? 0 : (size_t)said;
    if (length >= size)
        length = wire_utf8_whole(to, size - 1);
    to[length] = 0;
    return length;
}

size_t wire_format(char *to, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = wire_vformat(to, size, format, arguments);
    va_end(arguments);
    return length;
}
