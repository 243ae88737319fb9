/* mpoold: which of its roles should this process play? Options, and the start of the supervisor. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/base/notify.h"
#include "daemon/base/start.h"
#include "daemon/base/title.h"
#include "daemon/config/config.h"
#include "daemon/config/paths.h"
#include "daemon/pool/guardian.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/worker/modcheck.h"
#include "daemon/worker/forkserver_main.h"

#define MODULES_MAX 64

enum { EXIT_USAGE = 2 };

/* The options, in one table: parser and help are made from it. */
static const struct {
    const char *name, *argument, *text;
    int letter;
} options[] = {
    {"socket", "PATH", "listen there (default: $XDG_RUNTIME_DIR/mpoold/mpoold.sock, or /run/mpoold/… for root)", 's'},
    {"config", "FILE", "read FILE and FILE.d/*.conf (default: /etc/mpoold/mpoold.conf, if there)", 'c'},
    {"module", "NAME", "load one more module into the first pool: a name, or a path such as ./img.so; repeatable", 'm'},
    {"workers", "SIZE", "workers of the first pool: 4, auto, or 2..16", 'w'},
    {"log-level", "LEVEL", "error, warning, info or debug", 'l'},
    {"check-config", NULL, "check the configuration, report every mistake, and exit", 'C'},
    {"module-check", "FILE", "load a module in a throwaway process and say what it provides, or what is wrong", 'M'},
    {"module-new", "NAME", "write the source of a module that builds and loads to standard output", 'N'},
    {"json", NULL, "with --module-check: answer in JSON", 'J'},
    {"help", NULL, "this text", 'h'},
    {"version", NULL, "the version", 'V'},
};

static void usage(FILE *out)
{
    fputs("Usage: mpoold [options]\n"
          "A pool of warm worker processes as a service: runs tasks received on a Unix socket in pre-forked workers.\n"
          "Without options or configuration it serves you alone, with one worker for each CPU that you may use.\n\n"
          "Options:\n",
        out);
    for (size_t i = 0; i < ELEMENTS(options); i++)
        fprintf(out, "  --%-12s %-6s %s\n", options[i].name, options[i].argument ? options[i].argument : "",
            options[i].text);
    fputs("\nSignals: SIGTERM stops after a grace for running tasks, a second one at once; SIGHUP reads the "
          "configuration\n"
          "again.\n\nConfiguration keys:\n",
        out);
    config_print_keys(out);
    fputs("\nTry it:  mpoold &  then  mpool call math.square 7  and  mpool run -- echo hello\n", out);
}

static int fail_usage(void)
{
    fputs("mpoold: see mpoold --help\n", stderr);
    return EXIT_USAGE;
}

static int check_module(const char *name, bool json)
{
    const char *directories[] = {paths_modules(), NULL};
    int r = modcheck_file(name, directories, json, stdout);
    if (r < 0)
        fprintf(stderr, "mpoold: cannot check %s: %s\n", name, strerror(-r));
    return r < 0 ? 2 : r;
}

static int new_module(const char *name)
{
    int r = modcheck_template(name, stdout);
    if (r == -EINVAL)
        fprintf(stderr, "mpoold: '%s' cannot be a module's name: use a-z, 0-9 and _, at most 63 characters\n", name);
    else if (r < 0)
        fprintf(stderr, "mpoold: cannot write the module: %s\n", strerror(-r));
    if (r == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        fprintf(stderr, "mpoold: cannot write the module: %s\n", strerror(errno));
        r = -EIO;
    }
    return r < 0 ? 1 : 0;
}

/* The report, plain for a terminal; with the priority of errors for the journal. */
static void print_report(const struct config_report *report)
{
    const char *priority = getenv("JOURNAL_STREAM") ? "<3>" : "";
    for (const char *line = report->text; line && *line;) {
        const char *end = strchrnul(line, '\n');
        fprintf(stderr, "%s%.*s\n", priority, (int)(end - line), line);
        line = *end ? end + 1 : end;
    }
    fprintf(stderr, "%smpoold: %u mistake%s in the configuration\n", priority, report->count,
        report->count == 1 ? "" : "s");
}

/* A path given on the command line, made independent of the directory that we leave. Never freed. */
static const char *absolute(const char *path)
{
    static char *here;
    char *joined;
    if (!path || path[0] == '/' || path[0] == 0)
        return path;
    if (!here && !(here = getcwd(NULL, 0))) {
        fprintf(stderr, "mpoold: %s: the current directory cannot be told: %s; give an absolute path\n", path,
            strerror(errno));
        exit(EXIT_USAGE);
    }
    if (asprintf(&joined, "%s/%s", strcmp(here, "/") == 0 ? "" : here, path) < 0) {
        fprintf(stderr, "mpoold: %s\n", strerror(ENOMEM));
        exit(1);
    }
    return joined;
}

/* A module may be given as a name or as a path. */
static const char *absolute_module(const char *module)
{
    size_t length = strlen(module);
    bool path = strchr(module, '/') || (length > 3 && strcmp(module + length - 3, ".so") == 0);
    return path ? absolute(module) : module;
}

static int serve(const struct config_arguments *arguments, bool check_only)
{
    struct config *config;
    struct config_report report = {0};
    int r = config_load(&config, arguments, &report);
    if (r < 0) {
        if (report.count > 0)
            print_report(&report);
        else
            fprintf(stderr, "mpoold: cannot read the configuration: %s\n", strerror(-r));
        config_report_reset(&report);
        return 1;
    }
    config_report_reset(&report);
    if (check_only) {
        printf("the configuration is good: %zu pool%s\n", config->pool_count, config->pool_count == 1 ? "" : "s");
        config_free(config);
        return 0;
    }
    log_init((enum log_level)config->log_level, NULL);
    /* Our current directory may be removed, or be on a file system that should be unmounted. */
    if (chdir("/") < 0) {
        fprintf(stderr, "mpoold: cannot change the directory to /: %s\n", strerror(errno));
        config_free(config);
        return 1;
    }
    /* Commands of tasks may run as our user. None of them may read our memory and descriptors, or take us over; the
     * price is that there is no core dump, and that only root can debug us. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        log_warning("tasks of this user may trace the daemon: %s", strerror(errno));
    guardian_fork();
    title_set("mpoold", "mpoold: supervisor");
    struct supervisor *s;
    r = supervisor_new(&s, config, arguments);
    if (r < 0)
        return 1;
    notify("READY=1");
    int status = supervisor_run(s);
    supervisor_free(s);
    return status;
}

int main(int argc, char **argv)
{
    struct option long_options[ELEMENTS(options) + 1] = {0};
    static const char *modules[MODULES_MAX];
    static struct config_arguments arguments = {
        .modules = modules}; /* static, so that a leak checker finds its paths */
    bool check_only = false, json = false;
    const char *module = NULL, *fresh = NULL;

    for (size_t i = 0; i < ELEMENTS(options); i++)
        long_options[i] = (struct option){
            options[i].name, options[i].argument ? required_argument : no_argument, NULL, options[i].letter};
    int r = start_clean();
    if (r < 0) {
        fprintf(stderr, "mpoold: cannot begin: %s\n", strerror(-r));
        return 1;
    }
    paths_init();
    argv = title_init(argc, argv);
    if (argc == 3 && strcmp(argv[1], FORKSERVER_VERB) == 0)
        return forkserver_main();
    for (int c; (c = getopt_long(argc, argv, "s:c:m:w:l:hV", long_options, NULL)) != -1;) {
        switch (c) {
        case 's': arguments.socket_path = absolute(optarg); break;
        case 'c': arguments.file = absolute(optarg); break;
        case 'w': arguments.workers = optarg; break;
        case 'l': arguments.log_level = optarg; break;
        case 'C': check_only = true; break;
        case 'M': module = optarg; break;
        case 'N': fresh = optarg; break;
        case 'J': json = true; break;
        case 'm':
            if (arguments.module_count == MODULES_MAX) {
                fprintf(stderr, "mpoold: more than %d modules\n", MODULES_MAX);
                return EXIT_USAGE;
            }
            modules[arguments.module_count++] = absolute_module(optarg);
            break;
        case 'h': usage(stdout); return 0;
        case 'V': puts("mpoold " MPOOL_VERSION); return 0;
        default: return fail_usage();
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mpoold: unexpected argument '%s'\n", argv[optind]);
        return fail_usage();
    }
    if (module)
        return check_module(module, json);
    if (fresh)
        return new_module(fresh);
    return serve(&arguments, check_only);
}
