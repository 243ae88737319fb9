/* Configuration files for a test: a private directory, files in it, and what loading them says. */
#pragma once

#include "daemon/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* cmocka's set-up and tear-down: *state is the directory's path. */
int files_setup(void **state);
int files_teardown(void **state);

/* Writes a file below the directory, with the folders above it. name: begins with '/'. → its path, valid until the
 * next call. */
const char *files_write(void **state, const char *name, const char *text);

/* Loads text as the one configuration file. The result must be sound, and is the caller's. */
struct config *load_sound(void **state, const char *text);
/* Loads text, which must be refused. → the report, whose text the caller frees with config_report_reset(). The
 * directory's path is cut out of it, so that its lines begin with "/x.conf:LINE: ". */
struct config_report load_mistaken(void **state, const char *text);
/* Fails unless line is one whole line of the report. */
void assert_reported(const struct config_report *report, const char *line);
