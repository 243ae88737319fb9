#include "daemon/worker/modcheck.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/worker/modules.h"
#include "proto/text.h"

#define PATIENCE_MS 30000

enum stage { LOADING, INIT, WORKER_INIT, WORKER_FINI, TOLD };

static const char *const doing[] = {
    [LOADING] = "being loaded",
    [INIT] = "its init ran",
    [WORKER_INIT] = "its worker_init ran",
    [WORKER_FINI] = "its worker_fini ran",
    [TOLD] = "the process ended",
};

/* ---- words ------------------------------------------------------------------------------------------------------ */

static void put_json_text(FILE *out, const char *text)
{
    _cleanup_(cleanup_free) char *clean = strdup(text);
    if (clean)
        wire_utf8_scrub(clean, strlen(clean));
    putc('"', out);
    for (const char *at = clean ? clean : ""; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static void put_wrong(FILE *out, bool json, const char *file, const char *why)
{
    if (!json) {
        fprintf(out, "%s\n", why);
        return;
    }
    fputs("{\"ok\": false, \"file\": ", out);
    put_json_text(out, file);
    fputs(", \"error\": ", out);
    put_json_text(out, why);
    fputs("}\n", out);
}

static void put_function(FILE *out, bool json, const struct module_function *f, bool first)
{
    bool idempotent = f->flags & MPOOL_IDEMPOTENT, cancellable = f->flags & MPOOL_CANCELLABLE;
    if (!json) {
        fprintf(out, "  %-24s %s", f->name, f->summary);
        if (idempotent || cancellable)
            fprintf(out, " (%s%s%s)", idempotent ? "idempotent" : "", idempotent && cancellable ? ", " : "",
                cancellable ? "cancellable" : "");
        if (f->timeout_s)
            fprintf(out, " (time-out %u s)", f->timeout_s);
        putc('\n', out);
        return;
    }
    fprintf(out, "%s{\"name\": \"%s\", \"idempotent\": %s, \"cancellable\": %s, \"timeout_s\": %u, \"summary\": ",
        first ? "" : ", ", f->name, idempotent ? "true" : "false", cancellable ? "true" : "false", f->timeout_s);
    put_json_text(out, f->summary);
    putc('}', out);
}

static void put_good(FILE *out, bool json, const struct modules *m)
{
    size_t total;
    const struct module *module = modules_at(m, 0);
    const struct module_function *functions = modules_functions(m, &total);
    if (json) {
        fputs("{\"ok\": true, \"file\": ", out);
        put_json_text(out, module->path);
        fprintf(out, ", \"name\": \"%s\", \"version\": ", module->name);
        put_json_text(out, module->version);
        fprintf(out, ", \"abi\": \"%u.%u\", \"functions\": [", module->abi_major, module->abi_minor);
    } else {
        fprintf(out, "%s %s, ABI %u.%u, %s\n", module->name, module->version, module->abi_major, module->abi_minor,
            module->path);
    }
    for (uint32_t i = 0; i < module->count; i++)
        put_function(out, json, &functions[module->first + i], i == 0);
    if (json)
        fputs("]}\n", out);
}

/* ---- the throwaway child ---------------------------------------------------------------------------------------- */

/* What init hooks log goes to stderr, where a person looks for it. */
static void hook_log(void *user, const char *module, int level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s: %s\n", module, text);
}

/* Does what a template and then a worker would do. → 0, or negative with an error message in `why`. */
static int rehearse(struct modules *m, const char *name, _Atomic int *stage, char *why)
{
    struct modules_hooks hooks = {.pool = "check", .log = hook_log};
    int r = modules_load(m, name, why);
    if (r < 0)
        return r;
    *stage = INIT;
    r = modules_init(m, &hooks, why);
    if (r < 0)
        return r;
    *stage = WORKER_INIT;
    hooks.worker = 1;
    r = modules_worker_init(m, &hooks, why);
    if (r < 0)
        return r;
    *stage = WORKER_FINI;
    modules_worker_fini(m);
    return 0;
}

static _Noreturn void child(const char *name, const char *const *directories, bool json, int report, _Atomic int *stage)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* the module's output must not mix with our report */
    char why[MODULES_WHY_MAX];
    struct modules *m = NULL;
    FILE *out = fdopen(report, "w");
    if (!out || modules_new(&m, geteuid()) < 0)
        _exit(2);
    for (size_t i = 0; directories && directories[i]; i++)
        if (modules_add_directory(m, directories[i]) < 0)
            _exit(2);
    bool good = rehearse(m, name, stage, why) == 0;
    if (good)
        put_good(out, json, m);
    else
        put_wrong(out, json, name, why);
    int told = fclose(out);
    *stage = TOLD;
    _exit(told != 0 ? 2 : good ? 0 : 1);
}

/* → the child's wait status, or -errno; *ret_late when it timed out. */
static int await(pid_t pid, int *ret_status, bool *ret_late)
{
    _cleanup_(fd_close) int pidfd = pidfd_open(pid, 0);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    int n;
    while ((n = poll(&end, 1, PATIENCE_MS)) < 0 && errno == EINTR)
        ;
    *ret_late = n == 0;
    if (n <= 0 || pidfd < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return pidfd < 0 ? -EMFILE : 0;
}

static int copy_report(int report, FILE *out)
{
    char block[4096];
    ssize_t n;
    off_t at = 0;
    while ((n = pread(report, block, sizeof block, at)) > 0) {
        at += n;
        if (fwrite(block, 1, (size_t)n, out) != (size_t)n)
            return -EIO;
    }
    return n < 0 ? -errno : 0;
}

int modcheck_file(const char *name, const char *const *directories, bool json, FILE *out)
{
    _cleanup_(fd_close) int report = memfd_create("mpool-module-check", MFD_CLOEXEC);
    _Atomic int *stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report < 0 || stage == MAP_FAILED)
        return -errno;
    fflush(NULL); /* or the child would inherit our unwritten output */
    pid_t pid = fork();
    if (pid == 0)
        child(name, directories, json, report, stage);

    int status = 0;
    bool late = false;
    int r = pid < 0 ? -errno : await(pid, &status, &late);
    int reached = *stage;
    munmap((void *)stage, sizeof *stage);
    if (r < 0)
        return r;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1 && reached == TOLD) {
        r = copy_report(report, out);
        return r < 0 ? r : WEXITSTATUS(status);
    }
    char why[MODULES_WHY_MAX];
    const char *when = reached == LOADING ? "while" : "when";
    if (late)
        wire_format(why, sizeof why, "%s did not come to an end %s %s: it was killed after %d s", name, when,
            doing[reached], PATIENCE_MS / 1000);
    else if (WIFSIGNALED(status))
        wire_format(why, sizeof why, "%s crashed %s %s: SIG%s (%s)", name, when, doing[reached],
            sigabbrev_np(WTERMSIG(status)), sigdescr_np(WTERMSIG(status)));
    else
        wire_format(why, sizeof why, "%s ended the process %s %s, with status %d", name, when, doing[reached],
            WEXITSTATUS(status));
    put_wrong(out, json, name, why);
    return 1;
}

/* ---- a module to begin with ------------------------------------------------------------------------------------- */

static const char template[] =
    "/* @: what its functions are about.\n"
    " *\n"
    " *     cc -shared -fPIC -O2 -Wall -o @.so @.c\n"
    " *     mpool module check ./@.so\n"
    " *     mpoold --module ./@.so\n"
    " *     mpool call @.greet world\n"
    " */\n"
    "#include <mpool/module.h>\n"
    "#include <string.h>\n"
    "\n"
    "/* A function reads its arguments, and builds one reply or fails. What it gets from mpool_alloc() is freed for "
    "it. */\n"
    "static int greet(mpool_task *task)\n"
    "{\n"
    "    static const char hello[] = \"hello, \";\n"
    "    const char *name;\n"
    "    size_t length;\n"
    "    if (mpool_arg_str(task, 0, &name, &length) < 0)\n"
    "        return -1; /* the caller is told which argument was wrong */\n"
    "    if (length == 0)\n"
    "        return mpool_fail(task, MPOOL_FAIL_FINAL, \"whom shall I greet?\");\n"
    "    char *text = mpool_alloc(task, sizeof hello + length);\n"
    "    if (!text)\n"
    "        return -1;\n"
    "    memcpy(text, hello, sizeof hello - 1);\n"
    "    memcpy(text + sizeof hello - 1, name, length);\n"
    "    return mpool_reply_str(task, text, sizeof hello - 1 + length);\n"
    "}\n"
    "\n"
    "/* MPOOL_IDEMPOTENT: running it twice does no harm, so it is run again when its worker dies. */\n"
    "MPOOL_MODULE(\"@\", \"0.1.0\",\n"
    "    MPOOL_FN(\"greet\", greet, .flags = MPOOL_IDEMPOTENT, .summary = \"name → a greeting\"))\n";

int modcheck_template(const char *name, FILE *out)
{
    if (!modules_name_ok(name))
        return -EINVAL;
    for (const char *at = template; *at; at++)
        if ((*at == '@' ? fputs(name, out) : putc(*at, out)) == EOF)
            return -EIO;
    return fflush(out) == 0 ? 0 : -EIO;
}
