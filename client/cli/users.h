/* Names of users, for people. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The name of a uid, or its digits. Writes at most `size` bytes including the terminating NUL and returns `to`. */
const char *users_name(uint64_t uid, char *to, size_t size);
