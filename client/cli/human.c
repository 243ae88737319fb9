/* How are numbers written for people? See human.h. */
#include "client/cli/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

char *human_duration_us(char *to, size_t size, double us)
{
    if (us < 1000)
        snprintf(to, size, "%.0fµs", us);
    else if (us < 99.95e3)
        snprintf(to, size, "%.1fms", us / 1e3);
    else if (us < 999.5e3)
        snprintf(to, size, "%.0fms", us / 1e3);
    else if (us < 59.95e6)
        snprintf(to, size, "%.1fs", us / 1e6);
    else
        human_duration_ms(to, size, (uint64_t)(us / 1e3));
    return to;
}

char *human_duration_ms(char *to, size_t size, uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(to, size, "%" PRIu64 "ms", ms);
    else if (s < 60)
        snprintf(to, size, "%.1fs", (double)(ms / 100) / 10);
    else if (s < 3600)
        snprintf(to, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(to, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(to, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return to;
}

char *human_kib(char *to, size_t size, uint64_t kib)
{
    if (kib < 1024)
        snprintf(to, size, "%" PRIu64 " KiB", kib);
    else if (kib < 1024 * 1024)
        snprintf(to, size, "%.1f MiB", (double)kib / 1024);
    else
        snprintf(to, size, "%.1f GiB", (double)kib / (1024 * 1024));
    return to;
}

char *human_count(char *to, size_t size, double count)
{
    if (count < 99.95)
        snprintf(to, size, "%.1f", count);
    else if (count < 9999.5)
        snprintf(to, size, "%.0f", count);
    else if (count < 999.95e3)
        snprintf(to, size, "%.1fk", count / 1e3);
    else
        snprintf(to, size, "%.2fM", count / 1e6);
    return to;
}

char *human_time(char *to, size_t size, uint64_t unix_ms)
{
    time_t t = (time_t)(unix_ms / 1000);
    struct tm tm;
    if (!localtime_r(&t, &tm) || strftime(to, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(to, size, "?");
    return to;
}
