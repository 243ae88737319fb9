/* Which function is meant by a name, and what does it cost to ask for one that is none? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "daemon/pool/function_index.h"
#include "daemon/pool/pool.h"

static struct pool pools[2];

static void a_name_is_found_in_the_pools_that_list_it(void **state)
{
    (void)state;
    struct function_index *n = function_index_new();
    struct function square = {.name = (char[]){"math.square"}}, other = square, echo = {.name = (char[]){"sys.echo"}};
    assert_int_equal(function_index_add(n, &square, &pools[0]), 0);
    assert_int_equal(function_index_add(n, &other, &pools[1]), 0);
    assert_int_equal(function_index_add(n, &echo, &pools[1]), 0);
    assert_ptr_equal(function_index_find(n, &pools[0], "math.square, and more", 11), &square);
    assert_ptr_equal(function_index_find(n, &pools[1], "math.square", 11), &other);
    assert_null(function_index_find(n, &pools[0], "sys.echo", 8));
    assert_null(function_index_find(n, &pools[0], "math.squar", 10));
    assert_null(function_index_find(n, &pools[0], "", 0));
    function_index_remove_pool(n, &pools[1]);
    assert_null(function_index_find(n, &pools[1], "sys.echo", 8));
    assert_ptr_equal(function_index_find(n, &pools[0], "math.square", 11), &square);
    function_index_free(n);
}

/* Each pool would hash the sixty megabytes of a client again. Whoever reads a byte here dies of it. */
static void what_is_longer_than_every_name_is_not_read(void **state)
{
    (void)state;
    size_t length = 60u << 20;
    struct function_index *n = function_index_new();
    struct function f = {.name = (char[]){"math.square"}};
    char *name = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(name, MAP_FAILED);
    assert_null(function_index_find(n, &pools[0], name, length));
    assert_int_equal(function_index_add(n, &f, &pools[0]), 0);
    assert_non_null(function_index_find(n, &pools[0], "math.square", 11));
    assert_null(function_index_find(n, &pools[0], name, length));
    assert_null(function_index_find(n, &pools[0], name, strlen("math.square") + 1));
    munmap(name, length);
    function_index_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_found_in_the_pools_that_list_it),
        cmocka_unit_test(what_is_longer_than_every_name_is_not_read),
    };
    return cmocka_run_group_tests_name("supervisor/names", tests, NULL, NULL);
}
