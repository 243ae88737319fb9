/* Words to the service manager, never waiting for it: sd_notify(3) blocks when the manager's queue is full, and a slow
 * manager must not stop the pool. Nothing happens where there is no NOTIFY_SOCKET. */
#pragma once

/* text: "READY=1" and the like. Dropped when it cannot be taken at once; a watchdog's next one comes soon. */
void notify(const char *text);
