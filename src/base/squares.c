#include "base/squares.h"

#include "base/clones.h"

LS_INLINE_BODY double sum_of(const float *x, int64_t count)
{
    double lane[16] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        LS_ASK_AHEAD(x + i);
#pragma omp simd
        for (int64_t j = 0; j < 16; j++)
            lane[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (int64_t j = 0; j < 16; j++)
        total += lane[j];
    for (; i < count; i++)
        total += (double)x[i] * (double)x[i];
    return total;
}

LS_INLINE_BODY void blocks_body(const float *x, int64_t count, double *block)
{
    for (int64_t at = 0; at < count; at += LS_SQUARES_BLOCK)
        block[at / LS_SQUARES_BLOCK] = sum_of(x + at, count - at < LS_SQUARES_BLOCK ? count - at : LS_SQUARES_BLOCK);
}
LS_CLONES(blocks, blocks_body, (const float *x, int64_t count, double *block), (x, count, block))

void ls_squares_blocks(const float *x, int64_t count, double *block) { blocks_clones[ls_isa()](x, count, block); }

LS_INLINE_BODY void squares_body(const float *x, int64_t count, double *sum) { *sum = sum_of(x, count); }
LS_CLONES(squares, squares_body, (const float *x, int64_t count, double *sum), (x, count, sum))

double ls_squares_of(const float *x, int64_t count)
{
    double sum;
    squares_clones[ls_isa()](x, count, &sum);
    return sum;
}

double ls_squares_total(const double *block, int64_t blocks)
{
    double lane[16] = {0}, total = 0; /* one chain of additions would wait for each */
    for (int64_t i = 0; i < blocks; i++)
        lane[i % 16] += block[i];
    for (int64_t j = 0; j < 16; j++)
        total += lane[j];
    return total;
}
