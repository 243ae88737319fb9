/* Durations, sizes and counts for people. Each writes at most `size` bytes including the terminating NUL and returns
 * `to`. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { HUMAN_SIZE = 24 }; /* room for any of them */

/* "850µs", "12.3ms", "4.2s", "3m12s", "2h05m", "3d04h" */
char *human_duration_us(char *to, size_t size, double us);
char *human_duration_ms(char *to, size_t size, uint64_t ms);
/* "812 KiB", "4.2 MiB" */
char *human_kib(char *to, size_t size, uint64_t kib);
/* "12.3k", "4.2M": at most five characters, for counters with a rate */
char *human_count(char *to, size_t size, double count);
/* "2024-05-04 13:04:05", local time */
char *human_time(char *to, size_t size, uint64_t unix_ms);
