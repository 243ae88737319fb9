/* See when.h. */
#include "client/cli/when.h"

#include <string.h>
#include <time.h>

#include "client/cli/options.h"

#define MS_PER_S 1000

static const char *const forms[] = {
    "%H:%M", "%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
enum { FORMS_OF_DAY = 2 }; /* the first ones have no date */

int64_t when_ms(const char *text)
{
    time_t now = time(NULL);
    uint64_t seconds;
    if (text[0] == '@')
        return options_number(text + 1, 1, UINT64_C(8000000000), &seconds) < 0 ? -1 : (int64_t)seconds * MS_PER_S;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm;
        if (!localtime_r(&now, &tm))
            return -1;
        tm.tm_sec = 0;
        tm.tm_isdst = -1;
        const char *end = strptime(text, forms[i], &tm);
        if (!end || *end)
            continue;
        struct tm day = tm; /* mktime() normalises what it is given */
        time_t at = mktime(&day);
        if (i < FORMS_OF_DAY && at <= now) {
            tm.tm_mday++;
            tm.tm_isdst = -1;
            at = mktime(&tm);
        }
        return at <= 0 ? -1 : (int64_t)at * MS_PER_S;
    }
    return -1;
}
