/* Do results that come in any order become the list in the right one, and in how many steps? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/task/map_list.h"

/* Results of items: each is its number, as a uint32. */
static struct map_part part_of(uint32_t first, uint32_t count)
{
    size_t length = (size_t)count * 5;
    uint8_t *bytes = malloc(length);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t item = first + i;
        bytes[i * 5] = 0xce;
        for (int b = 0; b < 4; b++)
            bytes[i * 5 + 1 + (uint32_t)b] = (uint8_t)(item >> (24 - 8 * b));
    }
    return (struct map_part){.first = first, .count = count, .bytes = bytes, .length = length, .memory = bytes};
}

/* The same in a mapping, behind a head. */
static struct map_part mapped_part_of(uint32_t first, uint32_t count)
{
    struct map_part part = part_of(first, count);
    uint8_t *memory = mmap(NULL, part.length + 5, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(memory + 5, part.bytes, part.length);
    free(part.memory);
    part.memory = memory;
    part.bytes = memory + 5;
    part.mapping = part.length + 5;
    return part;
}

/* → steps that it took. */
static unsigned settle(struct map_list *l, size_t max)
{
    unsigned steps = 1;
    int r;
    for (; (r = map_list_step(l, max)) > 0; steps++)
        ;
    assert_int_equal(r, 0);
    return steps;
}

static void check_whole(struct map_list *l, uint32_t count)
{
    size_t head = count < 16 ? 1 : count <= UINT16_MAX ? 3 : 5, length = head + (size_t)count * 5;
    struct map_part wanted = part_of(0, count);
    uint64_t size;
    assert_true(map_list_is_whole(l));
    int fd = map_list_take_file(l, &size);
    if (fd >= 0) {
        assert_int_equal(size, length);
        uint8_t *is = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_memory_equal(is + head, wanted.bytes, wanted.length);
        munmap(is, length);
        close(fd);
    } else {
        assert_int_equal(wire_buf_length(&l->tail), length);
        assert_memory_equal(wire_buf_at(&l->tail) + head, wanted.bytes, wanted.length);
    }
    map_part_free(&wanted);
    map_list_deinit(l);
}

static void a_small_list_stays_in_memory(void **state)
{
    (void)state;
    struct map_list l;
    map_list_init(&l, 3);
    assert_int_equal(map_list_add(&l, part_of(2, 1)), 0);
    settle(&l, 1000);
    assert_false(map_list_is_whole(&l));
    assert_int_equal(map_list_add(&l, part_of(0, 2)), 0);
    settle(&l, 1000);
    assert_false(memfd_fill_is_on(&l.file));
    check_whole(&l, 3);
    map_list_init(&l, 0);
    check_whole(&l, 0);
}

static void any_order_gives_the_same_list(void **state)
{
    (void)state;
    static uint32_t order[3000];
    for (unsigned seed = 1; seed <= 8; seed++) {
        uint32_t count = 0, parts = 0, at[3001];
        struct map_list l;
        srandom(seed);
        for (; parts < 3000; parts++) {
            at[parts] = count;
            count += 1 + (uint32_t)random() % (seed % 2 ? 3 : 200);
            order[parts] = parts;
        }
        at[parts] = count;
        for (uint32_t i = parts; i > 1; i--) { /* wholly mixed, or almost in order as workers are */
            uint32_t other = seed % 3 ? (uint32_t)random() % i : i > 9 ? i - 1 - (uint32_t)random() % 8 : i - 1;
            uint32_t was = order[i - 1];
            order[i - 1] = order[other];
            order[other] = was;
        }
        map_list_init(&l, count);
        for (uint32_t i = 0; i < parts; i++) {
            uint32_t p = order[i], n = at[p + 1] - at[p];
            assert_int_equal(map_list_add(&l, i % 5 ? part_of(at[p], n) : mapped_part_of(at[p], n)), 0);
            if (i % 7 == 0)
                map_list_step(&l, 1 + (size_t)random() % 5000);
        }
        settle(&l, 1 << 20);
        check_whole(&l, count);
    }
}

/* Eight hundred thousand results that wait for the first one were a write each, and all of them in one go. */
static void early_ones_are_appended_in_steps_and_written_in_pieces(void **state)
{
    (void)state;
    const uint32_t count = 200000;
    struct map_list l;
    map_list_init(&l, count);
    for (uint32_t i = count - 1; i > 0; i--)
        assert_int_equal(map_list_add(&l, part_of(i, 1)), 0);
    assert_int_equal(settle(&l, 1 << 20), 1);
    assert_int_equal(map_list_add(&l, part_of(0, 1)), 0);
    assert_in_range(settle(&l, 1 << 20), 40, 100);
    check_whole(&l, count);
}

static void a_large_part_is_copied_in_steps(void **state)
{
    (void)state;
    const uint32_t count = 1 << 20;
    struct map_list l;
    map_list_init(&l, count + 1);
    assert_int_equal(map_list_add(&l, mapped_part_of(0, count)), 0);
    assert_in_range(settle(&l, 1 << 18), 20, 22);
    assert_int_equal(map_list_add(&l, part_of(count, 1)), 0);
    settle(&l, 1 << 18);
    check_whole(&l, count + 1);
}

static void what_was_never_asked_for_is_shed_in_portions(void **state)
{
    (void)state;
    struct map_list l;
    unsigned portions = 1;
    map_list_init(&l, 100000);
    for (uint32_t i = 1; i < 10000; i++)
        assert_int_equal(map_list_add(&l, part_of(i, 1)), 0);
    while (map_list_shed(&l, 1000))
        portions++;
    assert_int_equal(portions, 10);
    map_list_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_list_stays_in_memory),
        cmocka_unit_test(any_order_gives_the_same_list),
        cmocka_unit_test(early_ones_are_appended_in_steps_and_written_in_pieces),
        cmocka_unit_test(a_large_part_is_copied_in_steps),
        cmocka_unit_test(what_was_never_asked_for_is_shed_in_portions),
    };
    return cmocka_run_group_tests_name("supervisor/map_list", tests, NULL, NULL);
}
