/* Fills the table of keys into the source of mpoold.conf(5): the lines @DAEMON_KEYS@ and @POOL_KEYS@ of the file that
 * is named, written to stdout. Runs while the project is built and is not installed. */
#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/config/config_keys.h"

int main(int argc, char **argv)
{
    _cleanup_(cleanup_fclose) FILE *in = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (!in) {
        fprintf(stderr, "usage: mpoold-config-manual mpoold.conf.5.scd\n");
        return 1;
    }
    _cleanup_(cleanup_free) char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, in) > 0) {
        if (strcmp(line, "@DAEMON_KEYS@\n") == 0)
            config_keys_print_manual(CONFIG_SECTION_DAEMON, stdout);
        else if (strcmp(line, "@POOL_KEYS@\n") == 0)
            config_keys_print_manual(CONFIG_SECTION_POOL, stdout);
        else
            fputs(line, stdout);
    }
    return ferror(in) || fflush(stdout) != 0 ? 1 : 0;
}
