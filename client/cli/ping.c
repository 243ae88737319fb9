/* mpool ping: is the daemon there, and how long does it take to answer? This does not test the workers: `call sys.noop`
 * does. */
#include <stdlib.h>
#include <time.h>

#include "client/cli/daemon.h"
#include "client/cli/human.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"
#include "proto/clock.h"

enum { PINGS_MAX = 1000000 };

static struct option_count count_option;

static const struct option_row options[] = {
    {.name = "count",
        .letter = 'c',
        .value = "N",
        .count = &count_option,
        .min = 1,
        .max = PINGS_MAX,
        .help = "ping N times and show how the times are spread (default: once)"},
    {0},
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const mpool_client *client, double *us, size_t count)
{
    qsort(us, count, sizeof *us, ascending);
    double p50 = us[count / 2], p99 = us[(count - 1) * 99 / 100];
    if (settings.json) {
        out_format("{\"count\": %zu, \"min_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n", count,
            us[0], p50, p99, us[count - 1]);
        return;
    }
    char a[HUMAN_SIZE], b[HUMAN_SIZE], c[HUMAN_SIZE], d[HUMAN_SIZE];
    if (count == 1)
        out_format("mpoold at %s answers in %s\n", mpool_socket_path(client), human_duration_us(a, sizeof a, us[0]));
    else
        out_format("mpoold at %s answered %zu times: min %s, p50 %s, p99 %s, max %s\n", mpool_socket_path(client),
            count, human_duration_us(a, sizeof a, us[0]), human_duration_us(b, sizeof b, p50),
            human_duration_us(c, sizeof c, p99), human_duration_us(d, sizeof d, us[count - 1]));
}

static int run(size_t operand_count, char **operands)
{
    (void)operand_count;
    (void)operands;
    size_t count = count_option.given ? (size_t)count_option.value : 1;
    _cleanup_(freep) double *us = calloc(count, sizeof *us);
    if (!us) {
        say_error("no memory");
        return EXIT_OWN;
    }
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    for (size_t i = 0; i < count; i++) {
        uint64_t start_ns = clock_now_ns();
        int r = mpool_ping(client);
        if (r < 0)
            return daemon_say(client, r);
        us[i] = (double)(clock_now_ns() - start_ns) / 1e3;
    }
    print(client, us, count);
    return EXIT_OK;
}

const struct verb verb_ping = {
    .name = "ping",
    .group = "Look",
    .usage = "[OPTIONS]",
    .line = "whether the daemon answers, and how fast",
    .about = "Examples:\n"
             "  mpool ping\n"
             "  mpool ping -c 10000\n",
    .flags = VERB_ALONE,
    .options = options,
    .run = run,
};
