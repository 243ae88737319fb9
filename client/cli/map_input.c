/* What does the next line mean as an item? See map_input.h. */
#include "client/cli/map_input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/pack.h"
#include "client/cli/say.h"
#include "client/cli/template.h"

void map_input_reset(struct map_input *input)
{
    items_reset(&input->items);
    wire_buf_reset(&input->value);
    wire_buf_reset(&input->options);
    wire_buf_reset(&input->line);
    kept_reset(&input->kept);
}

/* [["sh", "-c", line], {options}] */
static int make_command(struct map_input *input, const char *text, size_t length, const char *what)
{
    wire_buf_rewind(&input->line, 0);
    int r = template_fill(&input->line, input->template, input->pulled + 1, text, length);
    if (r == -EINVAL) {
        say_error("%s holds a NUL byte, which no command line can", what);
        return r;
    }
    msgpack_packer pk = wire_packer(&input->value);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_array(&pk, 3);
    wire_pack_text(&pk, "sh");
    wire_pack_text(&pk, "-c");
    pack_text(&input->value, (const char *)wire_buf_at(&input->line), wire_buf_length(&input->line));
    wire_buf_append(&input->value, wire_buf_at(&input->options), wire_buf_length(&input->options));
    if (r == 0 && !input->value.failed)
        return 0;
    say_error("%s: no memory", what);
    return -ENOMEM;
}

int map_input_pull(void *userdata, const void **ret_item, size_t *ret_length)
{
    struct map_input *input = userdata;
    const char *text;
    size_t length;
    char what[40];
    if (input->stopped)
        return 0;
    /* The map asks for each result that it gives; a system call each time would be a waste. */
    int r = input->dry ? -EAGAIN : items_next(&input->items, &text, &length);
    input->dry = r == -EAGAIN;
    if (r == 0 || r == -EAGAIN)
        return r;
    wire_buf_rewind(&input->value, 0);
    snprintf(what, sizeof what, "item %" PRIu64, input->pulled + 1);
    if (r == -EMSGSIZE)
        say_error("%s is longer than %u MiB", what, ITEMS_LENGTH_CAP >> 20);
    else if (r < 0)
        say_error("cannot read standard input: %s", strerror(-r));
    else if (input->template)
        r = make_command(input, text, length, what);
    else
        r = json_in_value(&input->value, input->kind, text, length, what);
    if (r >= 0 && kept_put(&input->kept, input->pulled, text, length) < 0) {
        say_error("%s: no memory", what);
        r = -ENOMEM;
    }
    if (r < 0) {
        input->failed = true;
        return -ECANCELED;
    }
    input->pulled++;
    *ret_item = wire_buf_at(&input->value);
    *ret_length = wire_buf_length(&input->value);
    return 1;
}
