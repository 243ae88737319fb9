/* The table of pools, for `mpool pools` and `mpool status`. */
#pragma once

#include <mpool/client.h>

/* pools: what the daemon answered to "pools". Writes to stdout. */
void pools_print(const mpool_result *pools);
