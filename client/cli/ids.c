/* Which tasks or processes do the operands name? See ids.h. */
#include "client/cli/ids.h"

#include <inttypes.h>

#include "client/cli/daemon.h"
#include "client/cli/options.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"

static const struct {
    const char *what, *list;
} kinds[] = {[IDS_TASKS] = {"task", "ls"}, [IDS_PROCESSES] = {"process", "ps"}};

int ids_parse(enum ids_of of, const char *verb, const char *word, uint64_t *ret)
{
    if (options_number(word, 1, (UINT64_C(1) << 53) - 1, ret) == 0)
        return 0;
    say_error("%s: '%s' is not a %s id; `mpool %s` shows them", verb, word, kinds[of].what, kinds[of].list);
    return -1;
}

int ids_check(enum ids_of of, const char *verb, char **words, size_t count)
{
    uint64_t id;
    if (count == 0) {
        say_error("%s needs the id of a %s; `mpool %s` shows them", verb, kinds[of].what, kinds[of].list);
        return EXIT_OWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (ids_parse(of, verb, words[i], &id) < 0)
            return EXIT_OWN;
    }
    return EXIT_OK;
}

static int say_failure(const struct ids_verb *verb, mpool_client *client, uint64_t id, int code)
{
    if (code != MPOOL_ENO_TASK || verb->of == IDS_TASKS)
        return daemon_say(client, code);
    say_error("E_NO_TASK: there is no process %" PRIu64 "; `mpool %s` shows them", id, kinds[verb->of].list);
    return EXIT_OWN;
}

int ids_each(const struct ids_verb *verb, char **words, size_t count)
{
    if (ids_check(verb->of, verb->verb, words, count) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    if (daemon_connect(&client) != EXIT_OK)
        return EXIT_OWN;
    int status = EXIT_OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        if (ids_parse(verb->of, verb->verb, words[i], &id) < 0)
            return EXIT_OWN;
        bool done = false;
        int r = verb->act(client, id, &done);
        if (r < 0)
            status = say_failure(verb, client, id, r);
        else if (settings.json)
            out_format("{\"id\": %" PRIu64 ", \"%s\": %s}\n", id, verb->key, done ? "true" : "false");
        else if (!done)
            say_note("%s %" PRIu64 " %s", kinds[verb->of].what, id, verb->not_done);
    }
    return status;
}
