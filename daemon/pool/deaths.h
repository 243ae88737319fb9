/* What the supervisor keeps for the deaths of its children, past and to come. */
#pragma once

#include "daemon/pool/lane_reserve.h"
#include "daemon/pool/oom.h"
#include "daemon/pool/orphans.h"

struct deaths {
    struct oom oom;         /* was it the kernel that killed a worker? */
    struct orphans orphans; /* what tasks leave behind */
    struct lane_reserve lanes;
};
