/* mpool value: numbers that scripts share. */
#include "client/cli/value.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <mpool/shared.h>

#include "client/cli/daemon.h"
#include "client/cli/create_options.h"
#include "client/cli/out.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

static const char *type = "i64";

static const struct option_row options[] = {
    {.name = "type",
        .value = "TYPE",
        .words = "i8 u8 i16 u16 i32 u32 i64 u64 f32 f64",
        .text = &type,
        .is_choice = true,
        .help = "if it is made: its type (default: i64)"},
    OPTION_ROWS_CREATE,
    {0},
};

/* A number as typed. to_i8() etc. tell which types can hold it. */
struct number {
    const char *text;
    bool is_whole; /* digits alone */
    bool is_negative;
    bool is_long; /* more digits than any integer has */
    bool is_huge; /* beyond all floating types */
    uint64_t magnitude;
    double real;
};

static int parse(const char *text, struct number *ret)
{
    char *end;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    *ret = (struct number){.text = text, .is_negative = text[0] == '-'};
    ret->is_whole = *digits && strspn(digits, "0123456789") == strlen(digits);
    errno = 0;
    if (ret->is_whole)
        ret->magnitude = strtoull(digits, NULL, 10);
    ret->is_long = errno == ERANGE;
    errno = 0;
    ret->real = strtod(text, &end);
    ret->is_huge = errno == ERANGE && isinf(ret->real);
    if (*text && !*end)
        return 0;
    say_error("value: '%s' is not a number", text);
    return -1;
}

/* The conversions to each type. → whether the number fits. */
#define SIGNED_FROM(name, ctype, max)                                                                                  \
    static bool to_##name(const struct number *n, ctype *ret)                                                          \
    {                                                                                                                  \
        *ret = (ctype)(n->is_negative ? 0 - n->magnitude : n->magnitude);                                              \
        return n->is_whole && !n->is_long && n->magnitude <= (uint64_t)(max) + n->is_negative;                         \
    }
#define UNSIGNED_FROM(name, ctype, max)                                                                                \
    static bool to_##name(const struct number *n, ctype *ret)                                                          \
    {                                                                                                                  \
        *ret = (ctype)n->magnitude;                                                                                    \
        return n->is_whole && !n->is_long && n->magnitude <= (n->is_negative ? 0 : (max));                             \
    }
#define REAL_FROM(name, ctype)                                                                                         \
    static bool to_##name(const struct number *n, ctype *ret)                                                          \
    {                                                                                                                  \
        *ret = (ctype)n->real;                                                                                         \
        return !n->is_huge && (isinf(n->real) || !isinf(*ret));                                                        \
    }
SIGNED_FROM(i8, int8_t, INT8_MAX)
SIGNED_FROM(i16, int16_t, INT16_MAX)
SIGNED_FROM(i32, int32_t, INT32_MAX)
SIGNED_FROM(i64, int64_t, INT64_MAX)
UNSIGNED_FROM(u8, uint8_t, UINT8_MAX)
UNSIGNED_FROM(u16, uint16_t, UINT16_MAX)
UNSIGNED_FROM(u32, uint32_t, UINT32_MAX)
UNSIGNED_FROM(u64, uint64_t, UINT64_MAX)
REAL_FROM(f32, float)
REAL_FROM(f64, double)

/* → whether a value of this (valid) type can hold it. */
static bool fits(const char *name, const struct number *number)
{
#define X(element, ctype)                                                                                              \
    ctype as_##element;                                                                                                \
    if (strcmp(name, #element) == 0)                                                                                   \
        return to_##element(number, &as_##element);
    MPOOL_ELEMENT_TYPES(X)
#undef X
    return false;
}

/* is_new: the value would be created with the type. → 0, or -1 after reporting what does not fit, and what would. */
static int check(const char *name, const char *its_type, bool is_new, const struct number *numbers, size_t count)
{
    const char *a = its_type[0] == 'u' ? "a" : "an";
    for (const struct number *n = numbers; n < numbers + count; n++) {
        if (fits(its_type, n))
            continue;
        if (n->is_whole || its_type[0] == 'f')
            say_error("value: '%s' is too %s for '%s', %s %s%s", n->text, n->is_negative ? "small" : "large", name, a,
                its_type, is_new ? "; --type makes it another" : "");
        else if (is_new)
            say_error("value: '%s' is not %s %s; --type f64 makes a value for fractions", n->text, a, its_type);
        else
            say_error("value: '%s' is not %s %s, as '%s' is: give a whole number, or remove it first", n->text, a,
                its_type, name);
        return -1;
    }
    return 0;
}

static void print_float(double n, int digits)
{
    if (settings.json && !isfinite(n)) /* JSON has no such number */
        out_text("null\n");
    else
        out_format("%.*g\n", digits, n);
}

#define PRINT_SIGNED(n)   out_format("%" PRId64 "\n", (int64_t)(n))
#define PRINT_UNSIGNED(n) out_format("%" PRIu64 "\n", (uint64_t)(n))
#define PRINT_i8          PRINT_SIGNED
#define PRINT_i16         PRINT_SIGNED
#define PRINT_i32         PRINT_SIGNED
#define PRINT_i64         PRINT_SIGNED
#define PRINT_u8          PRINT_UNSIGNED
#define PRINT_u16         PRINT_UNSIGNED
#define PRINT_u32         PRINT_UNSIGNED
#define PRINT_u64         PRINT_UNSIGNED
#define PRINT_f32(n)      print_float(n, FLT_DECIMAL_DIG)
#define PRINT_f64(n)      print_float(n, DBL_DECIMAL_DIG)

/* Integers wrap around, signed ones too, as they do in shared memory. */
#define SUM(ctype, a, b)                                                                                               \
    _Generic((ctype){0}, float : (a) + (b), double : (a) + (b), default : (ctype)((uint64_t)(a) + (uint64_t)(b)))

enum action { GET, SET, ADD, CAS, ACTION_COUNT };
static const struct {
    const char *name;
    size_t numbers;
} actions[ACTION_COUNT] = {{"get", 0}, {"set", 1}, {"add", 1}, {"cas", 2}};

/* The numbers fit. → 0; -EAGAIN: cas found another number; an error of the library's. */
#define ACT(name, ctype)                                                                                               \
    static int act_##name(mpool_object *value, enum action action, const struct number *numbers)                       \
    {                                                                                                                  \
        ctype first = 0, second = 0;                                                                                   \
        int r = 0;                                                                                                     \
        if ((actions[action].numbers > 0 && !to_##name(&numbers[0], &first)) ||                                        \
            (actions[action].numbers > 1 && !to_##name(&numbers[1], &second)))                                         \
            return -ERANGE;                                                                                            \
        switch (action) {                                                                                              \
        case GET: r = mpool_value_get_##name(value, &first); break;                                                    \
        case SET:                                                                                                      \
            r = mpool_value_set_##name(value, first);                                                                  \
            if (r < 0 || !settings.json)                                                                               \
                return r;                                                                                              \
            break;                                                                                                     \
        case ADD:                                                                                                      \
            r = mpool_value_fetch_add_##name(value, first, &second);                                                   \
            first = SUM(ctype, first, second);                                                                         \
            break;                                                                                                     \
        case CAS:                                                                                                      \
            r = mpool_value_cas_##name(value, &first, second);                                                         \
            if (r == -EAGAIN || (r == 0 && settings.json))                                                             \
                PRINT_##name(r == 0 ? second : first);                                                                 \
            return r;                                                                                                  \
        case ACTION_COUNT: break;                                                                                      \
        }                                                                                                              \
        if (r == 0)                                                                                                    \
            PRINT_##name(first);                                                                                       \
        return r;                                                                                                      \
    }
MPOOL_ELEMENT_TYPES(ACT)

static int act(mpool_object *value, enum action action, const struct number *numbers)
{
    const char *name = mpool_object_type(value);
#define X(element, ctype)                                                                                              \
    if (name && strcmp(name, #element) == 0)                                                                           \
        return act_##element(value, action, numbers);
    MPOOL_ELEMENT_TYPES(X)
#undef X
    return -EINVAL;
}

int value_print(mpool_object *value)
{
    return act(value, GET, NULL);
}

static int read_action(size_t count, char **words, enum action *ret, struct number *numbers)
{
    int found = ACTION_COUNT;
    for (int i = 0; count > 0 && i < ACTION_COUNT; i++)
        if (strcmp(words[0], actions[i].name) == 0)
            found = i;
    if (found == ACTION_COUNT) {
        say_error("value: expected get, set, add or cas, then a name: mpool value get NAME; mpool value add NAME 1");
        return -1;
    }
    if (count != 2 + actions[found].numbers) {
        say_error("value %s takes a name%s", actions[found].name,
            found == GET   ? ""
            : found == CAS ? ", the number that is expected, and the new one"
                           : " and a number");
        return -1;
    }
    *ret = (enum action)found;
    for (size_t i = 0; i < actions[found].numbers; i++)
        if (parse(words[2 + i], &numbers[i]) < 0)
            return -1;
    return 0;
}

/* made: how to create it, for actions that may create it. → exit status. */
static int open_value(mpool_client *client, enum action action, const char *name, const struct number *numbers,
    mpool_object_options *made, mpool_object **ret)
{
    mpool_object_options there = MPOOL_OBJECT_OPTIONS_INIT;
    there.create = MPOOL_CREATE_NO;
    there.read_only = action == GET;
    int r = mpool_object_open(client, ret, "value", name, &there);
    if (r == MPOOL_ENO_OBJECT && (action == SET || action == ADD)) {
        if (check(name, type, true, numbers, actions[action].numbers) < 0)
            return EXIT_OWN;
        made->type = type;
        r = mpool_object_open(client, ret, "value", name, made);
    } else if (r == MPOOL_EDENIED && action != GET) {
        there.read_only = true;
        r = mpool_object_open(client, ret, "value", name, &there);
        if (r == 0) {
            mpool_object_close(*ret);
            say_error("value: you may only read '%s', not change it", name);
            return EXIT_OWN;
        }
    }
    return r < 0 ? daemon_say(client, r) : EXIT_OK;
}

static int run(size_t count, char **words)
{
    enum action action;
    struct number numbers[2];
    mpool_object_options made;
    if (read_action(count, words, &action, numbers) < 0 || create_options_read(&made) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(disconnectp) mpool_client *client = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    mpool_object *value;
    status = open_value(client, action, words[1], numbers, &made, &value);
    if (status != EXIT_OK)
        return status;
    int r = 0;
    if (check(words[1], mpool_object_type(value), false, numbers, actions[action].numbers) < 0)
        status = EXIT_OWN;
    else
        r = act(value, action, numbers);
    mpool_object_close(value);
    if (r == -EAGAIN) /* cas has found another number, and printed it */
        return EXIT_TASK_FAILED;
    return r < 0 ? daemon_say_text(r, NULL) : status;
}

const struct verb verb_value = {
    .name = "value",
    .group = "Share",
    .usage = "get NAME | set NAME N | add NAME N | cas NAME OLD NEW",
    .line = "read or change a number that processes share",
    .about = "set and add make it if there is none; add prints what it has become, and wraps around at the end of an\n"
             "integer type. cas stores NEW if it is OLD, and else prints what it is, with exit status 1. Each is one\n"
             "atomic step, whoever else is at it.\n"
             "\n"
             "Examples:\n"
             "  mpool value add jobs.done 1\n"
             "  mpool value get jobs.done\n"
             "  mpool value set ratio 0.75 --type f64\n"
             "  mpool value cas leader 0 $$ && echo \"it is me\"\n",
    .operands = "get set add cas",
    .second = "@value",
    .flags = VERB_NUMBERS,
    .options = options,
    .run = run,
};
