/* A point in time on the command line. */
#pragma once

#include <stdint.h>

#define WHEN_FORMS "17:30, 17:30:05, '2027-01-31 17:30' and @SECONDS since 1970"

/* In local time; a time of day is the next one. → milliseconds since 1970; -1: it is not one. */
int64_t when_ms(const char *text);
