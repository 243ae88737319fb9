/* mpool module: what module authors need. The work is mpoold's, which alone can load modules: this finds and becomes
 * it. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/out.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

/* Where mpoold may lie, seen from the directory of this program: installed, side by side, and in a build tree. */
static const char *const places[] = {"../sbin/mpoold", "mpoold", "../../daemon/mpoold"};

static const struct {
    const char *word, *option;
} commands[] = {{"check", "--module-check"}, {"new", "--module-new"}};

/* → 0 with its path, or -1. */
static int find_beside(char *to, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return -1;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash)
        return -1;
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int length = snprintf(to, size, "%s/%s", self, places[i]);
        if (length > 0 && (size_t)length < size && access(to, X_OK) == 0)
            return 0;
    }
    return -1;
}

static int become_mpoold(const char *option, char *operand)
{
    char path[PATH_MAX];
    const char *given = getenv("MPOOLD");
    if (given && *given)
        snprintf(path, sizeof path, "%s", given);
    else if (find_beside(path, sizeof path) < 0)
        snprintf(path, sizeof path, "mpoold"); /* by PATH */
    const char *words[5] = {"mpoold", option, operand};
    size_t count = 3;
    if (settings.json)
        words[count++] = "--json";
    words[count] = NULL;
    out_flush();
    signal(SIGPIPE, SIG_DFL); /* ignored signals would stay so in it */
    execvp(path, (char *const *)words);
    say_error("cannot run %s: %s", path, strerror(errno));
    say_hint("Modules are loaded by mpoold; $MPOOLD may say where it is.");
    return EXIT_OWN;
}

static int run(size_t count, char **operands)
{
    for (size_t i = 0; count > 0 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(operands[0], commands[i].word) != 0)
            continue;
        if (count == 2)
            return become_mpoold(commands[i].option, operands[1]);
        say_error("module %s takes one operand: the module's %s", operands[0], i == 0 ? "file" : "name");
        return EXIT_OWN;
    }
    if (count > 0)
        say_error("module has no '%s'; there are check FILE and new NAME", operands[0]);
    else
        say_error("module needs check FILE or new NAME");
    return EXIT_OWN;
}

const struct verb verb_module = {
    .name = "module",
    .group = "Other",
    .usage = "check FILE | new NAME",
    .line = "check a module, or begin a new one",
    .about = "check loads a module in a process that may die of it, and says what it provides or what is wrong.\n"
             "new writes NAME.c, a module that builds and loads, to begin with.\n"
             "\n"
             "Examples:\n"
             "  mpool module new img\n"
             "  cc -shared -fPIC -o img.so img.c\n"
             "  mpool module check ./img.so\n"
             "  mpoold --module ./img.so\n",
    .operands = "check new",
    .run = run,
};
