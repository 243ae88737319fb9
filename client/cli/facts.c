/* How is a map shown to a person? See facts.h. Knows units by the ends of keys, and no key by name but times of day. */
#include "client/cli/facts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/human.h"
#include "client/cli/json_out.h"
#include "client/cli/out.h"
#include "client/cli/say.h"

enum { KEY_SIZE = 96, KEY_COLUMN = 22, DEPTH_CAP = 3, VALUE_SIZE = 2048 };

static bool ends_with(const char *key, const char *end)
{
    size_t a = strlen(key), b = strlen(end);
    return a > b && strcmp(key + a - b, end) == 0;
}

static void put_key(const char *key)
{
    bool color = say_color(STDOUT_FILENO);
    out_format("%s%-*s%s ", say_style(color, SAY_DIM), KEY_COLUMN, key, say_style_end(color, SAY_DIM));
}

/* → whether the number was one with a unit, and is written. */
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

/* Without its unit, which the value carries now. */
static void shorten(const char *key, char *to, size_t size)
{
    static const char *const units[] = {"_ms", "_us", "_kib"};
    snprintf(to, size, "%s", key);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ends_with(key, units[i]) && strlen(key) < size)
            to[strlen(key) - strlen(units[i])] = 0;
    }
}

static void print_level(struct view map, const char *prefix, unsigned depth);

static void put_pair(const char *prefix, const char *key, struct view value, unsigned depth)
{
    char full[KEY_SIZE], shown[KEY_SIZE], text[VALUE_SIZE];
    double number;
    const char *bytes;
    size_t length;
    snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", key);
    enum wire_type type = wire_peek(&value.at);
    if (type == WIRE_TYPE_NIL)
        return;
    if (type == WIRE_TYPE_MAP && depth < DEPTH_CAP) {
        print_level(value, full, depth + 1);
        return;
    }
    struct wire_reader r = value.at;
    bool is_number =
        (type == WIRE_TYPE_INT || type == WIRE_TYPE_FLOAT) && wire_read_f64(&r, &number) == 0 && number >= 0;
    shorten(full, shown, sizeof shown);
    put_key(is_number ? shown : full);
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

static void print_level(struct view map, const char *prefix, unsigned depth)
{
    uint32_t pairs;
    struct wire_reader r = map.at;
    if (wire_read_map(&r, &pairs) < 0)
        return;
    for (uint32_t i = 0; i < pairs; i++) {
        const char *name;
        const uint8_t *raw;
        size_t name_length, length;
        char key[KEY_SIZE];
        if (wire_read_text(&r, &name, &name_length) < 0 || wire_read_raw(&r, &raw, &length) < 0)
            return;
        say_harmless(key, sizeof key, name, name_length);
        put_pair(prefix, key, (struct view){wire_reader(raw, length)}, depth);
    }
}

void facts_print(struct view map)
{
    print_level(map, "", 0);
}
