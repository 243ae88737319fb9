/* mpool run: a command in a worker, as if it ran here: its outputs, its input, its exit status; signals cancel it.
 *
 * The first SIGINT, SIGTERM, SIGHUP or SIGQUIT cancels the task by that signal and waits for its end; the second leaves
 * at once, and the daemon then cancels for want of a caller. Exits with 125, after a sentence that says why, for a
 * failure that is not the command's.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/command.h"
#include "client/cli/command_end.h"
#include "client/cli/daemon.h"
#include "client/cli/input.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/pack.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/signals.h"
#include "client/cli/verbs.h"
#include "proto/clock.h"

enum { PATIENCE_MS = 1000 }; /* then print how to detach from a command that does not end */

static bool no_stdin;

static const struct option_row options[] = {
    OPTION_ROWS_COMMAND,
    {.name = "no-stdin", .letter = 'n', .flag = &no_stdin, .help = "do not read standard input"},
    OPTION_ROWS_TASK,
    {0},
};

struct run {
    struct input *input; /* borrowed */
    bool ended;
    int exit_status;
    int signal;   /* the one that asked us to stop, or 0 */
    bool leaving; /* we exit, and disconnect */
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
    if (run->leaving)
        return;
    if (code < 0) {
        if (run->signal && code == -ECANCELED)
            run->exit_status = ENDED_BY + run->signal;
        else
            run->exit_status = daemon_say_text(code, text) == EXIT_TIMED_OUT ? EXIT_TIMED_OUT : EXIT_OWN;
        return;
    }
    struct view end = view_of(result);
    int number = command_end_signal(end);
    if (number == SIGKILL && run->signal) /* it has not heeded ours in its time */
        number = run->signal;
    run->exit_status = number ? ENDED_BY + number : command_end_status(end);
}

/* [[command…], {options}] */
static int pack(struct wire_buf *to, size_t count, char **command, bool input)
{
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_array(&pk, 2);
    msgpack_pack_array(&pk, count);
    for (size_t i = 0; i < count; i++)
        pack_text(to, command[i], strlen(command[i]));
    return command_pack_options(to, &(struct command_extras){.input = input, .stream = true, .merge = true});
}

/* → true to exit at once. */
static bool on_signal(struct run *run, mpool_client *client, mpool_call_id id, int number)
{
    if (run->signal)
        return true;
    run->signal = number;
    int r = mpool_call_cancel_by(client, id, number);
    if (r < 0 && r != -ENOENT)
        daemon_say_text(r, "");
    return r < 0 && r != -ENOENT;
}

static int follow(mpool_client *client, struct run *run, mpool_call_id id)
{
    bool told = !isatty(STDERR_FILENO);
    int64_t heard_ms = clock_now_ms();
    while (!run->ended) {
        enum { DAEMON, SIGNALS, INPUT, COUNT };
        struct pollfd p[COUNT] = {
            [DAEMON] = {.fd = mpool_fd(client), .events = (short)mpool_events(client)},
            [SIGNALS] = {.fd = signals_fd(), .events = POLLIN},
        };
        bool patient = run->signal && !told;
        int timeout_ms = clock_sooner_ms(input_poll(run->input, &p[INPUT]), mpool_timeout_ms(client));
        timeout_ms = clock_sooner_ms(timeout_ms, daemon_left_ms(heard_ms));
        int came = poll(p, COUNT, patient ? clock_sooner_ms(PATIENCE_MS, timeout_ms) : timeout_ms);
        if (came < 0 && errno != EINTR) {
            say_error("poll: %s", strerror(errno));
            return EXIT_OWN;
        }
        if (p[DAEMON].revents)
            heard_ms = clock_now_ms();
        else if (daemon_left_ms(heard_ms) == 0)
            return daemon_say_silent();
        if (came == 0 && patient) {
            say_note("the command is still running; press Ctrl-C again to leave it to the daemon");
            told = true;
        }
        int number = p[SIGNALS].revents ? signals_take() : 0;
        if (number && on_signal(run, client, id, number))
            return ENDED_BY + number;
        if (p[INPUT].revents)
            input_move(run->input);
        int r = mpool_dispatch(client);
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
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int r = signals_open(); /* only once there is something to cancel: connecting may take a while */
    if (r < 0) {
        say_error("signalfd: %s", strerror(-r));
        return EXIT_OWN;
    }
    _cleanup_(input_reset) struct input input = {0};
    struct run run = {.input = &input};
    if (!no_stdin && input_open(&input) < 0)
        return EXIT_OWN;
    _cleanup_(wire_buf_reset) struct wire_buf args = {0};
    if (pack(&args, count, command, !no_stdin) < 0)
        return EXIT_OWN;
    mpool_options task = daemon_task_options();
    task.on_output = on_output;
    if (!no_stdin)
        task.stdin_fd = &input.theirs;
    mpool_call_id id;
    r = mpool_call_start(client, &id, "exec.run", wire_buf_at(&args), wire_buf_length(&args), &task, on_end, &run);
    input_passed(&input);
    int status = r < 0 ? daemon_say(client, r) : follow(client, &run, id);
    run.leaving = true;
    return status;
}

const struct verb verb_run = {
    .name = "run",
    .group = "Run tasks",
    .usage = "[OPTIONS] [--] COMMAND [ARGUMENT…]",
    .line = "run a command in a worker, as if it ran here",
    .about = "Its standard output and error come as they are written, its exit status becomes mpool's.\n"
             "Standard input is the command's own: a pipe or file is handed over as it is, and what the command does\n"
             "not read of it is left; what is typed at a terminal is passed on. The umask and the directory are\n"
             "those of here. Where both outputs go to one place, they keep their order.\n"
             "\n"
             "Ctrl-C and Ctrl-\\, SIGTERM and SIGHUP go to the command, and stop it and all that it started within a\n"
             "second; the second time mpool leaves at once. A signal that ends the command, or mpool, is how mpool "
             "ends, too, so that loops and make stop.\n"
             "\n"
             "Options end at the first word that is none. The environment is the worker's, see --env.\n"
             "\n"
             "Examples:\n"
             "  mpool run make -C /srv/site\n"
             "  tar c . | mpool run sha256sum\n"
             "  mpool run --timeout 10s --env LANG=C -- sort -r /etc/services\n",
    .operands = "@command",
    .flags = VERB_COMMAND | VERB_NO_JSON,
    .options = options,
    .run = run_command,
};
