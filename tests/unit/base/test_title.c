/* What ps(1) shows, */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/title.h"

static char thread[17];

static const char *name_of_thread(void)
{
    prctl(PR_GET_NAME, thread);
    return thread;
}

static void without_arguments_only_the_thread_has_a_name(void **state)
{
    char *none[] = {NULL};
    (void)state;
    assert_ptr_equal(title_init(0, none), none);
    title_set("first", "title %d", 1);
    assert_string_equal(name_of_thread(), "first");
}

static void a_title_takes_the_room_of_the_arguments(void **state)
{
    static char room[] = "mpoold\0--socket\0/run/x"; /* as the kernel lays them out; the environment is elsewhere */
    char *arguments[] = {room, room + 7, room + 16, NULL};
    (void)state;
    char **copy = title_init(3, arguments);
    assert_string_equal(copy[0], "mpoold");
    assert_string_equal(copy[1], "--socket");
    assert_string_equal(copy[2], "/run/x");
    assert_null(copy[3]);
    assert_non_null(getenv("PATH"));
    title_set("mpoold-worker", "worker %s", "a/1");
    assert_string_equal(name_of_thread(), "mpoold-worker");
    assert_memory_equal(room, "worker a/1\0\0\0\0\0\0\0\0\0\0\0\0", sizeof room - 1);
    title_set("mpoold-worker", "%s", "longer than all the arguments were");
    assert_string_equal(room, "longer than all the ar");
    title_set("mpoold-worker", "%s", "");
    assert_memory_equal(room, "\0\0\0\0", 4);
    assert_string_equal(copy[1], "--socket");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_arguments_only_the_thread_has_a_name),
        cmocka_unit_test(a_title_takes_the_room_of_the_arguments),
    };
    return cmocka_run_group_tests_name("title", tests, NULL, NULL);
}
