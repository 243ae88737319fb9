/* The size of chunks: see pace.h. */
#include "client/lib/pace.h"

#define TARGET_NS      2000000.0
#define SAMPLE_LEAST   1000000u /* ns; answers come in bursts, so shorter spans are unreliable */
#define GROWTH_MOST    4u       /* a sample may be a lucky one */
#define WEIGHT_OF_NEW  0.5
#define CHUNK_USER_MAX 1000000u /* the daemon's own limit */

void pace_init(struct pace *pace, uint32_t chunk)
{
    *pace = (struct pace){.chunk = chunk ? chunk : 1, .fixed = chunk != 0};
    if (pace->chunk > CHUNK_USER_MAX)
        pace->chunk = CHUNK_USER_MAX;
}

void pace_begin(struct pace *pace, uint64_t now_ns)
{
    pace->since_ns = now_ns;
}

void pace_answered(struct pace *pace, uint64_t items, uint64_t now_ns)
{
    if (pace->fixed)
        return;
    pace->items += items;
    pace->busy_ns += now_ns - pace->since_ns;
    pace->since_ns = now_ns;
    if (pace->busy_ns < SAMPLE_LEAST || pace->items == 0)
        return;
    double sample = (double)pace->busy_ns / (double)pace->items;
    if (pace->ns_per_item > 0)
        sample = WEIGHT_OF_NEW * sample + (1 - WEIGHT_OF_NEW) * pace->ns_per_item;
    pace->ns_per_item = sample;
    pace->busy_ns = 0;
    pace->items = 0;

    double fitting = TARGET_NS / sample;
    uint32_t most = pace->chunk < PACE_CHUNK_MAX / GROWTH_MOST ? pace->chunk * GROWTH_MOST : PACE_CHUNK_MAX;
    pace->chunk = fitting >= (double)most ? most : fitting < 1 ? 1 : (uint32_t)fitting;
}
