/* `--exec COMMAND`: a line for the shell with places for an item.
 *
 * An item never becomes part of the shell's text: it travels in the environment, and its places become references to a
 * variable, quoted so that they are one word. So no item is ever read as a command, whatever surrounds its place; a
 * place where a quoted reference would not be the item as it is (within quotes, a here-document, arithmetic …) is
 * refused.
 *
 * {} is the item; {.} without its extension, {/} without its directory, {//} the directory, {/.} without both; {#} its
 * number, from 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

struct template
{
    struct wire_buf text; /* for the shell; a NUL marks the place of the number */
    unsigned parts;       /* parts of the item that the command uses: bits of template.c's table */
};

enum template_without_place {
    TEMPLATE_ITEM_APPENDED,  /* the item is appended to a command without a place for it */
    TEMPLATE_ITEM_ELSEWHERE, /* … does not need one */
};

/* → 0, or -1 after reporting what is wrong with the command. verb: for the message. */
int template_read(
    struct template *template, const char *verb, const char *command, enum template_without_place without);
void template_reset(struct template *template);

/* Appends the command line for an item to `to`. → 0, or -ENOBUFS. */
int template_line(const struct template *template, struct wire_buf *to, uint64_t number);
/* Does the word contain something that is, or looks like, a place? */
bool template_has_place(const char *word);
/* Is the word, apart from places, free of shell syntax? Then quoting a place in it makes no difference. */
bool template_is_harmless(const char *word);

/* Puts the parts into this process's environment. → 0, or -1 after reporting that a part the command uses does not fit
 * there: it contains a NUL byte, or is too long. */
int template_export(const struct template *template, const char *verb, const char *item, size_t length);

/* How many variables the item's parts take, and whether a name is one of theirs. */
size_t template_variables(const struct template *template);
bool template_owns(const char *name, size_t length);
/* Appends them to `to`, name and value, as MessagePack. → 0, -ENOBUFS, or -EINVAL: the item holds a NUL byte. */
int template_pack(const struct template *template, struct wire_buf *to, const char *item, size_t length);
