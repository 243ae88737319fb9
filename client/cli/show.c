/* How is a result printed? See show.h. */
#include "client/cli/show.h"

#include <string.h>

#include "client/cli/exit_codes.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "proto/tables.h"

int show_json(const mpool_result *result)
{
    size_t length;
    const void *data = mpool_result_data(result, &length);
    return json_out_print(data, length);
}

int show_result(const mpool_result *result, bool raw)
{
    const void *bytes;
    size_t length;
    if (!raw)
        return show_json(result);
    if (mpool_result_bytes(result, &bytes, &length) < 0) {
        struct view v = view_of(result);
        say_error("--raw: the result is of type %s, and only strings and binary have raw bytes",
            wire_type_name(wire_peek(&v.at)));
        return EXIT_OWN;
    }
    out_bytes(bytes, length);
    return EXIT_OK;
}

enum say_style show_state_style(const char *state)
{
    int s = wire_state_find(state, strlen(state));
    if (s == MPOOL_STATE_DONE || strcmp(state, "serving") == 0 || strcmp(state, "idle") == 0)
        return SAY_GREEN;
    if (s == MPOOL_STATE_RUNNING || strcmp(state, "busy") == 0 || strcmp(state, "starting") == 0 ||
        strcmp(state, "paused") == 0)
        return SAY_YELLOW;
    if ((s >= 0 && wire_state_info((enum mpool_state)s)->final) || strcmp(state, "throttled") == 0 ||
        strcmp(state, "stuck") == 0)
        return SAY_RED;
    return SAY_PLAIN;
}

bool show_succeeded(struct view status)
{
    char state[32];
    return view_text(status, "state", state, sizeof state) && wire_state_find(state, strlen(state)) == MPOOL_STATE_DONE;
}
