/* Suggestions for mistyped names of pools and functions. When nothing was found, the daemon is asked for the existing
 * names. */
#pragma once

#include <stdint.h>

#include <mpool/client.h>

/* An answer was empty: is that because there is no such pool or function? Either may be NULL: not checked.
 * → EXIT_OK; or another status after reporting it, with the nearest name. */
int suggest_check(mpool_client *client, const char *pool, const char *function);

/* As daemon_say() after a failed attempt to run a function; if it does not exist, lists the functions of its module. */
int suggest_say(mpool_client *client, int code, const char *function);

/* Prints a note if `jobs` exceeds the number of workers that can run the items: those of `pool` or, if it is NULL, of
 * the first pool that has the function. → EXIT_OK; or another status after reporting a failure. */
int suggest_jobs(mpool_client *client, const char *pool, const char *function, uint64_t jobs);
