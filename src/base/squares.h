/* Sums of squares in double, in an order that depends on the place of a number alone: the norm of a gradient is the
 * same bits however its parts were shared out. NaN or infinite where a number is. */
#ifndef LS_BASE_SQUARES_H
#define LS_BASE_SQUARES_H

#include <stdint.h>

#define LS_SQUARES_BLOCK ((int64_t)256)

/* block[i]: the sum over x[i LS_SQUARES_BLOCK ...], the last one of what is left. On the calling thread. */
void ls_squares_blocks(const float *x, int64_t count, double *block);

/* The sum over x alone. On the calling thread. */
double ls_squares_of(const float *x, int64_t count);

/* Of such blocks in order. On the calling thread. */
double ls_squares_total(const double *block, int64_t blocks);

static inline int64_t ls_squares_count(int64_t count) { return (count + LS_SQUARES_BLOCK - 1) / LS_SQUARES_BLOCK; }

#endif
