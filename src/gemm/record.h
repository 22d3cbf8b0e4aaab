/* Which dense products are asked for, shape by shape: to time them alone, and hold a step against their sum.
 *
 *     LsGemmShape shape[64];
 *     ls_gemm_record_begin(shape, 64);
 *     ... one step ...
 *     int kinds = ls_gemm_record_end();
 */
#ifndef LS_GEMM_RECORD_H
#define LS_GEMM_RECORD_H

#include "gemm/gemm.h"

typedef struct LsGemmShape {
    int64_t m, n, k;
    bool transpose_a, transpose_b, accumulate, c_float, bias;
    LsGemmType type;
    bool alone; /* from inside a parallel region: one thread each, several at a time */
    int64_t calls;
} LsGemmShape;

/* From now on products are counted in `shape`, the caller's, until it is full; nothing else changes. */
void ls_gemm_record_begin(LsGemmShape *shape, int room);

/* Ends that; the number of shapes. */
int ls_gemm_record_end(void);

/* For those who make products: notes one; nothing where nobody records. */
extern bool ls_gemm_recording;
void ls_gemm_record_always(const LsGemm *gemm);

static inline void ls_gemm_record(const LsGemm *gemm)
{
    if (ls_gemm_recording)
        ls_gemm_record_always(gemm);
}

#endif
