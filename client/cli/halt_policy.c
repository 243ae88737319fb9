/* What does --halt say? See halt_policy.h. */
#include "client/cli/halt_policy.h"

#include <string.h>

#include "client/cli/options.h"
#include "client/cli/say.h"

int halt_parse(const char *text, struct halt *ret)
{
    *ret = (struct halt){HALT_NEVER, 1};
    if (!text || strcmp(text, "never") == 0)
        return 0;
    const char *rest = strchr(text, ',');
    size_t length = rest ? (size_t)(rest - text) : strlen(text);
    if (length == 3 && memcmp(text, "now", 3) == 0)
        ret->when = HALT_NOW;
    else if (length == 4 && memcmp(text, "soon", 4) == 0)
        ret->when = HALT_SOON;
    if (ret->when != HALT_NEVER &&
        (!rest || (strncmp(rest, ",fail=", 6) == 0 && options_number(rest + 6, 1, UINT32_MAX, &ret->failures) == 0)))
        return 0;
    say_error("--halt: '%s' is not known; allowed are never, now, soon, now,fail=N and soon,fail=N", text);
    return -1;
}
