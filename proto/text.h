/* Text that is sent as str: is it UTF-8, and where may it be cut?
 *
 * Strict clients drop their connection over one byte in a str that is not UTF-8, and error messages quote untrusted
 * text. Pure; any thread.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* → the bytes of the well-formed character that text begins with, or 0 if there is none. */
size_t wire_utf8_character(const char *text, size_t length);
/* → the length of its well-formed UTF-8 prefix: `length` if all of it is. NUL counts as well-formed. */
size_t wire_utf8_prefix(const char *text, size_t length);
static inline bool wire_is_utf8(const char *text, size_t length)
{
    return wire_utf8_prefix(text, length) == length;
}

/* → the length without an incomplete character at its end. */
size_t wire_utf8_whole(const char *text, size_t length);
/* → the largest length, at most `max`, at which text can be cut without splitting a character. */
size_t wire_utf8_cut(const char *text, size_t length, size_t max);
/* The arguments of a "%.*s" that prints the beginning of an untrusted text. */
#define WIRE_SHOWN(text, length, max) (int)wire_utf8_cut(text, length, max), text

/* Replaces each byte that is not part of well-formed UTF-8 (overlong forms and surrogates are not), and each NUL, by
 * '?'. The length stays. */
void wire_utf8_scrub(char *text, size_t length);
/* → a copy of an untrusted name for others to see: scrubbed, terminated, the caller's to free. NULL: no memory. */
char *wire_label(const char *text, size_t length);

/* As snprintf(), but what does not fit is cut between characters. → the length of the text in `to`; size must not be 0.
 */
size_t wire_format(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t wire_vformat(char *to, size_t size, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));
