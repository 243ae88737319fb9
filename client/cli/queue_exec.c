/* How does a command process an item of a queue? See queue_exec.h. */
#include "client/cli/queue_exec.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/child.h"
#include "client/cli/daemon.h"
#include "client/cli/held.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "proto/buf.h"

/* ---- the command ---- */

static void append(struct wire_buf *to, const char *text)
{
    wire_buf_append(to, text, strlen(text));
}

/* Quotes a word of a command for the shell, except for the placeholders in it. */
static int quote(struct wire_buf *to, const char *word)
{
    if (template_has_place(word)) {
        if (!template_is_harmless(word)) {
            say_error("queue get --exec: within '%s' some program may take the item for a part of its own text: let {} "
                      "be a word by itself, or write the whole command as one word, for the shell",
                word);
            return -1;
        }
        append(to, " \"");
        append(to, word);
        append(to, "\"");
        return 0;
    }
    append(to, " '");
    for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
        wire_buf_append(to, word, (size_t)(quote - word));
        append(to, "'\\''");
    }
    append(to, word);
    append(to, "'");
    return 0;
}

int queue_exec_read(struct queue_exec *exec, char **words)
{
    _cleanup_(wire_buf_reset) struct wire_buf line = {0};
    if (words[1])
        append(&line, "exec"); /* the command replaces the shell, so its exit status is the command's */
    for (char **word = words; *word; word++) {
        if (!words[1])
            append(&line, *word);
        else if (quote(&line, *word) < 0)
            return -1;
    }
    wire_buf_append(&line, "", 1);
    if (line.failed) {
        say_error("no memory");
        return -1;
    }
    return template_read(&exec->template, "queue get", (const char *)wire_buf_at(&line), TEMPLATE_ITEM_ELSEWHERE);
}

/* ---- the item ---- */

/* Strings and binary as they are, the rest as JSON. → 0, or -1, said. */
static int write_item(const struct queue_exec *exec, const mpool_queue_item *item, struct wire_buf *to)
{
    struct wire_reader value = wire_reader(item->data, item->length);
    const char *text;
    size_t length;
    int r = 0;
    if (!exec->json && wire_read_text(&value, &text, &length) == 0) {
        wire_buf_append(to, text, length);
    } else {
        value = wire_reader(item->data, item->length);
        out_divert(to);
        r = json_out_value(&value);
        out_divert(NULL);
    }
    wire_buf_append(to, "", 1);
    if (r < 0 || to->failed)
        say_error("queue: the item %s", to->failed ? "does not fit into memory" : "is no valid MessagePack");
    return r < 0 || to->failed ? -1 : 0;
}

/* → a file that holds the item, or -1, said. */
static int open_item(const void *bytes, size_t length)
{
    int fd = memfd_create("mpool-item", MFD_CLOEXEC), r = fd < 0 ? -errno : 0;
    for (size_t done = 0; r == 0 && done < length;) {
        ssize_t n = write(fd, (const char *)bytes + done, length - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            r = -errno;
    }
    if (r == 0 && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    say_error("queue: the item cannot be passed to a command: %s", strerror(r ? -r : errno));
    closep(&fd);
    return -1;
}

struct doing {
    struct held held; /* first: the watch's userdata is both */
    mpool_object *queue;
    uint64_t ticket;
};

static int say_lost(void)
{
    say_error("queue: the connection was lost while the command ran: the daemon has ended, or has closed it; somebody "
              "else may get the item, too");
    return EXIT_LOST;
}

/* Runs before signals may end mpool, so that none comes between the command's success and the confirmation. */
static int settle(int status, void *userdata)
{
    struct doing *doing = userdata;
    if (status != EXIT_OK || doing->held.lost)
        return status;
    int r = 0;
    if (doing->ticket)
        r = mpool_queue_confirm(doing->queue, &doing->ticket, 1, NULL);
    else if (strcmp(mpool_object_kind(doing->queue), "joinable_queue") == 0)
        r = mpool_queue_done(doing->queue, 1);
    if (r < 0 && mpool_dispatch(doing->held.client) < 0)
        doing->held.lost = true;
    else if (r < 0)
        return daemon_say(doing->held.client, r);
    return status;
}

static int run(struct keeper *keeper, struct doing *doing, const struct template *template, uint64_t number, int input)
{
    _cleanup_(wire_buf_reset) struct wire_buf line = {0};
    if (template_line(template, &line, number) < 0 || wire_buf_append(&line, "", 1) < 0) {
        say_error("no memory");
        return EXIT_OWN;
    }
    char shell[] = "/bin/sh", option[] = "-c";
    const struct child child = {
        .words = (char *[]){shell, option, (char *)wire_buf_at(&line), NULL},
        .input = input,
        .watch = held_watch(&doing->held),
        .ended = settle,
    };
    int status = child_run(&child);
    if (status != EXIT_OK && !doing->held.lost)
        keeper_release(keeper, status);
    return doing->held.lost ? say_lost() : status;
}

int queue_exec_item(const struct queue_exec *exec, struct keeper *keeper, mpool_client *client, mpool_object *queue,
    const mpool_queue_item *item, uint64_t number)
{
    struct doing doing = {.held.client = client, .queue = queue, .ticket = item->ticket};
    _cleanup_(wire_buf_reset) struct wire_buf bytes = {0};
    int status = EXIT_OWN;
    if (write_item(exec, item, &bytes) == 0) {
        const char *text = (const char *)wire_buf_at(&bytes);
        size_t length = wire_buf_length(&bytes) - 1;
        _cleanup_(closep) int input = open_item(text, length);
        if (input >= 0 && template_export(&exec->template, "queue get", text, length) == 0)
            status = run(keeper, &doing, &exec->template, number, input);
    }
    if (status != EXIT_OK && !item->ticket)
        say_error("the item is gone: '%s' was made without --at-least-once", mpool_object_handle(queue));
    return status;
}
