/* Checks of inputs, for `infer`. */
#ifndef LS_OPS_HAS_SHAPE_H
#define LS_OPS_HAS_SHAPE_H

#include "ops/op_build.h"

/* Whether x is of this type and shape, (a), (a, b) or (a, b, c). */
static inline bool ls_has_shape(const LsTensor *x, LsDtype dtype, int rank, int64_t a, int64_t b, int64_t c)
{
    return x->dtype == dtype && x->rank == rank && x->dim[0] == a && (rank < 2 || x->dim[1] == b) &&
           (rank < 3 || x->dim[2] == c);
}

#endif
