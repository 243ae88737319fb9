/* Has anybody in this process called what changes the process itself: its directory, its mask, its limits …?
 *
 * The executable stands in front of those functions of libc: each of them leaves a mark and goes on to libc's own. So a
 * task that changes nothing costs nothing: no system call looks whether it has. Raw system calls are not seen.
 */
#pragma once

#include <stdbool.h>

extern bool touched; /* set by any thread, never cleared by them */
