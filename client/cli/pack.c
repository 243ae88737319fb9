/* How are the system's byte strings packed? See pack.h. */
#include "client/cli/pack.h"

#include "proto/text.h"

void pack_str(struct wire_buf *to, const char *text, size_t length)
{
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_str(&pk, length);
    msgpack_pack_str_body(&pk, text, length);
}

void pack_text(struct wire_buf *to, const char *text, size_t length)
{
    if (wire_is_utf8(text, length)) {
        pack_str(to, text, length);
        return;
    }
    msgpack_packer pk = wire_packer(to);
    msgpack_pack_bin(&pk, length);
    msgpack_pack_bin_body(&pk, text, length);
}
