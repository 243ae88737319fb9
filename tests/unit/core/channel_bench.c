/* See channel_bench.h. */
#include "tests/unit/core/channel_bench.h"

struct channel_bench b;

uint32_t take_one(struct user *u)
{
    struct channel_item item;
    uint32_t number;
    uint64_t ticket;
    assert_true(channel_first(&b.ch, &item));
    assert_true(item.length >= sizeof number);
    memcpy(&number, item.bytes, sizeof number);
    for (size_t i = sizeof number; i < item.length; i++)
        assert_int_equal(item.bytes[i], (uint8_t)number);
    if (b.ascending)
        assert_true(number > b.last);
    b.last = number;
    assert_int_equal(channel_take(&b.ch, &u->client, b.leases, &ticket), 0);
    assert_int_equal(ticket != 0, b.leases || b.ch.options.at_least_once);
    if (ticket) {
        u->tickets[u->holds] = ticket;
        u->numbers[u->holds++] = number;
    }
    return number;
}

void ended(struct channel_wait *w, enum channel_end end)
{
    struct waiting *waiting = (struct waiting *)(void *)((char *)w - offsetof(struct waiting, wait));
    waiting->ended++;
    waiting->end = end;
    if (w->want == CHANNEL_GET && end == CHANNEL_READY)
        while (waiting->got < waiting->want && channel_items(&b.ch) > 0) {
            waiting->number = take_one(waiting->user);
            waiting->got++;
        }
}

void start(struct channel_options o)
{
    if (o.max_items == 0)
        o.max_items = 8;
    if (o.max_bytes == 0)
        o.max_bytes = 1 << 20;
    if (o.max_waits == 0)
        o.max_waits = 8;
    memset(&b, 0, sizeof b);
    assert_int_equal(channel_init(&b.ch, &o, &b.timers, 7, ended), 0);
    for (int i = 0; i < PARTIES; i++)
        channel_client_init(&b.users[i].client);
}

void finish(void)
{
    for (int i = 0; i < PARTIES; i++)
        channel_client_gone(&b.ch, &b.users[i].client);
    assert_null(core_timer_first(&b.timers));
    channel_deinit(&b.ch);
}

int put_sized(uint32_t number, size_t length)
{
    uint8_t bytes[MOST];
    memset(bytes, (int)(number & 0xff), length);
    memcpy(bytes, &number, sizeof number);
    struct channel_item item = channel_item_of(bytes, length);
    return channel_put(&b.ch, &item);
}

int put(uint32_t number)
{
    int r = put_sized(number, sizeof number);
    channel_settle(&b.ch);
    return r;
}

uint32_t take(struct user *u)
{
    uint32_t number = take_one(u);
    channel_settle(&b.ch);
    return number;
}

static void forget(struct user *u, uint32_t at)
{
    u->holds--;
    memmove(u->tickets + at, u->tickets + at + 1, (u->holds - at) * sizeof u->tickets[0]);
    memmove(u->numbers + at, u->numbers + at + 1, (u->holds - at) * sizeof u->numbers[0]);
}

int confirm(struct user *u, uint32_t at)
{
    int r = channel_confirm(&b.ch, &u->client, u->tickets[at]);
    if (r == 0)
        forget(u, at);
    channel_settle(&b.ch);
    return r;
}

int give_back(struct user *u, uint32_t at)
{
    int r = channel_give_back(&b.ch, &u->client, u->tickets[at]);
    if (r == 0)
        forget(u, at);
    channel_settle(&b.ch);
    return r;
}

void gone(struct user *u)
{
    u->holds = 0;
    channel_client_gone(&b.ch, &u->client);
}

int wait_put(struct waiting *w, struct user *u, uint32_t first, uint32_t count, uint64_t at_ns)
{
    memset(w, 0, sizeof *w);
    w->user = u;
    for (uint32_t i = 0, n = first; i < count; i++, n++) {
        struct channel_item item = channel_item_of(&n, sizeof n);
        assert_int_equal(channel_log_add(&w->wait.rest, &item), 0);
    }
    int r = channel_wait(&b.ch, &w->wait, CHANNEL_PUT, &u->client, at_ns);
    if (r < 0)
        channel_log_deinit(&w->wait.rest, b.ch.options.dispose);
    return r;
}

int wait_for(struct waiting *w, struct user *u, enum channel_want want, uint32_t count, uint64_t at_ns)
{
    memset(w, 0, sizeof *w);
    w->user = u;
    w->want = count;
    return channel_wait(&b.ch, &w->wait, want, &u->client, at_ns);
}
