/* mpool queue: passes items between scripts. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <mpool/queue.h>

#include "client/cli/child.h"
#include "client/cli/daemon.h"
#include "client/cli/inspect.h"
#include "client/cli/items.h"
#include "client/cli/json_in.h"
#include "client/cli/json_out.h"
#include "client/cli/create_options.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/queue_exec.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/signals.h"
#include "client/cli/verbs.h"
#include "proto/buf.h"
#include "proto/clock.h"

enum { BATCH_ITEMS = 512, BATCH_BYTES = 1 << 20, WHY_SIZE = 512 };

static struct option_count wanted, capacity, bytes;
static bool follow, joinable, at_least_once, strings, raw;
static char **command;

static const struct option_row options[] = {
    OPTION_ROW_TIMEOUT("give up after TIME (exit status 124); 0 does not wait"),
    {.name = "count",
        .letter = 'n',
        .value = "N",
        .count = &wanted,
        .min = 1,
        .max = UINT32_MAX,
        .help = "get: so many items (default: 1)"},
    {.name = "follow", .letter = 'f', .flag = &follow, .help = "get: all items, until the queue is finished"},
    {.name = "exec",
        .letter = 'x',
        .value = "COMMAND…",
        .words = "@command",
        .rest = &command,
        .help = "get: run a command for each item, which it reads from its standard input; the last option"},
    {.name = "raw", .letter = 'r', .flag = &raw, .help = "get: strings and binary as they are, not as JSON"},
    {.name = "strings", .letter = 's', .flag = &strings, .help = "put: items are strings, even if they look like JSON"},
    {.name = "joinable", .flag = &joinable, .help = "if it is made: a queue that can be joined"},
    {.name = "at-least-once", .flag = &at_least_once, .help = "if it is made: what a killed taker had returns"},
    {.name = "capacity",
        .letter = 'c',
        .value = "N",
        .count = &capacity,
        .min = 1,
        .max = 1u << 20,
        .help = "if it is made: so many items at a time"},
    {.name = "bytes",
        .value = "N",
        .count = &bytes,
        .min = 1,
        .max = UINT64_C(64) << 30,
        .help = "if it is made: so many bytes of items at a time (default: 16 MiB)"},
    OPTION_ROWS_CREATE,
    {0},
};

/* The time left of --timeout, which applies to the whole verb; -1: no time-out. */
static int64_t left_ms(int64_t end_ms)
{
    int64_t left = settings.timeout_ms < 0 ? -1 : end_ms - clock_now_ms();
    return settings.timeout_ms >= 0 && left < 0 ? 0 : left;
}

/* A finished queue is not an error of mpool: exit status 1. */
static int say_failure(mpool_client *client, int code)
{
    if (code != MPOOL_EFINISHED)
        return daemon_say(client, code);
    say_error("%s", mpool_error_text(client));
    return EXIT_TASK_FAILED;
}

/* ---- put
 * --------------------------------------------------------------------------------------------------------------------
 */

struct batch {
    struct wire_buf items; /* without the array's head */
    uint32_t count;
    uint64_t gone; /* items put ahead of these */
};

static int put_batch(mpool_client *client, mpool_object *queue, struct batch *batch, int64_t end_ms)
{
    _cleanup_(wire_buf_reset) struct wire_buf array = {0};
    if (batch->count == 0)
        return EXIT_OK;
    msgpack_packer pk = wire_packer(&array);
    msgpack_pack_array(&pk, batch->count);
    wire_buf_append(&array, wire_buf_at(&batch->items), wire_buf_length(&batch->items));
    if (array.failed) {
        say_error("queue: out of memory");
        return EXIT_OWN;
    }
    uint32_t gone;
    int r = mpool_queue_put_all(queue, wire_buf_at(&array), wire_buf_length(&array), left_ms(end_ms), &gone);
    if (r < 0) {
        int status = say_failure(client, r);
        if (batch->gone > 0)
            say_hint("%" PRIu64 " items went in before.", batch->gone);
        return status;
    }
    batch->gone += gone;
    if (gone < batch->count) {
        say_error("queue: items went in up to number %" PRIu64 ", no more", batch->gone);
        return settings.timeout_ms >= 0 && left_ms(end_ms) == 0 ? EXIT_TIMED_OUT : EXIT_TASK_FAILED;
    }
    wire_buf_consume(&batch->items, wire_buf_length(&batch->items));
    batch->count = 0;
    return EXIT_OK;
}

/* Puts the items before a bad one, then reports what is wrong. → exit status. */
static int give_up(mpool_client *client, mpool_object *queue, struct batch *batch, int64_t end_ms, const char *why)
{
    int status = put_batch(client, queue, batch, end_ms);
    if (status != EXIT_OK)
        return status;
    say_error("queue: item %" PRIu64 ": %s; %" PRIu64 " went in before it", batch->gone + 1, why, batch->gone);
    return EXIT_OWN;
}

/* Items travel together while there are more to read, and at once where there are none just now. */
static int put(mpool_client *client, mpool_object *queue, struct items *items, int64_t end_ms, uint64_t *ret_gone)
{
    struct batch batch = {0};
    int status = EXIT_OK;
    while (status == EXIT_OK) {
        const char *text;
        size_t length;
        char why[JSON_IN_WHY];
        int r = items_next(items, &text, &length);
        if (r == 1) {
            if (json_in_value(&batch.items, strings ? JSON_IN_TEXT : JSON_IN_WORD, text, length, why) < 0)
                status = give_up(client, queue, &batch, end_ms, why);
            else if (++batch.count == BATCH_ITEMS || wire_buf_length(&batch.items) >= BATCH_BYTES)
                status = put_batch(client, queue, &batch, end_ms);
            continue;
        }
        if (r < 0 && r != -EAGAIN) {
            status = give_up(client, queue, &batch, end_ms, r == -EMSGSIZE ? "it is longer than 16 MiB" : strerror(-r));
            break;
        }
        status = put_batch(client, queue, &batch, end_ms);
        if (r == 0)
            break;
        struct pollfd p = {.fd = items->fd, .events = POLLIN};
        poll(&p, 1, -1);
    }
    wire_buf_reset(&batch.items);
    *ret_gone = batch.gone;
    return status;
}

static int put_words(mpool_client *client, mpool_object *queue, size_t count, char **words, int64_t end_ms)
{
    struct items items;
    if (count > 0)
        items_from_words(&items, words, count);
    else
        items_from_fd(&items, STDIN_FILENO, '\n');
    uint64_t gone = 0;
    int status = put(client, queue, &items, end_ms, &gone);
    items_reset(&items);
    if (settings.json)
        out_format("{\"put\": %" PRIu64 "}\n", gone);
    return status;
}

/* ---- get
 * --------------------------------------------------------------------------------------------------------------------
 */

/* Prints one line per item: with --raw, text as it is; everything else as JSON. */
static int print_item(const mpool_queue_item *item)
{
    struct wire_reader value = wire_reader(item->data, item->length);
    const char *text;
    size_t length;
    if (!raw || wire_read_text(&value, &text, &length) < 0)
        return json_out_print(item->data, item->length);
    out_bytes(text, length);
    out_byte('\n');
    return EXIT_OK;
}

/* Prints items and, once they have been written, confirms those that need it. */
static int print_items(mpool_client *client, mpool_object *queue, const mpool_result *items)
{
    uint64_t tickets[BATCH_ITEMS];
    size_t count = 0, at = 0;
    uint32_t printed = 0;
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    int status = EXIT_OK, r = 0;
    while (status == EXIT_OK && (r = mpool_queue_next(queue, items, &at, &item)) > 0) {
        status = print_item(&item);
        printed++;
        if (item.ticket && count < BATCH_ITEMS)
            tickets[count++] = item.ticket;
    }
    out_flush();
    if (r < 0)
        return daemon_say(client, r);
    r = 0;
    if (status == EXIT_OK && count > 0)
        r = mpool_queue_confirm(queue, tickets, count, NULL);
    else if (status == EXIT_OK && strcmp(mpool_object_kind(queue), "joinable_queue") == 0)
        r = mpool_queue_done(queue, printed);
    return r < 0 ? daemon_say(client, r) : status;
}

/* The command of --exec. */
struct doing {
    struct queue_exec exec;
    struct keeper *keeper;
    uint64_t items; /* that were taken */
};

static int do_item(struct doing *doing, mpool_client *client, mpool_object *queue, const mpool_result *items)
{
    mpool_queue_item item = MPOOL_QUEUE_ITEM_INIT;
    size_t at = 0;
    int r = mpool_queue_next(queue, items, &at, &item);
    if (r < 0)
        return daemon_say(client, r);
    return queue_exec_item(&doing->exec, doing->keeper, client, queue, &item, ++doing->items);
}

/* doing: NULL to print them. */
static int get(mpool_client *client, mpool_object *queue, struct doing *doing, int64_t end_ms)
{
    uint64_t left = follow ? UINT64_MAX : wanted.given ? wanted.value : 1;
    int status = EXIT_OK;
    while (left > 0 && status == EXIT_OK) {
        uint32_t max = doing ? 1 : left < BATCH_ITEMS ? (uint32_t)left : BATCH_ITEMS;
        _cleanup_(result_freep) mpool_result *items = NULL;
        int r = mpool_queue_get(queue, max, left_ms(end_ms), &items);
        if (r < 0)
            return say_failure(client, r);
        if (r == 0)
            return follow ? EXIT_OK : EXIT_TASK_FAILED;
        status = doing ? do_item(doing, client, queue, items) : print_items(client, queue, items);
        if (left != UINT64_MAX)
            left -= (uint64_t)r;
        if (left > 0 && status == EXIT_OK && child_asked_to_end())
            status = ENDED_BY + child_asked_to_end();
    }
    return status;
}

/* ---- the verb
 * --------------------------------------------------------------------------------------------------------------- */

enum action { PUT, GET, JOIN, FINISH, STAT, ACTION_COUNT };
static const char *const actions[] = {"put", "get", "join", "finish", "stat"};

/* Opens a queue of either kind, or creates one for put and get. The kind is always given: opening a pipe by mistake
 * would use up one of its ends. */
/* A queue that exists was asked for as one that loses nothing with its consumer. */
static int check_at_least_once(mpool_client *client, const char *name)
{
    _cleanup_(result_freep) mpool_result *fields = NULL;
    int r = mpool_request(client, &fields, "inspect", "s", name);
    if (r < 0)
        return daemon_say(client, r);
    if (view_is_true(view_of(fields), "at_least_once"))
        return EXIT_OK;
    say_error("'%s' was made without --at-least-once; `mpool remove %s` lets it be made again", name, name);
    return EXIT_OWN;
}

static int open_queue(mpool_client *client, const char *name, bool make, mpool_object **ret)
{
    mpool_object_options made, there = MPOOL_OBJECT_OPTIONS_INIT;
    int status = create_options_read(&made);
    if (status != EXIT_OK)
        return status;
    there.create = MPOOL_CREATE_NO;
    there.capacity = (uint32_t)capacity.value;
    there.bytes = bytes.value;
    int r = mpool_object_open(client, ret, "queue", name, &there);
    if (r == MPOOL_EEXISTS) {
        char no_queue[WHY_SIZE];
        snprintf(no_queue, sizeof no_queue, "%s", mpool_error_text(client));
        r = mpool_object_open(client, ret, "joinable_queue", name, &there);
        if (r == MPOOL_EEXISTS)
            return daemon_say_text(r, no_queue);
    }
    if (r == MPOOL_ENO_OBJECT && make) {
        made.capacity = (uint32_t)capacity.value;
        made.bytes = bytes.value;
        made.at_least_once = at_least_once || command;
        r = mpool_object_open(client, ret, joinable ? "joinable_queue" : "queue", name, &made);
    }
    if (r == 0 && joinable && strcmp(mpool_object_kind(*ret), "joinable_queue") != 0) {
        say_error("'%s' is there already, and was made without --joinable", name);
        return EXIT_OWN;
    }
    return r < 0 ? daemon_say(client, r) : at_least_once ? check_at_least_once(client, name) : EXIT_OK;
}

static int stat_queue(mpool_client *client, const char *name)
{
    _cleanup_(result_freep) mpool_result *fields = NULL;
    int r = mpool_request(client, &fields, "inspect", "s", name);
    if (r < 0)
        return daemon_say(client, r);
    char kind[32] = "?";
    struct view queue = view_of(fields);
    if (!view_text(queue, "kind", kind, sizeof kind) ||
        (strcmp(kind, "queue") != 0 && strcmp(kind, "joinable_queue") != 0)) {
        say_error("E_EXISTS: '%s' is not a queue, but a %s", name, kind);
        return EXIT_OWN;
    }
    if (settings.json)
        return show_json(fields);
    inspect_print(queue);
    return EXIT_OK;
}

struct work {
    enum action action;
    char **words; /* after the action */
    size_t count;
    struct doing *doing; /* with --exec, else NULL */
};

static int act(mpool_client *client, const struct work *work, mpool_object *queue)
{
    int64_t end_ms = settings.timeout_ms < 0 ? 0 : clock_now_ms() + settings.timeout_ms;
    int r = 0;
    switch (work->action) {
    case PUT: return put_words(client, queue, work->count - 1, work->words + 1, end_ms);
    case GET: return get(client, queue, work->doing, end_ms);
    case JOIN:
        if (strcmp(mpool_object_kind(queue), "queue") == 0) {
            say_error("queue: '%s' cannot be joined: it was made without --joinable", mpool_object_handle(queue));
            return EXIT_OWN;
        }
        r = mpool_queue_join(queue, settings.timeout_ms);
        break;
    case FINISH: r = mpool_queue_finish(queue, NULL); break;
    case STAT:
    case ACTION_COUNT: break;
    }
    if (r >= 0 && settings.json)
        out_format("{\"%s\": true}\n", work->action == JOIN ? "joined" : "finished");
    return r < 0 ? say_failure(client, r) : EXIT_OK;
}

static int do_work(struct keeper *keeper, void *userdata)
{
    const struct work *work = userdata;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    if (work->action == STAT)
        return stat_queue(client, work->words[0]);
    if (work->doing)
        work->doing->keeper = keeper;
    mpool_object *queue = NULL;
    status = open_queue(client, work->words[0], work->action == PUT || work->action == GET, &queue);
    if (status == EXIT_OK)
        status = act(client, work, queue);
    mpool_object_close(queue);
    /* Ensures that the items returned are in the queue again before mpool exits. */
    _cleanup_(result_freep) mpool_result *pong = NULL;
    if (work->doing && status != EXIT_OK)
        (void)mpool_request(client, &pong, "ping", "");
    return status;
}

static int run(size_t count, char **words)
{
    int action = 0;
    while (action < ACTION_COUNT && (count == 0 || strcmp(words[0], actions[action]) != 0))
        action++;
    if (command && action != GET) {
        say_error("queue: --exec is of get, as in `mpool queue get NAME --exec COMMAND`");
        return EXIT_OWN;
    }
    if (action == ACTION_COUNT || count < 2 || (action != PUT && count > 2)) {
        say_error("queue: expected put, get, join, finish or stat, then a name: mpool queue put NAME ITEM; mpool queue "
                  "get NAME");
        return EXIT_OWN;
    }
    struct work work = {.action = (enum action)action, .words = words + 1, .count = count - 1};
    if (!command)
        return do_work(NULL, &work);
    struct doing doing = {.exec.json = settings.json};
    work.doing = &doing;
    int status = queue_exec_read(&doing.exec, command) < 0 ? EXIT_OWN : keeper_run(do_work, &work);
    template_reset(&doing.exec.template);
    return status;
}

const struct verb verb_queue = {
    .name = "queue",
    .group = "Share",
    .usage = "put NAME [ITEM…] | get NAME [-n N | -f] [--exec COMMAND…] | join NAME | finish NAME | stat NAME",
    .line = "hand items from process to process",
    .about =
        "put takes items from its arguments, or a line each from standard input: JSON where they parse, else\n"
        "strings; it waits while the queue is full. get prints a line an item: with -n it waits until it has had N,\n"
        "with --follow until the queue is finished. An item that cannot be printed is lost, unless the queue was\n"
        "made with --at-least-once. put and get make the queue if there is none. join waits until all items of a "
        "joinable queue\n"
        "are done: an item that get has printed is done. finish: no more items, those that are in can be got.\n"
        "\n"
        "With --exec get takes one item (N, all), runs COMMAND here with the item as its standard input, and confirms\n"
        "the item when the command exits 0. Else the item goes back to the front of the queue, and mpool ends as the\n"
        "command did, without taking another; nor does it after a signal that asks it to end, and which the command\n"
        "gets, too. So several of these share a queue, and each item is done by one of\n"
        "them. An item is held until the command has ended and, if it failed, all that it started; when mpool is\n"
        "killed, these get SIGTERM first. A queue that this makes is --at-least-once. In one that is not, an item\n"
        "is gone once it is taken, whether its command succeeds or fails, even if it could not be started.\n"
        "\n"
        "COMMAND is a line for the shell, as in `mpool map --exec`: {} {.} {/} {//} {/.} are the item or a part of\n"
        "it, as one word, and {#} its number; or it is several words, a command and its arguments. Strings and\n"
        "binary are passed as they are, the rest as JSON, with --json everything.\n"
        "\n"
        "Exit status: 0; 1 when the queue is finished and cannot give or take what was asked; 124 after --timeout\n"
        "without an item; of --exec that of the command, and 123 when the connection was lost while it ran.\n"
        "\n"
        "Examples:\n"
        "  mpool queue put jobs '{\"url\": \"https://example.org\"}'\n"
        "  find . -name '*.wav' | mpool queue put --strings files; mpool queue finish files\n"
        "  mpool queue get files --raw --follow | while read -r file; do echo \"$file\"; done\n"
        "  mpool queue get jobs --timeout 10s || echo nothing to do\n"
        "  mpool queue get jobs --follow --exec 'jq -r .url | xargs curl -fsSO'\n"
        "  mpool queue get files -t 0 --exec flac {}\n",
    .operands = "put get join finish stat",
    .second = "@queue",
    .flags = VERB_NUMBERS,
    .options = options,
    .run = run,
};
