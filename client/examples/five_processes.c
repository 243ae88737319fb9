/* Five processes print their name and pid, and are joined.
 *
 *     processes = [Process(target=work, name=f"worker {i}") for i in range(1, 6)]
 *     for p in processes: p.start()
 *     for p in processes: p.join()
 */
#include <stdio.h>

#include <mpool/client.h>

enum { PROCESSES = 5 };

struct process {
    char name[16];
    char said[64];
};

/* It has ended; what it printed is the result's "stdout". */
static void joined(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct process *process = userdata;
    const mpool_result *output;
    const void *bytes = "";
    size_t length = 0;
    if (code == 0 && mpool_result_get(result, "stdout", &output) == 0)
        mpool_result_bytes(output, &bytes, &length);
    else
        fprintf(stderr, "%s: %s\n", process->name, text);
    snprintf(process->said, sizeof(process->said), "%.*s", (int)length, (const char *)bytes);
}

int main(void)
{
    mpool_client *client;
    int r = mpool_connect(&client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }

    struct process processes[PROCESSES] = {0};
    for (int i = 0; i < PROCESSES && r == 0; i++) {
        struct process *process = &processes[i];
        snprintf(process->name, sizeof(process->name), "worker %d", i + 1);
        r = mpool_apply_async(
            client, NULL, joined, process, "exec.run", "[ssss]", "sh", "-c", "echo \"$0: pid $$\"", process->name);
    }
    if (r == 0)
        r = mpool_run(client, -1); /* until all are joined */
    if (r < 0)
        fprintf(stderr, "%s\n", mpool_error_text(client));
    mpool_disconnect(client);

    for (int i = 0; i < PROCESSES && r == 0; i++) {
        fputs(processes[i].said, stdout);
        if (!processes[i].said[0])
            r = -1;
    }
    if (r == 0)
        puts("all joined");
    return r < 0;
}
