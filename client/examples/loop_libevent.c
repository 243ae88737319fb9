/* A program with a libevent loop of its own runs tasks beside whatever else it does: here, a ticking timer. */
#include <inttypes.h>
#include <stdio.h>

#include <mpool/event.h>

enum { CALLS = 5 };

struct program {
    struct event_base *base;
    mpool_client *client;
    int answered, ticks, failed;
};

static void squared(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct program *program = userdata;
    int64_t n = 0;
    if (code == 0 && mpool_result_i64(result, &n) == 0) {
        printf("a square: %" PRId64 "\n", n);
    } else {
        fprintf(stderr, "%s\n", text);
        program->failed++;
    }
    if (++program->answered == CALLS)
        event_base_loopbreak(program->base);
}

/* Each tick starts a call; it is sent when the loop comes round. */
static void tick(evutil_socket_t fd, short what, void *userdata)
{
    struct program *program = userdata;
    (void)fd;
    (void)what;
    if (program->ticks == CALLS)
        return;
    program->ticks++;
    if (mpool_apply_async(program->client, NULL, squared, program, "math.square", "i", program->ticks) < 0) {
        fprintf(stderr, "%s\n", mpool_error_text(program->client));
        event_base_loopbreak(program->base);
    }
}

static void lost(void *userdata, int code)
{
    struct program *program = userdata;
    fprintf(stderr, "%s\n", mpool_strerror(code));
    event_base_loopbreak(program->base);
}

int main(void)
{
    struct program program = {0};
    int r = mpool_connect(&program.client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }
    program.base = event_base_new();
    struct event *timer = program.base ? event_new(program.base, -1, EV_PERSIST, tick, &program) : NULL;
    struct timeval interval = {.tv_usec = 10000};
    struct mpool_event *attached = NULL;
    if (timer && event_add(timer, &interval) == 0 &&
        mpool_event_attach(&attached, program.base, program.client, lost, &program) == 0)
        event_base_dispatch(program.base);

    mpool_event_detach(attached);
    mpool_disconnect(program.client);
    if (timer)
        event_free(timer);
    if (program.base)
        event_base_free(program.base);
    return program.answered != CALLS || program.failed > 0;
}
