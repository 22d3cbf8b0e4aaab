/* The bfloat16 product: of panels, or where the machine has no instruction for it, operands widened to float, the float
 * product, C narrowed. */
#include "base/bfloat16.h"
#include "base/gemm.h"
#include "base/gemm_check.h"
#include "base/gemm_few.h"
#include "base/gemm_panel.h"
#include "base/gemm_space.h"

#include <string.h>

static void widen(float *to, const void *from, int64_t stride, int64_t rows, int64_t columns)
{
#pragma omp parallel for schedule(static) if (rows * columns > 16384)
    for (int64_t i = 0; i < rows; i++)
        ls_bfloat16_widen((const LsBfloat16 *)from + i * stride, to + i * columns, columns);
}

static void narrow(void *to, int64_t stride, const float *from, int64_t rows, int64_t columns)
{
#pragma omp parallel for schedule(static) if (rows * columns > 16384)
    for (int64_t i = 0; i < rows; i++)
        ls_bfloat16_round(from + i * columns, (LsBfloat16 *)to + i * stride, columns);
}

static LsStatus widened(const LsGemm *g)
{
    int64_t c_count = g->c_float ? 0 : g->m * g->n;
    LsGemmSpace *space = ls_gemm_space_take((g->m * g->k + g->k * g->n + c_count + g->n + 1) * (int64_t)sizeof(float));
    if (!space)
        return LS_RESOURCE;
    LsGemm wide = *g;
    float *a = space->data, *b = a + g->m * g->k, *c = b + g->k * g->n, *bias = c + c_count;
    wide.a = a, wide.lda = g->transpose_a ? g->m : g->k;
    wide.b = b, wide.ldb = g->transpose_b ? g->k : g->n;
    widen(a, g->a, g->lda, g->transpose_a ? g->k : g->m, wide.lda);
    widen(b, g->b, g->ldb, g->transpose_b ? g->n : g->k, wide.ldb);
    if (g->bias) {
        widen(bias, g->bias, g->n, 1, g->n);
        wide.bias = bias;
    }
    if (!g->c_float) {
        wide.c = c, wide.ldc = g->n, wide.finish = NULL;
        if (g->accumulate)
            widen(c, g->c, g->ldc, g->m, g->n);
    }
    LsStatus status = ls_gemm_float32(&wide);
    if (status == LS_OK && !g->c_float) {
        narrow(g->c, g->ldc, c, g->m, g->n);
        if (g->finish && g->n > 0) {
#pragma omp parallel for schedule(static)
            for (int64_t i = 0; i < g->m; i++)
                g->finish(g->self, i, 0, 1, g->n);
        }
    }
    ls_gemm_space_give(space);
    return status;
}

LsStatus ls_gemm_bfloat16(const LsGemm *g)
{
    LS_TRY(ls_gemm_check(g));
    if (ls_gemm_few_tile_usable(g, LS_FEW_BFLOAT16))
        return ls_gemm_few_tile(g, LS_FEW_BFLOAT16, NULL);
    if (ls_gemm_few_usable(g)) {
        ls_gemm_few(g, LS_FEW_BFLOAT16, NULL);
        return LS_OK;
    }
    const LsPanelKernel *panels = ls_panel_kernel();
    return panels && g->m > 0 && g->n > 0 && g->k > 0 ? ls_panel_gemm(g, panels) : widened(g);
}
