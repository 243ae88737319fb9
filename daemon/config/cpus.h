/* How many CPUs may this process use? config_cpus() of config.h, and its parts for the tests. */
#pragma once

/* The number of CPUs that the cgroups of this process grant it: the smallest quota on the way from its own cgroup to
 * the root, for v2 (cpu.max) and v1 (cpu.cfs_quota_us), rounded up; UINT_MAX if there is none. Files that cannot be
 * read impose no limit. root: prefix of /proc and of the mount points found there, "" except in tests. */
unsigned cpus_granted_by_cgroups(const char *root);

/* CPUs in the affinity mask of this process, at least 1. */
unsigned cpus_in_affinity(void);
