/* mpool module: tools for module authors. Only mpoold can load modules, so this finds mpoold and executes it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"
#include "client/cli/cleanup.h"
#include "client/cli/say.h"
#include "client/cli/settings.h"
#include "client/cli/verbs.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

enum {
    NOT_CHECKED = 2, /* exit status, the same as mpoold's */
    NAME_LENGTH_CAP = 63,
};

/* Where mpoold may be, relative to the directory of this program: installed, side by side, and in a build tree. */
static const char *const places[] = {"../sbin/mpoold", "mpoold", "../../daemon/mpoold"};

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

/* Returns only on failure, after reporting it. */
static int become_mpoold(const char *option, const char *operand)
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
    signal(SIGPIPE, SIG_DFL); /* ignored signals would stay ignored across exec */
    execvp(path, (char *const *)words);
    say_error("cannot run %s: %s", path, strerror(errno));
    say_hint("Modules are loaded by mpoold; $MPOOLD may say where it is.");
    return EXIT_OWN;
}

static int check_file(const char *file)
{
    if (strchr(file, '/') && access(file, R_OK) < 0) { /* without a slash it is a name, which mpoold looks up */
        say_error("module: %s: %s", file, strerror(errno));
        return NOT_CHECKED;
    }
    return become_mpoold("--module-check", file);
}

/* Runs `mpoold --module-new NAME` with its output in the file. → 0, or EXIT_OWN, said. */
static int fill(const char *name, int fd)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd, STDOUT_FILENO);
        _exit(become_mpoold("--module-new", name));
    }
    if (pid < 0) {
        say_error("cannot start mpoold: %s", strerror(errno));
        return EXIT_OWN;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            say_error("waitpid: %s", strerror(errno));
            return EXIT_OWN;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EXIT_OK : EXIT_OWN;
}

static int begin(const char *name)
{
    char file[NAME_MAX + 1];
    int n = snprintf(file, sizeof file, "%s.c", name);
    if (n < 0 || !*name || strlen(name) > NAME_LENGTH_CAP || strspn(name, NAME_LETTERS) != strlen(name)) {
        say_error(
            "module: '%s' cannot be a module's name: use a-z, 0-9 and _, at most %d characters", name, NAME_LENGTH_CAP);
        return EXIT_OWN;
    }
    _cleanup_(closep) int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        say_error("module: %s: %s", file, strerror(errno));
        return EXIT_OWN;
    }
    int status = fill(name, fd);
    if (status != EXIT_OK)
        unlink(file);
    else
        say_note("wrote %s; next: cc -shared -fPIC -o %s.so %s && mpool module check ./%s.so", file, name, file, name);
    return status;
}

static int run(size_t count, char **operands)
{
    bool check = count > 0 && strcmp(operands[0], "check") == 0, new = count > 0 && strcmp(operands[0], "new") == 0;
    if (count == 2 && check)
        return check_file(operands[1]);
    if (count == 2 && new)
        return begin(operands[1]);
    if (check || new)
        say_error("module: %s takes one operand, the module's %s", operands[0], check ? "file" : "name");
    else if (count > 0)
        say_error("module: there is no '%s'; there are check FILE and new NAME", operands[0]);
    else
        say_error("module: needed are check FILE or new NAME");
    return EXIT_OWN;
}

const struct verb verb_module = {
    .name = "module",
    .group = "Other",
    .usage = "check FILE | new NAME",
    .line = "check a module, or begin a new one",
    .about = "check loads a module in a process that may die of it, and says what it provides or what is wrong.\n"
             "Its exit status is 0 for a good module, 1 for another, 2 when that cannot be found out.\n"
             "\n"
             "new writes NAME.c, a module that builds and loads, to begin with; a file that is there stays.\n"
             "\n"
             "Examples:\n"
             "  mpool module new img\n"
             "  cc -shared -fPIC -o img.so img.c\n"
             "  mpool module check ./img.so\n"
             "  mpoold --module ./img.so\n",
    .operands = "check new",
    .second = "@file",
    .run = run,
};
