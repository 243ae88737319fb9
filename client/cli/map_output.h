/* What `mpool map` prints for one item's end, and what it counts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <mpool/client.h>

struct map_output {
    bool exec; /* results are exec.run's */
    bool json;
    bool sum;                       /* results are added up, not printed */
    uint64_t done, failed, stopped; /* stopped: ended by our own cancel */
    uint64_t unanswered;            /* the connection was lost before their ends */
    int lost;                       /* with this code; 0: it was not */
    int refused;    /* what is asked of the daemon is hopeless for any item, which has been said; or 0 */
    bool cancelled; /* we have cancelled: E_CANCELLED is no failure then */
    bool broken;    /* a result could not be shown, which has been said */
    int64_t total;  /* --sum, while exact */
    double float_total;
    bool inexact; /* a float was among them, or the sum left int64: float_total holds */
};

/* text: the item as it was given, or NULL; refused: why it was never sent, or "". */
void map_output_item(
    struct map_output *output, const mpool_item *item, const char *text, size_t length, const char *refused);
/* The last line of --sum. */
void map_output_sum(const struct map_output *output);
