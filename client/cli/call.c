/* mpool call: runs one function and prints its result.
 *
 * Ctrl-C simply ends this program: the daemon cancels a call whose caller has disconnected.
 */
#include <unistd.h>

#include "client/cli/args.h"
#include "client/cli/daemon.h"
#include "client/cli/suggest.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"

static struct {
    bool raw, output;
} opt;

static const struct option_row options[] = {
    OPTION_ROWS_ARGS,
    {.name = "raw",
        .letter = 'r',
        .flag = &opt.raw,
        .help = "write the bytes of a string or binary result as they are"},
    {.name = "output",
        .letter = 'o',
        .flag = &opt.output,
        .help = "show what the function prints meanwhile, on stderr"},
    OPTION_ROWS_TASK,
    {0},
};

static void on_output(void *userdata, int stream, const void *bytes, size_t length)
{
    (void)userdata;
    (void)stream;
    out_direct(STDERR_FILENO, bytes, length);
}

static int run(size_t count, char **operands)
{
    if (count == 0) {
        say_error("call needs a function; `mpool functions` lists them");
        return EXIT_OWN;
    }
    _cleanup_(wire_buf_reset) struct wire_buf args = {0};
    if (daemon_check_task_options() != EXIT_OK || args_pack(&args, operands + 1, count - 1) < 0)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    mpool_options task = daemon_task_options();
    if (opt.output)
        task.on_output = on_output;
    _cleanup_(result_freep) mpool_result *result = NULL;
    int r = mpool_call_raw(client, &result, operands[0], wire_buf_at(&args), wire_buf_length(&args), &task);
    return r < 0 ? suggest_say(client, r, operands[0]) : show_result(result, opt.raw);
}

const struct verb verb_call = {
    .name = "call",
    .group = "Run tasks",
    .usage = "[OPTIONS] FUNCTION [ARGUMENT…]",
    .line = "run a function and print its result",
    .about = "Arguments are JSON where they parse, else strings. The result is printed as JSON; what JSON\n"
             "lacks, binary that is no UTF-8, as {\"base64\": \"…\"}.\n"
             "\n"
             "A function runs where the daemon does: it finds a file by its whole path.\n"
             "\n"
             "Examples:\n"
             "  mpool call math.square 7                        → 49\n"
             "  mpool call text.wordcount /etc/services\n"
             "  mpool call sys.echo '{\"a\": [1, 2.5, null]}'\n"
             "  mpool call sys.echo --strings 007               → \"007\"\n"
             "  echo '[7]' | mpool call math.square --stdin\n"
             "  mpool call sys.sleep 60 --timeout 500ms         → E_TIMEOUT, exit status 124\n",
    .operands = "@function",
    .flags = VERB_NUMBERS,
    .options = options,
    .run = run,
};
