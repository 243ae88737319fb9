/* Determines how many CPUs this process may use: cpus.h.
 *
 * /proc/self/cgroup names the cgroup in each hierarchy, /proc/self/mountinfo where the hierarchies are mounted and
 * which part of them is visible (in a container a mount's root is not the hierarchy's). Never fails: the result is only
 * a hint for a default. */
#include "daemon/config/cpus.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config.h"

/* More than any kernel supports (NR_CPUS is at most 8192 today). */
#define CPUS_MAX (1 << 20)

unsigned cpus_in_affinity(void)
{
    /* The kernel refuses a mask smaller than its own with EINVAL: retry with larger ones. */
    for (int cpus = 1024; cpus <= CPUS_MAX; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set)
            return 1;
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        int r = sched_getaffinity(0, size, set);
        int error = errno;
        int count = r == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
        if (r == 0 || error != EINVAL)
            break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

/* Reads the first line of directory/name. */
static bool read_line(const char *directory, const char *name, char *out, size_t size)
{
    _cleanup_(cleanup_free) char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return false;
    }
    _cleanup_(cleanup_fclose) FILE *f = fopen(path, "re");
    return f && fgets(out, (int)size, f);
}

static unsigned rounded_up(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return UINT_MAX;
    long long cpus = quota / period + (quota % period != 0);
    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

/* The quota of one directory. */
static unsigned quota_of(const char *directory, bool v2)
{
    char line[64];
    long long quota, period;
    if (v2) /* "max 100000" or "150000 100000" */
        return read_line(directory, "cpu.max", line, sizeof line) && sscanf(line, "%lld %lld", &quota, &period) == 2
                   ? rounded_up(quota, period)
                   : UINT_MAX;
    if (!read_line(directory, "cpu.cfs_quota_us", line, sizeof line) || sscanf(line, "%lld", &quota) != 1)
        return UINT_MAX; /* -1: none */
    if (!read_line(directory, "cpu.cfs_period_us", line, sizeof line) || sscanf(line, "%lld", &period) != 1)
        return UINT_MAX;
    return rounded_up(quota, period);
}

/* Is `word` one of the list's words? list: separated by commas. */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && strchr(",\n", at[length]))
            return true;
    }
    return false;
}

/* Which cgroup this process is in: of v2, or of the v1 hierarchy that has the cpu controller. */
static bool find_cgroup(const char *root, bool v2, char *out, size_t size)
{
    _cleanup_(cleanup_free) char *path = NULL, *line = NULL;
    if (asprintf(&path, "%s/proc/self/cgroup", root) < 0) {
        path = NULL;
        return false;
    }
    _cleanup_(cleanup_fclose) FILE *f = fopen(path, "re");
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0) { /* "4:cpu,cpuacct:/path", of v2 "0::/path" */
        char *controllers = strchr(line, ':');
        char *cgroup = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!cgroup)
            continue;
        controllers++;
        *cgroup++ = '\0';
        cgroup[strcspn(cgroup, "\n")] = '\0';
        if (cgroup[0] == '/' && (v2 ? *controllers == '\0' : lists(controllers, "cpu")))
            return (size_t)snprintf(out, size, "%s", cgroup) < size;
    }
    return false;
}

/* mountinfo writes blanks and backslashes as \ooo. In place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
            at[3] <= '7') {
            *to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 3;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
}

struct mount {
    char seen[PATH_MAX];  /* the visible part of the hierarchy: the mount's root field */
    char point[PATH_MAX]; /* the mount point */
};

/* Parses one line of mountinfo. → whether it is the requested hierarchy. */
static bool parse_mount(char *line, bool v2, struct mount *ret)
{
    /* id parent dev ROOT POINT options optional… - TYPE source SUPER-OPTIONS */
    char *dash = strstr(line, " - ");
    if (!dash)
        return false;
    char type[32], super[1024];
    if (sscanf(dash + 3, "%31s %*s %1023s", type, super) != 2)
        return false;
    if (strcmp(type, v2 ? "cgroup2" : "cgroup") != 0 || (!v2 && !lists(super, "cpu")))
        return false;
    *dash = '\0';
    _Static_assert(PATH_MAX == 4096, "the width in the format below");
    if (sscanf(line, "%*s %*s %*s %4095s %4095s", ret->seen, ret->point) != 2)
        return false;
    unescape(ret->seen);
    unescape(ret->point);
    return true;
}

static bool find_mount(const char *root, bool v2, struct mount *ret)
{
    _cleanup_(cleanup_free) char *path = NULL, *line = NULL;
    if (asprintf(&path, "%s/proc/self/mountinfo", root) < 0) {
        path = NULL;
        return false;
    }
    _cleanup_(cleanup_fclose) FILE *f = fopen(path, "re");
    size_t room = 0;
    while (f && getline(&line, &room, f) > 0)
        if (parse_mount(line, v2, ret))
            return true;
    return false;
}

static unsigned granted_in(const char *root, bool v2)
{
    char cgroup[PATH_MAX];
    struct mount mount;
    if (!find_cgroup(root, v2, cgroup, sizeof cgroup) || !find_mount(root, v2, &mount))
        return UINT_MAX;

    /* In a container the mount may show only the part below `seen`; a path outside of it cannot be reached, and the
     * mount's own root is the closest that can. */
    const char *below = cgroup;
    size_t seen = strlen(mount.seen);
    if (strcmp(mount.seen, "/") != 0)
        below = strncmp(cgroup, mount.seen, seen) == 0 && (cgroup[seen] == '/' || !cgroup[seen]) ? cgroup + seen : "";
    if (strstr(below, "/.."))
        below = "";

    _cleanup_(cleanup_free) char *directory = NULL;
    int top = asprintf(&directory, "%s%s%s", root, mount.point, strcmp(below, "/") == 0 ? "" : below);
    if (top < 0) {
        directory = NULL;
        return UINT_MAX;
    }
    size_t shortest = strlen(root) + strlen(mount.point);
    unsigned min = UINT_MAX;
    for (;;) {
        unsigned quota = quota_of(directory, v2);
        min = quota < min ? quota : min;
        char *slash = strrchr(directory, '/');
        if (strlen(directory) <= shortest || !slash)
            return min;
        *slash = '\0';
    }
}

unsigned cpus_granted_by_cgroups(const char *root)
{
    unsigned v1 = granted_in(root, false), v2 = granted_in(root, true);
    return v1 < v2 ? v1 : v2;
}

unsigned config_cpus(void)
{
    unsigned affinity = cpus_in_affinity(), granted = cpus_granted_by_cgroups("");
    unsigned cpus = affinity < granted ? affinity : granted;
    return cpus > 0 ? cpus : 1;
}
