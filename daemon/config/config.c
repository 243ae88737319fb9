/* Builds the configuration: config.h.
 *
 * Each file's entries are applied in order, later ones over earlier ones; the allowed values are in config_keys.h,
 * their meaning in config_parse.h, their location in config_read.h. Every value is checked, even if a later one
 * replaces it. At the end come the checks that need the whole: which users may run workers as which users. */
#include "daemon/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config_assign.h"
#include "daemon/config/config_files.h"
#include "daemon/config/config_keys.h"
#include "daemon/config/config_load.h"
#include "daemon/config/config_parse.h"
#include "daemon/config/config_read.h"
#include "daemon/config/config_report.h"
#include "proto/tables.h"

#define POOLS_MAX     256
#define POOL_NAME_MAX 63
#define DEFAULT_POOL  "default"

struct load {
    struct config *config;
    struct config_report *report;
    unsigned cpus;
};

static void pool_deinit(struct config_pool *pool)
{
    free(pool->name);
    config_strings_reset(&pool->modules);
    config_strings_reset(&pool->functions);
    config_strings_reset(&pool->environment);
    free(pool->user);
    free(pool->group);
    free(pool->allow_uids);
    free(pool->allow_gids);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->pool_count; i++)
        pool_deinit(&config->pools[i]);
    free(config->pools);
    free(config->socket_path);
    free(config->socket_group);
    config_strings_reset(&config->module_path);
    config_strings_reset(&config->modules);
    free(config);
}

static void cleanup_config(struct config **config)
{
    config_free(*config);
}

/* Writes the default of each key of a section into base. */
static int set_presets(struct load *load, enum config_section section, void *base)
{
    size_t count;
    const struct config_key *keys = config_keys(section, &count);
    for (size_t i = 0; i < count; i++) {
        const struct config_place place = {.file = "built-in", .key = keys[i].name, .value = keys[i].preset};
        int r = config_assign(&keys[i], base, NULL, load->cpus, &place, load->report);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct config_pool *find_pool(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->pool_count; i++)
        if (strcmp(config->pools[i].name, name) == 0)
            return &config->pools[i];
    return NULL;
}

/* → 0 with the pool, which is new and has the defaults; -ENOMEM. */
static int add_pool(struct load *load, const char *name, struct config_pool **ret)
{
    struct config *config = load->config;
    struct config_pool *pools = realloc(config->pools, (config->pool_count + 1) * sizeof *pools);
    if (!pools)
        return -ENOMEM;
    config->pools = pools;
    struct config_pool *pool = &pools[config->pool_count];
    *pool = (struct config_pool){.name = strdup(name), .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (!pool->name)
        return -ENOMEM;
    config->pool_count++; /* from here on config_free() sees it */
    *ret = pool;
    return set_presets(load, CONFIG_SECTION_POOL, pool);
}

static bool is_pool_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return length > 0 && length <= POOL_NAME_MAX && !name[length];
}

/* Processes a section's head. → 0 with *ret_base NULL when it is invalid; -ENOMEM. */
static int open_section(struct load *load, const struct config_place *place, enum config_section *ret, void **ret_base)
{
    static const char *const known[] = {"daemon", "pool"};
    const char *head = place->section;
    *ret_base = NULL;
    if (strcmp(head, "daemon") == 0) {
        *ret = CONFIG_SECTION_DAEMON;
        *ret_base = load->config;
        return 0;
    }
    size_t word = strcspn(head, " :");
    if (word == strlen("pool") && strncmp(head, "pool", word) == 0) {
        const char *name = head + word + strspn(head + word, " ");
        if (!is_pool_name(name) || head[word] == ':') {
            config_report_mistake(load->report, place,
                "expected [pool NAME] with a name of up to %d of a-z, 0-9, _ and -", POOL_NAME_MAX);
            return 0;
        }
        struct config_pool *pool = find_pool(load->config, name);
        if (!pool && load->config->pool_count == POOLS_MAX) {
            config_report_mistake(load->report, place, "more than %d pools", POOLS_MAX);
            return 0;
        }
        int r = pool ? 0 : add_pool(load, name, &pool);
        if (r < 0)
            return r;
        *ret = CONFIG_SECTION_POOL;
        *ret_base = pool;
        return 0;
    }
    const char *nearest = wire_nearest(head, word, known, ELEMENTS(known));
    if (nearest)
        config_report_mistake(load->report, place, "unknown section; did you mean [%s]?",
            strcmp(nearest, "pool") == 0 ? "pool NAME" : nearest);
    else
        config_report_mistake(load->report, place, "unknown section; expected [daemon] or [pool NAME]");
    return 0;
}

static void report_unknown_key(struct load *load, enum config_section section, const struct config_place *place)
{
    static const char *const heads[CONFIG_SECTION_COUNT] = {"[daemon]", "[pool NAME]"};
    enum config_section other = section == CONFIG_SECTION_DAEMON ? CONFIG_SECTION_POOL : CONFIG_SECTION_DAEMON;
    if (config_keys_find(other, place->key)) {
        config_report_mistake(load->report, place, "this key belongs to %s", heads[other]);
        return;
    }
    const char *names[64];
    size_t count, known = 0;
    const struct config_key *keys = config_keys(section, &count);
    for (size_t i = 0; i < count && known < ELEMENTS(names); i++)
        names[known++] = keys[i].name;
    const char *nearest = wire_nearest(place->key, strlen(place->key), names, known);
    if (nearest)
        config_report_mistake(load->report, place, "unknown key; did you mean %s?", nearest);
    else
        config_report_mistake(load->report, place, "unknown key; mpoold --help lists those of %s", heads[section]);
}

static int apply_entries(struct load *load, const char *file, const struct config_entries *entries)
{
    enum config_section section = CONFIG_SECTION_DAEMON;
    void *base = NULL;
    for (size_t i = 0; i < entries->count; i++) {
        const struct config_entry *entry = &entries->items[i];
        struct config_place place = {file, entry->line, entry->section, entry->key, NULL};
        int r = 0;
        if (!entry->key) {
            r = open_section(load, &place, &section, &base);
        } else if (base) { /* otherwise its head is invalid, and has been reported */
            const struct config_key *key = config_keys_find(section, entry->key);
            if (!key) {
                report_unknown_key(load, section, &place);
                continue;
            }
            place.value = entry->value;
            r = config_assign(key, base, entry->value, load->cpus, &place, load->report);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_files(struct load *load, const char *root, const char *file)
{
    _cleanup_(config_strings_reset) struct config_strings files = {0};
    int r = config_files_list(root, file, &files, load->report);
    for (size_t i = 0; r == 0 && i < files.count; i++) {
        _cleanup_(config_entries_reset) struct config_entries entries = {0};
        r = config_read_file(files.items[i], &entries, load->report);
        if (r == 0)
            r = apply_entries(load, files.items[i], &entries);
    }
    return r;
}

/* pools[0] is the default pool: `default`, or else the first. */
static int settle_default_pool(struct load *load)
{
    struct config *config = load->config;
    if (config->pool_count == 0) {
        struct config_pool *pool;
        return add_pool(load, DEFAULT_POOL, &pool);
    }
    const struct config_pool *found = find_pool(config, DEFAULT_POOL);
    if (found && found != config->pools) {
        size_t at = (size_t)(found - config->pools);
        struct config_pool moved = *found;
        memmove(config->pools + 1, config->pools, at * sizeof *config->pools);
        config->pools[0] = moved;
    }
    return 0;
}

/* Derives settings that depend on several keys of a pool, whatever their order. */
static int settle_pool(struct config_pool *pool)
{
    if (pool->allow_uid_count == 0 && pool->allow_gid_count == 0)
        pool->allow_everyone = true;
    if (pool->uid != (uid_t)-1 && !pool->group) {
        uid_t uid;
        int r = config_parse_user(pool->user, &uid, &pool->gid);
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_arguments(struct load *load, const struct config_arguments *arguments)
{
    struct config *config = load->config;
    int r = 0;
    if (arguments->socket_path) {
        struct config_place place = {.key = "socket", .value = arguments->socket_path};
        if (!*arguments->socket_path || strlen(arguments->socket_path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
            config_report_mistake(load->report, &place, "expected a path of 1 to %zu bytes",
                sizeof((struct sockaddr_un *)0)->sun_path - 1);
        } else {
            char *path = strdup(arguments->socket_path);
            if (!path)
                return -ENOMEM;
            free(config->socket_path);
            config->socket_path = path;
        }
    }
    if (arguments->workers) {
        struct config_place place = {.key = "workers", .value = arguments->workers};
        r = config_assign(config_keys_find(CONFIG_SECTION_POOL, "workers"), &config->pools[0], arguments->workers,
            load->cpus, &place, load->report);
    }
    if (r == 0 && arguments->log_level) {
        struct config_place place = {.key = "log-level", .value = arguments->log_level};
        r = config_assign(config_keys_find(CONFIG_SECTION_DAEMON, "log_level"), config, arguments->log_level,
            load->cpus, &place, load->report);
    }
    for (size_t i = 0; r == 0 && i < arguments->module_count; i++) {
        struct config_place place = {.key = "module", .value = arguments->modules[i]};
        r = config_assign_module(&config->modules, arguments->modules[i], &place, load->report);
    }
    return r;
}

int config_load_from(
    const char *root, struct config **ret, const struct config_arguments *arguments, struct config_report *report)
{
    _cleanup_(cleanup_config) struct config *config = calloc(1, sizeof *config);
    if (!config)
        return -ENOMEM;
    config->socket_gid = (gid_t)-1;
    struct load load = {.config = config, .report = report, .cpus = config_cpus()};
    unsigned before = report->count;
    int r = set_presets(&load, CONFIG_SECTION_DAEMON, config);
    if (r == 0)
        r = apply_files(&load, root, arguments->file);
    if (r == 0)
        r = settle_default_pool(&load);
    if (r == 0)
        r = apply_arguments(&load, arguments);
    for (size_t i = 0; r == 0 && i < config->pool_count; i++)
        r = settle_pool(&config->pools[i]);
    if (r < 0)
        return r;
    if (report->count > before)
        return -EINVAL;
    *ret = TAKE(config);
    return 0;
}

int config_load(struct config **ret, const struct config_arguments *arguments, struct config_report *report)
{
    return config_load_from("", ret, arguments, report);
}
