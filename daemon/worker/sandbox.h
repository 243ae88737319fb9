/* Isolates a pool's processes, and the commands that they run, from the daemon and from other pools.
 *
 * They may all have one user id: the kernel's ordinary rules then let each of them trace and stop the others. For
 * daemons whose socket more than one user can reach. Applies to the caller and all its descendants.
 */
#pragma once

/* Call it after the last change of user, and with no_new_privs. The process cannot be traced and its /proc is closed
 * until it runs another program; and where the kernel supports it (Landlock, since Linux 6.12), neither it nor those
 * programs can signal or trace any process that is not a descendant of it. Does not restrict root, which could lift any
 * restriction. → 0 or -errno; a kernel without support is not an error. */
int sandbox_enter(void);
