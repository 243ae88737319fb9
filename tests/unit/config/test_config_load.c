/* What a sound configuration becomes: defaults, files over defaults, drop-ins over files, command line over all. */
#include "config_files_support.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/config/config_load.h"

#define MIB (1024ull * 1024)

static void no_file_at_all_gives_the_defaults(void **state)
{
    struct config *config = NULL;
    struct config_report report = {0};
    assert_int_equal(config_load_from(*state, &config, &(struct config_arguments){0}, &report), 0);
    assert_int_equal(report.count, 0);
    assert_null(report.text);

    assert_null(config->socket_path);
    assert_null(config->socket_group);
    assert_true(config->socket_gid == (gid_t)-1);
    assert_int_equal(config->socket_mode, geteuid() == 0 ? 0660 : 0600);
    assert_int_equal(config->module_path.count, 0);
    assert_int_equal(config->modules.count, 0);
    assert_true(config->max_message == 64 * MIB);
    assert_int_equal(config->max_depth, 32);
    assert_true(config->max_payload == (1024 + 16) * MIB);
    assert_int_equal(config->max_connections, 10000);
    assert_int_equal(config->max_in_flight, 65536);
    assert_int_equal(config->max_user_share, 50);
    assert_true(config->max_output_bytes == 8 * MIB);
    assert_true(config->max_args_bytes == 0);
    assert_true(config->max_unread_bytes == 0);
    assert_true(config->max_result_ttl_ms == 7 * 86400000);
    assert_int_equal(config->max_kept, 100000);
    assert_true(config->max_kept_bytes == 256 * MIB);
    assert_int_equal(config->max_user_processes, 64);
    assert_true(config->result_ttl_ms == 3600000);
    assert_true(config->cancel_grace_ms == 2000);
    assert_true(config->stop_grace_ms == 10000);
    assert_true(config->stall_timeout_ms == 30000);
    assert_int_equal(config->max_objects, 16384);
    assert_int_equal(config->max_user_objects, 4096);
    assert_true(config->max_user_object_bytes == 4096 * MIB);
    assert_int_equal(config->max_open_objects, 1024);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);

    assert_int_equal(config->pool_count, 1);
    const struct config_pool *pool = &config->pools[0];
    assert_string_equal(pool->name, "default");
    assert_int_equal(pool->modules.count, 0);
    assert_int_equal(pool->functions.count, 0);
    assert_int_equal(pool->min, config_cpus());
    assert_int_equal(pool->max, config_cpus());
    assert_true(pool->idle_timeout_ms == 60000);
    assert_int_equal(pool->max_tasks, 0);
    assert_true(pool->max_memory == 0);
    assert_true(pool->timeout_ms == 0);
    assert_int_equal(pool->attempts, 3);
    assert_int_equal(pool->max_queue, 1000000);
    assert_int_equal(pool->max_nested, 16);
    assert_int_equal(pool->max_processes, 64);
    assert_int_equal(pool->environment.count, 0);
    assert_int_equal(pool->nice, 0);
    assert_null(pool->user);
    assert_null(pool->group);
    assert_true(pool->uid == (uid_t)-1);
    assert_true(pool->gid == (gid_t)-1);
    assert_true(pool->allow_everyone);
    assert_int_equal(pool->allow_uid_count, 0);
    assert_int_equal(pool->allow_gid_count, 0);
    config_free(config);
}

static void every_key_reaches_its_field(void **state)
{
    struct config *config = load_sound(state,
        "[daemon]\n"
        "socket = /tmp/some.sock\nsocket_mode = 0600\nsocket_group = 4242\nmodule_path = /a, /b/c\n"
        "max_message = 1M\nmax_depth = 64\nmax_payload = 2G\nmax_connections = 11\nmax_in_flight = 12\n"
        "max_user_share = 25\nmax_unread_bytes = 5M\nmax_args_bytes = 6M\nmax_result_ttl = 2h\n"
        "max_output_bytes = 1M\nmax_kept = 13\nmax_kept_bytes = 2M\nmax_user_processes = 14\nresult_ttl = 5m\n"
        "cancel_grace = 500ms\nstop_grace = 0\nstall_timeout = 90\nmax_objects = 14\nmax_user_objects = 15\n"
        "max_user_object_bytes = 3M\nmax_open_objects = 16\nlog_level = debug\n"
        "[pool images]\n"
        "modules = img, /opt/x.so\nfunctions = img.* text.wordcount\nworkers = 2..16\nidle_timeout = 10s\n"
        "max_tasks = 100\nmax_memory = 1G\ntimeout = 30s\nattempts = 1\nmax_queue = 5\n"
        "max_nested = 6\nmax_processes = 0\n"
        "environment = A=1,2 \"B=two words\" C=#x\nnice = 5\nallow_users = root 4242\nallow_groups = root, 17\n");
    assert_string_equal(config->socket_path, "/tmp/some.sock");
    assert_int_equal(config->socket_mode, 0600);
    assert_string_equal(config->socket_group, "4242");
    assert_int_equal(config->socket_gid, 4242);
    assert_int_equal(config->module_path.count, 2);
    assert_string_equal(config->module_path.items[1], "/b/c");
    assert_null(config->module_path.items[2]);
    assert_true(config->max_message == MIB);
    assert_int_equal(config->max_depth, 64);
    assert_true(config->max_payload == 2048 * MIB);
    assert_int_equal(config->max_connections, 11);
    assert_int_equal(config->max_in_flight, 12);
    assert_int_equal(config->max_user_share, 25);
    assert_true(config->max_output_bytes == MIB);
    assert_true(config->max_unread_bytes == 5 * MIB);
    assert_true(config->max_args_bytes == 6 * MIB);
    assert_true(config->max_result_ttl_ms == 7200000);
    assert_int_equal(config->max_kept, 13);
    assert_true(config->max_kept_bytes == 2 * MIB);
    assert_int_equal(config->max_user_processes, 14);
    assert_true(config->result_ttl_ms == 300000);
    assert_true(config->cancel_grace_ms == 500);
    assert_true(config->stop_grace_ms == 0);
    assert_true(config->stall_timeout_ms == 90000);
    assert_int_equal(config->max_objects, 14);
    assert_int_equal(config->max_user_objects, 15);
    assert_true(config->max_user_object_bytes == 3 * MIB);
    assert_int_equal(config->max_open_objects, 16);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);

    assert_int_equal(config->pool_count, 1);
    const struct config_pool *pool = &config->pools[0];
    assert_string_equal(pool->name, "images");
    assert_int_equal(pool->modules.count, 2);
    assert_string_equal(pool->modules.items[1], "/opt/x.so");
    assert_int_equal(pool->functions.count, 2);
    assert_string_equal(pool->functions.items[0], "img.*");
    assert_int_equal(pool->min, 2);
    assert_int_equal(pool->max, 16);
    assert_true(pool->idle_timeout_ms == 10000);
    assert_int_equal(pool->max_tasks, 100);
    assert_true(pool->max_memory == 1024 * MIB);
    assert_true(pool->timeout_ms == 30000);
    assert_int_equal(pool->attempts, 1);
    assert_int_equal(pool->max_queue, 5);
    assert_int_equal(pool->max_nested, 6);
    assert_int_equal(pool->max_processes, 0);
    assert_int_equal(pool->environment.count, 3);
    assert_string_equal(pool->environment.items[0], "A=1,2");
    assert_string_equal(pool->environment.items[1], "B=two words");
    assert_string_equal(pool->environment.items[2], "C=#x");
    assert_int_equal(pool->nice, 5);
    assert_false(pool->allow_everyone);
    assert_int_equal(pool->allow_uid_count, 2);
    assert_int_equal(pool->allow_uids[0], 0);
    assert_int_equal(pool->allow_uids[1], 4242);
    assert_int_equal(pool->allow_gid_count, 2);
    assert_int_equal(pool->allow_gids[1], 17);
    config_free(config);
}

static void dropins_win_key_by_key_and_extend_pools(void **state)
{
    files_write(state, "/x.conf.d/10.conf", "[pool a]\nworkers = 3\n[pool c]\n");
    files_write(
        state, "/x.conf.d/20.conf", "[pool a]\nnice = 7\nmodules = z\nallow_users = *\n[daemon]\nmax_depth = 9\n");
    struct config *config = load_sound(state,
        "[daemon]\nmax_depth = 8\nmax_kept = 5\n[pool a]\nworkers = 2\nmodules = x y\nallow_users = 1\n[pool b]\n");
    assert_int_equal(config->max_depth, 9);
    assert_int_equal(config->max_kept, 5);
    assert_int_equal(config->pool_count, 3);
    assert_string_equal(config->pools[0].name, "a");
    assert_string_equal(config->pools[1].name, "b");
    assert_string_equal(config->pools[2].name, "c");
    assert_int_equal(config->pools[0].max, 3);
    assert_int_equal(config->pools[0].nice, 7);
    assert_int_equal(config->pools[0].modules.count, 1);
    assert_true(config->pools[0].allow_everyone);
    assert_int_equal(config->pools[0].allow_uid_count, 0);
    config_free(config);
}

static void an_empty_value_stands_for_the_default(void **state)
{
    files_write(state, "/x.conf.d/10.conf",
        "[daemon]\nsocket =\nmax_depth =\nmodule_path =\n[pool a]\nworkers =\nuser =\nenvironment =\n");
    struct config *config = load_sound(
        state, "[daemon]\nsocket = /x\nmax_depth = 8\nmodule_path = /x\n[pool a]\nworkers = 4096\nenvironment = A=1\n");
    assert_null(config->socket_path);
    assert_int_equal(config->max_depth, 32);
    assert_int_equal(config->module_path.count, 0);
    assert_int_equal(config->pools[0].max, config_cpus());
    assert_int_equal(config->pools[0].environment.count, 0);
    config_free(config);
}

static void the_default_pool_comes_first(void **state)
{
    struct config *config = load_sound(state, "[pool a]\n[pool b]\n[pool default]\nnice = 3\n[pool c]\n");
    static const char *const names[] = {"default", "a", "b", "c"};
    assert_int_equal(config->pool_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(config->pools[i].name, names[i]);
    assert_int_equal(config->pools[0].nice, 3);
    config_free(config);
}

static void without_one_called_default_the_first_pool_is_it(void **state)
{
    struct config *config = load_sound(state, "[pool b]\n[pool a]\n");
    assert_int_equal(config->pool_count, 2);
    assert_string_equal(config->pools[0].name, "b");
    config_free(config);
}

static void the_command_line_wins(void **state)
{
    static const char *const modules[] = {"text", "/opt/img.so"};
    struct config *config = NULL;
    struct config_report report = {0};
    struct config_arguments arguments = {
        .file = files_write(state, "/x.conf", "[daemon]\nsocket = /x\nlog_level = error\n[pool a]\nworkers = 1\n"),
        .socket_path = "relative.sock",
        .modules = modules,
        .module_count = 2,
        .workers = "2..5",
        .log_level = "warning",
    };
    assert_int_equal(config_load(&config, &arguments, &report), 0);
    assert_string_equal(config->socket_path, "relative.sock");
    assert_int_equal(config->log_level, LOG_LEVEL_WARNING);
    assert_int_equal(config->pools[0].min, 2);
    assert_int_equal(config->pools[0].max, 5);
    assert_int_equal(config->modules.count, 2);
    assert_string_equal(config->modules.items[0], "text");
    assert_string_equal(config->modules.items[1], "/opt/img.so");
    assert_null(config->modules.items[2]);
    config_free(config);
}

static void dev_null_is_a_configuration_with_nothing_in_it(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct config_report report = {0};
    assert_int_equal(config_load(&config, &(struct config_arguments){.file = "/dev/null"}, &report), 0);
    assert_int_equal(config->pool_count, 1);
    config_free(config);
}

static void root_gives_workers_another_user(void **state)
{
    if (geteuid() != 0)
        skip();
    struct config *config = load_sound(state,
        "[pool a]\ngroup = 17\nuser = nobody\n[pool b]\nuser = nobody\n[pool c]\nnice = -5\n[pool d]\nuser = root\n"
        "[pool e]\ngroup = 17\n");
    assert_int_equal(config->pools[0].gid, 17);
    assert_true(config->pools[0].uid != (uid_t)-1 && config->pools[0].uid != 0);
    assert_true(config->pools[1].uid == config->pools[0].uid);
    assert_true(config->pools[1].gid != (gid_t)-1 && config->pools[1].gid != 0);
    assert_int_equal(config->pools[2].nice, -5);
    assert_int_equal(config->pools[3].uid, 0);
    assert_int_equal(config->pools[3].gid, 0);
    assert_true(config->pools[4].uid == (uid_t)-1);
    assert_int_equal(config->pools[4].gid, 17);
    config_free(config);
}

/* What an ordinary user may ask for; the exit status tells. */
static int as_ordinary_user(const char *file, const char *foreign)
{
    struct config *config = NULL;
    struct config_report report = {0};
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return 10;
    if (config_load(&config, &(struct config_arguments){.file = file}, &report) != 0)
        return 11;
    if (config->pools[0].uid != (uid_t)-1 || config->pools[0].gid != (gid_t)-1 || config->socket_mode != 0600)
        return 12;
    config_free(config);
    config = NULL;
    if (config_load(&config, &(struct config_arguments){.file = foreign}, &report) != -EINVAL || report.count != 3)
        return 13;
    if (!strstr(report.text, ":2: [pool a] user = root: workers of another user need a daemon that runs as root\n"))
        return 14;
    if (!strstr(report.text, ":3: [pool a] group = root: workers of another group need a daemon that runs as root\n"))
        return 15;
    if (!strstr(report.text, ":4: [pool a] nice = -1: a nice below 0 needs root\n"))
        return 16;
    config_report_reset(&report);
    return 0;
}

static void an_ordinary_user_may_name_itself_and_nobody_else(void **state)
{
    if (geteuid() != 0)
        skip();
    char file[512], foreign[512];
    snprintf(
        file, sizeof file, "%s", files_write(state, "/own.conf", "[pool a]\nuser = 65534\ngroup = 65534\nnice = 2\n"));
    snprintf(foreign, sizeof foreign, "%s",
        files_write(state, "/foreign.conf", "[pool a]\nuser = root\ngroup = root\nnice = -1\n"));
    assert_int_equal(chmod(*state, 0755), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(as_ordinary_user(file, foreign));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define IN_FILES(f) cmocka_unit_test_setup_teardown(f, files_setup, files_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FILES(no_file_at_all_gives_the_defaults),
        IN_FILES(every_key_reaches_its_field),
        IN_FILES(dropins_win_key_by_key_and_extend_pools),
        IN_FILES(an_empty_value_stands_for_the_default),
        IN_FILES(the_default_pool_comes_first),
        IN_FILES(without_one_called_default_the_first_pool_is_it),
        IN_FILES(the_command_line_wins),
        cmocka_unit_test(dev_null_is_a_configuration_with_nothing_in_it),
        IN_FILES(root_gives_workers_another_user),
        IN_FILES(an_ordinary_user_may_name_itself_and_nobody_else),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
