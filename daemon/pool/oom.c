#include "daemon/pool/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#define LOOK_NS (100 * NS_PER_MS) /* a reading is reused for this long: at most ten a second */
/* A large process may take long to die. A count older than the first limit may belong to another process; one older
 * than the second certainly does. */
#define CERTAIN_NS (5 * NS_PER_S)
#define FORGET_NS  (60 * NS_PER_S)

/* ---- finding the counter ---- */

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',' || at[length] == '\n'))
            return true;
    return false;
}

/* The path of this process in the hierarchy with the memory controller (v1), or in the unified one. → false: it is in
 * none. */
static bool find_group(bool v1, char (*ret)[PATH_MAX])
{
    _cleanup_(cleanup_fclose) FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX + 256];
    while (f && fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        controllers++;
        path[strcspn(path, "\n")] = 0;
        if (v1 ? has_word(controllers, "memory") : controllers[0] == 0)
            return snprintf(*ret, sizeof *ret, "%s", path) < (int)sizeof *ret;
    }
    return false;
}

/* Where that path is mounted. A mount may show only a part of the hierarchy, as in a container. → false: nowhere. */
static bool find_mount(bool v1, const char *group, char (*ret)[PATH_MAX])
{
    _cleanup_(cleanup_fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[2 * PATH_MAX], root[PATH_MAX], point[PATH_MAX];
    while (f && fgets(line, sizeof line, f)) {
        const char *rest = strstr(line, " - ");
        char type[32], options[512];
        if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2 ||
            sscanf(rest, " - %31s %*s %511s", type, options) != 2)
            continue;
        if (strcmp(type, v1 ? "cgroup" : "cgroup2") != 0 || (v1 && !has_word(options, "memory")))
            continue;
        size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(group, root, length) != 0 || (group[length] != 0 && group[length] != '/'))
            continue;
        return snprintf(*ret, sizeof *ret, "%s%s", point, group + length) < (int)sizeof *ret;
    }
    return false;
}

static int open_counter(void)
{
    static const struct {
        bool v1;
        const char *file;
    } places[] = {{false, "memory.events.local"}, {false, "memory.events"}, {true, "memory.oom_control"}};
    char group[PATH_MAX], place[PATH_MAX], path[PATH_MAX + 64];
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        if (!find_group(places[i].v1, &group) || !find_mount(places[i].v1, group, &place))
            continue;
        snprintf(path, sizeof path, "%s/%s", place, places[i].file);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

/* ---- reading the counter ---- */

static bool read_count(int fd, uint64_t *ret)
{
    static const char key[] = "oom_kill ";
    char text[512];
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (n < 0)
        return false;
    text[n] = 0;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, sizeof key - 1) == 0) {
            *ret = strtoull(line + sizeof key - 1, NULL, 10);
            return true;
        }
        if (*line == 0)
            break;
    }
    return false;
}

void oom_init(struct oom *o, uint64_t now_ns)
{
    *o = (struct oom){.fd = open_counter(), .looked_ns = now_ns};
    if (read_count(o->fd, &o->count))
        return;
    fd_close(&o->fd);
    log_info("no cgroup here counts processes that were killed for want of memory: of a worker that is killed that is "
             "unknown");
}

void oom_deinit(struct oom *o)
{
    fd_close(&o->fd);
}

static void look(struct oom *o, uint64_t now_ns)
{
    uint64_t count;
    if (!read_count(o->fd, &count)) { /* the cgroup is gone */
        fd_close(&o->fd);
        return;
    }
    if (count > o->count) {
        o->before_ns = o->looked_ns;
        o->seen_ns = now_ns;
        o->unexplained += count - o->count;
    }
    o->count = count;
    o->looked_ns = now_ns;
}

void oom_look(struct oom *o, uint64_t now_ns)
{
    if (o->fd >= 0 && now_ns - o->looked_ns >= LOOK_NS)
        look(o, now_ns);
}

enum oom_verdict oom_explain(struct oom *o, uint64_t since_ns, uint64_t now_ns)
{
    if (o->fd >= 0)
        look(o, now_ns);
    if (o->fd < 0)
        return OOM_PERHAPS;
    if (o->unexplained > 0 && now_ns - o->seen_ns > FORGET_NS)
        o->unexplained = 0;
    if (o->unexplained == 0)
        return OOM_NO;
    o->unexplained--;
    /* The kernel kills large processes, which are usually running a task. A count that may be older than the task may
     * belong to another process. */
    bool in_task = since_ns != UINT64_MAX && o->before_ns + LOOK_NS >= since_ns;
    return in_task && now_ns - o->seen_ns <= CERTAIN_NS ? OOM_YES : OOM_PERHAPS;
}

const char *oom_word(enum oom_verdict verdict)
{
    static const char *const words[] = {[OOM_NO] = "no", [OOM_YES] = "yes", [OOM_PERHAPS] = "perhaps"};
    return words[verdict];
}

const char *oom_text(enum oom_verdict verdict)
{
    static const char *const texts[] = {
        [OOM_NO] = "", [OOM_YES] = " — out of memory", [OOM_PERHAPS] = " — perhaps out of memory"};
    return texts[verdict];
}
