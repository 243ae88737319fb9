#include "daemon/pool/forkserver_report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/base/packet.h"
#include "daemon/lane/control_protocol.h"
#include "daemon/pool/pool.h"
#include "proto/reader.h"
#include "proto/scan.h"

#define REPORT_MAX    (16u << 20)
#define MODULES_MAX   4096u
#define FUNCTIONS_MAX 65536u /* of all modules */

struct text {
    const char *at;
    size_t length;
};

static bool read_text(struct wire_reader *in, struct text *ret)
{
    return wire_read_str(in, &ret->at, &ret->length) == 0;
}

static bool is_name(const char *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= '0' && at[i] <= '9') || at[i] == '_'))
            return false;
    return length > 0 && length <= CONTROL_NAME_MAX;
}

/* "module.function" */
static bool is_function_of(const struct text *module, const struct text *name)
{
    return name->length > module->length && memcmp(name->at, module->at, module->length) == 0 &&
           name->at[module->length] == '.' && is_name(name->at + module->length + 1, name->length - module->length - 1);
}

/* [name, version, [function, …]], up to the functions. */
static bool read_module(struct wire_reader *in, struct text *name, struct text *version, uint32_t *ret_functions)
{
    uint32_t fields;
    return wire_read_array(in, &fields) == 0 && fields == 3 && read_text(in, name) && read_text(in, version) &&
           wire_read_array(in, ret_functions) == 0 && is_name(name->at, name->length);
}

/* [name, flags, timeout_s, summary] */
static bool read_function(struct wire_reader *in, const struct text *module, struct function_report *ret)
{
    uint32_t fields;
    uint64_t flags, timeout_s;
    struct text name, summary;
    if (wire_read_array(in, &fields) < 0 || fields != 4 || !read_text(in, &name) || wire_read_u64(in, &flags) < 0 ||
        wire_read_u64(in, &timeout_s) < 0 || timeout_s > UINT32_MAX || !read_text(in, &summary) ||
        !is_function_of(module, &name))
        return false;
    *ret = (struct function_report){.name = name.at,
        .name_length = name.length,
        .summary = summary.at,
        .summary_length = summary.length,
        .flags = (uint32_t)flags,
        .timeout_s = (uint32_t)timeout_s};
    return true;
}

static int add_module(struct forkserver *t, const struct text *name, const struct text *version)
{
    struct module_name *m = &t->modules[t->module_count++];
    m->name = strndup(name->at, name->length);
    m->version = strndup(version->at, version->length);
    return m->name && m->version ? 0 : -ENOMEM;
}

/* Reads the whole report from its first module on. add: also stores it; it must have been checked before. */
static int walk(struct forkserver *t, struct wire_reader in, uint32_t modules, bool add)
{
    uint32_t index = 0, functions;
    for (uint32_t m = 0; m < modules; m++) {
        struct text name, version;
        if (!read_module(&in, &name, &version, &functions) || functions > FUNCTIONS_MAX - index)
            return -EPROTO;
        int r = add ? add_module(t, &name, &version) : 0;
        for (uint32_t f = 0; r == 0 && f < functions; f++) {
            struct function_report report;
            if (!read_function(&in, &name, &report))
                return -EPROTO;
            report.module = m;
            report.index = index++;
            r = add ? pool_add_function(t, &report) : 0;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int take(struct forkserver *t, const void *bytes, uint64_t size)
{
    struct wire_limits limits = {.max_bytes = REPORT_MAX, .max_depth = 8};
    struct wire_reader in = wire_reader(bytes, (size_t)size);
    uint32_t modules;
    if (!wire_is_whole(&limits, bytes, size) || wire_read_array(&in, &modules) < 0 || modules > MODULES_MAX)
        return -EPROTO;
    int r = walk(t, in, modules, false);
    if (r < 0)
        return r;
    t->modules = calloc(modules ? modules : 1, sizeof *t->modules);
    return t->modules ? walk(t, in, modules, true) : -ENOMEM;
}

int forkserver_report_take(struct forkserver *t, int fd, uint64_t size)
{
    if (size == 0 || size > REPORT_MAX || memfd_check(fd, size) < 0)
        return -EPROTO;
    void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    int r = take(t, map, size);
    munmap(map, (size_t)size);
    return r;
}
