/* A separate process runs one function, prints, and is joined; another one is terminated.
 *
 *     p = Process(target=os.system, args=("echo hello from $$",), name="greeter")
 *     p.start(); p.join(); print(p.name, p.exitcode)
 *     p = Process(target=time.sleep, args=(600,)); p.start(); p.terminate(); p.join(); print(p.exitcode)
 */
#include <errno.h>
#include <stdio.h>

#include <mpool/process.h>

static void printed(void *userdata, int stream, const void *bytes, size_t length)
{
    (void)userdata;
    fwrite(bytes, 1, length, stream == 1 ? stdout : stderr);
}

/* Joins it and says how it ended. → 0 or negative. */
static int join(mpool_process *p)
{
    int status;
    int r = mpool_process_join(p, -1);
    if (r == 0)
        r = mpool_process_exitcode(p, &status);
    if (r == 0)
        printf("%s ended with %d\n", mpool_process_name(p), status);
    return r;
}

int main(void)
{
    mpool_client *client;
    int r = mpool_connect(&client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }

    mpool_process *greeter = NULL, *sleeper = NULL;
    mpool_options task = MPOOL_OPTIONS_INIT;
    mpool_process_options options = MPOOL_PROCESS_OPTIONS_INIT;
    bool alive = false;
    options.task = &task;
    task.name = "greeter";
    task.on_output = printed;
    r = mpool_process_start(client, &greeter, &options, "sys.output", "s", "hello\n");
    if (r == 0)
        r = join(greeter);

    task.name = "sleeper";
    if (r == 0)
        r = mpool_process_start(client, &sleeper, &options, "sys.sleep", "i", 600);
    if (r == 0 && mpool_process_join(sleeper, 0) == -ETIMEDOUT)
        r = mpool_process_alive(sleeper, &alive);
    if (r == 0)
        printf("%s is %s\n", mpool_process_name(sleeper), alive ? "alive" : "gone");
    if (r == 0)
        r = mpool_process_terminate(sleeper);
    if (r == 0)
        r = join(sleeper);

    if (r < 0)
        fprintf(stderr, "%s\n", mpool_error_text(client));
    mpool_process_free(greeter);
    mpool_process_free(sleeper);
    mpool_disconnect(client);
    return r < 0;
}
