/* See forklib.c. */
#pragma once

#pragma GCC visibility push(default)

const char *forklib_trace(void);
void forklib_note(const char *what);
void forklib_start_thread(void);
#pragma GCC visibility pop
