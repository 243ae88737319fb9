/* Do the functions of <mpool/shared.h> check what they are given, and do what they say? On pages without a daemon; how
 * objects are opened is not asked here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/lib/object.h"

#define COUNT 5u

static mpool_object make(enum mpool_kind kind, enum mpool_element element, uint32_t client)
{
    bool semaphore = kind == MPOOL_KIND_SEMAPHORE || kind == MPOOL_KIND_BOUNDED_SEMAPHORE;
    uint32_t capacity = semaphore || kind == MPOOL_KIND_BARRIER ? 2 : 0;
    struct sync_setup setup = {.capacity = capacity, .tokens = semaphore ? 2 : 0};
    uint8_t *map = mmap(NULL, 2 * SYNC_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(map != MAP_FAILED);
    assert_int_equal(sync_page_init(map, kind, &setup), 0);
    return (mpool_object){
        .sync = {.area = (void *)map,
            .client = client,
            .capacity = capacity ? capacity : 1,
            .bounded = kind == MPOOL_KIND_BOUNDED_SEMAPHORE},
        .kind = kind,
        .element = element,
        .map = map,
        .map_bytes = 2 * SYNC_BYTES,
        .data = kind == MPOOL_KIND_VALUE ? map + SYNC_CELL_OFFSET : map + SYNC_BYTES,
        .count = kind == MPOOL_KIND_VALUE ? 1 : COUNT,
        .born = fork_guard_number(),
        .call_timeout_ms = -1,
    };
}

static void unmake(mpool_object *object)
{
    munmap(object->map, object->map_bytes);
}

/* Of each type: the least and the greatest, and a step that overflows integers. */
#define VALUES(ID, name, type, min, max)                                                                               \
    {                                                                                                                  \
        mpool_object value = make(MPOOL_KIND_VALUE, MPOOL_ELEMENT_##ID, 1);                                            \
        mpool_object array = make(MPOOL_KIND_ARRAY, MPOOL_ELEMENT_##ID, 1);                                            \
        type n = 1;                                                                                                    \
        assert_int_equal(mpool_value_get_##name(&value, &n), 0);                                                       \
        assert_true(n == 0);                                                                                           \
        assert_int_equal(mpool_value_set_##name(&value, max), 0);                                                      \
        assert_int_equal(mpool_value_get_##name(&value, &n), 0);                                                       \
        assert_true(n == max);                                                                                         \
        assert_int_equal(mpool_value_set_##name(&value, min), 0);                                                      \
        assert_int_equal(mpool_value_add_##name(&value, 3), 0);                                                        \
        assert_int_equal(mpool_value_fetch_add_##name(&value, 4, &n), 0);                                              \
        assert_true(n == (type)(min + 3));                                                                             \
        type expected = 99;                                                                                            \
        assert_int_equal(mpool_value_cas_##name(&value, &expected, 5), -EAGAIN);                                       \
        assert_true(expected == (type)(min + 7));                                                                      \
        assert_int_equal(mpool_value_cas_##name(&value, &expected, 5), 0);                                             \
        assert_int_equal(mpool_value_get_##name(&value, &n), 0);                                                       \
        assert_true(n == 5);                                                                                           \
        for (uint64_t i = 0; i < COUNT; i++) {                                                                         \
            assert_int_equal(mpool_array_set_##name(&array, i, (type)i), 0);                                           \
            assert_int_equal(mpool_array_add_##name(&array, i, 1), 0);                                                 \
            assert_int_equal(mpool_array_fetch_add_##name(&array, i, 1, &n), 0);                                       \
            assert_true(n == (type)(i + 1));                                                                           \
            expected = (type)(i + 2);                                                                                  \
            assert_int_equal(mpool_array_cas_##name(&array, i, &expected, 7), 0);                                      \
            assert_int_equal(mpool_array_get_##name(&array, i, &n), 0);                                                \
            assert_true(n == 7);                                                                                       \
        }                                                                                                              \
        for (uint64_t i = COUNT; i; i *= 2) {                                                                          \
            assert_int_equal(mpool_array_get_##name(&array, i, &n), -ERANGE);                                          \
            assert_int_equal(mpool_array_set_##name(&array, i, 1), -ERANGE);                                           \
            assert_int_equal(mpool_array_add_##name(&array, i, 1), -ERANGE);                                           \
            assert_int_equal(mpool_array_fetch_add_##name(&array, i, 1, &n), -ERANGE);                                 \
            assert_int_equal(mpool_array_cas_##name(&array, i, &expected, 1), -ERANGE);                                \
        }                                                                                                              \
        assert_int_equal(mpool_array_get_##name(&value, 0, &n), -EINVAL);                                              \
        assert_int_equal(mpool_value_get_##name(&array, &n), -EINVAL);                                                 \
        assert_int_equal(mpool_value_get_##name(&value, NULL), -EINVAL);                                               \
        assert_int_equal(mpool_value_get_##name(NULL, &n), -EINVAL);                                                   \
        value.read_only = array.read_only = true;                                                                      \
        assert_int_equal(mpool_value_get_##name(&value, &n), 0);                                                       \
        assert_int_equal(mpool_value_set_##name(&value, 1), -EACCES);                                                  \
        assert_int_equal(mpool_array_cas_##name(&array, 0, &n, 1), -EACCES);                                           \
        value.element = (enum mpool_element)((MPOOL_ELEMENT_##ID + 1) % MPOOL_ELEMENT_COUNT);                          \
        assert_int_equal(mpool_value_get_##name(&value, &n), -EINVAL);                                                 \
        unmake(&value);                                                                                                \
        unmake(&array);                                                                                                \
    }

static void every_type_of_number_is_kept_and_counted(void **state)
{
    (void)state;
    VALUES(I8, i8, int8_t, INT8_MIN, INT8_MAX)
    VALUES(U8, u8, uint8_t, 0, UINT8_MAX)
    VALUES(I16, i16, int16_t, INT16_MIN, INT16_MAX)
    VALUES(U16, u16, uint16_t, 0, UINT16_MAX)
    VALUES(I32, i32, int32_t, INT32_MIN, INT32_MAX)
    VALUES(U32, u32, uint32_t, 0, UINT32_MAX)
    VALUES(I64, i64, int64_t, INT64_MIN, INT64_MAX)
    VALUES(U64, u64, uint64_t, 0, UINT64_MAX)
    VALUES(F32, f32, float, -2.5f, 3e38f)
    VALUES(F64, f64, double, -2.5, 1e308)
}

static void integers_wrap_around(void **state)
{
    mpool_object value = make(MPOOL_KIND_VALUE, MPOOL_ELEMENT_I8, 1);
    int8_t n;
    (void)state;

    assert_int_equal(mpool_value_set_i8(&value, INT8_MAX), 0);
    assert_int_equal(mpool_value_add_i8(&value, 1), 0);
    assert_int_equal(mpool_value_get_i8(&value, &n), 0);
    assert_int_equal(n, INT8_MIN);
    unmake(&value);
}

static void an_exchange_compares_bits(void **state)
{
    mpool_object value = make(MPOOL_KIND_VALUE, MPOOL_ELEMENT_F64, 1);
    double expected = NAN, zero = -0.0;
    (void)state;

    assert_int_equal(mpool_value_cas_f64(&value, &zero, 1), -EAGAIN);
    assert_int_equal(mpool_value_set_f64(&value, NAN), 0);
    assert_int_equal(mpool_value_cas_f64(&value, &expected, 1), 0);
    unmake(&value);
}

static void an_array_shows_its_elements(void **state)
{
    mpool_object array = make(MPOOL_KIND_ARRAY, MPOOL_ELEMENT_I32, 1), lock = make(MPOOL_KIND_LOCK, 0, 1);
    uint64_t count = 0;
    (void)state;

    int32_t *numbers = mpool_array_data(&array, &count);
    assert_int_equal(count, COUNT);
    assert_int_equal((uintptr_t)numbers % 4096, 0);
    numbers[3] = 7;
    int32_t n;
    assert_int_equal(mpool_array_get_i32(&array, 3, &n), 0);
    assert_int_equal(n, 7);
    assert_int_equal(mpool_array_count(&array, &count), 0);
    assert_null(mpool_array_data(&lock, NULL));
    assert_null(mpool_array_data(NULL, NULL));
    assert_string_equal(mpool_object_type(&array), "i32");
    assert_string_equal(mpool_object_kind(&array), "array");
    assert_null(mpool_object_type(&lock));
    unmake(&array);
    unmake(&lock);
}

/* ---- each function with an object of each kind ------------------------------------------------------------------- */

static bool yes(void *userdata)
{
    (void)userdata;
    return true;
}

/* What each function says to an object of `kind` in which nothing has happened. */
static void each_function_wants_its_kind(void **state)
{
    uint64_t number;
    (void)state;

    for (int kind = 0; kind < MPOOL_KIND_QUEUE; kind++) {
        mpool_object o = make((enum mpool_kind)kind, MPOOL_ELEMENT_I64, 1);
        bool semaphore = kind == MPOOL_KIND_SEMAPHORE || kind == MPOOL_KIND_BOUNDED_SEMAPHORE;
        bool guarded = kind == MPOOL_KIND_VALUE || kind == MPOOL_KIND_ARRAY || kind == MPOOL_KIND_CONDITION;
        bool locks = wire_kind_info(o.kind)->lock, set = false, broken = false;
        uint32_t count = 99, parties = 99, waiting = 99;
#define EXPECT(call, condition, result) assert_int_equal(call, condition ? result : -EINVAL)
        EXPECT(mpool_lock_acquire(&o, 0, NULL), kind == MPOOL_KIND_LOCK, 0);
        EXPECT(mpool_lock_release(&o), kind == MPOOL_KIND_LOCK, 0);
        EXPECT(mpool_rlock_acquire(&o, 0, NULL), kind == MPOOL_KIND_RLOCK, 0);
        EXPECT(mpool_rlock_release(&o), kind == MPOOL_KIND_RLOCK, 0);
        EXPECT(mpool_object_lock(&o, 0, NULL), guarded, 0);
        EXPECT(mpool_object_unlock(&o), guarded, 0);
        EXPECT(mpool_object_unlock(&o), guarded, -EPERM);
        EXPECT(mpool_semaphore_acquire(&o, 0, NULL), semaphore, 0);
        EXPECT(mpool_semaphore_value(&o, &count), semaphore, 0);
        assert_int_equal(count, semaphore ? 1 : 99);
        EXPECT(mpool_semaphore_release(&o), semaphore, 0);
        EXPECT(mpool_semaphore_release(&o), semaphore, -EOVERFLOW);
        EXPECT(mpool_lock_fence(&o, &number), locks, (semaphore ? 0 : -EPERM));
        EXPECT(mpool_event_wait(&o, 0), kind == MPOOL_KIND_EVENT, -ETIMEDOUT);
        EXPECT(mpool_event_set(&o), kind == MPOOL_KIND_EVENT, 0);
        EXPECT(mpool_event_is_set(&o, &set), kind == MPOOL_KIND_EVENT, 0);
        assert_int_equal(set, kind == MPOOL_KIND_EVENT);
        EXPECT(mpool_event_clear(&o), kind == MPOOL_KIND_EVENT, 0);
        EXPECT(mpool_condition_wait(&o, NULL, 0, NULL), kind == MPOOL_KIND_CONDITION, -EPERM);
        EXPECT(mpool_condition_wait_for(&o, NULL, yes, NULL, 0, NULL), kind == MPOOL_KIND_CONDITION, -EPERM);
        EXPECT(mpool_condition_notify_all(&o, NULL), kind == MPOOL_KIND_CONDITION, -EPERM);
        EXPECT(mpool_barrier_parties(&o, &parties), kind == MPOOL_KIND_BARRIER, 0);
        assert_int_equal(parties, kind == MPOOL_KIND_BARRIER ? 2 : 99);
        EXPECT(mpool_barrier_waiting(&o, &waiting), kind == MPOOL_KIND_BARRIER, 0);
        assert_int_equal(waiting, kind == MPOOL_KIND_BARRIER ? 0 : 99);
        EXPECT(mpool_barrier_wait(&o, 0, NULL), kind == MPOOL_KIND_BARRIER, -ETIMEDOUT);
        EXPECT(mpool_barrier_broken(&o, &broken), kind == MPOOL_KIND_BARRIER, 0);
        assert_int_equal(broken, kind == MPOOL_KIND_BARRIER);
        EXPECT(mpool_barrier_reset(&o), kind == MPOOL_KIND_BARRIER, 0);
        EXPECT(mpool_barrier_abort(&o), kind == MPOOL_KIND_BARRIER, 0);
        EXPECT(mpool_barrier_wait(&o, -1, NULL), kind == MPOOL_KIND_BARRIER, -EPIPE);
        unmake(&o);
    }
    assert_int_equal(mpool_lock_acquire(NULL, 0, NULL), -EINVAL);
    assert_int_equal(mpool_event_set(NULL), -EINVAL);
    assert_int_equal(mpool_barrier_wait(NULL, 0, NULL), -EINVAL);
    assert_int_equal(mpool_condition_notify_all(NULL, NULL), -EINVAL);
}

static void errors_are_about_the_object(void **state)
{
    (void)state;
    static char name[] = "total.lock";
    mpool_object lock = make(MPOOL_KIND_LOCK, 0, 1), barrier = make(MPOOL_KIND_BARRIER, 0, 2);
    char text[128], small[8];
    lock.handle = barrier.handle = name;
    assert_string_equal(
        mpool_object_error_text(&lock, -ETIMEDOUT, text, sizeof(text)), "timed out waiting for lock 'total.lock'");
    assert_string_equal(
        mpool_object_error_text(&lock, -EPERM, text, sizeof(text)), "this process does not hold lock 'total.lock'");
    assert_string_equal(
        mpool_object_error_text(&barrier, -EPIPE, text, sizeof(text)), "barrier 'total.lock' is broken");
    assert_string_equal(mpool_object_error_text(&lock, -ETIMEDOUT, small, sizeof(small)), "timed o");
    assert_string_equal(mpool_object_error_text(NULL, -ETIMEDOUT, text, sizeof(text)), mpool_strerror(-ETIMEDOUT));
    assert_string_equal(mpool_strerror(-ETIMEDOUT), "The wait timed out."); /* and not of a connection */
    lock.handle = barrier.handle = NULL;
    unmake(&lock);
    unmake(&barrier);
}

static void what_is_lost_is_refused(void **state)
{
    mpool_object lock = make(MPOOL_KIND_LOCK, 0, 1);
    (void)state;

    lock.lost = -ECONNRESET;
    assert_int_equal(mpool_lock_acquire(&lock, -1, NULL), -ECONNRESET);
    lock.lost = 0;
    lock.read_only = true;
    assert_int_equal(mpool_lock_acquire(&lock, -1, NULL), -EACCES);
    unmake(&lock);
}

static void after_fork_the_child_is_told(void **state)
{
    mpool_object lock = make(MPOOL_KIND_LOCK, 0, 1), value = make(MPOOL_KIND_VALUE, MPOOL_ELEMENT_I64, 1);
    int status;
    (void)state;

    assert_int_equal(mpool_lock_acquire(&lock, 0, NULL), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int64_t n;
        bool told = mpool_lock_release(&lock) == -ECHILD && mpool_value_get_i64(&value, &n) == -ECHILD;
        /* Its own objects are good, and do not make those of its parent good. */
        mpool_object own = make(MPOOL_KIND_LOCK, 0, 2);
        told = told && mpool_lock_acquire(&own, 0, NULL) == 0 && mpool_lock_release(&lock) == -ECHILD;
        _exit(told ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(mpool_lock_release(&lock), 0);
    unmake(&lock);
    unmake(&value);
}

/* ---- waiting for a condition ------------------------------------------------------------------------------------- */

struct meeting {
    mpool_object condition, lock;
    unsigned arrived;
};

static bool five_have_arrived(void *userdata)
{
    return ((struct meeting *)userdata)->arrived == 5;
}

static void *arrive(void *argument)
{
    struct meeting *meeting = argument;
    mpool_object *condition = &meeting->condition, *lock = &meeting->lock;

    for (int i = 0; i < 5; i++)
        if (mpool_lock_acquire(lock, -1, NULL) != 0 ||
            (meeting->arrived++, mpool_condition_notify(condition, lock, 1)) != 0 || mpool_lock_release(lock) != 0)
            abort();
    return NULL;
}

static void a_predicate_is_waited_for(void **state)
{
    struct meeting meeting = {.condition = make(MPOOL_KIND_CONDITION, 0, 1), .lock = make(MPOOL_KIND_LOCK, 0, 1)};
    pthread_t thread;
    (void)state;

    assert_int_equal(mpool_lock_acquire(&meeting.lock, 0, NULL), 0);
    assert_int_equal(
        mpool_condition_wait_for(&meeting.condition, &meeting.lock, five_have_arrived, &meeting, 1, NULL), -ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, arrive, &meeting), 0);
    assert_int_equal(
        mpool_condition_wait_for(&meeting.condition, &meeting.lock, five_have_arrived, &meeting, -1, NULL), 0);
    assert_int_equal(meeting.arrived, 5);
    assert_int_equal(mpool_lock_release(&meeting.lock), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    unmake(&meeting.condition);
    unmake(&meeting.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_number_is_kept_and_counted),
        cmocka_unit_test(integers_wrap_around),
        cmocka_unit_test(an_exchange_compares_bits),
        cmocka_unit_test(an_array_shows_its_elements),
        cmocka_unit_test(each_function_wants_its_kind),
        cmocka_unit_test(errors_are_about_the_object),
        cmocka_unit_test(what_is_lost_is_refused),
        cmocka_unit_test(after_fork_the_child_is_told),
        cmocka_unit_test(a_predicate_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
