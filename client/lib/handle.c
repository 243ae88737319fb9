/* Creation, checks and release of a handle: see handle.h. */
#include "client/lib/handle.h"
#include "client/lib/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/lib/cancel.h"
#include "client/lib/clock.h"
#include "client/lib/object.h"

/* getpid() is a system call, and every call of the library would pay for it. Reading a page that fork() wipes costs a
 * load. */
static unsigned char *alive_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, size, MADV_WIPEONFORK) < 0) {
        munmap(page, size);
        return NULL;
    }
    *page = 1;
    return page;
}

bool handle_is_ours(const mpool_client *client)
{
    return client->alive ? *client->alive != 0 : getpid() == client->owner;
}

int handle_new(int fd, const char *path, mpool_client **ret_client)
{
    mpool_client *client = calloc(1, sizeof(*client));
    if (client)
        client->path = strdup(path);
    if (!client || !client->path) {
        free(client);
        close(fd);
        return -ENOMEM;
    }
    io_init(&client->io, fd);
    wire_scan_init(&client->scan);
    /* Defaults until hello reports the limits. Memory is allocated for received bytes, never for announced ones. */
    client->in_limits = (struct wire_limits){.max_bytes = WIRE_MAX_BYTES_DEFAULT, .max_depth = WIRE_DEPTH_ROOM};
    client->peer = (struct peer){
        .message_bytes = WIRE_MAX_BYTES_DEFAULT, .depth = WIRE_MAX_DEPTH_DEFAULT, .in_flight = UINT32_MAX};
    client->call_timeout_ms = -1;
    client->until_ns = CLOCK_NEVER;
    client->alive = alive_page();
    client->owner = getpid();
    *ret_client = client;
    return 0;
}

void handle_release(mpool_client *client)
{
    while (client->sources) {
        struct source *source = client->sources;
        client->sources = source->next;
        source->gone(source, -ENOTCONN);
    }
    object_orphan_all(client->objects, -ENOTCONN);
    process_forget_all(client);
    pending_deinit(&client->pending);
    io_deinit(&client->io);
    if (client->alive)
        munmap(client->alive, (size_t)sysconf(_SC_PAGESIZE));
    free(client->path);
    free(client);
}

int handle_fail(mpool_client *client, int code, const char *text)
{
    if (client)
        snprintf(client->text, sizeof(client->text), "%s", text && *text ? text : mpool_strerror(code));
    return code;
}

int handle_end(mpool_client *client, int r)
{
    return r < 0 && r != -ENOTCONN && client && !client->text[0] ? handle_fail(client, r, NULL) : r;
}

int handle_check(mpool_client *client)
{
    if (!client)
        return -EINVAL;
    client->text[0] = '\0';
    if (!handle_is_ours(client))
        return handle_fail(client, -ECHILD, NULL);
    if (client->closing)
        return handle_fail(client, -ENOTCONN, NULL);
    return client->loss ? handle_fail(client, client->loss, NULL) : 0;
}

int handle_check_waiting(mpool_client *client)
{
    if (!client)
        return -EINVAL;
    client->text[0] = '\0';
    if (!handle_is_ours(client))
        return handle_fail(client, -ECHILD, NULL);
    if (client->running)
        return handle_fail(client, -EDEADLK, NULL);
    client->until_ns = clock_deadline(client->call_timeout_ms);
    return 0;
}

void handle_lose(mpool_client *client, int code, const char *text)
{
    if (client->loss)
        return;
    client->loss = handle_fail(client, code, text);
    object_lose_all(client->objects, -ECONNRESET); /* the daemon has released what they held */
    io_shutdown(&client->io);
}

int handle_complete_all(mpool_client *client, int code)
{
    int ran = 0;
    uint32_t cursor = 0;
    struct call call;
    while (pending_drain(&client->pending, &cursor, &call)) {
        payload_unref(call.payload);
        if (call.abandoned)
            continue;
        call.done(call.userdata, code, NULL, mpool_strerror(code));
        ran++;
    }
    return ran;
}

void handle_add_source(mpool_client *client, struct source *source)
{
    source->next = client->sources;
    client->sources = source;
}

void handle_remove_source(mpool_client *client, struct source *source)
{
    for (struct source **at = &client->sources; *at; at = &(*at)->next)
        if (*at == source) {
            *at = source->next;
            return;
        }
}

void mpool_disconnect(mpool_client *client)
{
    if (!client)
        return;
    NOT_CANCELLED;
    if (!handle_is_ours(client)) {
        handle_release(client);
        return;
    }
    if (client->running) {
        client->closing = true;
        return;
    }
    client->running = client->closing = true;
    handle_complete_all(client, -ECANCELED);
    handle_release(client);
}

int mpool_set_call_timeout(mpool_client *client, int64_t timeout_ms)
{
    int r = handle_check(client);
    if (r == 0) {
        client->call_timeout_ms = timeout_ms < 0 ? -1 : timeout_ms;
        object_configure_all(client->objects, client);
    }
    return r;
}

int mpool_set_interruptible(mpool_client *client, bool interruptible)
{
    int r = handle_check(client);
    if (r == 0) {
        client->io.interruptible = interruptible;
        object_configure_all(client->objects, client);
    }
    return r;
}

const char *mpool_socket_path(const mpool_client *client)
{
    return client ? client->path : NULL;
}

const char *mpool_error_text(const mpool_client *client)
{
    return client ? client->text : "";
}

size_t mpool_pending(const mpool_client *client)
{
    return client ? client->pending.used - client->pending.abandoned : 0;
}
