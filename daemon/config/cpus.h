/* How many CPUs may this process use? config_cpus() of config.h, and its parts for the tests. */
#pragma once

/* CPUs that the cgroups of this process grant it: the smallest quota on the way from its own cgroup to the root, of
 * v2 (cpu.max) and v1 (cpu.cfs_quota_us) alike, rounded up; UINT_MAX when there is none. What cannot be read grants
 * everything. root: put before /proc and before the mount points found there, "" but in tests. */
unsigned cpus_granted_by_cgroups(const char *root);

/* CPUs in the affinity mask of this process, at least 1. */
unsigned cpus_in_affinity(void);
