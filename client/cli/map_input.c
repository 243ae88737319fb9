/* How does the next line become an item? See map_input.h. */
#include "client/cli/map_input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/pack.h"
#include "client/cli/say.h"

void map_input_reset(struct map_input *input)
{
    items_reset(&input->items);
    template_reset(&input->template);
    wire_buf_reset(&input->value);
    wire_buf_reset(&input->options);
    wire_buf_reset(&input->line);
    inflight_reset(&input->inflight);
}

/* [["sh", "-c", line], {options, with the item's variables at their end}] */
static int make_command(struct map_input *input, const char *text, size_t length, char *why)
{
    wire_buf_rewind(&input->line, 0);
    int r = template_line(&input->template, &input->line, input->pulled + 1);
    msgpack_packer pk = wire_packer(&input->value);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_array(&pk, 3);
    wire_pack_text(&pk, "sh");
    wire_pack_text(&pk, "-c");
    pack_text(&input->value, (const char *)wire_buf_at(&input->line), wire_buf_length(&input->line));
    wire_buf_append(&input->value, wire_buf_at(&input->options), wire_buf_length(&input->options));
    if (r == 0)
        r = template_pack(&input->template, &input->value, text, length);
    if (r == -EINVAL)
        snprintf(why, JSON_IN_WHY, "it holds a NUL byte, which no command can be given");
    return r == -EINVAL ? r : r < 0 || input->value.failed ? -ENOMEM : 0;
}

/* → 1; 0 the end; -EAGAIN; -ECANCELED, said. */
static int next_text(struct map_input *input, const char **ret, size_t *ret_length)
{
    if (input->stopped)
        return 0;
    /* The map asks again for each result that it returns; do not spend a system call each time. */
    int r = input->dry ? -EAGAIN : items_next(&input->items, ret, ret_length);
    input->dry = r == -EAGAIN;
    if (r >= 0 || r == -EAGAIN)
        return r;
    if (r == -EMSGSIZE)
        say_error("item %" PRIu64 " is longer than %u MiB", input->pulled + 1, ITEMS_LENGTH_CAP >> 20);
    else
        say_error("cannot read standard input: %s", strerror(-r));
    input->failed = true;
    return -ECANCELED;
}

int map_input_pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct map_input *input = userdata;
    const char *text;
    size_t length;
    char why[JSON_IN_WHY] = "";
    int r = next_text(input, &text, &length);
    if (r <= 0)
        return r;
    wire_buf_rewind(&input->value, 0);
    if (input->exec)
        r = make_command(input, text, length, why);
    else
        r = json_in_value(&input->value, input->kind, text, length, why);
    if (r == -EINVAL)
        wire_buf_rewind(&input->value, 0); /* an empty value: the map fails this item alone */
    if (r == 0 || r == -EINVAL)
        r = inflight_put(&input->inflight, input->pulled, text, length, why);
    if (r < 0) {
        say_error("item %" PRIu64 ": no memory", input->pulled + 1);
        input->failed = true;
        return -ECANCELED;
    }
    input->pulled++;
    *ret_item = wire_buf_at(&input->value);
    *ret_length = wire_buf_length(&input->value);
    return 1;
}
