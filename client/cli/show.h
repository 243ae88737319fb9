/* How results and statuses are shown, the same by every verb. */
#pragma once

#include <mpool/client.h>

#include "client/cli/say.h"
#include "client/cli/view.h"

/* Prints a result as JSON and a newline, or, with raw, the bytes of a str or bin and nothing else.
 * → exit status, after reporting any failure. */
int show_result(const mpool_result *result, bool raw);

/* The result of a request without params as JSON, with --json. → exit status. */
int show_json(const mpool_result *result);

/* Green for success, red for failure, yellow for running. */
enum say_style show_state_style(const char *state);

/* Whether a status map says that the task ended with a result. */
bool show_succeeded(struct view status);
