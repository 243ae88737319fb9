/* The options of a command to run: see command.h. */
#include "client/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/cleanup.h"
#include "client/cli/pack.h"
#include "client/cli/say.h"
#include "client/cli/template.h"

struct command_options command_options;

/* The last --env of a name wins, because each name may be sent only once. */
static bool named_later(const struct option_list *list, size_t at, size_t name_length)
{
    for (size_t i = at + 1; i < list->count; i++) {
        if (strcspn(list->values[i], "=") == name_length && memcmp(list->values[i], list->values[at], name_length) == 0)
            return true;
    }
    return false;
}

static bool set_by_option(const char *name, size_t name_length)
{
    const struct option_list *list = &command_options.env;
    for (size_t i = 0; i < list->count; i++) {
        if (strcspn(list->values[i], "=") == name_length && memcmp(list->values[i], name, name_length) == 0)
            return true;
    }
    return false;
}

static void pack_pair(struct wire_buf *to, const char *name, size_t name_length, const char *value)
{
    pack_str(to, name, name_length);
    pack_text(to, value, strlen(value));
}

/* Packs the pairs, or with `to` NULL only counts them. → how many. */
static size_t each_variable(struct wire_buf *to)
{
    const struct option_list *list = &command_options.env;
    size_t count = 0;
    for (char **e = command_options.all_env ? environ : NULL; e && *e; e++) {
        size_t name_length = strcspn(*e, "=");
        if (name_length == 0 || !(*e)[name_length] || set_by_option(*e, name_length) || template_owns(*e, name_length))
            continue;
        if (to)
            pack_pair(to, *e, name_length, *e + name_length + 1);
        count++;
    }
    for (size_t i = 0; i < list->count; i++) {
        size_t name_length = strcspn(list->values[i], "=");
        const char *value = list->values[i][name_length] ? list->values[i] + name_length + 1 : getenv(list->values[i]);
        if (!value || named_later(list, i, name_length) || template_owns(list->values[i], name_length))
            continue; /* passing on a variable that is not set is not an error */
        if (to)
            pack_pair(to, list->values[i], name_length, value);
        count++;
    }
    return count;
}

/* Are stdout and stderr the same file, as after 2>&1 or on a terminal? Then the order of the output matters more than
 * which of the two it was written to. */
static bool outputs_are_one(void)
{
    struct stat out, err;
    return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 && out.st_dev == err.st_dev &&
           out.st_ino == err.st_ino;
}

int command_pack_options(struct wire_buf *to, const struct command_extras *extras)
{
    _cleanup_(freep) char *directory =
        command_options.directory ? realpath(command_options.directory, NULL) : getcwd(NULL, 0);
    if (!directory) {
        say_error(
            "%s: %s", command_options.directory ? command_options.directory : "the current directory", strerror(errno));
        return -1;
    }
    size_t variables = each_variable(NULL) + extras->variables;
    bool merge = extras->merge && outputs_are_one();
    bool limited = extras->max_output && extras->max_output->given;
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_map(&pk, 2 + (size_t)(variables > 0) + extras->input + extras->stream + merge +
                              (size_t)(extras->timeout_ms > 0) + limited);
    wire_pack_text(&pk, "cwd");
    pack_str(to, directory, strlen(directory));
    mode_t mask = umask(0);
    umask(mask);
    wire_pack_key_u64(&pk, "umask", mask & 0777);
    if (extras->input)
        wire_pack_key_bool(&pk, "stdin", true);
    if (extras->stream)
        wire_pack_key_bool(&pk, "output", true);
    if (merge)
        wire_pack_key_bool(&pk, "merge", true);
    if (extras->timeout_ms > 0)
        wire_pack_key_f64(&pk, "timeout", (double)extras->timeout_ms / 1000);
    if (limited)
        wire_pack_key_u64(&pk, "max_output", extras->max_output->value);
    if (variables > 0) {
        wire_pack_text(&pk, "env");
        msgpack_pack_map(&pk, variables);
        each_variable(to);
    }
    if (!to->failed)
        return 0;
    say_error("no memory");
    return -1;
}
