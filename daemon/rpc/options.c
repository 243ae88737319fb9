#include "daemon/rpc/options.h"

#include <errno.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/option_table.h"
#include "proto/text.h"

static const struct option_row rows[] = {
#define X(name, kind, field, min, max, methods)                                                                        \
    {#name, OPTION_##kind, offsetof(struct task_options, field), min, max, methods},
    TASK_OPTIONS(X)
#undef X
};

static const struct option_table table = {"option", rows, ELEMENTS(rows)};

int options_read(struct wire_reader *in, unsigned method, struct task_options *ret, char *why, size_t why_size)
{
    static const char *const methods[] = {
        [OPTION_CALL] = "call", [OPTION_MAP] = "map", [OPTION_SUBMIT] = "submit", [OPTION_SPAWN] = "spawn"};
    *ret = TASK_OPTIONS_DEFAULT;
    int r = option_table_read(&table, method, methods[method], in, ret, NULL, (struct option_why){why, why_size});
    if (r == 0 && ret->each && ret->stream) {
        wire_format(why, why_size, "options each and stream exclude one another");
        return -EINVAL;
    }
    if (ret->name.length == 0)
        ret->name.at = NULL; /* an empty label means none */
    return r;
}
