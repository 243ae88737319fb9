/* What `mpool map` prints and counts for each item's outcome. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <mpool/client.h>

struct map_output {
    bool exec; /* results are exec.run's */
    bool json;
    bool sum;                       /* results are added up, not printed */
    uint64_t done, failed, stopped; /* stopped: ended by our own cancel */
    uint64_t unanswered;            /* items whose outcome was lost with the connection */
    int lost;                       /* the code of that loss; 0: not lost */
    int refused;                    /* the request fails for every item with this code, already reported; or 0 */
    bool cancelled;                 /* we have cancelled: E_CANCELLED is not a failure then */
    bool broken;                    /* a result could not be shown, already reported */
    int64_t total;                  /* --sum, while exact */
    double float_total;
    bool inexact; /* a float was among them, or int64 overflowed: use float_total */
};

/* text: the item as it was given, or NULL; refused: why it was never sent, or "". */
void map_output_item(
    struct map_output *output, const mpool_item *item, const char *text, size_t length, const char *refused);
/* The last line of --sum. */
void map_output_sum(const struct map_output *output);
