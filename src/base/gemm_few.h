/* Products of up to LS_FEW_ROWS rows with a weight matrix: what generation runs. The time is that of reading the
 * weights once. */
#ifndef LS_BASE_GEMM_FEW_H
#define LS_BASE_GEMM_FEW_H

#include "base/gemm.h"

#define LS_FEW_ROWS 16

typedef enum LsFewKind {
    LS_FEW_FLOAT32,         /* A, B, C and bias float */
    LS_FEW_BFLOAT16,        /* A, B and bias bfloat16; C bfloat16, or float with c_float */
    LS_FEW_INT8,            /* B int8, its row j times scale[j]; A, C and bias float */
    LS_FEW_INT8_OF_BFLOAT16, /* the same; A, C and bias as of LS_FEW_BFLOAT16 */
    LS_FEW_KINDS
} LsFewKind;

/* The machine has AVX-512, LOCKSTEP_ISA does not forbid it, and the product is one of few rows: A as it stands, B
 * transposed. */
bool ls_gemm_few_usable(const LsGemm *g);

/* C = A B^T (+ C, + bias), all columns, by all threads. scale: (n), for int8. An element's bits depend on k alone. */
void ls_gemm_few(const LsGemm *g, LsFewKind kind, const float *scale);

/* The same for rows enough that tiles (AMX) are faster: from LS_FEW_TILE_FROM to LS_FEW_TILE_ROWS, of weights in
 * bfloat16 or 8 bits. Ask first. An element's bits depend on k alone here too, but are not those of ls_gemm_few. Of
 * floats that are not finite NaN may come. LS_RESOURCE out of memory. */
#define LS_FEW_TILE_FROM 5
#define LS_FEW_TILE_ROWS 64
bool ls_gemm_few_tile_usable(const LsGemm *g, LsFewKind kind);
LsStatus ls_gemm_few_tile(const LsGemm *g, LsFewKind kind, const float *scale) LS_MUST_USE;

#endif
