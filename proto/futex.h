/* The time that the futex system call takes. */
#pragma once

/* SYS_futex takes the kernel's old timespec, two longs, whatever the width of the C library's time_t. */
struct futex_time {
    long s;
    long ns;
};
