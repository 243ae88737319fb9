/* Which tasks or processes are meant? See ids.h. */
#include "client/cli/ids.h"

#include "client/cli/exit_codes.h"
#include "client/cli/options.h"
#include "client/cli/say.h"

static const struct {
    const char *what, *list;
} kinds[] = {[IDS_TASKS] = {"task", "ls"}, [IDS_PROCESSES] = {"process", "ps"}};

int ids_parse(enum ids_of of, const char *verb, const char *word, uint64_t *ret)
{
    if (options_number(word, 1, (UINT64_C(1) << 53) - 1, ret) == 0)
        return 0;
    say_error("%s: '%s' is not a %s id; `mpool %s` shows them", verb, word, kinds[of].what, kinds[of].list);
    return -1;
}

int ids_check(enum ids_of of, const char *verb, char **words, size_t count)
{
    uint64_t id;
    if (count == 0) {
        say_error("%s needs the id of a %s; `mpool %s` shows them", verb, kinds[of].what, kinds[of].list);
        return EXIT_OWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (ids_parse(of, verb, words[i], &id) < 0)
            return EXIT_OWN;
    }
    return EXIT_OK;
}
