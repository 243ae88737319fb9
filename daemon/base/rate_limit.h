/* A token bucket: a budget that grows at a fixed rate up to a maximum. Zeroed: full. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/clock.h"

struct rate_limit {
    uint64_t left, filled_ns;
};

/* rate: per second, at least 1. burst: the maximum. reserve: must be left over. → whether cost was taken. */
static inline bool rate_limit_take(
    struct rate_limit *l, uint64_t rate, uint64_t burst, uint64_t cost, uint64_t reserve, uint64_t now_ns)
{
    uint64_t most_ns = burst * NS_PER_S / rate, passed_ns = now_ns - l->filled_ns;
    if (l->filled_ns == 0 || passed_ns >= most_ns) {
        l->left = burst;
        l->filled_ns = now_ns;
    } else {
        /* Advance the time only by whole units grown; otherwise frequent calls would keep the budget from growing. */
        uint64_t grown = passed_ns * rate / NS_PER_S;
        l->left = l->left + grown < burst ? l->left + grown : burst;
        l->filled_ns += grown * NS_PER_S / rate;
    }
    if (l->left < cost + reserve)
        return false;
    l->left -= cost;
    return true;
}
