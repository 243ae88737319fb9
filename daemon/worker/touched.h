/* Has any code in this process called a function that changes the process itself: its directory, its mask, its limits
 * …?
 *
 * The executable overrides those functions of libc: each of them sets a flag and calls libc's own. So a task that
 * changes nothing costs nothing: no system call is needed to find out. Raw system calls are not noticed.
 */
#pragma once

#include <stdbool.h>

extern bool touched; /* set by any thread, never cleared by them */
