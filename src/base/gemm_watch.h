/* Which dense products are asked for, shape by shape: to time them alone, and hold a step against their sum.
 *
 *     LsGemmShape shape[64];
 *     ls_gemm_watch(shape, 64);
 *     ... one step ...
 *     int kinds = ls_gemm_watch_end();
 */
#ifndef LS_BASE_GEMM_WATCH_H
#define LS_BASE_GEMM_WATCH_H

#include "base/gemm.h"

typedef struct LsGemmShape {
    int64_t m, n, k;
    bool transpose_a, transpose_b, accumulate, c_float, bias;
    bool bfloat16; /* ls_gemm_bfloat16, else ls_gemm_float32 */
    bool alone;    /* from inside a parallel region: one thread each, several at a time */
    int64_t calls;
} LsGemmShape;

/* From now on products are counted in `shape`, the caller's, until it is full; nothing else changes. */
void ls_gemm_watch(LsGemmShape *shape, int room);

/* Ends that; the number of shapes. */
int ls_gemm_watch_end(void);

/* For those who make products: notes one. Costs nothing where nobody watches. */
extern bool ls_gemm_watched;
void ls_gemm_note_always(const LsGemm *gemm, bool bfloat16);

static inline void ls_gemm_note(const LsGemm *gemm, bool bfloat16)
{
    if (ls_gemm_watched)
        ls_gemm_note_always(gemm, bfloat16);
}

#endif
