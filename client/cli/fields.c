/* How is a map of fields printed for people? See fields.h. Recognizes units by the suffix of the key; knows no key by
 * name except times of day. */
#include "client/cli/fields.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/human.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/say.h"

enum { KEY_SIZE = 96, DEPTH_CAP = 3, VALUE_SIZE = 2048 };

static bool ends_with(const char *key, const char *end)
{
    size_t a = strlen(key), b = strlen(end);
    return a > b && strcmp(key + a - b, end) == 0;
}

static void put_key(const char *key, size_t width)
{
    bool color = say_color(STDOUT_FILENO);
    out_format("%s%-*s%s  ", say_style(color, SAY_DIM), (int)width, key, say_style_end(color, SAY_DIM));
}

/* → true if the number had a unit and has been written. */
static bool put_with_unit(const char *key, double value)
{
    static const char *const days[] = {"submitted_ms", "started_ms", "ended_ms"};
    char text[HUMAN_SIZE];
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        if (strcmp(key, days[i]) == 0) {
            out_text(human_time(text, sizeof text, (uint64_t)value));
            return true;
        }
    }
    if (ends_with(key, "_ms"))
        out_text(human_duration_us(text, sizeof text, value * 1000));
    else if (ends_with(key, "_us"))
        out_text(human_duration_us(text, sizeof text, value));
    else if (ends_with(key, "_kib"))
        out_text(human_kib(text, sizeof text, (uint64_t)value));
    else if (ends_with(key, "_bytes") && value >= 1024)
        out_text(human_kib(text, sizeof text, (uint64_t)(value / 1024)));
    else
        return false;
    return true;
}

/* Drops the unit from the key, because the value shows it. */
static void shorten(const char *key, char *to, size_t size)
{
    static const char *const units[] = {"_ms", "_us", "_kib"};
    snprintf(to, size, "%s", key);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ends_with(key, units[i]) && strlen(key) < size)
            to[strlen(key) - strlen(units[i])] = 0;
    }
}

/* Called for each pair: full is "outer.inner", key its last part. */
typedef void pair_fn(size_t *width, const char *full, const char *key, struct view value);

static void measure(size_t *width, const char *full, const char *key, struct view value)
{
    (void)key;
    (void)value;
    size_t length = strlen(full);
    if (length > *width)
        *width = length;
}

static void print(size_t *width, const char *full, const char *key, struct view value)
{
    char shown[KEY_SIZE], text[VALUE_SIZE];
    double number;
    const char *bytes;
    size_t length;
    struct wire_reader r = value.at;
    enum wire_type type = wire_peek(&r);
    bool is_number =
        (type == WIRE_TYPE_INT || type == WIRE_TYPE_FLOAT) && wire_read_f64(&r, &number) == 0 && number >= 0;
    shorten(full, shown, sizeof shown);
    put_key(is_number ? shown : full, *width);
    if (is_number && put_with_unit(key, number)) {
        out_byte('\n');
        return;
    }
    if (wire_read_text(&r, &bytes, &length) == 0 && length < sizeof text) {
        say_harmless(text, sizeof text, bytes, length);
        out_text(text);
    } else if (json_out_value(&value.at) < 0) {
        out_text("?");
    }
    out_byte('\n');
}

/* Ends at a key that is not text: the daemon makes none. */
static void each_pair(struct view map, const char *prefix, unsigned depth, pair_fn *fn, size_t *width)
{
    uint32_t pairs;
    struct wire_reader r = map.at;
    if (wire_read_map(&r, &pairs) < 0)
        return;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *name;
        const uint8_t *raw;
        size_t name_length, length;
        char key[KEY_SIZE], full[KEY_SIZE];
        if (wire_read_text(&r, &name, &name_length) < 0 || wire_read_raw(&r, &raw, &length) < 0)
            return;
        say_harmless(key, sizeof key, name, name_length);
        int n = snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (n < 0 || (size_t)n >= sizeof full)
            continue;
        struct view value = {wire_reader(raw, length)};
        enum wire_type type = wire_peek(&value.at);
        if (type == WIRE_TYPE_MAP && depth < DEPTH_CAP)
            each_pair(value, full, depth + 1, fn, width);
        else if (type != WIRE_TYPE_NIL)
            fn(width, full, key, value);
    }
}

void fields_print(struct view map)
{
    size_t width = 0;
    each_pair(map, "", 0, measure, &width);
    each_pair(map, "", 0, print, &width);
}
