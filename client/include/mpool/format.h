/* <mpool/format.h> — do the arguments of a call fit the letters of its format? Included by <mpool/client.h>.
 *
 * In C, the functions that take a format are also macros, which look at the types of the arguments (_Generic). If the
 * format is a literal without brackets, S, B, r, n and spaces, the compiler checks it: gcc when it optimises, clang
 * always. Any other is checked when the call is made, and refused with -EINVAL and a sentence that names the letter and
 * its position. A macro takes at most 20 arguments; (mpool_call)(…), in parentheses, takes any number and checks
 * nothing, as does C++.
 */
#ifndef MPOOL_FORMAT_H
#define MPOOL_FORMAT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(MPOOL_PUBLIC)
#elif defined(__GNUC__)
#define MPOOL_PUBLIC __attribute__((visibility("default")))
#else
#define MPOOL_PUBLIC
#endif

/* Types that a letter may stand for. A pointer that s may take may also be bytes. */
#define MPOOL_CLASS_INT    1  /* i u b: int, and what is promoted to it */
#define MPOOL_CLASS_LONG   2  /* x t: 64 bits; the length of S B r where size_t has 64 */
#define MPOOL_CLASS_DOUBLE 4  /* d */
#define MPOOL_CLASS_TEXT   8  /* s */
#define MPOOL_CLASS_BYTES  16 /* S B r */

/* → format, or a text that every function with a format refuses: classes[], which 0 ends, do not fit it. Valid until
 * the thread's next check. Any thread. */
MPOOL_PUBLIC const char *mpool_format_check(const char *format, const unsigned char *classes);

#ifdef __cplusplus
}
#endif

#if !defined(__cplusplus) && defined(__GNUC__) && __STDC_VERSION__ >= 201112L

#define MPOOL_HAS_FORMAT_CHECK 1

#if defined(__has_attribute)
#if __has_attribute(error)
extern void mpool_format_misfit_(void) __attribute__((error("the arguments do not fit the letters of the format")));
#define MPOOL_MISFIT_(f) (mpool_format_misfit_(), (f))
#endif
#endif

/* clang-format off */
#define MPOOL_CLASS_(a)                                                                                                \
    _Generic((a),                                                                                                      \
        bool: 1, char: 1, signed char: 1, unsigned char: 1, short: 1, unsigned short: 1, int: 1, unsigned: 1,          \
        long: sizeof(long) == 8 ? 2 : 1, unsigned long: sizeof(long) == 8 ? 2 : 1,                                     \
        long long: 2, unsigned long long: 2, float: 4, double: 4,                                                      \
        char *: 24, const char *: 24, void *: 24, const void *: 24, default: 16)
/* NULL is as good as "". */
#define MPOOL_TEXT_(f) ((const char *)_Generic((f), void *: "", default: (f)))
/* clang-format on */

/* The class that a plain letter wants; 0: none, or another kind of letter. */
#define MPOOL_WANTS_(c)                                                                                                \
    ((c) == 'i' || (c) == 'u' || (c) == 'b' ? 1 : (c) == 'x' || (c) == 't' ? 2 : (c) == 'd' ? 4 : (c) == 's' ? 8 : 0)

/* Constant expressions, as far as the compiler is concerned, if f is a literal: 0: it does not fit; 1: it does; 2: only
 * mpool_format_check() can tell. f[k] is the letter of argument a; rest: the same of the next ones. */
#define MPOOL_FIT_(f, k, a, rest)                                                                                      \
    (MPOOL_WANTS_((f)[k]) ? MPOOL_WANTS_((f)[k]) & MPOOL_CLASS_(a) ? (rest) : 0 : (f)[k] ? 2 : 0)
#define MPOOL_FIT_END_(f, k) ((f)[k] ? MPOOL_WANTS_((f)[k]) ? 0 : 2 : 1)

/* The list of the classes. */
#define MPOOL_LIST_(f, k, a, rest) (unsigned char)MPOOL_CLASS_(a), rest
#define MPOOL_LIST_END_(f, k)      0

/* m(f, 0, first, m(f, 1, second, … end(f, n))) */
#define MPOOL_EACH_1_(m, end, f, k, a)       m(f, k, a, end(f, k + 1))
#define MPOOL_EACH_2_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_1_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_3_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_2_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_4_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_3_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_5_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_4_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_6_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_5_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_7_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_6_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_8_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_7_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_9_(m, end, f, k, a, ...)  m(f, k, a, MPOOL_EACH_8_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_10_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_9_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_11_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_10_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_12_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_11_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_13_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_12_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_14_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_13_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_15_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_14_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_16_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_15_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_17_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_16_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_18_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_17_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_19_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_18_(m, end, f, k + 1, __VA_ARGS__))
#define MPOOL_EACH_20_(m, end, f, k, a, ...) m(f, k, a, MPOOL_EACH_19_(m, end, f, k + 1, __VA_ARGS__))

#define MPOOL_NTH_(                                                                                                    \
    f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, n, ...)              \
    n
#define MPOOL_EACH_(...)                                                                                               \
    MPOOL_NTH_(__VA_ARGS__, MPOOL_EACH_20_, MPOOL_EACH_19_, MPOOL_EACH_18_, MPOOL_EACH_17_, MPOOL_EACH_16_,            \
        MPOOL_EACH_15_, MPOOL_EACH_14_, MPOOL_EACH_13_, MPOOL_EACH_12_, MPOOL_EACH_11_, MPOOL_EACH_10_, MPOOL_EACH_9_, \
        MPOOL_EACH_8_, MPOOL_EACH_7_, MPOOL_EACH_6_, MPOOL_EACH_5_, MPOOL_EACH_4_, MPOOL_EACH_3_, MPOOL_EACH_2_,       \
        MPOOL_EACH_1_, , )
#define MPOOL_WHICH_(...)                                                                                              \
    MPOOL_NTH_(__VA_ARGS__, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_,            \
        MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_,            \
        MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_,            \
        MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_, MPOOL_FORMAT_MORE_,            \
        MPOOL_FORMAT_MORE_, MPOOL_FORMAT_ALONE_, )

#ifdef MPOOL_MISFIT_
#define MPOOL_CHECK_(fit, f, ...)                                                                                      \
    (__builtin_constant_p(fit) && (fit) == 1      ? (f)                                                                \
        : __builtin_constant_p(fit) && (fit) == 0 ? MPOOL_MISFIT_(f)                                                   \
                                                  : mpool_format_check(f, (const unsigned char[]){__VA_ARGS__}))
#else
#define MPOOL_CHECK_(fit, f, ...) mpool_format_check(f, (const unsigned char[]){__VA_ARGS__})
#endif

#define MPOOL_FORMAT_ALONE_(each, f) MPOOL_CHECK_(MPOOL_FIT_END_(MPOOL_TEXT_(f), 0), f, 0)
#define MPOOL_FORMAT_MORE_(each, f, ...)                                                                               \
    MPOOL_CHECK_(each(MPOOL_FIT_, MPOOL_FIT_END_, MPOOL_TEXT_(f), 0, __VA_ARGS__), f,                                  \
        each(MPOOL_LIST_, MPOOL_LIST_END_, f, 0, __VA_ARGS__)),                                                        \
        __VA_ARGS__
#define MPOOL_CALL_(which, ...) which(__VA_ARGS__)

/* A format and its arguments, checked. */
#define MPOOL_FORMAT_(...) MPOOL_CALL_(MPOOL_WHICH_(__VA_ARGS__), MPOOL_EACH_(__VA_ARGS__), __VA_ARGS__)

#endif
#endif
