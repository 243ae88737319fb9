#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/message.h"
#include "proto/scan.h"
#include "tests/unit/json/json.h"

/* ---- the ops ---------------------------------------------------------------------------------------------------- */

static uint8_t *op_space(void *user, size_t *ret_room)
{
    struct world *w = user;
    *ret_room = w->room;
    return w->space;
}

static void op_partial(void *user, uint32_t items, size_t size)
{
    struct world *w = user;
    w->partial_items = items;
    w->partial_size = size;
    w->partial_calls++;
    if (w->cancel_after && items >= w->cancel_after)
        w->cancelled = MPOOL_CANCELLED;
}

static int op_memfd(void *user, uint32_t position, int fd, uint64_t size)
{
    struct world *w = user;
    assert_int_equal(position, w->job.position);
    if (w->result_error)
        return w->result_error;
    w->memfd_seals = fcntl(fd, F_GET_SEALS);
    w->memfd_size = (size_t)size;
    w->memfd = mmap(NULL, w->memfd_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(w->memfd, MAP_FAILED);
    assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)size);
    return 0;
}

static int op_cancelled(void *user)
{
    return ((struct world *)user)->cancelled;
}

static void op_progress(void *user, uint64_t done, uint64_t total)
{
    struct world *w = user;
    w->progress_done = done;
    w->progress_total = total;
}

static int op_output(void *user, uint32_t position, int stream, const void *bytes, size_t length)
{
    struct world *w = user;
    assert_int_equal(position, w->job.position);
    assert_in_range(stream, 1, 2);
    assert_in_range(length, 1, HOST_OUTPUT_MAX);
    return wire_buf_append(&w->out[stream], bytes, length);
}

static void op_log(void *user, uint32_t position, int level, const char *text, size_t length)
{
    struct world *w = user;
    assert_int_equal(position, w->job.position);
    assert_int_equal(strlen(text), length);
    snprintf(w->log, sizeof w->log, "%s", text);
    w->log_level = level;
}

static const struct host_ops ops = {op_space, op_partial, op_memfd, op_cancelled, op_progress, op_output, op_log};

/* ---- worlds ----------------------------------------------------------------------------------------------------- */

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "run this test with meson test, or set %s\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

const char *fixtures(void)
{
    return from_environment("MPOOL_TEST_FIXTURES");
}

const char *shipped(void)
{
    return from_environment("MPOOL_TEST_MODULES");
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->room = SPACE;
    w->job.position = 7;
    w->job.job = (struct lane_job){.task_id = 99, .attempt = 1, .max_result = 64u << 20};
    return w;
}

int world_setup(void **state)
{
    struct world *w = world_new();
    const struct host_config config = {.functions = w->own, .function_count = ELEMENTS(w->own)};
    assert_int_equal(host_new(&w->host, &config, &ops, w), 0);
    *state = w;
    return 0;
}

int world_setup_shipped(void **state)
{
    static const char *const names[] = {"math", "text", "sys", "exec"};
    struct world *w = world_new();
    char why[MODULES_WHY_MAX] = "";
    assert_int_equal(modules_new(&w->modules, geteuid()), 0);
    assert_int_equal(modules_add_directory(w->modules, shipped()), 0);
    for (size_t i = 0; i < ELEMENTS(names); i++)
        if (modules_load(w->modules, names[i], why) < 0)
            fail_msg("%s", why);
    struct host_config config = {0};
    config.functions = modules_functions(w->modules, &config.function_count);
    assert_int_equal(host_new(&w->host, &config, &ops, w), 0);
    *state = w;
    return 0;
}

static void forget_result(struct world *w)
{
    if (w->memfd)
        munmap(w->memfd, w->memfd_size);
    w->memfd = NULL;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    if (w->modules)
        modules_worker_fini(w->modules);
    host_free(w->host);
    modules_free(w->modules);
    forget_result(w);
    for (size_t i = 0; i < ELEMENTS(w->out); i++)
        wire_buf_reset(&w->out[i]);
    free(w);
    return 0;
}

uint32_t world_add(struct world *w, const char *name, mpool_function *run)
{
    assert_true(w->own_count < ELEMENTS(w->own));
    w->own[w->own_count] = (struct module_function){.name = name, .summary = "", .run = run};
    return (uint32_t)w->own_count++;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------- */

void world_run_bytes(struct world *w, uint32_t function, const void *args, size_t length)
{
    forget_result(w);
    w->job.job.function = function;
    w->partial_calls = w->partial_items = 0;
    w->run_error = host_run(w->host, &w->job, args, length, &w->outcome);
}

void world_run(struct world *w, uint32_t function, const char *args)
{
    _cleanup_(wire_buf_reset) struct wire_buf b = {0};
    json_pack_text(&b, args);
    world_run_bytes(w, function, wire_buf_at(&b), wire_buf_length(&b));
}

void world_call(struct world *w, const char *name, const char *args)
{
    ssize_t index = modules_find(w->modules, name, strlen(name));
    if (index < 0)
        fail_msg("there is no function %s", name);
    world_run(w, (uint32_t)index, args);
}

const uint8_t *world_result(const struct world *w, size_t *ret_length)
{
    assert_int_equal(w->run_error, 0);
    *ret_length = (size_t)w->outcome.size;
    return w->outcome.memfd ? w->memfd : w->space;
}

void assert_whole(const struct world *w)
{
    size_t length;
    const uint8_t *bytes = world_result(w, &length);
    const struct wire_limits limits = {.max_bytes = length, .max_depth = WIRE_DEPTH_CAP};
    uint64_t whole = 0;
    assert_int_equal(wire_scan_value(&limits, bytes, length, &whole), WIRE_SCAN_WHOLE);
    assert_int_equal(whole, length);
}

const char *world_show(struct world *w)
{
    size_t length;
    const uint8_t *bytes = world_result(w, &length);
    assert_whole(w);
    assert_int_equal(json_show(bytes, length, w->shown, sizeof w->shown), length);
    return w->shown;
}

void assert_result(struct world *w, const char *shown)
{
    assert_string_equal(world_show(w), shown);
    assert_int_equal(w->outcome.outcome, LANE_OUTCOME_OK);
}

static void failure_text(struct world *w, char *text, size_t size)
{
    size_t length, said;
    const uint8_t *bytes = world_result(w, &length);
    const char *words;
    int class;
    if (w->outcome.outcome == LANE_OUTCOME_OK)
        fail_msg("no failure, but %s", world_show(w));
    assert_int_equal(wire_read_error(bytes, length, &class, &words, &said), 0);
    assert_int_equal(class, 0);
    assert_true(said < size);
    memcpy(text, words, said);
    text[said] = 0;
}

void assert_failed(struct world *w, const char *expected)
{
    char text[HOST_TEXT_MAX + 1];
    failure_text(w, text, sizeof text);
    assert_string_equal(text, expected);
}

void assert_failed_like(struct world *w, const char *part)
{
    char text[HOST_TEXT_MAX + 1];
    failure_text(w, text, sizeof text);
    if (!strstr(text, part))
        fail_msg("\"%s\" does not say \"%s\"", text, part);
}
