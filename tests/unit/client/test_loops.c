/* The adapters: a libevent base and an sd-event loop drive connections, and nothing is left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mpool/event.h>
#include <mpool/sd-event.h>

#include "tests/unit/client/fake.h"

enum { CALLS = 200 };

/* The two loops, as the tests see them. */
struct loop {
    struct event_base *base;
    struct mpool_event *attached;
    sd_event *event;
    struct mpool_sd_event *sd_attached;
    mpool_client *client;
    int count, code, lost;
    bool disconnect;
};

static void lost(void *userdata, int code)
{
    struct loop *loop = userdata;
    loop->lost = code;
    if (loop->base)
        event_base_loopbreak(loop->base);
    else
        sd_event_exit(loop->event, 0);
}

static void loop_open(struct loop *loop, bool libevent, mpool_client *client)
{
    *loop = (struct loop){.client = client};
    if (libevent) {
        loop->base = event_base_new();
        assert_non_null(loop->base);
        assert_int_equal(mpool_event_attach(&loop->attached, loop->base, client, lost, loop), 0);
    } else {
        assert_true(sd_event_new(&loop->event) >= 0);
        assert_int_equal(mpool_sd_event_attach(&loop->sd_attached, loop->event, client, lost, loop), 0);
    }
}

static void loop_run(struct loop *loop)
{
    if (loop->base)
        assert_true(event_base_dispatch(loop->base) >= 0);
    else
        assert_true(sd_event_loop(loop->event) >= 0);
}

static void loop_stop(struct loop *loop)
{
    if (loop->base)
        event_base_loopbreak(loop->base);
    else
        sd_event_exit(loop->event, 0);
}

static void loop_detach(struct loop *loop)
{
    mpool_event_detach(loop->attached);
    mpool_sd_event_detach(loop->sd_attached);
    loop->attached = NULL;
    loop->sd_attached = NULL;
}

static void loop_close(struct loop *loop)
{
    loop_detach(loop);
    if (loop->base)
        event_base_free(loop->base);
    sd_event_unref(loop->event);
}

static void done(void *userdata, int code, const mpool_result *result, const char *text)
{
    struct loop *loop = userdata;
    (void)result;
    (void)text;
    loop->code = code;
    if (++loop->count == CALLS && code == 0)
        loop_stop(loop);
    if (loop->disconnect) {
        loop->disconnect = false;
        loop_detach(loop);
        mpool_disconnect(loop->client);
        loop_stop(loop);
    }
}

static void start(struct loop *loop, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(mpool_apply_async(loop->client, NULL, done, loop, "f", "i", i), 0);
}

static void serve(struct fake *fake)
{
    struct wire_message m;
    while (fake_read(fake, &m))
        if (m.kind == WIRE_REQUEST)
            fake_reply_int(fake, m.msgid, 1);
}

static void calls_complete(bool libevent)
{
    struct fake fake = {0};
    struct loop loop;
    mpool_client *client;
    fake_start(&fake, serve, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    loop_open(&loop, libevent, client);
    start(&loop, CALLS);
    loop_run(&loop);
    assert_int_equal(loop.count, CALLS);
    assert_int_equal(mpool_ping(client), 0); /* a blocking call in between */
    loop_close(&loop);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void libevent_completes_calls(void **state)
{
    (void)state;
    calls_complete(true);
}

static void sd_event_completes_calls(void **state)
{
    (void)state;
    calls_complete(false);
}

static void serve_slowly(struct fake *fake)
{
    /* Takes the large requests only after the client had to leave some of them unsent. */
    struct wire_message m;
    for (int i = 0; i < CALLS && fake_read(fake, &m); i++)
        fake_reply_int(fake, m.msgid, 1);
    fake_drain(fake);
}

static void unsent_bytes_are_watched(bool libevent)
{
    static uint8_t args[20006] = {0x91, 0xc6, 0x00, 0x00, 0x4e, 0x20};
    struct fake fake = {0};
    struct loop loop;
    mpool_client *client;
    fake_start(&fake, serve_slowly, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    loop_open(&loop, libevent, client);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(mpool_call_start(client, NULL, "f", args, sizeof(args), NULL, done, &loop), 0);
    loop_run(&loop);
    assert_int_equal(loop.count, CALLS);
    loop_close(&loop);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void libevent_sends_what_did_not_fit(void **state)
{
    (void)state;
    unsent_bytes_are_watched(true);
}

static void sd_event_sends_what_did_not_fit(void **state)
{
    (void)state;
    unsent_bytes_are_watched(false);
}

static void serve_and_leave(struct fake *fake)
{
    struct wire_message m;
    for (int i = 0; i < 10; i++)
        CHECK(fake_read(fake, &m));
}

static void the_loss_is_told(bool libevent)
{
    struct fake fake = {0};
    struct loop loop;
    mpool_client *client;
    fake_start(&fake, serve_and_leave, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    loop_open(&loop, libevent, client);
    start(&loop, 10);
    loop_run(&loop);
    assert_int_equal(loop.count, 10);
    assert_int_equal(loop.code, -ECONNRESET);
    assert_int_equal(loop.lost, -ECONNRESET);
    loop_close(&loop);
    mpool_disconnect(client);
    fake_stop(&fake);
}

static void libevent_tells_the_loss(void **state)
{
    (void)state;
    the_loss_is_told(true);
}

static void sd_event_tells_the_loss(void **state)
{
    (void)state;
    the_loss_is_told(false);
}

static void everything_may_go_in_a_callback(bool libevent)
{
    struct fake fake = {0};
    struct loop loop;
    mpool_client *client;
    fake_start(&fake, serve, NULL);
    assert_int_equal(mpool_connect(&client, fake.path), 0);
    loop_open(&loop, libevent, client);
    loop.disconnect = true;
    start(&loop, 20);
    loop_run(&loop);
    assert_int_equal(loop.count, 20);
    assert_int_equal(loop.code, -ECANCELED);
    loop_close(&loop);
    fake_stop(&fake);
}

static void libevent_may_lose_its_connection_in_a_callback(void **state)
{
    (void)state;
    everything_may_go_in_a_callback(true);
}

static void sd_event_may_lose_its_connection_in_a_callback(void **state)
{
    (void)state;
    everything_may_go_in_a_callback(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libevent_completes_calls),
        cmocka_unit_test(sd_event_completes_calls),
        cmocka_unit_test(libevent_sends_what_did_not_fit),
        cmocka_unit_test(sd_event_sends_what_did_not_fit),
        cmocka_unit_test(libevent_tells_the_loss),
        cmocka_unit_test(sd_event_tells_the_loss),
        cmocka_unit_test(libevent_may_lose_its_connection_in_a_callback),
        cmocka_unit_test(sd_event_may_lose_its_connection_in_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
