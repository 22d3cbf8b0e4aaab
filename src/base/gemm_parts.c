#include "base/gemm_parts.h"

void ls_gemm_finish(const LsGemm *g, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    if (g->bias) {
        const float *bias = (const float *)g->bias + column;
        for (int64_t i = row; i < row + rows; i++)
            for (int64_t j = 0; j < columns; j++)
                ((float *)g->c)[i * g->ldc + column + j] += bias[j];
    }
    if (g->finish)
        g->finish(g->self, row, column, rows, columns);
}

void ls_gemm_sum_row(const LsGemm *g, int64_t ranges, const float *parts, int64_t i)
{
    float *c = (float *)g->c + i * g->ldc;
    for (int64_t range = 1; range < ranges; range++) {
        const float *part = parts + ((range - 1) * g->m + i) * g->n;
        for (int64_t j = 0; j < g->n; j++)
            c[j] += part[j];
    }
    ls_gemm_finish(g, i, 0, 1, g->n);
}
