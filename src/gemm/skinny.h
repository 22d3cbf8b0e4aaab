/* Products of up to LS_SKINNY_ROWS rows with a weight matrix: what generation runs. The time is that of reading the
 * weights once. */
#ifndef LS_GEMM_SKINNY_H
#define LS_GEMM_SKINNY_H

#include "gemm/kernel.h"

#define LS_SKINNY_ROWS 16

/* By tiles (AMX) for rows enough that these are faster, of weights in bfloat16 or 8 bits. Of floats that are not finite
 * NaN may come. */
#define LS_SKINNY_AMX_FROM 5
#define LS_SKINNY_AMX_ROWS 64

typedef enum LsSkinnyKind {
    LS_SKINNY_FLOAT32,          /* A, B, C and bias float */
    LS_SKINNY_BFLOAT16,         /* A, B and bias bfloat16; C bfloat16, or float with c_float */
    LS_SKINNY_INT8,             /* B int8, its row j times b_scale[j]; A, C and bias float */
    LS_SKINNY_INT8_OF_BFLOAT16, /* the same; A, C and bias as of LS_SKINNY_BFLOAT16 */
    LS_SKINNY_KINDS
} LsSkinnyKind;

static inline LsSkinnyKind ls_skinny_kind(const LsGemm *g)
{
    if (g->b_scale)
        return g->type == LS_GEMM_FLOAT32 ? LS_SKINNY_INT8 : LS_SKINNY_INT8_OF_BFLOAT16;
    return g->type == LS_GEMM_FLOAT32 ? LS_SKINNY_FLOAT32 : LS_SKINNY_BFLOAT16;
}

/* A as it stands, B transposed, of any type but double. */
static inline bool ls_skinny_lies(const LsGemm *g)
{
    return g->type != LS_GEMM_FLOAT64 && !g->transpose_a && g->transpose_b && !ls_gemm_has_runs(g);
}

#endif
