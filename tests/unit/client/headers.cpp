/* All public headers are C++ too, and the library links with it. */
#include <mpool/client.h>
#include <mpool/event.h>
#include <mpool/module.h>
#include <mpool/process.h>
#include <mpool/sd-event.h>
#include <mpool/queue.h>
#include <mpool/shared.h>

#include <cstdio>
#include <cstring>

static int square(mpool_task *task)
{
    int64_t n;
    if (mpool_arg_i64(task, 0, &n) < 0)
        return -1;
    return mpool_reply_i64(task, n * n);
}

int main()
{
    mpool_options options = MPOOL_OPTIONS_INIT;
    mpool_map_options map_options = MPOOL_MAP_OPTIONS_INIT;
    mpool_object_options object_options = MPOOL_OBJECT_OPTIONS_INIT;
    mpool_client *client = nullptr;
    mpool_process_options process_options = MPOOL_PROCESS_OPTIONS_INIT;
    struct mpool_event *attached = nullptr;
    struct mpool_sd_event *sd_attached = nullptr;
    mpool_process_free(nullptr);
    mpool_event_detach(attached);
    mpool_sd_event_detach(sd_attached);
    mpool_function *function = square;
    bool ok = options.size == sizeof(options) && !process_options.task &&
              map_options.size == sizeof(map_options) && function && object_options.tokens == -1 &&
              mpool_lock_acquire(nullptr, 0, nullptr) < 0 &&
              std::strcmp(mpool_code_name(MPOOL_ELOST), "E_LOST") == 0 &&
              mpool_connect(&client, "/nonexistent/mpoold.sock") < 0;
    std::printf("1..1\n%s 1 - the_public_headers_are_cxx\n", ok ? "ok" : "not ok");
    return ok ? 0 : 1;
}
