#include "daemon/supervisor/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/notify.h"
#include "daemon/conn/shares.h"
#include "daemon/pool/pool.h"
#include "daemon/supervisor/supervisor.h"

static void log_report(const struct config_report *report)
{
    for (const char *line = report->text; line && *line;) {
        const char *end = strchr(line, '\n');
        int length = (int)(end ? (size_t)(end - line) : strlen(line));
        log_error("reload: %.*s", length, line);
        line += length + (end != NULL);
    }
}

static struct config_pool *find(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->pool_count; i++)
        if (strcmp(config->pools[i].name, name) == 0)
            return &config->pools[i];
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void log_unheeded(const char *key)
{
    log_warning("reload: %s has changed, which takes a restart: the old value holds until then", key);
}

/* Keys that are only read when the socket is made keep their values. config_keys.h marks these keys. */
static void keep_unheeded(struct config *old, struct config *new)
{
    if (!same_text(old->socket_path, new->socket_path)) {
        log_unheeded("socket");
        char *path = new->socket_path;
        new->socket_path = old->socket_path;
        old->socket_path = path;
    }
    if (old->socket_mode != new->socket_mode) {
        log_unheeded("socket_mode");
        new->socket_mode = old->socket_mode;
    }
    if (old->socket_gid != new->socket_gid) {
        log_unheeded("socket_group");
        char *group = new->socket_group;
        new->socket_group = old->socket_group;
        old->socket_group = group;
        new->socket_gid = old->socket_gid;
    }
}

void reload(struct supervisor *s)
{
    struct config *config;
    struct config_report report = {0};
    if (s->loop.stopping)
        return;
    /* Type=notify in systemd 252 knows RELOADING=1 with the time, and READY=1 after it. */
    char text[80];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_ns() / 1000);
    notify(text);
    int r = config_load(&config, &s->arguments, &report);
    if (r < 0) {
        log_report(&report);
        log_error("reload refused: %s; keeping the old configuration", r == -EINVAL ? "mistakes above" : strerror(-r));
        config_report_reset(&report);
        notify("READY=1");
        return;
    }
    config_report_reset(&report);
    struct config *old = s->config;
    keep_unheeded(old, config);
    s->config = config;
    log_init((enum log_level)config->log_level, NULL);
    supervisor_configure(s);
    struct pool *pool, *next;
    for (pool = TAILQ_FIRST(&s->workers.pools); pool; pool = next) {
        next = TAILQ_NEXT(pool, link);
        if (pool->closing)
            continue;
        const struct config_pool *wanted = find(config, pool->name);
        if (wanted)
            pool_reconfigure(pool, wanted);
        else
            pool_close(pool);
    }
    for (size_t i = 0; i < config->pool_count; i++) {
        if (pool_find(&s->workers, config->pools[i].name, strlen(config->pools[i].name)))
            continue;
        pool = pool_new(&s->workers, &config->pools[i]);
        if (!pool) {
            log_error("reload: pool=%s cannot be made: out of memory", config->pools[i].name);
            continue;
        }
        TAILQ_INSERT_TAIL(&s->workers.pools, pool, link);
    }
    config_free(old);
    /* The configuration's order is the order in which pools are searched for a function; closing ones come last. */
    for (size_t i = config->pool_count; i-- > 0;) {
        pool = pool_find(&s->workers, config->pools[i].name, strlen(config->pools[i].name));
        if (!pool)
            continue;
        TAILQ_REMOVE(&s->workers.pools, pool, link);
        TAILQ_INSERT_HEAD(&s->workers.pools, pool, link);
    }
    log_info("reloaded pools=%zu", config->pool_count);
    notify("READY=1");
    s->loop.again = true;
}
