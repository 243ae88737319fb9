/* Linked into every program of a coverage build: gcov writes its counters when a process calls exit(), but workers,
 * guardians and forked children call _exit(), and the command line ends by the signal that it got. These stand in front
 * of libc's functions and have the counters written first.
 *
 * Each program and each module has counters of its own, and brings the function that writes them (part.c).
 *
 * gcov writes them before an exec, too, and notes that it has: in a child of vfork(), whose memory is its parent's, it
 * would keep the parent from ever writing again what it counts later. So vfork() is fork() here.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PARTS_MAX 64

void coverage_part_add(void (*save)(void));
void coverage_part_remove(void (*save)(void));

static void (*parts[PARTS_MAX])(void);

void coverage_part_add(void (*save)(void))
{
    for (size_t i = 0; i < PARTS_MAX; i++)
        if (!parts[i]) {
            parts[i] = save;
            return;
        }
    abort(); /* rather than a table that lacks what a module has reached */
}

void coverage_part_remove(void (*save)(void))
{
    for (size_t i = 0; i < PARTS_MAX; i++)
        if (parts[i] == save)
            parts[i] = NULL;
}

static void save_all(void)
{
    for (size_t i = 0; i < PARTS_MAX; i++)
        if (parts[i])
            parts[i]();
}

_Noreturn void _exit(int status)
{
    signal(SIGXFSZ, SIG_IGN); /* a task may have left a low limit for files */
    save_all();
    for (;;)
        syscall(SYS_exit_group, status);
}

pid_t vfork(void)
{
    return fork();
}

int raise(int number)
{
    save_all();
    return (int)syscall(SYS_tgkill, getpid(), gettid(), number);
}
