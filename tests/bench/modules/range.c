/* range: numbers of a shared array, worked on where they lie. What a pool is given then is a range, not the numbers.
 *
 *     range.square(array, first, count)     each number of the range becomes its square → count
 *
 * The worker opens the array when it first hears of it, and keeps it open for the calls that follow.
 */
#include <stdint.h>
#include <string.h>

#include <mpool/client.h>
#include <mpool/module.h>
#include <mpool/shared.h>

static mpool_client *client;
static mpool_object *array;
static char opened[256]; /* its handle */

static int failed(mpool_task *task, int r)
{
    return mpool_fail(task, MPOOL_FAIL_FINAL, "%s: %s", mpool_strerror(r), client ? mpool_error_text(client) : "");
}

static int open_array(mpool_task *task, const char *handle, size_t length)
{
    int r = 0;
    if (length >= sizeof opened)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "that is no handle");
    if (array && strlen(opened) == length && memcmp(opened, handle, length) == 0)
        return 0;
    mpool_object_close(array);
    array = NULL;
    memcpy(opened, handle, length);
    opened[length] = 0;
    if (!client)
        r = mpool_connect(&client, NULL);
    if (r == 0)
        r = mpool_object_open(client, &array, "array", opened, NULL);
    return r < 0 ? failed(task, r) : 0;
}

static int square(mpool_task *task)
{
    const char *handle;
    size_t length;
    uint64_t first, count, all;
    if (mpool_arg_str(task, 0, &handle, &length) < 0 || mpool_arg_u64(task, 1, &first) < 0 ||
        mpool_arg_u64(task, 2, &count) < 0 || open_array(task, handle, length) < 0)
        return -1;
    int64_t *numbers = mpool_array_data(array, &all);
    if (!numbers || first > all || count > all - first)
        return mpool_fail(task, MPOOL_FAIL_FINAL, "the array has no such range");
    for (uint64_t i = first; i < first + count; i++)
        numbers[i] = (int64_t)((uint64_t)numbers[i] * (uint64_t)numbers[i]);
    return mpool_reply_u64(task, count);
}

MPOOL_MODULE("range", "1.0.0", MPOOL_FN("square", square, .summary = "array, first, count → count"))
