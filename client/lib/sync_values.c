/* Numbers in shared memory: see <mpool/shared.h>.
 *
 * Each is one atomic operation of the machine on the mapping, sequentially consistent; floating numbers are added by
 * compare-and-swap of their bits. The functions for all types are made from the table in proto/kinds.h.
 */
#include <mpool/shared.h>

#include <string.h>

#include "client/lib/object.h"

static int check(const mpool_object *object, enum mpool_kind kind, enum mpool_element element)
{
    if (object && (object->kind != kind || object->element != element))
        return -EINVAL;
    return object_check(object);
}

static int check_store(const mpool_object *object, enum mpool_kind kind, enum mpool_element element)
{
    int r = check(object, kind, element);

    return r == 0 && object->read_only ? -EACCES : r;
}

/* The unsigned type for the bits of each type, so that one set of functions serves integers and floating-point
 * numbers. */
#define BITS_OF_I8  uint8_t
#define BITS_OF_U8  uint8_t
#define BITS_OF_I16 uint16_t
#define BITS_OF_U16 uint16_t
#define BITS_OF_I32 uint32_t
#define BITS_OF_U32 uint32_t
#define BITS_OF_I64 uint64_t
#define BITS_OF_U64 uint64_t
#define BITS_OF_F32 uint32_t
#define BITS_OF_F64 uint64_t

/* Unsigned addition wraps around, and so do its bits as a signed number. */
#define INTEGER_CELL(ID, name, type)                                                                                   \
    static type add_##name(void *at, type number)                                                                      \
    {                                                                                                                  \
        return (type)atomic_fetch_add((_Atomic BITS_OF_##ID *)at, (BITS_OF_##ID)number);                               \
    }

#define FLOATING_CELL(ID, name, type)                                                                                  \
    static type add_##name(void *at, type number)                                                                      \
    {                                                                                                                  \
        _Atomic BITS_OF_##ID *cell = at;                                                                               \
        BITS_OF_##ID before = atomic_load(cell), after;                                                                \
        type was, is;                                                                                                  \
        do {                                                                                                           \
            memcpy(&was, &before, sizeof(was));                                                                        \
            is = was + number;                                                                                         \
            memcpy(&after, &is, sizeof(after));                                                                        \
        } while (!atomic_compare_exchange_weak(cell, &before, after));                                                 \
        return was;                                                                                                    \
    }

INTEGER_CELL(I8, i8, int8_t)
INTEGER_CELL(U8, u8, uint8_t)
INTEGER_CELL(I16, i16, int16_t)
INTEGER_CELL(U16, u16, uint16_t)
INTEGER_CELL(I32, i32, int32_t)
INTEGER_CELL(U32, u32, uint32_t)
INTEGER_CELL(I64, i64, int64_t)
INTEGER_CELL(U64, u64, uint64_t)
FLOATING_CELL(F32, f32, float)
FLOATING_CELL(F64, f64, double)

#define CELL(ID, name, type)                                                                                           \
    static type load_##name(const void *at)                                                                            \
    {                                                                                                                  \
        BITS_OF_##ID bits = atomic_load((const _Atomic BITS_OF_##ID *)at);                                             \
        type number;                                                                                                   \
        memcpy(&number, &bits, sizeof(number));                                                                        \
        return number;                                                                                                 \
    }                                                                                                                  \
    static void store_##name(void *at, type number)                                                                    \
    {                                                                                                                  \
        BITS_OF_##ID bits;                                                                                             \
        memcpy(&bits, &number, sizeof(bits));                                                                          \
        atomic_store((_Atomic BITS_OF_##ID *)at, bits);                                                                \
    }                                                                                                                  \
    static int cas_##name(void *at, type *expected, type number)                                                       \
    {                                                                                                                  \
        BITS_OF_##ID from, to;                                                                                         \
        memcpy(&from, expected, sizeof(from));                                                                         \
        memcpy(&to, &number, sizeof(to));                                                                              \
        if (atomic_compare_exchange_strong((_Atomic BITS_OF_##ID *)at, &from, to))                                     \
            return 0;                                                                                                  \
        memcpy(expected, &from, sizeof(from));                                                                         \
        return -EAGAIN;                                                                                                \
    }
MPOOL_ELEMENTS(CELL)

#define VALUE(ID, name, type)                                                                                          \
    int mpool_value_get_##name(const mpool_object *value, type *ret)                                                   \
    {                                                                                                                  \
        int r = ret ? check(value, MPOOL_KIND_VALUE, MPOOL_ELEMENT_##ID) : -EINVAL;                                    \
        if (r == 0)                                                                                                    \
            *ret = load_##name(value->data);                                                                           \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_value_set_##name(mpool_object *value, type number)                                                       \
    {                                                                                                                  \
        int r = check_store(value, MPOOL_KIND_VALUE, MPOOL_ELEMENT_##ID);                                              \
        if (r == 0)                                                                                                    \
            store_##name(value->data, number);                                                                         \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_value_add_##name(mpool_object *value, type number)                                                       \
    {                                                                                                                  \
        int r = check_store(value, MPOOL_KIND_VALUE, MPOOL_ELEMENT_##ID);                                              \
        if (r == 0)                                                                                                    \
            (void)add_##name(value->data, number);                                                                     \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_value_fetch_add_##name(mpool_object *value, type number, type *ret_before)                               \
    {                                                                                                                  \
        int r = ret_before ? check_store(value, MPOOL_KIND_VALUE, MPOOL_ELEMENT_##ID) : -EINVAL;                       \
        if (r == 0)                                                                                                    \
            *ret_before = add_##name(value->data, number);                                                             \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_value_cas_##name(mpool_object *value, type *expected, type number)                                       \
    {                                                                                                                  \
        int r = expected ? check_store(value, MPOOL_KIND_VALUE, MPOOL_ELEMENT_##ID) : -EINVAL;                         \
        return r == 0 ? cas_##name(value->data, expected, number) : r;                                                 \
    }
MPOOL_ELEMENTS(VALUE)

/* count is the library's own copy, checked against the mapping at open; nothing in the page can change it. */
#define ARRAY(ID, name, type)                                                                                          \
    static int at_##name(const mpool_object *array, uint64_t index, bool store, type **ret)                            \
    {                                                                                                                  \
        int r = store ? check_store(array, MPOOL_KIND_ARRAY, MPOOL_ELEMENT_##ID)                                       \
                      : check(array, MPOOL_KIND_ARRAY, MPOOL_ELEMENT_##ID);                                            \
        if (r < 0)                                                                                                     \
            return r;                                                                                                  \
        if (index >= array->count)                                                                                     \
            return -ERANGE;                                                                                            \
        *ret = (type *)array->data + index;                                                                            \
        return 0;                                                                                                      \
    }                                                                                                                  \
    int mpool_array_get_##name(const mpool_object *array, uint64_t index, type *ret)                                   \
    {                                                                                                                  \
        type *at;                                                                                                      \
        int r = ret ? at_##name(array, index, false, &at) : -EINVAL;                                                   \
        if (r == 0)                                                                                                    \
            *ret = load_##name(at);                                                                                    \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_array_set_##name(mpool_object *array, uint64_t index, type number)                                       \
    {                                                                                                                  \
        type *at;                                                                                                      \
        int r = at_##name(array, index, true, &at);                                                                    \
        if (r == 0)                                                                                                    \
            store_##name(at, number);                                                                                  \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_array_add_##name(mpool_object *array, uint64_t index, type number)                                       \
    {                                                                                                                  \
        type *at;                                                                                                      \
        int r = at_##name(array, index, true, &at);                                                                    \
        if (r == 0)                                                                                                    \
            (void)add_##name(at, number);                                                                              \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_array_fetch_add_##name(mpool_object *array, uint64_t index, type number, type *ret_before)               \
    {                                                                                                                  \
        type *at;                                                                                                      \
        int r = ret_before ? at_##name(array, index, true, &at) : -EINVAL;                                             \
        if (r == 0)                                                                                                    \
            *ret_before = add_##name(at, number);                                                                      \
        return r;                                                                                                      \
    }                                                                                                                  \
    int mpool_array_cas_##name(mpool_object *array, uint64_t index, type *expected, type number)                       \
    {                                                                                                                  \
        type *at;                                                                                                      \
        int r = expected ? at_##name(array, index, true, &at) : -EINVAL;                                               \
        return r == 0 ? cas_##name(at, expected, number) : r;                                                          \
    }
MPOOL_ELEMENTS(ARRAY)

void *mpool_array_data(const mpool_object *array, uint64_t *ret_count)
{
    if (object_check_kind(array, MPOOL_KIND_ARRAY) < 0)
        return NULL;
    if (ret_count)
        *ret_count = array->count;
    return array->data;
}

int mpool_array_count(const mpool_object *array, uint64_t *ret_count)
{
    int r = ret_count ? object_check_kind(array, MPOOL_KIND_ARRAY) : -EINVAL;

    if (r == 0)
        *ret_count = array->count;
    return r;
}

const char *mpool_object_kind(const mpool_object *object)
{
    return object ? wire_kind_info(object->kind)->name : NULL;
}

const char *mpool_object_type(const mpool_object *object)
{
    return object && (object->kind == MPOOL_KIND_VALUE || object->kind == MPOOL_KIND_ARRAY)
               ? wire_element_info(object->element)->name
               : NULL;
}
