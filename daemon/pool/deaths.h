/* The supervisor's bookkeeping for the exits of its children. */
#pragma once

#include "daemon/pool/lane_reserve.h"
#include "daemon/pool/oom.h"
#include "daemon/pool/orphans.h"

struct deaths {
    struct oom oom;         /* detects kills by the out-of-memory killer */
    struct orphans orphans; /* processes that tasks leave behind */
    struct lane_reserve lanes;
};
