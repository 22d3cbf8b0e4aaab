/* Products with weights of 8 bits. Few rows of A read the weights as they stand; for many, blocks of them are widened,
 * each used for all rows of A while it is in the cache. */
#include "base/bfloat16.h"
#include "base/gemm.h"
#include "base/gemm_check.h"
#include "base/gemm_few.h"
#include "base/gemm_space.h"

/* Rows of B together: 256 of 3,072 are 3 MiB of floats, and enough columns of C for every thread. */
#define BLOCK 256

/* b: (rows, k) -> to: (rows, k), each times its scale. Every bfloat16 holds 8 bits exactly, but not their product with
 * the scale: it is rounded once. */
static void widen(void *to, const int8_t *b, int64_t stride, const float *scale, int64_t rows, int64_t k, bool bfloat16)
{
#pragma omp parallel for schedule(static) if (rows * k > 16384)
    for (int64_t j = 0; j < rows; j++)
        for (int64_t p = 0; p < k; p++) {
            float value = scale[j] * (float)b[j * stride + p];
            if (bfloat16)
                ((LsBfloat16 *)to)[j * k + p] = ls_bfloat16_from_float(value);
            else
                ((float *)to)[j * k + p] = value;
        }
}

typedef struct Shifted {
    const LsGemm *g;
    int64_t column;
} Shifted;

static void finish_shifted(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const Shifted *s = self;
    s->g->finish(s->g->self, row, s->column + column, rows, columns);
}

LsStatus ls_gemm_int8(const LsGemm *g, const float *scale, bool bfloat16)
{
    LS_TRY(ls_gemm_check(g));
    if (!g->transpose_b)
        return ls_fail(LS_ERROR, "a product with 8-bit weights wants them as (n, k)");
    if (ls_gemm_few_tile_usable(g, bfloat16 ? LS_FEW_INT8_OF_BFLOAT16 : LS_FEW_INT8))
        return ls_gemm_few_tile(g, bfloat16 ? LS_FEW_INT8_OF_BFLOAT16 : LS_FEW_INT8, scale);
    if (ls_gemm_few_usable(g)) {
        ls_gemm_few(g, bfloat16 ? LS_FEW_INT8_OF_BFLOAT16 : LS_FEW_INT8, scale);
        return LS_OK;
    }
    int64_t rows = g->n < BLOCK ? g->n : BLOCK;
    LsGemmSpace *space = ls_gemm_space_take(rows * g->k * (int64_t)sizeof(float) + 1);
    if (!space)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    for (int64_t j = 0; j < g->n && status == LS_OK; j += rows) {
        Shifted shifted = {g, j};
        LsGemm part = *g;
        part.n = g->n - j < rows ? g->n - j : rows;
        part.b = space->data, part.ldb = g->k;
        part.c = (char *)g->c + j * (bfloat16 && !g->c_float ? 2 : 4);
        part.bias = g->bias ? (const char *)g->bias + j * (bfloat16 ? 2 : 4) : NULL;
        part.finish = g->finish ? finish_shifted : NULL;
        part.self = &shifted;
        widen(space->data, (const int8_t *)g->b + j * g->ldb, g->ldb, scale + j, part.n, g->k, bfloat16);
        status = bfloat16 ? ls_gemm_bfloat16(&part) : ls_gemm_float32(&part);
    }
    ls_gemm_space_give(space);
    return status;
}
