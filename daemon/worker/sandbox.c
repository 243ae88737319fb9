#include "daemon/worker/sandbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"

/* <linux/landlock.h> of Linux 6.12, which is newer than what we build on; the numbers are those of every machine. */
#define LANDLOCK_CREATE_RULESET 444
#define LANDLOCK_RESTRICT_SELF  446
#define LANDLOCK_SCOPE_SIGNAL   (1ull << 1)

struct landlock_attributes {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

static int narrow_signals(void)
{
    struct landlock_attributes attributes = {.scoped = LANDLOCK_SCOPE_SIGNAL};
    _cleanup_(fd_close) int fd = (int)syscall(LANDLOCK_CREATE_RULESET, &attributes, sizeof attributes, 0);
    if (fd < 0) /* too old, switched off, or blocked by a system call filter */
        return errno == ENOSYS || errno == EOPNOTSUPP || errno == E2BIG || errno == EINVAL || errno == EPERM ? 0
                                                                                                             : -errno;
    return syscall(LANDLOCK_RESTRICT_SELF, fd, 0) < 0 ? -errno : 0;
}

int sandbox_enter(void)
{
    if (geteuid() == 0)
        return 0;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    return narrow_signals();
}
