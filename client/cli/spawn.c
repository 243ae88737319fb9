/* mpool spawn: starts a separate process for one function; with --join as if it ran here. */
#include <inttypes.h>
#include <unistd.h>

#include <mpool/process.h>

#include "client/cli/args.h"
#include "client/cli/command_end.h"
#include "client/cli/daemon.h"
#include "client/cli/suggest.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static bool join;

static const struct option_row options[] = {
    OPTION_ROWS_ARGS,
    {.name = "join",
        .letter = 'j',
        .flag = &join,
        .help =
            "show what it prints (with --json on stderr), wait for its end, and end with its exit status; it ends with "
            "this program"},
    OPTION_ROW_TTL,
    OPTION_ROW_POOL,
    OPTION_ROW_TIMEOUT("end it after TIME: 500ms, 5s, 2m, 1h; a bare number is seconds"),
    {.name = "name", .value = "LABEL", .text = &settings.label, .help = "a label for `mpool ps` (128 bytes)"},
    {0},
};

static void on_output(void *userdata, int stream, const void *bytes, size_t length)
{
    (void)userdata;
    out_direct(stream == STDERR_FILENO || settings.json ? STDERR_FILENO : STDOUT_FILENO, bytes, length);
}

/* Reads the status of a command, if the function ran one. → the exit status. */
static int command_status(mpool_process *process, const char *function)
{
    _cleanup_(result_freep) mpool_result *result = NULL;
    if (!command_end_is_of(function) || mpool_process_result(process, 0, &result) < 0)
        return EXIT_OK;
    char trouble[COMMAND_END_SIZE];
    struct view end = view_of(result);
    if (*command_end_trouble(end, trouble))
        say_error("%s", trouble);
    return command_end_status(end);
}

/* → the exit status. */
static int join_it(mpool_client *client, mpool_process *process, const char *function)
{
    int code;
    int r = mpool_process_join(process, -1);
    if (r == 0)
        r = mpool_process_exitcode(process, &code);
    if (r < 0)
        return daemon_say(client, r);
    if (settings.json)
        out_format("{\"id\": %" PRIu64 ", \"exitcode\": %d}\n", mpool_process_id(process), code);
    r = code == 0 ? 0 : mpool_process_result(process, 0, NULL);
    if (r < 0 && (code == 1 || r == MPOOL_ETIMEOUT))
        daemon_say(client, r); /* the function's own error text */
    if (r == MPOOL_ETIMEOUT)
        return EXIT_TIMED_OUT;
    if (code == 0)
        return command_status(process, function);
    return (code < 0 ? EXIT_SIGNALLED - code : code) & 0xff;
}

static int run(size_t count, char **operands)
{
    if (count == 0) {
        say_error("spawn needs a function; `mpool functions` lists them");
        return EXIT_OWN;
    }
    _cleanup_(wire_buf_reset) struct wire_buf args = {0};
    if (daemon_check_task_options() != EXIT_OK || args_pack(&args, operands + 1, count - 1) < 0)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    mpool_process_options how = MPOOL_PROCESS_OPTIONS_INIT;
    mpool_options task = daemon_task_options();
    how.task = &task;
    how.lives_on = !join;
    if (join)
        task.on_output = on_output;
    mpool_process *process;
    int r = mpool_process_start_raw(client, &process, &how, operands[0], wire_buf_at(&args), wire_buf_length(&args));
    if (r < 0)
        return suggest_say(client, r, operands[0]);
    if (join)
        r = join_it(client, process, operands[0]);
    else if (settings.json)
        out_format("{\"id\": %" PRIu64 ", \"pid\": %d}\n", mpool_process_id(process), (int)mpool_process_pid(process));
    else
        out_format("%" PRIu64 "\n", mpool_process_id(process));
    mpool_process_free(process);
    return r;
}

const struct verb verb_spawn = {
    .name = "spawn",
    .group = "Processes",
    .usage = "[OPTIONS] FUNCTION [ARGUMENT…]",
    .line = "run a function in a process of its own, print its id",
    .about = "The process is forked from the pool's warm template, beside its workers, and runs nothing else. wait,\n"
             "result, status and cancel take its id, and so does kill.\n"
             "\n"
             "Examples:\n"
             "  id=$(mpool spawn sys.sleep 60 --name watcher)\n"
             "  mpool kill $id\n"
             "  mpool spawn --join sys.output hello\n",
    .operands = "@function",
    .flags = VERB_NUMBERS,
    .options = options,
    .run = run,
};
