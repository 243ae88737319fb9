/* A program with an sd-event loop of its own runs tasks beside whatever else it does: here, waiting for SIGTERM. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include <mpool/sd-event.h>

enum { CALLS = 5 };

struct program {
    sd_event *event;
    mpool_client *client;
    int answered;
};

/* Each answer starts the next call, and the last one ends the loop. */
static void squared(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct program *program = userdata;
    int64_t n = 0;
    if (code < 0 || mpool_result_i64(result, &n) < 0) {
        fprintf(stderr, "%s\n", text);
        sd_event_exit(program->event, 1);
        return;
    }
    printf("a square: %" PRId64 "\n", n);
    if (++program->answered == CALLS)
        sd_event_exit(program->event, 0);
    else if (mpool_apply_async(program->client, NULL, squared, program, "math.square", "i", program->answered + 1) < 0)
        sd_event_exit(program->event, 1);
}

static void lost(void *userdata, int code)
{
    struct program *program = userdata;
    fprintf(stderr, "%s\n", mpool_strerror(code));
    sd_event_exit(program->event, 1);
}

int main(void)
{
    struct program program = {0};
    int r = mpool_connect(&program.client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    struct mpool_sd_event *attached = NULL;
    r = sd_event_new(&program.event);
    if (r >= 0)
        r = sd_event_add_signal(program.event, NULL, SIGTERM, NULL, NULL);
    if (r >= 0)
        r = mpool_sd_event_attach(&attached, program.event, program.client, lost, &program);
    if (r >= 0)
        r = mpool_apply_async(program.client, NULL, squared, &program, "math.square", "i", 1);
    if (r >= 0)
        r = sd_event_loop(program.event); /* the code passed to sd_event_exit() */
    if (r < 0)
        fprintf(stderr, "%s\n", mpool_strerror(r));

    mpool_sd_event_detach(attached);
    mpool_disconnect(program.client);
    sd_event_unref(program.event);
    return r != 0;
}
