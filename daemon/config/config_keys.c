/* The table of config_keys.h as data, and as text for people: --help, the man page, "expected …". */
#include "daemon/config/config_keys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config.h"
#include "proto/scan.h"

/* A row does not compile if the C type of its field differs from the one that its config type writes. */
#define TYPE_CONFIG_SIZE        uint64_t
#define TYPE_CONFIG_DURATION    uint64_t
#define TYPE_CONFIG_COUNT       uint32_t
#define TYPE_CONFIG_NICE        int
#define TYPE_CONFIG_WORKERS     uint32_t
#define TYPE_CONFIG_MODE        mode_t
#define TYPE_CONFIG_SPIN        bool
#define TYPE_CONFIG_LEVEL       int
#define TYPE_CONFIG_SOCKET      char *
#define TYPE_CONFIG_DIRECTORIES struct config_strings
#define TYPE_CONFIG_MODULES     struct config_strings
#define TYPE_CONFIG_FUNCTIONS   struct config_strings
#define TYPE_CONFIG_ENVIRONMENT struct config_strings
#define TYPE_CONFIG_USER        char *
#define TYPE_CONFIG_GROUP       char *
#define TYPE_CONFIG_USERS       uid_t *
#define TYPE_CONFIG_GROUPS      gid_t *

#define CHECK(owner, type, field)                                                                                      \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((owner *)0)->field), TYPE_##type), "type of " #field);
#define CHECK_DAEMON(key, type, field, ...) CHECK(struct config, type, field)
#define CHECK_POOL(key, type, field, ...)   CHECK(struct config_pool, type, field)
CONFIG_DAEMON_KEYS(CHECK_DAEMON)
CONFIG_POOL_KEYS(CHECK_POOL)

#define DAEMON_ROW(key, type, field, preset, min, max, zero, sentence)                                                 \
    {#key, type, offsetof(struct config, field), preset, min, max, zero, sentence},
#define POOL_ROW(key, type, field, preset, min, max, zero, sentence)                                                   \
    {#key, type, offsetof(struct config_pool, field), preset, min, max, zero, sentence},

static const struct config_key daemon_keys[] = {CONFIG_DAEMON_KEYS(DAEMON_ROW)};
static const struct config_key pool_keys[] = {CONFIG_POOL_KEYS(POOL_ROW)};

static const struct {
    const char *head;
    const struct config_key *keys;
    size_t count;
} sections[CONFIG_SECTION_COUNT] = {
    [CONFIG_SECTION_DAEMON] = {"[daemon]", daemon_keys, ELEMENTS(daemon_keys)},
    [CONFIG_SECTION_POOL] = {"[pool NAME]", pool_keys, ELEMENTS(pool_keys)},
};

const struct config_key *config_keys(enum config_section section, size_t *ret_count)
{
    *ret_count = sections[section].count;
    return sections[section].keys;
}

const struct config_key *config_keys_find(enum config_section section, const char *name)
{
    for (size_t i = 0; i < sections[section].count; i++)
        if (strcmp(sections[section].keys[i].name, name) == 0)
            return &sections[section].keys[i];
    return NULL;
}

/* Formats a number as people write it: in the largest unit that divides it. units: ascending, the first is 1. */
struct unit {
    int64_t factor;
    const char *name;
};
static const struct unit size_units[] = {
    {1, ""}, {CONFIG_KIB, "K"}, {CONFIG_MIB, "M"}, {CONFIG_GIB, "G"}, {CONFIG_TIB, "T"}};
static const struct unit time_units[] = {{1, "ms"}, {CONFIG_MS_PER_S, "s"}, {60 * CONFIG_MS_PER_S, "m"},
    {3600 * CONFIG_MS_PER_S, "h"}, {CONFIG_MS_PER_DAY, "d"}};
static const struct unit no_units[] = {{1, ""}};

static void print_number(char *out, size_t size, int64_t number, const struct unit *units, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (number != 0 && number % units[i].factor == 0)
            best = i;
    snprintf(out, size, "%" PRId64 "%s", number / units[best].factor, number == 0 ? "" : units[best].name);
}

static void print_range(char *out, size_t size, const struct config_key *key, const char *what,
    const struct unit *units, size_t count, const char *tail)
{
    char min[32], max[32];
    print_number(min, sizeof min, key->min, units, count);
    print_number(max, sizeof max, key->max, units, count);
    snprintf(out, size, "%s from %s to %s%s%s%s", what, min, max, tail, key->zero ? ", or 0: " : "",
        key->zero ? key->zero : "");
}

void config_keys_allowed(const struct config_key *key, char *out, size_t size)
{
    const char *text = "";
    switch (key->type) {
    case CONFIG_SIZE:
        print_range(out, size, key, "a size", size_units, ELEMENTS(size_units), ", such as 500K, 64M or 2G");
        return;
    case CONFIG_DURATION:
        print_range(out, size, key, "a duration", time_units, ELEMENTS(time_units), ", such as 500ms, 30s, 5m or 1h");
        return;
    case CONFIG_COUNT:
    case CONFIG_NICE: print_range(out, size, key, "a number", no_units, ELEMENTS(no_units), ""); return;
    case CONFIG_WORKERS:
        snprintf(out, size,
            "a number from %" PRId64 " to %" PRId64 ", auto, or a range of them such as 2..16 or 1..auto", key->min,
            key->max);
        return;
    case CONFIG_MODE: text = "auto, or an octal number from 0 to 0777 such as 0660"; break;
    case CONFIG_SPIN: text = "auto or off"; break;
    case CONFIG_LEVEL: text = "error, warning, info or debug"; break;
    case CONFIG_SOCKET: text = "an absolute path of at most 107 bytes"; break;
    case CONFIG_DIRECTORIES: text = "absolute paths, separated by blanks or commas"; break;
    case CONFIG_MODULES: text = "names such as text, or absolute paths, separated by blanks or commas"; break;
    case CONFIG_FUNCTIONS:
        text = "names such as text.wordcount, or patterns such as text.*, separated by blanks or commas";
        break;
    case CONFIG_ENVIRONMENT:
        text = "NAME=value or \"NAME=value with blanks\", each name once, separated by blanks";
        break;
    case CONFIG_USER: text = "the name or number of a user"; break;
    case CONFIG_GROUP: text = "the name or number of a group"; break;
    case CONFIG_USERS: text = "names or numbers of users, separated by blanks or commas, or * for everybody"; break;
    case CONFIG_GROUPS: text = "names or numbers of groups, separated by blanks or commas"; break;
    }
    snprintf(out, size, "%s", text);
}

void config_print_keys(FILE *out)
{
    for (size_t s = 0; s < CONFIG_SECTION_COUNT; s++) {
        fprintf(out, "%s%s\n", s > 0 ? "\n" : "", sections[s].head);
        for (size_t i = 0; i < sections[s].count; i++) {
            const struct config_key *key = &sections[s].keys[i];
            char allowed[256];
            config_keys_allowed(key, allowed, sizeof allowed);
            fprintf(out, "  %s =%s%s\n      %s.\n      Allowed: %s.\n", key->name, key->preset[0] ? " " : "",
                key->preset, key->sentence, allowed);
        }
    }
}

/* scdoc uses _ and
 *
 * for emphasis, and \ as its escape. */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("_*\\#~<[", *text))
            putc('\\', out);
        putc(*text, out);
    }
}

void config_keys_print_manual(enum config_section section, FILE *out)
{
    for (size_t i = 0; i < sections[section].count; i++) {
        const struct config_key *key = &sections[section].keys[i];
        char allowed[256];
        config_keys_allowed(key, allowed, sizeof allowed);
        fputs("*", out);
        print_escaped(out, key->name);
        fputs("*", out);
        if (key->preset[0]) {
            fputs(" = ", out);
            print_escaped(out, key->preset);
        }
        fputs("\n\t", out);
        print_escaped(out, key->sentence);
        fputs(". Allowed: ", out);
        print_escaped(out, allowed);
        fputs(".\n\n", out);
    }
}
