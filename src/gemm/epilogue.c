#include "gemm/epilogue.h"

static void add_bias(const LsGemm *g, int64_t i, int64_t j)
{
    int64_t at = i * g->ldc + j;
    if (g->type == LS_GEMM_FLOAT64) {
        ((double *)g->c)[at] += ((const double *)g->bias)[j];
        return;
    }
    float bias = g->type == LS_GEMM_FLOAT32 ? ((const float *)g->bias)[j]
                                            : ls_bfloat16_to_float(((const LsBfloat16 *)g->bias)[j]);
    if (ls_gemm_c_float(g))
        ((float *)g->c)[at] += bias;
    else
        ((LsBfloat16 *)g->c)[at] = ls_bfloat16_from_float(ls_bfloat16_to_float(((LsBfloat16 *)g->c)[at]) + bias);
}

void ls_gemm_finish(const LsGemm *g, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    for (int64_t i = row; g->bias && i < row + rows; i++)
        for (int64_t j = column; j < column + columns; j++)
            add_bias(g, i, j);
    if (g->finish)
        g->finish(g->self, row, column, rows, columns);
}

void ls_gemm_sum_row(const LsGemm *g, int64_t ranges, const float *partial, int64_t i)
{
    float *c = (float *)g->c + i * g->ldc;
    for (int64_t range = 1; range < ranges; range++) {
        const float *from = partial + ((range - 1) * g->m + i) * g->n;
        for (int64_t j = 0; j < g->n; j++)
            c[j] += from[j];
    }
    ls_gemm_finish(g, i, 0, 1, g->n);
}
