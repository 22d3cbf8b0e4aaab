/* The list of arrays that a checkpoint holds besides the parameters. */
#ifndef LOCKSTEP_SAVED_H
#define LOCKSTEP_SAVED_H

#include "lockstep/tensor.h"

/* One entry: the optimiser's moments, running statistics, the states that streams carry from step to step, or a
 * procedure's replay memory. Plain data; the owner of the arrays makes the list. */
typedef struct LsSaved {
    const char *group; /* "optimizer/m" */
    /* one data set GROUP/NAME, float32, for each parameter of `layout`, from `value`, which is laid out as
     * layout->value; or, where layout is NULL, one data set GROUP of this shape */
    const LsParams *layout;
    float *value;
    int rank;
    int64_t dim[LS_MAX_RANK];
    /* a file of step 0 without it (an imported model) gives zeros; else it must be there */
    bool begins_as_zero;
} LsSaved;
#define LS_MAX_SAVED 12

#endif
