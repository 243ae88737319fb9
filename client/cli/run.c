/* mpool run: a command in a worker, as if it ran here: its outputs, its input, its exit status; signals cancel it.
 *
 * The first SIGINT, SIGTERM or SIGHUP cancels the task and waits for its end; the second leaves at once, and the daemon
 * then cancels for want of a caller. Fails with 125 and a sentence where the command is not to blame.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/args.h"
#include "client/cli/command.h"
#include "client/cli/command_end.h"
#include "client/cli/daemon.h"
#include "client/cli/out.h"
#include "client/cli/own.h"
#include "client/cli/pack.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/signals.h"
#include "client/cli/verbs.h"

enum { PATIENCE_MS = 1000 }; /* then it is said how to leave what does not end */

static bool no_stdin;

static const struct option_row options[] = {
    OPTION_ROWS_COMMAND,
    {.name = "no-stdin", .letter = 'n', .flag = &no_stdin, .help = "do not read standard input"},
    OPTION_ROWS_TASK,
    {0},
};

struct run {
    bool ended;
    int exit_status;
    int signal; /* the one that asked us to stop, or 0 */
};

static void on_output(void *userdata, int stream, const void *bytes, size_t length)
{
    (void)userdata;
    out_direct(stream == STDERR_FILENO ? STDERR_FILENO : STDOUT_FILENO, bytes, length);
}

static void on_end(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct run *run = userdata;
    run->ended = true;
    if (code == -ECANCELED) /* we are leaving, and disconnect */
        return;
    if (code < 0) {
        if (run->signal && code == MPOOL_ECANCELLED)
            run->exit_status = EXIT_SIGNALLED + run->signal;
        else
            run->exit_status = daemon_say_text(code, text) == EXIT_TIMED_OUT ? EXIT_TIMED_OUT : EXIT_OWN;
        return;
    }
    run->exit_status = command_end_status(view_of(result));
}

/* → 0, or the exit status after the trouble was said. */
static int read_stdin(mpool_client *client, char **ret, size_t *ret_length)
{
    if (no_stdin || isatty(STDIN_FILENO))
        return 0;
    int r = args_read_all(STDIN_FILENO, ARGS_STDIN_CAP, signals_fd(), mpool_fd(client), ret, ret_length);
    if (r == -EINTR)
        return EXIT_SIGNALLED + signals_take();
    if (r == -ECONNRESET)
        return daemon_say_text(r, "");
    if (r == -EBADF) /* closed: the command gets none either */
        return 0;
    if (r == -EFBIG)
        say_error("standard input is larger than %u MiB, which is the most that a command can be given",
            ARGS_STDIN_CAP >> 20);
    else if (r < 0)
        say_error("cannot read standard input: %s (-n leaves it alone)", strerror(-r));
    return r < 0 ? EXIT_OWN : 0;
}

/* [[command…], {options}] */
static int pack(struct wire_buf *to, size_t count, char **command, const char *input, size_t input_length)
{
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_array(&pk, count);
    for (size_t i = 0; i < count; i++)
        pack_text(to, command[i], strlen(command[i]));
    return command_pack_options(
        to, &(struct command_extras){.input = input, .input_length = input_length, .stream = true});
}

/* → whether to leave at once. */
static bool on_signal(struct run *run, mpool_client *client, mpool_call_id id, int number)
{
    if (run->signal)
        return true;
    run->signal = number;
    int r = mpool_call_cancel(client, id);
    if (r < 0 && r != -ENOENT)
        daemon_say_text(r, "");
    return r < 0 && r != -ENOENT;
}

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static int follow(mpool_client *client, struct run *run, mpool_call_id id)
{
    bool told = !isatty(STDERR_FILENO);
    while (!run->ended) {
        struct pollfd p[] = {
            {.fd = mpool_fd(client), .events = (short)mpool_events(client)}, {.fd = signals_fd(), .events = POLLIN}};
        bool patient = run->signal && !told;
        int came = poll(p, 2, patient ? sooner(PATIENCE_MS, mpool_timeout_ms(client)) : mpool_timeout_ms(client));
        if (came < 0 && errno != EINTR) {
            say_error("poll: %s", strerror(errno));
            return EXIT_OWN;
        }
        if (came == 0 && patient) {
            say_note("the command has not ended yet; once more leaves it to the daemon");
            told = true;
        }
        int number = p[1].revents ? signals_take() : 0;
        if (number && on_signal(run, client, id, number))
            return EXIT_SIGNALLED + number;
        int r = mpool_process(client);
        if (r < 0 && !run->ended)
            return daemon_say(client, r);
    }
    return run->exit_status;
}

static int run_command(size_t count, char **command)
{
    if (count == 0) {
        say_error("run needs a command");
        return EXIT_OWN;
    }
    if (daemon_check_task_options() != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int r = signals_open(); /* not before there is something to cancel: connecting may take its time */
    if (r < 0) {
        say_error("signalfd: %s", strerror(-r));
        return EXIT_OWN;
    }
    _cleanup_(own_free) char *input = NULL;
    size_t input_length = 0;
    int status = read_stdin(client, &input, &input_length);
    if (status)
        return status;
    _cleanup_(wire_buf_reset) struct wire_buf args = {0};
    if (pack(&args, count, command, input, input_length) < 0)
        return EXIT_OWN;
    struct run run = {0};
    mpool_options task = daemon_task_options();
    task.on_output = on_output;
    mpool_call_id id;
    r = mpool_call_start(client, &id, "exec.run", wire_buf_at(&args), wire_buf_length(&args), &task, on_end, &run);
    return r < 0 ? daemon_say(client, r) : follow(client, &run, id);
}

const struct verb verb_run = {
    .name = "run",
    .group = "Run tasks",
    .usage = "[OPTIONS] [--] COMMAND [ARGUMENT…]",
    .line = "run a command in a worker, as if it ran here",
    .about = "Its standard output and error come as they are written, its exit status becomes mpool's.\n"
             "Standard input is handed over whole when it is not a terminal (at most 256 MiB). Ctrl-C, SIGTERM\n"
             "and SIGHUP stop the command and all that it started; the second time mpool leaves at once.\n"
             "\n"
             "Options end at the first word that is none. The environment is the worker's, see --env.\n"
             "\n"
             "Examples:\n"
             "  mpool run make -C /srv/site\n"
             "  tar c . | mpool run sha256sum\n"
             "  mpool run --timeout 10s --env LANG=C -- sort -r /etc/services\n",
    .operands = "@command",
    .flags = VERB_COMMAND,
    .options = options,
    .run = run_command,
};
