/* `--exec COMMAND`: a line for the shell with places for an item.
 *
 * An item never becomes part of the shell's text: it travels in the environment, and its places become references to a
 * variable, quoted so that they are one word. So no item is ever read as a command, whatever stands around its place;
 * a place where a quoted reference would not be the item as it is (within quotes, a here-document, arithmetic …) is
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
    struct wire_buf text; /* for the shell; a NUL where the number goes */
    unsigned parts;       /* of the item, that the command asks for: bits of template.c's table */
};

enum template_without_place {
    TEMPLATE_ITEM_APPENDED,  /* a command without a place of the item has it behind its end */
    TEMPLATE_ITEM_ELSEWHERE, /* … does not need one */
};

/* → 0, or -1 after it was said what is wrong with the command. verb: for the message. */
int template_read(
    struct template *template, const char *verb, const char *command, enum template_without_place without);
void template_reset(struct template *template);

/* Appends the command line for an item to `to`. → 0, or -ENOBUFS. */
int template_line(const struct template *template, struct wire_buf *to, uint64_t number);
/* Whether something in the word is, or looks like, a place. */
bool template_has_place(const char *word);
/* Whether nothing in the word means anything to a shell, apart from places: then one quoted place is as good as bare.
 */
bool template_is_harmless(const char *word);

/* Puts the parts into this process's environment. → 0, or -1 after it was said that one that the command asks for does
 * not go there: it holds a NUL byte, or is too long. */
int template_export(const struct template *template, const char *verb, const char *item, size_t length);

/* How many variables the item's parts take, and whether a name is one of theirs. */
size_t template_variables(const struct template *template);
bool template_owns(const char *name, size_t length);
/* Appends them to `to`, name and value, as MessagePack. → 0, -ENOBUFS, or -EINVAL: the item holds a NUL byte. */
int template_pack(const struct template *template, struct wire_buf *to, const char *item, size_t length);
