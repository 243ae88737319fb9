/* The public headers are strict C11: this compiles with -std=c11 -pedantic-errors. */
#include <mpool/client.h>
#include <mpool/queue.h>
#include <mpool/shared.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    mpool_options options = MPOOL_OPTIONS_INIT;
    mpool_map_options map_options = MPOOL_MAP_OPTIONS_INIT;
    mpool_object_options object_options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_client *client = NULL;
    int ok = options.size == sizeof(options) && !map_options.task && map_options.size == sizeof(map_options) &&
             object_options.size == sizeof(object_options) && object_options.tokens == -1 &&
             mpool_lock_acquire(NULL, 0, NULL) < 0 && strcmp(mpool_code_name(MPOOL_ELOST), "E_LOST") == 0 &&
             mpool_connect(&client, "/nonexistent/mpoold.sock") < 0;
    printf("1..1\n%s 1 - the_headers_are_strict_c11\n", ok ? "ok" : "not ok");
    return !ok;
}
