/* The products' own kernel for AVX-512: register tiles of 8 rows and up to 48 columns over packed blocks. */
#ifndef LS_BASE_GEMM_KERNEL_H
#define LS_BASE_GEMM_KERNEL_H

#include "base/gemm.h"

/* A rectangle of C, a range of k, and where the sums go. */
typedef struct LsGemmRegion {
    int64_t row, column, from;    /* the first */
    int64_t rows, columns, depth; /* how many, none of them 0 */
    float *c;                     /* of the rectangle's first element */
    int64_t ldc;
    bool add;      /* += */
    bool complete; /* this is the last range of k: add the bias and call finish */
} LsGemmRegion;

/* The machine has what the kernel needs, and LOCKSTEP_ISA does not forbid it. */
bool ls_gemm_kernel_usable(void);

/* Floats of packing space that ls_gemm_kernel needs, aligned to LS_ALIGN. */
int64_t ls_gemm_kernel_space(void);

/* One region of the product, on the calling thread. An element's bits depend on the range of k, not on where the
 * rectangles are cut. */
void ls_gemm_kernel(const LsGemm *g, const LsGemmRegion *region, float *space);

#endif
