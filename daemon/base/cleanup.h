/* Ownership by scope: attributes that free what a function still holds when it leaves.
 *
 * A resource is declared with _cleanup_(f); f runs when the scope ends, on every path. To keep a resource beyond the
 * scope, hand it on with TAKE(), which leaves an empty value behind. Cleaners accept the empty value. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Moves a pointer out of a variable that is cleaned up at scope exit. */
#define TAKE(p)                                                                                                        \
    __extension__({                                                                                                    \
        __auto_type take_value_ = (p);                                                                                 \
        (p) = NULL;                                                                                                    \
        take_value_;                                                                                                   \
    })

/* The same for a file descriptor, whose empty value is -1. */
#define TAKE_FD(fd)                                                                                                    \
    __extension__({                                                                                                    \
        int take_fd_ = (fd);                                                                                           \
        (fd) = -1;                                                                                                     \
        take_fd_;                                                                                                      \
    })

#define CONTAINER_OF(ptr, type, member)                                                                                \
    __extension__({                                                                                                    \
        __typeof__(((type *)0)->member) *container_ptr_ = (ptr);                                                       \
        (type *)(void *)((char *)container_ptr_ - offsetof(type, member));                                             \
    })

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* Closes and empties; preserves errno, so it may run between an error and its report. */
static inline void fd_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

static inline void cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}
