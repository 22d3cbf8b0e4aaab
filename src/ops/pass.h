/* Gradients that pass through an op unchanged. */
#ifndef LS_OPS_PASS_H
#define LS_OPS_PASS_H

#include "ops/op_build.h"

/* y = a + b by one thread. y may be a or b. All: (count) */
LS_INLINE void ls_sum_row(const real *a, const real *b, real *y, int64_t count)
{
    int64_t i = 0;
    for (; i + LS_LANES <= count; i += LS_LANES)
        ls_store(y + i, ls_load(a + i) + ls_load(b + i));
    for (; i < count; i++)
        ls_store1(y + i, ls_load1(a + i) + ls_load1(b + i));
}

/* The same by all. */
LS_INLINE void ls_sum_of(const real *a, const real *b, real *y, int64_t count)
{
    int64_t piece = 2048;
#pragma omp parallel for schedule(static) if (count > 16384)
    for (int64_t from = 0; from < count; from += piece)
        ls_sum_row(a + from, b + from, y + from, count - from < piece ? count - from : piece);
}

/* Input i's gradient is the result's: written, added, or nothing to do where the one took over the other's memory. */
LS_INLINE void ls_pass_gradient(const LsNode *node, int i)
{
    if (!ls_wants(node, i))
        return;
    real *dx = node->in[i]->grad;
    const real *dy = node->out[0]->grad;
    int64_t count = node->out[0]->count;
    if (ls_adds(node, i)) {
        ls_sum_of(dx, dy, dx, count);
    } else if (dx != dy) {
        int64_t piece = 16384;
#pragma omp parallel for schedule(static) if (count > piece)
        for (int64_t from = 0; from < count; from += piece)
            memcpy(dx + from, dy + from, (size_t)(count - from < piece ? count - from : piece) * sizeof(real));
    }
}

#endif
