/* Short documents packed into samples. */
#ifndef LS_DATA_PACKING_H
#define LS_DATA_PACKING_H

#include "lockstep/base.h"

/* Which documents each sample holds: order[first[n]] .. order[first[n + 1] - 1] are those of sample n, in their own
 * order. Begins as {0}. */
typedef struct LsPacking {
    int64_t *order; /* (documents) */
    int64_t *first; /* (samples + 1) */
    int64_t samples;
} LsPacking;

/* Documents of length[i] steps, 1 .. room, into samples of at most `room`: the longest first, each into the sample in
 * which it leaves the least room (best fit decreasing). A function of the lengths alone. */
LsStatus ls_packing_new(int64_t documents, const int64_t *length, int64_t room, LsPacking *packing) LS_MUST_USE;
void ls_packing_free(LsPacking *packing);

#endif
