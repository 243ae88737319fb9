/* Whatever a task leaves behind when its worker dies: found, and killed.
 *
 * The supervisor is a subreaper, so descendants of a dead worker become its own children, however often they forked or
 * changed their session. A child that is neither worker nor template is such an orphan.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct supervisor;

void orphans_init(void);
/* Is the process one of our workers or templates? */
bool orphans_is_known(struct supervisor *s, pid_t pid);
/* After a death: kills and reaps unknown children, and comes back until there is none. */
void orphans_look(struct supervisor *s);
/* Kills and reaps all children, waiting; at the very end. */
void orphans_end(void);
