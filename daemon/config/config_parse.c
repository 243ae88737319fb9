/* Parses the text of one value: config_parse.h. */
#include "daemon/config/config_parse.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/cleanup.h"

/* Reads decimal digits at *text and moves it past them. */
static int take_digits(const char **text, int64_t *ret)
{
    const char *at = *text;
    if (*at < '0' || *at > '9')
        return -EINVAL;
    int64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *at - '0', &number))
            return -ERANGE;
    *text = at;
    *ret = number;
    return 0;
}

int config_parse_number(const char *text, int64_t *ret)
{
    bool negative = *text == '-';
    text += negative;
    int64_t number;
    int r = take_digits(&text, &number);
    if (r < 0)
        return r;
    if (*text)
        return -EINVAL;
    *ret = negative ? -number : number;
    return 0;
}

int config_parse_size(const char *text, int64_t *ret)
{
    int64_t number;
    int r = take_digits(&text, &number);
    if (r < 0)
        return r;
    static const char units[] = "KMGT";
    if (*text) {
        const char *unit = strchr(units, *text >= 'a' && *text <= 'z' ? *text - ('a' - 'A') : *text);
        if (!unit)
            return -EINVAL;
        text++;
        if (*text && strcasecmp(text, "iB") != 0)
            return -EINVAL;
        if (__builtin_mul_overflow(number, (int64_t)1 << (10 * (unit - units + 1)), &number))
            return -ERANGE;
    }
    *ret = number;
    return 0;
}

int config_parse_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};

    int64_t sum = 0;
    bool first = true;
    do {
        int64_t number;
        int r = take_digits(&text, &number);
        if (r < 0)
            return r;
        size_t letters = strcspn(text, "0123456789");
        int64_t factor = letters == 0 && first ? 1000 : 0; /* a bare number: seconds */
        for (size_t i = 0; i < ELEMENTS(units); i++)
            if (letters == strlen(units[i].name) && memcmp(text, units[i].name, letters) == 0)
                factor = units[i].ms;
        if (factor == 0)
            return -EINVAL;
        if (__builtin_mul_overflow(number, factor, &number) || __builtin_add_overflow(sum, number, &sum))
            return -ERANGE;
        text += letters;
        first = false;
    } while (*text);
    *ret_ms = sum;
    return 0;
}

/* "auto" or a number. */
static int parse_bound(const char *text, bool *ret_auto, int64_t *ret)
{
    *ret_auto = strcmp(text, "auto") == 0;
    return *ret_auto ? 0 : config_parse_number(text, ret);
}

int config_parse_workers(const char *text, unsigned cpus, uint32_t limit, uint32_t *ret_min, uint32_t *ret_max)
{
    char left[32];
    const char *dots = strstr(text, "..");
    size_t length = dots ? (size_t)(dots - text) : strlen(text);
    if (length >= sizeof left)
        return -EINVAL;
    memcpy(left, text, length);
    left[length] = '\0';
    const char *right = dots ? dots + 2 : left;

    bool auto_min = false, auto_max = false;
    int64_t processors = cpus < 1 ? 1 : cpus > limit ? limit : cpus;
    int64_t min = processors, max = processors;
    int r = parse_bound(left, &auto_min, &min);
    if (r == 0)
        r = parse_bound(right, &auto_max, &max);
    if (r < 0)
        return r;
    if (auto_max && max < min)
        max = min;
    if (auto_min && min > max)
        min = max;
    if (min < 1 || max > limit || min > max)
        return -ERANGE;
    *ret_min = (uint32_t)min;
    *ret_max = (uint32_t)max;
    return 0;
}

int config_parse_mode(const char *text, mode_t *ret)
{
    mode_t mode = 0;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '7')
            return -EINVAL;
        mode = mode * 8 + (mode_t)(*text - '0');
        if (mode > 0777)
            return -ERANGE;
    }
    *ret = mode;
    return 0;
}

void config_strings_reset(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){0};
}

/* Takes word; keeps the NULL at the end. */
static int strings_add(struct config_strings *strings, char *word)
{
    char **items = realloc(strings->items, (strings->count + 2) * sizeof *items);
    if (!items) {
        free(word);
        return -ENOMEM;
    }
    items[strings->count++] = word;
    items[strings->count] = NULL;
    strings->items = items;
    return 0;
}

/* Reads the word that begins at *text into a new string, and moves *text past it. */
static int take_word(const char **text, const char *separators, char **ret)
{
    const char *at = *text;
    char *word = malloc(strlen(at) + 1), *to = word;
    if (!word)
        return -ENOMEM;
    bool quoted = false;
    for (; *at && (quoted || !strchr(separators, *at)); at++) {
        if (*at == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && *at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        *to++ = *at;
    }
    *to = '\0';
    if (quoted) {
        free(word);
        return -EINVAL;
    }
    *text = at;
    *ret = word;
    return 0;
}

int config_parse_words(const char *text, bool commas, struct config_strings *ret)
{
    const char *separators = commas ? " \t," : " \t";
    _cleanup_(config_strings_reset) struct config_strings words = {0};
    for (;;) {
        text += strspn(text, separators);
        if (!*text)
            break;
        if (words.count == CONFIG_WORDS_MAX)
            return -E2BIG;
        char *word;
        int r = take_word(&text, separators, &word);
        if (r == 0)
            r = strings_add(&words, word);
        if (r < 0)
            return r;
    }
    *ret = words;
    words = (struct config_strings){0};
    return 0;
}

/* Parses a numeric uid or gid: -1 means "unchanged" to the kernel and is not a valid id. */
static int parse_id(const char *text, uint32_t *ret)
{
    int64_t number;
    int r = config_parse_number(text, &number);
    if (r < 0)
        return r;
    if (number < 0 || number >= UINT32_MAX)
        return -ERANGE;
    *ret = (uint32_t)number;
    return 0;
}

/* The databases do not limit the size of an entry: retry with more room until it fits. */
#define LOOKUP_ROOM     1024u
#define LOOKUP_ROOM_MAX (1u << 20)

int config_parse_user(const char *text, uid_t *ret_uid, gid_t *ret_gid)
{
    uint32_t number = 0;
    bool numeric = parse_id(text, &number) == 0;
    for (size_t room = LOOKUP_ROOM;; room *= 4) {
        _cleanup_(cleanup_free) char *buffer = malloc(room);
        if (!buffer)
            return -ENOMEM;
        struct passwd entry, *found = NULL;
        int r =
            numeric ? getpwuid_r(number, &entry, buffer, room, &found) : getpwnam_r(text, &entry, buffer, room, &found);
        if (r == ERANGE && room < LOOKUP_ROOM_MAX)
            continue;
        if (!found && !numeric)
            /* Some databases report a missing name as one of these (getpwnam_r(3)). */
            return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ESRCH : -r;
        *ret_uid = found ? found->pw_uid : number;
        if (ret_gid)
            *ret_gid = found ? found->pw_gid : (gid_t)-1;
        return 0;
    }
}

int config_parse_group(const char *text, gid_t *ret_gid)
{
    uint32_t number = 0;
    if (parse_id(text, &number) == 0) {
        *ret_gid = number;
        return 0;
    }
    for (size_t room = LOOKUP_ROOM;; room *= 4) {
        _cleanup_(cleanup_free) char *buffer = malloc(room);
        if (!buffer)
            return -ENOMEM;
        struct group entry, *found = NULL;
        int r = getgrnam_r(text, &entry, buffer, room, &found);
        if (r == ERANGE && room < LOOKUP_ROOM_MAX)
            continue;
        if (!found)
            return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ESRCH : -r;
        *ret_gid = found->gr_gid;
        return 0;
    }
}
