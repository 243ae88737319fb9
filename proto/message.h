/* The MessagePack-RPC envelope: [0, msgid, method, params], [1, msgid, error, result], [2, method, params].
 *
 * Reading expects one whole value that the bounding scan has passed; the contents of params and result are not
 * examined. Writing appends to a wire_buf; check its `failed` at the end.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/errors.h"

/* The first byte of a list of one item, which is what the memfd of a queue item holds. */
#define WIRE_LIST_OF_ONE 0x91u

enum wire_kind { WIRE_REQUEST = 0, WIRE_RESPONSE = 1, WIRE_NOTIFICATION = 2 };

struct wire_message {
    enum wire_kind kind;
    bool has_msgid; /* set as soon as a request's msgid could be read, even if the rest is wrong */
    uint32_t msgid;
    const char *method; /* requests and notifications; not terminated; str or bin on the wire */
    size_t method_length;
    uint32_t params_count; /* elements of params */
    const uint8_t *params; /* the first element; the array header is already passed */
    size_t params_length;
    const uint8_t *first_end; /* where the scan saw the first container among params end; NULL: unknown */
    const uint8_t *error;     /* responses: the raw value; nil is one byte 0xc0 */
    size_t error_length;
    const uint8_t *result;
    size_t result_length;
};

/* data: one whole value of `length` bytes. Pointers in *ret point into it.
 * → 0, or -EBADMSG with *ret_why set to a sentence (static) and ret->has_msgid telling whether a reply can be
 * addressed. A params that is not an array, a msgid outside uint32, surplus elements: all -EBADMSG. */
int wire_message_parse(const uint8_t *data, size_t length, struct wire_message *ret, const char **ret_why);

/* Scan and parse in one walk, for what most messages are: a request whose params are a few scalars and short arrays of
 * scalars, or a response with a scalar and no error. data: what is there of it, and perhaps more behind it.
 * → true with *ret and its length in bytes: harmless, nested WIRE_QUICK_DEPTH deep at most; false, and *ret is
 * undefined: it is anything else, damaged, or not whole, which is for the scan to say. */
#define WIRE_QUICK_DEPTH 3u
bool wire_message_quick(const uint8_t *data, size_t length, struct wire_message *ret, size_t *ret_length);

/* [0, msgid, method, …: the caller packs params next, as one array. */
void wire_put_request(struct wire_buf *b, uint32_t msgid, const char *method);
/* [2, method, …: the caller packs params next, as one array. */
void wire_put_notification(struct wire_buf *b, const char *method);
/* [1, msgid, nil, …: the caller appends the result next, as one value. */
void wire_put_result(struct wire_buf *b, uint32_t msgid);
/* Maximum bytes of an error's text on the wire, its name included: longer ones are cut there, between characters. */
#define WIRE_ERROR_TEXT_MAX 4000u
/* Instead of a class: the error is the text alone, for clients that want one string. */
#define WIRE_ERROR_AS_TEXT (-1)

/* [1, msgid, [class, "E_NAME: text"], nil], whole. */
void wire_put_error(struct wire_buf *b, uint32_t msgid, enum mpool_error error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The text of such an error. → its length; it is terminated, too. */
size_t wire_error_words(char out[WIRE_ERROR_TEXT_MAX + 1], enum mpool_error error, const char *format,
    va_list arguments) __attribute__((format(printf, 3, 0)));
/* The same from text that already starts with its "E_NAME: ". */
void wire_put_error_text(struct wire_buf *b, uint32_t msgid, int class, const char *text, size_t length);
/* [class, "E_NAME: text"] alone, for lists of outcomes. */
void wire_put_error_value(struct wire_buf *b, int class, const char *text, size_t length);

/* Reads an error value as this protocol (and Neovim) shapes it. → 0 with class and text, or -EBADMSG for any other
 * shape (a foreign server); nil is -ENODATA. */
int wire_read_error(const uint8_t *error, size_t length, int *ret_class, const char **ret_text, size_t *ret_length);
