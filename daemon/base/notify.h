/* Notifies the service manager without ever blocking: sd_notify(3) blocks when the manager's queue is full, and a slow
 * manager must not stop the pool. Does nothing without NOTIFY_SOCKET. */
#pragma once

/* text: "READY=1" and the like. Dropped if it cannot be sent at once; a watchdog's next one follows soon. */
void notify(const char *text);
