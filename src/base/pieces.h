/* Lengths cut into pieces. */
#ifndef LS_BASE_PIECES_H
#define LS_BASE_PIECES_H

#include <stdint.h>

static inline int64_t ls_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ls_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t ls_round_up(int64_t x, int64_t step) { return ls_ceil_div(x, step) * step; }

/* Pieces of equal size, at most `most`, each a multiple of `step`. */
static inline int64_t ls_even_piece(int64_t length, int64_t most, int64_t step)
{
    most = most < step ? step : most / step * step;
    return ls_round_up(ls_ceil_div(length, ls_ceil_div(length, most)), step);
}

#endif
