/* Which tasks are meant? See ids.h. */
#include "client/cli/ids.h"

#include "client/cli/exit_codes.h"
#include "client/cli/options.h"
#include "client/cli/say.h"

int ids_parse(const char *verb, const char *word, uint64_t *ret)
{
    if (options_number(word, 1, (UINT64_C(1) << 53) - 1, ret) == 0)
        return 0;
    say_error("%s: '%s' is not a task id; `mpool ls` shows them", verb, word);
    return -1;
}

int ids_check(const char *verb, char **words, size_t count)
{
    uint64_t id;
    if (count == 0) {
        say_error("%s needs the id of a task; `mpool ls` shows them", verb);
        return EXIT_OWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (ids_parse(verb, words[i], &id) < 0)
            return EXIT_OWN;
    }
    return EXIT_OK;
}
