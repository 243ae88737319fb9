/* mpool status: shows all that is known about a task or, without one, an overview. */
#include <inttypes.h>

#include "client/cli/daemon.h"
#include "client/cli/fields.h"
#include "client/cli/human.h"
#include "client/cli/ids.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/pools.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/show.h"
#include "client/cli/verbs.h"
#include "client/cli/workers.h"
#include "proto/buf.h"

static int one_task(mpool_client *client, const char *word)
{
    uint64_t id;
    if (ids_parse(IDS_TASKS, "status", word, &id) < 0)
        return EXIT_OWN;
    _cleanup_(result_freep) mpool_result *status = NULL;
    int r = mpool_status(client, id, &status);
    if (r < 0)
        return daemon_say(client, r);
    if (settings.json)
        return show_json(status);
    fields_print(view_of(status));
    return EXIT_OK;
}

static void print_head(const mpool_client *client, const mpool_result *stats)
{
    struct view s = view_of(stats), tasks;
    char version[64], uptime[HUMAN_SIZE];
    out_format("mpoold %s, pid %" PRIu64 ", up %s, at %s\n",
        view_text(s, "version", version, sizeof version) ? version : "?", view_u64(s, "pid", 0),
        human_duration_ms(uptime, sizeof uptime, view_u64(s, "uptime_ms", 0)), mpool_socket_path(client));
    out_format("%" PRIu64 " running, %" PRIu64 " queued, %" PRIu64 " results kept, %" PRIu64 " connection%s\n",
        view_u64(s, "running", 0), view_u64(s, "queued", 0), view_u64(s, "detached_kept", 0),
        view_u64(s, "connections", 0), view_u64(s, "connections", 0) == 1 ? "" : "s");
    if (view_get(s, "tasks", &tasks))
        out_format("since its start: %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " lost, %" PRIu64
                   " timed out, %" PRIu64 " cancelled\n",
            view_u64(tasks, "done", 0), view_u64(tasks, "failed", 0), view_u64(tasks, "lost", 0),
            view_u64(tasks, "timeout", 0), view_u64(tasks, "cancelled", 0));
}

static int overall(mpool_client *client)
{
    _cleanup_(result_freep) mpool_result *stats = NULL, *pools = NULL, *workers = NULL;
    int status = daemon_ask(client, "stats", &stats);
    if (status == EXIT_OK)
        status = daemon_ask(client, "pools", &pools);
    if (status == EXIT_OK)
        status = daemon_ask(client, "workers", &workers);
    if (status != EXIT_OK)
        return status;
    print_head(client, stats);
    out_byte('\n');
    pools_print(pools);
    out_byte('\n');
    workers_print(workers, NULL);
    return EXIT_OK;
}

/* {"stats": …, "pools": …, "workers": …} */
static int overall_json(mpool_client *client)
{
    static const char *const methods[] = {"stats", "pools", "workers"};
    _cleanup_(wire_buf_reset) struct wire_buf all = {0};
    msgpack_packer pk = wire_packer(&all);
    msgpack_pack_map(&pk, sizeof methods / sizeof methods[0]);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        _cleanup_(result_freep) mpool_result *result = NULL;
        int status = daemon_ask(client, methods[i], &result);
        if (status != EXIT_OK)
            return status;
        size_t length;
        const void *data = mpool_result_data(result, &length);
        wire_pack_text(&pk, methods[i]);
        wire_buf_append(&all, data, length);
    }
    if (all.failed) {
        say_error("no memory");
        return EXIT_OWN;
    }
    return json_out_print(wire_buf_at(&all), wire_buf_length(&all));
}

static int run(size_t count, char **operands)
{
    if (count > 0 && ids_check(IDS_TASKS, "status", operands, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    if (count == 0)
        return settings.json ? overall_json(client) : overall(client);
    int status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !settings.json)
            out_byte('\n');
        int s = one_task(client, operands[i]);
        status = s > status ? s : status;
    }
    return status;
}

const struct verb verb_status = {
    .name = "status",
    .group = "Follow tasks",
    .usage = "[OPTIONS] [ID…]",
    .line = "all that is known about a task; without one, the overall picture",
    .about = "Examples:\n"
             "  mpool status              the daemon, its pools and its workers\n"
             "  mpool status 17           one task: state, times, error, why its worker died\n"
             "  mpool status 17 --json\n",
    .operands = "@task",
    .run = run,
};
