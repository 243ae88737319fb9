#include "daemon/supervisor/option_value.h"

#include <errno.h>
#include <stdio.h>

int option_wrong(const char *name, const char *expected, const struct wire_reader *in, struct option_why why)
{
    snprintf(why.text, why.size, "option %s: expected %s, got %s", name, expected, wire_type_name(wire_peek(in)));
    return -EINVAL;
}

int option_read_bool(struct wire_reader *in, const char *name, bool *ret, struct option_why why)
{
    return wire_read_bool(in, ret) < 0 ? option_wrong(name, "a bool", in, why) : 0;
}

int option_read_uint(
    struct wire_reader *in, const char *name, uint64_t least, uint64_t most, uint64_t *ret, struct option_why why)
{
    char expected[96];
    uint64_t value;
    snprintf(
        expected, sizeof expected, "an integer from %llu to %llu", (unsigned long long)least, (unsigned long long)most);
    if (wire_peek(in) != WIRE_TYPE_INT)
        return option_wrong(name, expected, in, why);
    if (wire_read_u64(in, &value) < 0 || value < least || value > most) {
        snprintf(why.text, why.size, "option %s: expected %s", name, expected);
        return -EINVAL;
    }
    *ret = value;
    return 0;
}

int option_read_text(struct wire_reader *in, const char *name, uint64_t least, uint64_t most, const char **ret,
    size_t *ret_length, struct option_why why)
{
    const char *text;
    size_t length;
    if (wire_read_text(in, &text, &length) < 0)
        return option_wrong(name, "a string", in, why);
    if (length < least || length > most) {
        snprintf(why.text, why.size, "option %s: expected %llu to %llu bytes, got %zu", name, (unsigned long long)least,
            (unsigned long long)most, length);
        return -EINVAL;
    }
    *ret = text;
    *ret_length = length;
    return 0;
}
