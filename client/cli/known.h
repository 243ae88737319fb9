/* Names of pools and functions that may be mistyped. The daemon is asked for those there are when nothing was found. */
#pragma once

#include <mpool/client.h>

/* An answer was empty: is that because there is no such pool or function? Either may be NULL: not asked for.
 * → EXIT_OK; or another status after it was said, with the nearest name. */
int known_check(mpool_client *client, const char *pool, const char *function);

/* As daemon_say() of a function that was to be run; where there is none it tells what its module has. */
int known_say(mpool_client *client, int code, const char *function);
