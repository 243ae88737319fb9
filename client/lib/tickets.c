/* Confirming or returning items: see tickets.h. */
#include "client/lib/tickets.h"

#include <errno.h>

#include "proto/reader.h"

bool tickets_is_one(const uint8_t *value, size_t length, uint64_t *ret_ticket)
{
    struct wire_reader in = wire_reader(value, length);
    return wire_peek(&in) == WIRE_TYPE_INT && wire_read_u64(&in, ret_ticket) == 0;
}

/* Reads the next ticket of a list of [ticket, item]. → 0, which is never a ticket, if the list has another form. */
static uint64_t next_ticket(struct wire_reader *items)
{
    uint32_t two;
    uint64_t ticket;
    if (wire_read_array(items, &two) < 0 || two != 2 || wire_read_u64(items, &ticket) < 0 || wire_skip(items) < 0)
        return 0;
    return ticket;
}

/* confirm(id, [ticket, …], taken). The tickets are `one` or, if that is 0, those of count items. */
static void tell(
    mpool_client *client, uint64_t queue, uint64_t one, struct wire_reader items, uint32_t count, bool taken)
{
    struct wire_buf *out = &client->io.out;
    size_t mark = wire_buf_length(out);
    msgpack_packer pk = wire_packer(out);
    wire_put_notification(out, "confirm");
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint64(&pk, queue);
    msgpack_pack_array(&pk, count);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint64(&pk, one ? one : next_ticket(&items));
    if (taken)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
    if (!out->failed)
        return;
    /* Out of memory: drop the connection, or the items would stay unconfirmed as long as it lasts. */
    wire_buf_rewind(out, mark);
    handle_lose(client, -ENOMEM, NULL);
}

void tickets_settle(
    mpool_client *client, const struct call *call, const struct wire_message *answer, bool got, int code)
{
    struct wire_reader items = wire_reader(answer->result, answer->result_length);
    uint64_t ticket;
    uint32_t count;
    bool spoiled = code == MPOOL_EPROTOCOL;
    if (client->loss || client->closing) /* the daemon takes unconfirmed items back when the connection ends */
        return;
    if (tickets_is_one(answer->result, answer->result_length, &ticket)) {
        if (!got || call->lease)
            tell(client, call->queue, ticket, items, 1, got || spoiled);
    } else if (!got && call->tickets && wire_read_array(&items, &count) == 0) {
        tell(client, call->queue, 0, items, count, false);
    }
}
