/* A pool squares the numbers 0 to 9:  [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
 *
 *     with Pool() as pool: print(pool.map(square, range(10)))
 */
#include <stdio.h>

#include <msgpack.h>

#include <mpool/client.h>

static void print_list(const mpool_result *results)
{
    size_t length;
    const char *bytes = mpool_result_data(results, &length);
    msgpack_unpacked list;
    msgpack_unpacked_init(&list);
    if (msgpack_unpack_next(&list, bytes, length, NULL) == MSGPACK_UNPACK_SUCCESS) {
        msgpack_object_print(stdout, list.data);
        putchar('\n');
    }
    msgpack_unpacked_destroy(&list);
}

int main(void)
{
    mpool_client *client;
    int r = mpool_connect(&client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }

    msgpack_sbuffer numbers;
    msgpack_packer pk;
    msgpack_sbuffer_init(&numbers);
    msgpack_packer_init(&pk, &numbers, msgpack_sbuffer_write);
    msgpack_pack_array(&pk, 10);
    for (int i = 0; i < 10; i++)
        msgpack_pack_int(&pk, i);

    mpool_result *squares;
    r = mpool_map_all(client, &squares, "math.square", numbers.data, numbers.size, NULL);
    if (r == 0) {
        print_list(squares);
        mpool_result_free(squares);
    } else {
        fprintf(stderr, "%s\n", mpool_error_text(client));
    }
    msgpack_sbuffer_destroy(&numbers);
    mpool_disconnect(client);
    return r < 0;
}
