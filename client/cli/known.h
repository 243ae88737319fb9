/* Names of pools and functions that may be mistyped. The daemon is asked for those there are when nothing was found. */
#pragma once

#include <stdint.h>

#include <mpool/client.h>

/* An answer was empty: is that because there is no such pool or function? Either may be NULL: not asked for.
 * → EXIT_OK; or another status after it was said, with the nearest name. */
int known_check(mpool_client *client, const char *pool, const char *function);

/* As daemon_say() of a function that was to be run; where there is none it tells what its module has. */
int known_say(mpool_client *client, int code, const char *function);

/* Says so where `jobs` items at a time are more than the workers that can run them: those of `pool`, or, where it is
 * NULL, of the first that has the function. → EXIT_OK; or another status after a failure was said. */
int known_places(mpool_client *client, const char *pool, const char *function, uint64_t jobs);
