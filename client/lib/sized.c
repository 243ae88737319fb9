/* Public structs and their sizes: see sized.h. */
#include "client/lib/sized.h"

#include <errno.h>
#include <string.h>

static size_t size_of(const void *at)
{
    size_t size;
    memcpy(&size, at, sizeof(size));
    return size;
}

int sized_read(mpool_client *client, void *to, size_t size, const void *from)
{
    if (!from)
        return 0;
    size_t given = size_of(from);
    if (given < sizeof(size_t))
        return handle_fail(client, -EINVAL, "The options are not initialised: their size is 0.");
    const unsigned char *bytes = from;
    for (size_t i = size; i < given; i++)
        if (bytes[i])
            return handle_fail(client, -E2BIG, "The options have members that this version of the library lacks.");
    memcpy((char *)to + sizeof(size_t), bytes + sizeof(size_t), (given < size ? given : size) - sizeof(size_t));
    return 0;
}

int sized_write(void *to, const void *from, size_t size)
{
    size_t given = size_of(to), known = given < size ? given : size;
    if (given < sizeof(size_t))
        return -EINVAL;
    memcpy((char *)to + sizeof(size_t), (const char *)from + sizeof(size_t), known - sizeof(size_t));
    memset((char *)to + known, 0, given - known);
    return 0;
}
