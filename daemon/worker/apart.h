/* What keeps a pool's processes, and the commands that they run, out of the daemon and of other pools.
 *
 * They may all have one user id: the kernel's ordinary rules then let each of them trace and stop the others. For
 * daemons whose socket more than one user can reach. Holds for the caller and for all that comes of it.
 */
#pragma once

/* After the last change of user, and with no_new_privs. The process cannot be traced and its /proc is closed until it
 * runs another program; and where the kernel knows how to (Landlock, since Linux 6.12), neither it nor those programs
 * can signal or trace anybody who does not come of it. Root is not held back, as nothing would hold it.
 * → 0 or -errno; a kernel that cannot is no error. */
int apart_enter(void);
