/* An error raised in a task reaches its caller, and the pool goes on unharmed.
 *
 *     try: pool.apply(fail, ("the disk is on fire",))
 *     except Exception as e: print("caught:", e)
 */
#include <inttypes.h>
#include <stdio.h>

#include <mpool/client.h>

int main(void)
{
    mpool_client *client;
    int r = mpool_connect(&client, NULL);
    if (r < 0) {
        fprintf(stderr, "no daemon: %s\n", mpool_strerror(r));
        return 1;
    }

    r = mpool_call(client, NULL, "sys.fail", "s", "the disk is on fire");
    if (r == MPOOL_EFAILED)
        printf("caught %s\n", mpool_error_text(client)); /* "E_FAILED: the disk is on fire" */
    else
        fprintf(stderr, "expected a failure, got: %s\n", mpool_strerror(r));

    mpool_result *result;
    int64_t n = 0;
    int after = mpool_call(client, &result, "math.square", "i", 7);
    if (after == 0) {
        mpool_result_i64(result, &n);
        mpool_result_free(result);
        printf("and the pool still squares: %" PRId64 "\n", n);
    } else {
        fprintf(stderr, "%s\n", mpool_error_text(client));
    }
    mpool_disconnect(client);
    return r != MPOOL_EFAILED || n != 49;
}
