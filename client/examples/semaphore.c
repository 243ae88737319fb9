/* Six processes, at most two of them inside at a time.
 *
 *     semaphore = Semaphore(2)
 *     def work(i):
 *         with semaphore:
 *             ...
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mpool/client.h>
#include <mpool/shared.h>

enum { PROCESSES = 6, AT_ONCE = 2 };

static int work(const char *semaphore_handle, const char *inside_handle)
{
    mpool_client *client;
    mpool_object *semaphore, *inside;
    int64_t n = 0;
    int r = mpool_connect(&client, NULL);
    if (r < 0 || (r = mpool_object_open(client, &semaphore, NULL, semaphore_handle, NULL)) < 0 ||
        (r = mpool_object_open(client, &inside, NULL, inside_handle, NULL)) < 0 ||
        (r = mpool_semaphore_acquire(semaphore, -1, NULL)) < 0) {
        fprintf(stderr, "%s\n", mpool_strerror(r));
        return 1;
    }
    mpool_value_fetch_add_i64(inside, 1, &n);
    usleep(20000);
    mpool_value_add_i64(inside, -1);
    mpool_semaphore_release(semaphore);
    return n >= AT_ONCE; /* n were inside already, so this is one too many */
}

int main(void)
{
    mpool_client *client;
    mpool_object *semaphore, *inside;
    mpool_object_options options = MPOOL_OBJECT_OPTIONS_INIT;
    options.tokens = AT_ONCE;
    int status, bad = 0, r = mpool_connect(&client, NULL);
    if (r < 0 || (r = mpool_object_open(client, &semaphore, "semaphore", NULL, &options)) < 0 ||
        (r = mpool_object_open(client, &inside, "value", NULL, NULL)) < 0) {
        fprintf(stderr, "%s\n", mpool_strerror(r));
        return 1;
    }
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            _exit(work(mpool_object_handle(semaphore), mpool_object_handle(inside)));
    while (wait(&status) > 0)
        bad |= status;
    printf("%d processes, never more than %d inside: %s\n", PROCESSES, AT_ONCE, bad ? "no" : "yes");

    mpool_object_close(inside);
    mpool_object_close(semaphore);
    mpool_disconnect(client);
    return bad != 0;
}
