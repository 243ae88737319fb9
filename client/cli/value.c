/* mpool value: numbers that scripts share. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <mpool/shared.h>

#include "client/cli/daemon.h"
#include "client/cli/making.h"
#include "client/cli/out.h"
#include "client/cli/own.h"
#include "client/cli/say.h"
#include "client/cli/verbs.h"

static const char *type;

static const struct option_row options[] = {
    {.name = "type",
        .value = "TYPE",
        .words = "i8 u8 i16 u16 i32 u32 i64 u64 f32 f64",
        .text = &type,
        .help = "if it is made: its type (default: i64)"},
    OPTION_ROWS_MAKING,
    {0},
};

/* A number of any of the types, as typed. */
struct number {
    bool is_integer, is_negative;
    uint64_t magnitude;
    double real;
};

static int parse(const char *text, struct number *ret)
{
    char *end;
    *ret = (struct number){.is_negative = text[0] == '-'};
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    errno = 0;
    if (*digits && strspn(digits, "0123456789") == strlen(digits)) {
        ret->magnitude = strtoull(digits, NULL, 10);
        ret->is_integer = !errno && (!ret->is_negative || ret->magnitude <= UINT64_C(1) << 63);
    }
    ret->real = strtod(text, &end);
    if (!*text || *end || (!ret->is_integer && *digits && strspn(digits, "0123456789") == strlen(digits))) {
        say_error("value: '%s' is not a number", text);
        return -1;
    }
    return 0;
}

static int out_of_range(const char *name)
{
    say_error("value: that is no number of the type %s", name);
    return -1;
}

/* Each type's own conversion: → 0, or -1 after it was said that the number does not fit. */
#define SIGNED_FROM(name, ctype, least, most)                                                                          \
    static int from_##name(const struct number *n, ctype *ret)                                                         \
    {                                                                                                                  \
        if (!n->is_integer ||                                                                                          \
            (n->is_negative ? n->magnitude > (uint64_t)(most) + 1 : n->magnitude > (uint64_t)(most)))                  \
            return out_of_range(#name);                                                                                \
        *ret = (ctype)(n->is_negative ? 0 - n->magnitude : n->magnitude);                                              \
        return 0;                                                                                                      \
    }
#define UNSIGNED_FROM(name, ctype, most)                                                                               \
    static int from_##name(const struct number *n, ctype *ret)                                                         \
    {                                                                                                                  \
        if (!n->is_integer || (n->is_negative && n->magnitude > 0) || n->magnitude > (most))                           \
            return out_of_range(#name);                                                                                \
        *ret = (ctype)n->magnitude;                                                                                    \
        return 0;                                                                                                      \
    }
#define REAL_FROM(name, ctype)                                                                                         \
    static int from_##name(const struct number *n, ctype *ret)                                                         \
    {                                                                                                                  \
        *ret = (ctype)n->real;                                                                                         \
        return 0;                                                                                                      \
    }
SIGNED_FROM(i8, int8_t, INT8_MIN, INT8_MAX)
SIGNED_FROM(i16, int16_t, INT16_MIN, INT16_MAX)
SIGNED_FROM(i32, int32_t, INT32_MIN, INT32_MAX)
SIGNED_FROM(i64, int64_t, INT64_MIN, INT64_MAX)
UNSIGNED_FROM(u8, uint8_t, UINT8_MAX)
UNSIGNED_FROM(u16, uint16_t, UINT16_MAX)
UNSIGNED_FROM(u32, uint32_t, UINT32_MAX)
UNSIGNED_FROM(u64, uint64_t, UINT64_MAX)
REAL_FROM(f32, float)
REAL_FROM(f64, double)

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
#define PRINT_f32(n)      out_format("%.9g\n", (double)(n))
#define PRINT_f64(n)      out_format("%.17g\n", (n))

enum action { GET, SET, ADD, CAS, ACTION_COUNT };
static const struct {
    const char *name;
    size_t numbers;
} actions[ACTION_COUNT] = {{"get", 0}, {"set", 1}, {"add", 1}, {"cas", 2}};

/* → 0; 1: cas found another number; negative: an error of the library's; EXIT_OWN as -EDOM: said already. */
#define ACT(name, ctype)                                                                                               \
    static int act_##name(mpool_object *value, enum action action, const struct number *numbers)                       \
    {                                                                                                                  \
        ctype first = 0, second = 0;                                                                                   \
        int r = 0;                                                                                                     \
        if ((actions[action].numbers > 0 && from_##name(&numbers[0], &first) < 0) ||                                   \
            (actions[action].numbers > 1 && from_##name(&numbers[1], &second) < 0))                                    \
            return -EDOM;                                                                                              \
        switch (action) {                                                                                              \
        case GET: r = mpool_value_get_##name(value, &first); break;                                                    \
        case SET: return mpool_value_set_##name(value, first);                                                         \
        case ADD:                                                                                                      \
            r = mpool_value_fetch_add_##name(value, first, &second);                                                   \
            first = (ctype)(first + second);                                                                           \
            break;                                                                                                     \
        case CAS:                                                                                                      \
            r = mpool_value_cas_##name(value, &first, second);                                                         \
            if (r == 0)                                                                                                \
                PRINT_##name(first);                                                                                   \
            return r < 0 ? r : !r;                                                                                     \
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

static int read_action(size_t count, char **words, enum action *ret, struct number *numbers)
{
    int found = ACTION_COUNT;
    for (int i = 0; count > 0 && i < ACTION_COUNT; i++)
        if (strcmp(words[0], actions[i].name) == 0)
            found = i;
    if (found == ACTION_COUNT) {
        say_error("value: get, set, add or cas? mpool value get NAME; mpool value add NAME 1");
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

static int run(size_t count, char **words)
{
    enum action action;
    struct number numbers[2];
    mpool_object_options made;
    if (read_action(count, words, &action, numbers) < 0 || making_options(&made) != EXIT_OK)
        return EXIT_OWN;
    _cleanup_(own_disconnect) mpool_client *client = NULL;
    int status = daemon_connect(&client);
    if (status != EXIT_OK)
        return status;
    made.type = type;
    made.create = action == SET || action == ADD ? MPOOL_CREATE_YES : MPOOL_CREATE_NO;
    made.read_only = action == GET;
    mpool_object *value;
    int r = mpool_object_open(client, &value, "value", words[1], &made);
    if (r < 0)
        return daemon_say(client, r);
    r = act(value, action, numbers);
    mpool_object_close(value);
    if (r == -EDOM)
        return EXIT_OWN;
    if (r < 0)
        return daemon_say_text(r, NULL);
    return r > 0 ? EXIT_TASK_FAILED : EXIT_OK;
}

const struct verb verb_value = {
    .name = "value",
    .group = "Share",
    .usage = "get NAME | set NAME N | add NAME N | cas NAME OLD NEW",
    .line = "read or change a number that processes share",
    .about = "set and add make it if there is none; add prints what it has become. cas stores NEW if it is OLD, and\n"
             "else prints what it is, with exit status 1. Each is one atomic step, whoever else is at it.\n"
             "\n"
             "Examples:\n"
             "  mpool value add jobs.done 1\n"
             "  mpool value get jobs.done\n"
             "  mpool value set ratio 0.75 --type f64\n"
             "  mpool value cas leader 0 $$ && echo \"it is me\"\n",
    .operands = "get set add cas",
    .flags = VERB_NUMBERS,
    .options = options,
    .run = run,
};
