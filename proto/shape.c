/* The tables of shape.h: one entry per head byte, in the order of the MessagePack specification. */
#include "proto/shape.h"

#define FOUR(n)    n, n, n, n
#define SIXTEEN(n) FOUR(n), FOUR(n), FOUR(n), FOUR(n)
#define FROM(n)    n, n + 1, n + 2, n + 3

const uint8_t wire_shape[256] = {
    /* 00 … 7f positive fixint */
    SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1), SIXTEEN(1),
    /* 80 … 8f fixmap, 90 … 9f fixarray */
    SIXTEEN(SHAPE_FIXMAP), SIXTEEN(SHAPE_FIXARRAY),
    /* a0 … bf fixstr: head byte and 0 to 31 bytes */
    FROM(1), FROM(5), FROM(9), FROM(13), FROM(17), FROM(21), FROM(25), FROM(29),
    /* c0 nil, c1 never used, c2 false, c3 true */
    1, SHAPE_BAD, 1, 1,
    /* c4 bin, c7 ext */
    SHAPE_BLOB8, SHAPE_BLOB16, SHAPE_BLOB32, SHAPE_EXT8, SHAPE_EXT16, SHAPE_EXT32,
    /* ca float 32 and 64, cc uint 8 to 64, d0 int 8 to 64 */
    5, 9, 2, 3, 5, 9, 2, 3, 5, 9,
    /* d4 fixext 1 to 16: head byte, type byte, data */
    3, 4, 6, 10, 18,
    /* d9 str, dc array, de map */
    SHAPE_BLOB8, SHAPE_BLOB16, SHAPE_BLOB32, SHAPE_ARRAY16, SHAPE_ARRAY32, SHAPE_MAP16, SHAPE_MAP32,
    /* e0 … ff negative fixint */
    SIXTEEN(1), SIXTEEN(1)};

const uint8_t wire_type_of[256] = {
    /* 00 … 7f positive fixint */
    SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT),
    SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT),
    /* 80 fixmap, 90 fixarray, a0 and b0 fixstr */
    SIXTEEN(WIRE_TYPE_MAP), SIXTEEN(WIRE_TYPE_ARRAY), SIXTEEN(WIRE_TYPE_STR), SIXTEEN(WIRE_TYPE_STR),
    /* c0 nil, c1 never used, c2 false, c3 true */
    WIRE_TYPE_NIL, WIRE_TYPE_END, WIRE_TYPE_BOOL, WIRE_TYPE_BOOL,
    /* c4 bin, c7 ext */
    WIRE_TYPE_BIN, WIRE_TYPE_BIN, WIRE_TYPE_BIN, WIRE_TYPE_EXT, WIRE_TYPE_EXT, WIRE_TYPE_EXT,
    /* ca float 32 and 64, cc uint 8 to 64, d0 int 8 to 64 */
    WIRE_TYPE_FLOAT, WIRE_TYPE_FLOAT, FOUR(WIRE_TYPE_INT), FOUR(WIRE_TYPE_INT),
    /* d4 fixext 1 to 16 */
    FOUR(WIRE_TYPE_EXT), WIRE_TYPE_EXT,
    /* d9 str, dc array, de map */
    WIRE_TYPE_STR, WIRE_TYPE_STR, WIRE_TYPE_STR, WIRE_TYPE_ARRAY, WIRE_TYPE_ARRAY, WIRE_TYPE_MAP, WIRE_TYPE_MAP,
    /* e0 … ff negative fixint */
    SIXTEEN(WIRE_TYPE_INT), SIXTEEN(WIRE_TYPE_INT)};
