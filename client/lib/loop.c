/* Turns: see loop.h. Everything that may run the user's code happens between enter() and leave(), so that a handle is
 * never released while a caller further up the stack still uses it. */
#include "client/lib/loop.h"

#include <errno.h>
#include <poll.h>

#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/inbox.h"

#define READS_PER_TURN 16 /* then the program's own loop gets its turn */

static void enter(mpool_client *client)
{
    client->running = true;
}

static int leave(mpool_client *client, int ran)
{
    if (client->closing) {
        handle_complete_all(client, -ECANCELED);
        handle_release(client);
        return -ENOTCONN;
    }
    client->running = false;
    /* Bytes queued by callbacks and pumps have not been announced yet. mpool_dispatch() checks for them itself. */
    if (client->on_unsent && !client->dispatching && io_unsent(&client->io) > 0)
        client->on_unsent(client->on_unsent_userdata);
    return ran;
}

static void pump(mpool_client *client)
{
    client->pump_wanted = false;
    struct source *next;
    for (struct source *source = client->sources; source && !client->closing; source = next) {
        /* New sources are inserted at the front, and while user code may run only a source's own pump removes it, so
         * `next` stays valid. */
        next = source->next;
        source->pump(source);
    }
    if (!client->loss)
        io_flush(&client->io);
}

/* n, drained: the outcome of a first read. */
static int receive(mpool_client *client, int n, bool drained)
{
    int ran = 0;
    for (int i = 1; n != -EAGAIN; i++) {
        if (n < 0) {
            handle_lose(client, n, n == MPOOL_EPROTOCOL ? "The daemon sent more descriptors than it may." : NULL);
            break;
        }
        ran += inbox_deliver(client);
        if (drained || i == READS_PER_TURN || client->closing || client->loss)
            break;
        drained = true;
        n = io_read(&client->io, false, &drained);
    }
    return ran;
}

int loop_turn(mpool_client *client, uint64_t deadline_ns)
{
    int ran = 0, n = -EAGAIN;
    bool drained = true;
    /* The thread may be cancelled only here. */
    if (!client->loss) {
        bool unsent = io_flush(&client->io) != 0;
        if (deadline_ns == CLOCK_NEVER && !unsent && !client->io.interruptible)
            n = io_read(&client->io, true, &drained); /* saves the poll */
        else if (deadline_ns == 0 || io_wait(&client->io, deadline_ns))
            n = io_read(&client->io, false, &drained);
    }
    NOT_CANCELLED;
    enter(client);
    if (!client->loss)
        ran = receive(client, n, drained);
    if (client->loss && !client->closing)
        ran += handle_complete_all(client, client->loss);
    if (!client->closing)
        pump(client);
    return leave(client, ran);
}

int loop_wait(mpool_client *client, uint64_t deadline_ns)
{
    deadline_ns = deadline_ns < client->until_ns ? deadline_ns : client->until_ns;
    client->io.interrupted = false;
    int r = loop_turn(client, deadline_ns);
    if (r < 0)
        return r;
    if (client->io.interrupted)
        return -EINTR;
    return deadline_ns != CLOCK_NEVER && clock_now_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

int loop_until(mpool_client *client, const bool *done, uint64_t deadline_ns)
{
    while (!*done) {
        int r = loop_wait(client, deadline_ns);
        if (r == -ENOTCONN || (r < 0 && !*done))
            return r;
    }
    return 0;
}

int loop_pump(mpool_client *client)
{
    NOT_CANCELLED;
    enter(client);
    pump(client);
    return leave(client, 0);
}

static int tell_loss(mpool_client *client)
{
    if (!client->loss || client->loss_told)
        return 0;
    client->loss_told = true;
    return client->loss;
}

int mpool_dispatch(mpool_client *client)
{
    int r = handle_check_waiting(client);
    if (r < 0)
        return r;
    client->dispatching = true;
    r = loop_turn(client, 0);
    if (r < 0)
        return r;
    client->dispatching = false;
    return handle_end(client, tell_loss(client));
}

int mpool_run(mpool_client *client, int64_t timeout_ms)
{
    int r = handle_check_waiting(client);
    if (r < 0)
        return r;
    uint64_t deadline_ns = timeout_ms == 0 ? 0 : clock_deadline(timeout_ms);
    while (mpool_pending(client) > 0 || client->pump_wanted) {
        r = client->pump_wanted ? loop_turn(client, 0) : loop_wait(client, deadline_ns);
        if (r == -ENOTCONN)
            return r;
        if (r < 0 && mpool_pending(client) > 0)
            return handle_fail(client, r, r == -ETIMEDOUT ? "Timed out waiting for the calls that are pending." : NULL);
    }
    return handle_end(client, tell_loss(client));
}

int mpool_flush(mpool_client *client)
{
    int r = handle_check(client);
    if (r == 0 && io_flush(&client->io) != 0)
        r = handle_fail(client, -EAGAIN, "The socket does not take everything yet.");
    return r;
}

int mpool_fd(const mpool_client *client)
{
    if (!client)
        return -EINVAL;
    return client->loss || !handle_is_ours(client) ? -1 : client->io.fd;
}

int mpool_events(const mpool_client *client)
{
    if (!client)
        return -EINVAL;
    return io_unsent(&client->io) > 0 && client->io.retry_at_ns == 0 ? POLLIN | POLLOUT : POLLIN;
}

int mpool_timeout_ms(const mpool_client *client)
{
    if (!client)
        return -EINVAL;
    if (client->pump_wanted || client->io.kept != 0 || (client->loss && !client->loss_told))
        return 0;
    return client->io.retry_at_ns != 0 && !client->loss ? clock_left_ms(client->io.retry_at_ns) : -1;
}

void mpool_on_unsent(mpool_client *client, void (*fn)(void *userdata), void *userdata)
{
    if (!client)
        return;
    client->on_unsent = fn;
    client->on_unsent_userdata = userdata;
}
