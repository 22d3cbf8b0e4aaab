/* Attention with relative positions, for models that have it. */
#ifndef LOCKSTEP_RELATIVE_H
#define LOCKSTEP_RELATIVE_H

#include "lockstep/ops.h"

/* Options of ls_relative_attention beside those of LsAttention, explained above its builder (src/ops/attention.c). An
 * option that is not set is NULL or 0. */
typedef struct LsRelative {
    LsTensor *table, *queries;
    int64_t first;
    bool values;
    LsTensor *seen;
} LsRelative;

#if !defined(LS_OP_BUILD) || defined(LS_OP_PRIMARY)
LsTensor *ls_relative_attention(LsGraph *g, LsTensor *q, const LsAttention *how, const LsRelative *relative);
#endif

#endif
