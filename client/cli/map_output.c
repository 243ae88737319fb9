/* How is the outcome of an item shown? See map_output.h. */
#include "client/cli/map_output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/command_end.h"
#include "client/cli/daemon.h"
#include "client/cli/exit_codes.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/view.h"

enum { ITEM_SHOWN = 60 }; /* bytes of an item in a message */

/* The outcome of an item, with the item's text. */
struct ended {
    const mpool_item *item;
    const char *text;
    size_t length;
    const char *refused;
};

/* "mpool: item 3 (/etc/shadow): why" */
static void say_item(const struct ended *e, const char *why)
{
    char text[ITEM_SHOWN * 4 + 1]; /* each byte may be spelled out */
    size_t shown = e->length < ITEM_SHOWN ? e->length : ITEM_SHOWN;
    while (shown < e->length && shown > 0 && ((unsigned char)e->text[shown] & 0xc0) == 0x80)
        shown--; /* do not cut within a character */
    say_harmless(text, sizeof text, e->text, shown);
    out_flush(); /* so that messages appear in order on a terminal that shows both */
    say_error("item %" PRIu64 " (%s%s): %s", e->item->index + 1, text, shown < e->length ? "…" : "", why);
}

static void put_json_head(const struct ended *e)
{
    out_format("{\"index\": %" PRIu64 ", \"item\": ", e->item->index);
    json_out_bytes(e->text, e->length);
}

static void put_exec_output(struct view end)
{
    const void *bytes;
    size_t length;
    if (view_bytes(end, "stdout", &bytes, &length))
        out_bytes(bytes, length);
    if (view_bytes(end, "stderr", &bytes, &length) && length > 0) {
        out_flush(); /* keeps the order of the items on a terminal that shows both */
        say_before();
        out_direct(STDERR_FILENO, bytes, length);
    }
}

static void put_plain(struct map_output *output, const struct ended *e)
{
    struct wire_reader r = wire_reader(e->item->data, e->item->length);
    const char *text;
    size_t length;
    if (wire_read_text(&r, &text, &length) == 0)
        out_bytes(text, length);
    else if (json_out_value(&r) < 0)
        output->broken = true;
    out_byte('\n');
    if (output->broken)
        say_item(e, "the result cannot be shown: it is nested too deep, or no MessagePack");
}

/* → true if the result is a number and has been added. */
static bool add(struct map_output *output, const mpool_item *item)
{
    struct wire_reader r = wire_reader(item->data, item->length);
    int64_t whole;
    double real;
    if (!output->inexact && wire_read_i64(&r, &whole) == 0) {
        output->inexact = __builtin_add_overflow(output->total, whole, &output->total);
        output->float_total += (double)whole;
        return true;
    }
    if (wire_read_f64(&r, &real) < 0)
        return false;
    output->inexact = true;
    output->float_total += real;
    return true;
}

static void fail(struct map_output *output, const struct ended *e, const char *why)
{
    output->failed++;
    if (!output->json)
        say_item(e, why);
}

/* Would every other item fail in the same way (no such function, the daemon is stopping)? */
static bool is_hopeless(int code)
{
    switch (code) {
    case MPOOL_ENO_METHOD:
    case MPOOL_EBAD_PARAMS:
    case MPOOL_ENO_FUNCTION:
    case MPOOL_ENO_POOL:
    case MPOOL_EDENIED:
    case MPOOL_EPOOL_DOWN:
    case MPOOL_ESTOPPING: return true;
    default: return false;
    }
}

static void put_failure(struct map_output *output, const struct ended *e)
{
    const mpool_item *item = e->item;
    const char *why = *e->refused ? e->refused : *item->text ? item->text : mpool_strerror(item->code);
    if (output->cancelled && item->code == -ECANCELED) {
        output->stopped++;
        return;
    }
    if (item->code == -ECONNRESET || item->code == MPOOL_EPROTOCOL) {
        output->unanswered++; /* one message for all of them at the end */
        output->lost = item->code;
        return;
    }
    if (is_hopeless(item->code)) {
        out_flush();
        if (!output->refused)
            (void)daemon_say_text(item->code, why);
        output->unanswered++;
        output->refused = item->code;
        return;
    }
    if (output->json) {
        put_json_head(e);
        out_text(", \"error\": ");
        json_out_bytes(why, strlen(why));
        out_text("}\n");
    }
    fail(output, e, why);
}

static void put_result(struct map_output *output, const struct ended *e)
{
    char trouble[COMMAND_END_SIZE];
    struct view end = {wire_reader(e->item->data, e->item->length)};
    const char *why = output->exec ? command_end_trouble(end, trouble) : "";
    if (output->json) {
        put_json_head(e);
        out_text(", \"result\": ");
        output->broken |= json_out_value(&end.at) < 0;
        out_text("}\n");
    } else if (output->exec) {
        put_exec_output(end);
    } else if (!output->sum) {
        put_plain(output, e);
    }
    if (*why)
        fail(output, e, why);
    else if (output->sum && !add(output, e->item))
        fail(output, e, "its result is not a number, which --sum needs");
}

void map_output_item(
    struct map_output *output, const mpool_item *item, const char *text, size_t length, const char *refused)
{
    struct ended e = {item, text ? text : "", text ? length : 0, refused};
    output->done++;
    if (item->code < 0)
        put_failure(output, &e);
    else
        put_result(output, &e);
}

void map_output_sum(const struct map_output *output)
{
    if (output->inexact)
        out_format("%.15g\n", output->float_total);
    else
        out_format("%" PRId64 "\n", output->total);
}
