/* The connection of a verb to the daemon, and the reporting of its errors.
 *
 * Failures are reported on stderr here, once; callers pass the exit status on.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <mpool/shared.h>

#include "client/cli/exit_codes.h"

/* Connects to --socket or the default paths. *ret: taken, mpool_disconnect().
 * → 0; or EXIT_OWN after reporting which paths were tried and how to start a daemon. */
int daemon_connect(mpool_client **ret);

/* Reports why the last call on `client` failed. → daemon_status_of(code) */
int daemon_say(mpool_client *client, int code);
/* The same for a sentence at hand ("" or NULL: the code's own). */
int daemon_say_text(int code, const char *text);

/* Why a call on `object` failed. */
int daemon_say_object(const mpool_object *object, int code);

/* For verbs that wait in a loop of their own: how much of --call-timeout is left, as poll(2) wants it. heard_ms:
 * clock_now_ms() when the daemon was heard last, or was not waited for. -1: no limit; 0: say that it did not answer.
 */
int daemon_left_ms(int64_t heard_ms);
/* Reports that the daemon did not answer in that time. → the exit status. */
int daemon_say_silent(void);

/* One request without params ("pools"): *ret, taken. → 0, or an exit status after reporting the failure. */
int daemon_ask(mpool_client *client, const char *method, mpool_result **ret);

/* The options of a task from the common settings. */
mpool_options daemon_task_options(void);
/* → 0, or EXIT_OWN after reporting which of them is out of range. */
int daemon_check_task_options(void);
