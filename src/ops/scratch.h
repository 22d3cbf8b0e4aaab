/* Blocks of an op's scratch memory. The layout is computed twice by the same calls: in `infer` with base NULL, to
 * count, and with the memory in forward and backward. */
#ifndef LS_OPS_SCRATCH_H
#define LS_OPS_SCRATCH_H

#include "ops/op_build.h"

#include "base/pieces.h"

/* The next `count` numbers, which begin on a cache line; *used: numbers so far, of which scratch is asked for in the
 * end. */
static inline acc *ls_scratch_block(acc *base, int64_t *used, int64_t count)
{
    acc *block = base ? base + *used : NULL;
    *used += ls_round_up(count, LS_ALIGN / (int64_t)sizeof(float));
    return block;
}

#endif
