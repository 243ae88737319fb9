/* Assigns one value to a field of the configuration: config_assign.h. */
#include "daemon/config/config_assign.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/config/config_parse.h"

#define MODULE_NAME_MAX 63
#define LOWER           "abcdefghijklmnopqrstuvwxyz"
#define UPPER           "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS          "0123456789"

/* A value being assigned; words are its text, split. */
struct assignment {
    const struct config_key *key;
    void *base;
    struct config_strings words;
    unsigned cpus;
    const struct config_place *place;
    struct config_report *report;
};

static void *field(const struct assignment *a)
{
    return (char *)a->base + a->key->offset;
}

/* The struct itself, for types that write several fields. */
static struct config_pool *pool_of(const struct assignment *a)
{
    return a->base;
}

static int refuse(const struct assignment *a)
{
    char allowed[256];
    config_keys_allowed(a->key, allowed, sizeof allowed);
    config_report_mistake(a->report, a->place, "expected %s", allowed);
    return 0;
}

/* ---- single values ---- */

static int assign_number(struct assignment *a, const char *word)
{
    const struct config_key *key = a->key;
    int64_t number = 0;
    int r = key->type == CONFIG_SIZE       ? config_parse_size(word, &number)
            : key->type == CONFIG_DURATION ? config_parse_duration(word, &number)
                                           : config_parse_number(word, &number);
    bool zero = number == 0 && key->zero;
    if (r < 0 || (!zero && (number < key->min || number > key->max)))
        return refuse(a);
    if (key->type == CONFIG_NICE && number < 0 && geteuid() != 0) {
        config_report_mistake(a->report, a->place, "a nice below 0 needs root");
        return 0;
    }
    if (key->type == CONFIG_COUNT)
        *(uint32_t *)field(a) = (uint32_t)number;
    else if (key->type == CONFIG_NICE)
        *(int *)field(a) = (int)number;
    else
        *(uint64_t *)field(a) = (uint64_t)number;
    return 0;
}

static int assign_workers(struct assignment *a, const char *word)
{
    uint32_t min, max;
    if (config_parse_workers(word, a->cpus, (uint32_t)a->key->max, &min, &max) < 0)
        return refuse(a);
    pool_of(a)->min = min;
    pool_of(a)->max = max;
    return 0;
}

static int assign_mode(struct assignment *a, const char *word)
{
    /* A user's own daemon runs commands as that user: by default nobody else may connect. */
    mode_t mode = geteuid() == 0 ? 0660 : 0600;
    if (strcmp(word, "auto") != 0 && config_parse_mode(word, &mode) < 0)
        return refuse(a);
    *(mode_t *)field(a) = mode;
    return 0;
}

static int assign_spin(struct assignment *a, const char *word)
{
    bool on = strcmp(word, "auto") == 0;
    if (!on && strcmp(word, "off") != 0)
        return refuse(a);
    *(bool *)field(a) = on;
    return 0;
}

static int assign_level(struct assignment *a, const char *word)
{
    int level = log_level_parse(word);
    if (level < 0)
        return refuse(a);
    *(int *)field(a) = level;
    return 0;
}

/* Copies text to *to, whose old value is freed. text: NULL for none. */
static int replace(char **to, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return -ENOMEM;
    free(*to);
    *to = copy;
    return 0;
}

static int assign_socket(struct assignment *a, const char *word)
{
    if (word && (word[0] != '/' || strlen(word) >= sizeof((struct sockaddr_un *)0)->sun_path))
        return refuse(a);
    return replace(field(a), word);
}

/* Reports a failed lookup. what: "user" or "group". */
static int refuse_lookup(const struct assignment *a, const char *what, const char *word, int r)
{
    if (r == -ENOMEM)
        return r;
    if (r == -ESRCH)
        config_report_mistake(a->report, a->place, "there is no %s %.64s", what, word);
    else
        config_report_mistake(a->report, a->place, "looking for %s %.64s: %s", what, word, strerror(-r));
    return 0;
}

static int assign_user(struct assignment *a, const char *word)
{
    struct config_pool *pool = pool_of(a);
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;
    if (word) {
        int r = config_parse_user(word, &uid, &gid);
        if (r < 0)
            return refuse_lookup(a, "user", word, r);
        if (gid == (gid_t)-1) /* a number without an entry: no primary group, no home */
            return refuse_lookup(a, "user", word, -ESRCH);
        if (geteuid() != 0) {
            if (uid != geteuid()) {
                config_report_mistake(a->report, a->place, "workers of another user need a daemon that runs as root");
                return 0;
            }
            uid = (uid_t)-1; /* nothing to change, so no privilege is needed */
        }
    }
    int r = replace(&pool->user, word);
    if (r == 0)
        pool->uid = uid;
    return r;
}

static int assign_group(struct assignment *a, const char *word)
{
    gid_t gid = (gid_t)-1;
    bool of_pool = a->key->offset == offsetof(struct config_pool, group) &&
                   config_keys_find(CONFIG_SECTION_POOL, a->key->name) == a->key;
    if (word) {
        int r = config_parse_group(word, &gid);
        if (r < 0)
            return refuse_lookup(a, "group", word, r);
        if (of_pool && geteuid() != 0) {
            if (gid != getegid()) {
                config_report_mistake(a->report, a->place, "workers of another group need a daemon that runs as root");
                return 0;
            }
            gid = (gid_t)-1;
        }
    }
    struct config *config = a->base;
    int r = replace(of_pool ? &pool_of(a)->group : &config->socket_group, word);
    if (r == 0)
        *(of_pool ? &pool_of(a)->gid : &config->socket_gid) = gid;
    return r;
}

/* ---- lists ---- */

static bool is_module_name(const char *word)
{
    size_t length = strspn(word, LOWER DIGITS "_");
    return length > 0 && length <= MODULE_NAME_MAX && !word[length];
}

/* → the length of NAME in NAME=value; 0 when there is none. */
static size_t variable_name(const char *word)
{
    size_t length = strspn(word, UPPER LOWER DIGITS "_");
    return word[length] == '=' && !strchr(DIGITS, word[0]) ? length : 0;
}

static bool is_allowed_variable(const struct config_strings *words, size_t i)
{
    size_t length = variable_name(words->items[i]);
    for (size_t j = 0; j < i; j++)
        if (strncmp(words->items[j], words->items[i], length + 1) == 0)
            return false;
    return length > 0;
}

static bool is_allowed_word(const struct assignment *a, size_t i)
{
    const char *word = a->words.items[i];
    if (a->key->type == CONFIG_ENVIRONMENT)
        return is_allowed_variable(&a->words, i);
    if (a->key->type == CONFIG_FUNCTIONS)
        return word[0] && word[strspn(word, LOWER DIGITS "_.*?")] == '\0';
    return word[0] == '/' || (a->key->type == CONFIG_MODULES && is_module_name(word));
}

static int assign_strings(struct assignment *a)
{
    for (size_t i = 0; i < a->words.count; i++)
        if (!is_allowed_word(a, i))
            return refuse(a);
    struct config_strings *strings = field(a);
    config_strings_reset(strings);
    *strings = a->words;
    a->words = (struct config_strings){0};
    return 0;
}

static int assign_users(struct assignment *a)
{
    struct config_pool *pool = pool_of(a);
    size_t count = a->words.count;
    bool everyone = count == 1 && strcmp(a->words.items[0], "*") == 0;
    if (everyone)
        count = 0;
    _cleanup_(cleanup_free) uid_t *uids = count > 0 ? calloc(count, sizeof *uids) : NULL;
    if (count > 0 && !uids)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int r = config_parse_user(a->words.items[i], &uids[i], NULL);
        if (r < 0)
            return refuse_lookup(a, "user", a->words.items[i], r);
    }
    free(pool->allow_uids);
    pool->allow_uids = TAKE(uids);
    pool->allow_uid_count = count;
    pool->allow_everyone = everyone;
    return 0;
}

static int assign_groups(struct assignment *a)
{
    struct config_pool *pool = pool_of(a);
    size_t count = a->words.count;
    _cleanup_(cleanup_free) gid_t *gids = count > 0 ? calloc(count, sizeof *gids) : NULL;
    if (count > 0 && !gids)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int r = config_parse_group(a->words.items[i], &gids[i]);
        if (r < 0)
            return refuse_lookup(a, "group", a->words.items[i], r);
    }
    free(pool->allow_gids);
    pool->allow_gids = TAKE(gids);
    pool->allow_gid_count = count;
    return 0;
}

/* ---- entry points ---- */

static bool is_list(enum config_type type)
{
    return type == CONFIG_DIRECTORIES || type == CONFIG_MODULES || type == CONFIG_FUNCTIONS ||
           type == CONFIG_ENVIRONMENT || type == CONFIG_USERS || type == CONFIG_GROUPS;
}

static int assign_words(struct assignment *a)
{
    if (a->words.count > 1 && !is_list(a->key->type))
        return refuse(a);
    /* NULL only where the default is "": a text without words has already been replaced by the default. */
    const char *word = a->words.count > 0 ? a->words.items[0] : NULL;
    switch (a->key->type) {
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_COUNT:
    case CONFIG_NICE: return assign_number(a, word);
    case CONFIG_WORKERS: return assign_workers(a, word);
    case CONFIG_MODE: return assign_mode(a, word);
    case CONFIG_SPIN: return assign_spin(a, word);
    case CONFIG_LEVEL: return assign_level(a, word);
    case CONFIG_SOCKET: return assign_socket(a, word);
    case CONFIG_USER: return assign_user(a, word);
    case CONFIG_GROUP: return assign_group(a, word);
    case CONFIG_DIRECTORIES:
    case CONFIG_MODULES:
    case CONFIG_FUNCTIONS:
    case CONFIG_ENVIRONMENT: return assign_strings(a);
    case CONFIG_USERS: return assign_users(a);
    case CONFIG_GROUPS: return assign_groups(a);
    }
    return refuse(a);
}

static void assignment_deinit(struct assignment *a)
{
    config_strings_reset(&a->words);
}

int config_assign(const struct config_key *key, void *base, const char *text, unsigned cpus,
    const struct config_place *place, struct config_report *report)
{
    _cleanup_(assignment_deinit) struct assignment a = {
        .key = key, .base = base, .cpus = cpus, .place = place, .report = report};
    bool commas = key->type != CONFIG_ENVIRONMENT;
    int r = config_parse_words(text ? text : key->preset, commas, &a.words);
    if (r == 0 && text && a.words.count == 0) {
        /* `allow_users =` may be meant as nobody but would allow everybody, so refuse to guess. */
        if (key->type == CONFIG_USERS || key->type == CONFIG_GROUPS)
            return refuse(&a);
        r = config_parse_words(key->preset, commas, &a.words);
    }
    if (r == -ENOMEM)
        return r;
    if (r == -E2BIG)
        config_report_mistake(report, place, "more than %d words", CONFIG_WORDS_MAX);
    else if (r < 0)
        config_report_mistake(report, place, "a double quote is not closed");
    return r < 0 ? 0 : assign_words(&a);
}

int config_assign_module(
    struct config_strings *modules, const char *text, const struct config_place *place, struct config_report *report)
{
    if (text[0] != '/' && !is_module_name(text)) {
        config_report_mistake(report, place, "expected the name of a module, such as text, or the path of one");
        return 0;
    }
    if (modules->count == CONFIG_WORDS_MAX) {
        config_report_mistake(report, place, "more than %d modules", CONFIG_WORDS_MAX);
        return 0;
    }
    _cleanup_(cleanup_free) char *module = strdup(text);
    if (!module)
        return -ENOMEM;
    char **items = realloc(modules->items, (modules->count + 2) * sizeof *items);
    if (!items)
        return -ENOMEM;
    items[modules->count++] = TAKE(module);
    items[modules->count] = NULL;
    modules->items = items;
    return 0;
}
