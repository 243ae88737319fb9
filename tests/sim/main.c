/* sim --seed N [--trace]: one seed. sim [--seeds N] [--start S] [--jobs J]: many, on all CPUs; prints TAP.
 *
 * A failing seed is printed with the command that replays it. SIM_SEEDS in the environment is the default of --seeds.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program;
static volatile uint64_t current_seed;

/* Also for an assert inside the core, which knows of no seed. */
static void on_abort(int signal_number)
{
    char text[512];
    int n = snprintf(text, sizeof text, "sim: seed %llu failed; replay it with: %s --seed %llu --trace\n",
        (unsigned long long)current_seed, program, (unsigned long long)current_seed);
    if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static uint64_t number(const char *text, const char *what)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end) {
        fprintf(stderr, "sim: %s must be a number, not \"%s\"\n", what, text);
        exit(2);
    }
    return value;
}

static unsigned cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* Child `job` of `jobs` runs every jobs-th seed. → the number of children that failed. */
static unsigned run_many(uint64_t start, uint64_t seeds, unsigned jobs)
{
    unsigned failed = 0;
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("sim: fork");
            exit(2);
        }
        if (pid > 0)
            continue;
        for (uint64_t i = job; i < seeds; i += jobs) {
            current_seed = start + i;
            sim_run(current_seed, false);
        }
        _exit(0);
    }
    int status;
    while (wait(&status) > 0)
        failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"start", required_argument, NULL, 'b'},
        {"jobs", required_argument, NULL, 'j'},
        {"trace", no_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    const char *wanted = getenv("SIM_SEEDS");
    uint64_t seeds = wanted && *wanted ? number(wanted, "SIM_SEEDS") : 100000, start = 1, one = 0, jobs = cpus();
    bool single = false, trace = false;
    int option;
    program = argv[0];
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            one = number(optarg, "--seed");
            single = true;
            break;
        case 'n': seeds = number(optarg, "--seeds"); break;
        case 'b': start = number(optarg, "--start"); break;
        case 'j': jobs = number(optarg, "--jobs"); break;
        case 't': trace = true; break;
        default: fprintf(stderr, "usage: %s [--seed N [--trace] | --seeds N --start S --jobs J]\n", program); return 2;
        }
    }
    signal(SIGABRT, on_abort);
    if (single) {
        current_seed = one;
        setvbuf(stdout, NULL, _IOLBF, 0);
        sim_run(one, trace);
        printf("1..1\nok 1 - seed %llu: every task has its one answer\n", (unsigned long long)one);
        return 0;
    }
    printf("1..1\n");
    fflush(stdout);
    unsigned failed = run_many(start, seeds, jobs > 0 && jobs < 1024 ? (unsigned)jobs : 1);
    printf("%sok 1 - every task has its one answer in %llu seeds from %llu on\n", failed ? "not " : "",
        (unsigned long long)seeds, (unsigned long long)start);
    return failed ? 1 : 0;
}
