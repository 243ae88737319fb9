/* How many CPUs may this process use: daemon/config/cpus.h, on made-up /proc and cgroup trees. */
#include "config_files_support.h"

#include <limits.h>
#include <sched.h>

#include "daemon/config/cpus.h"

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                                       \
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"                                                                \
    "32 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"                                                \
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"

static void no_proc_grants_everything(void **state)
{
    assert_int_equal(cpus_granted_by_cgroups(*state), UINT_MAX);
}

static void the_smallest_v2_quota_up_the_tree_counts(void **state)
{
    files_write(state, "/proc/self/cgroup", "0::/system.slice/mpoold.service\n");
    files_write(state, "/proc/self/mountinfo", V2_MOUNT);
    files_write(state, "/sys/fs/cgroup/system.slice/mpoold.service/cpu.max", "max 100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), UINT_MAX);
    files_write(state, "/sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 3);
    files_write(state, "/sys/fs/cgroup/cpu.max", "800000 100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 3);
    files_write(state, "/sys/fs/cgroup/system.slice/mpoold.service/cpu.max", "150000 100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 2); /* 1.5 CPUs keep two workers busy */
}

static void a_v2_quota_at_the_top_of_a_namespace_counts(void **state)
{
    files_write(state, "/proc/self/cgroup", "0::/\n");
    files_write(state, "/proc/self/mountinfo", V2_MOUNT);
    files_write(state, "/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 1);
}

static void v1_quota_is_read_where_the_cpu_controller_is(void **state)
{
    files_write(state, "/proc/self/cgroup", "5:cpuset:/wrong\n4:cpu,cpuacct:/a/b\n1:name=systemd:/wrong\n0::/\n");
    files_write(state, "/proc/self/mountinfo", V1_MOUNT);
    files_write(state, "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    files_write(state, "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), UINT_MAX);
    files_write(state, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "400000\n");
    files_write(state, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 4);
}

static void a_mount_that_shows_a_part_of_the_hierarchy_is_understood(void **state)
{
    files_write(state, "/proc/self/cgroup", "4:cpu:/docker/abc/inner\n");
    files_write(
        state, "/proc/self/mountinfo", "33 31 0:30 /docker/abc /sys/fs/cgroup/a\\040b ro - cgroup cgroup rw,cpu\n");
    files_write(state, "/sys/fs/cgroup/a b/inner/cpu.cfs_quota_us", "500000\n");
    files_write(state, "/sys/fs/cgroup/a b/inner/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 5);
    files_write(state, "/sys/fs/cgroup/a b/cpu.cfs_quota_us", "200000\n");
    files_write(state, "/sys/fs/cgroup/a b/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 2);
    files_write(state, "/proc/self/cgroup", "4:cpu:/docker/abcdef\n"); /* outside of what is mounted */
    assert_int_equal(cpus_granted_by_cgroups(*state), 2);
    files_write(state, "/proc/self/cgroup", "4:cpu:/docker/abc/../../..\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 2);
}

static void nonsense_grants_everything(void **state)
{
    files_write(state, "/proc/self/cgroup", "nonsense\n0::relative\n::\n0::/x\n");
    files_write(state, "/proc/self/mountinfo", "\n - \n - cgroup2\n1 2 3 - cgroup2 a b\n" V2_MOUNT);
    static const char *const quotas[] = {"", "max", "-5 100000\n", "0 100000\n", "100000 0\n", "1e9\n", "x y\n"};
    for (size_t i = 0; i < sizeof quotas / sizeof quotas[0]; i++) {
        files_write(state, "/sys/fs/cgroup/x/cpu.max", quotas[i]);
        assert_int_equal(cpus_granted_by_cgroups(*state), UINT_MAX);
    }
    files_write(state, "/sys/fs/cgroup/x/cpu.max", "1 100000\n");
    assert_int_equal(cpus_granted_by_cgroups(*state), 1);
}

static void affinity_counts(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(cpus_in_affinity(), CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpus_in_affinity(), 1);
    assert_int_equal(config_cpus(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

#define IN_FILES(f) cmocka_unit_test_setup_teardown(f, files_setup, files_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILES(no_proc_grants_everything),
        IN_FILES(the_smallest_v2_quota_up_the_tree_counts),
        IN_FILES(a_v2_quota_at_the_top_of_a_namespace_counts),
        IN_FILES(v1_quota_is_read_where_the_cpu_controller_is),
        IN_FILES(a_mount_that_shows_a_part_of_the_hierarchy_is_understood),
        IN_FILES(nonsense_grants_everything),
        cmocka_unit_test(affinity_counts),
    };
    return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
