/* The table of workers, for `mpool workers` and `mpool status`. */
#pragma once

#include <mpool/client.h>

/* workers: what the daemon answered to "workers". pool: only those of this pool, or NULL. Writes to stdout. */
void workers_print(const mpool_result *workers, const char *pool);
