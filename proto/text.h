/* Text that goes on the wire as str: is it UTF-8, and where may it be cut?
 *
 * Strict clients drop their connection over one byte in a str that is not UTF-8, and the texts of errors quote what
 * strangers wrote. Pure; any thread.
 */
#pragma once

#include <stddef.h>

/* → the largest length, at most `most`, at which text can be cut without splitting a character. */
size_t wire_utf8_cut(const char *text, size_t length, size_t most);

/* Replaces each byte that is not part of well-formed UTF-8 (overlong forms and surrogates are not), and each NUL, by
 * '?'. The length stays. */
void wire_utf8_scrub(char *text, size_t length);
