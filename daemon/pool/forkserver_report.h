/* What a forkserver reports about its modules and functions: parsed, and not trusted.
 *
 * Modules are code in that process, and may write anything there. So the whole report is validated before any of it is
 * used: names must be valid names, and their number is limited. Texts are escaped by the code that displays them. */
#pragma once

#include <stdint.h>

struct forkserver;

/* Stores the report in a memfd (borrowed): the forkserver's modules, and its functions in its pool. → 0; -EPROTO: it is
 * malformed; -ENOMEM or another -errno. */
int forkserver_report_take(struct forkserver *t, int fd, uint64_t size);
