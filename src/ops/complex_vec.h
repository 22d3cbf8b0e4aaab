/* Vectors of complex numbers, real and imaginary parts in turn. */
#ifndef LS_OPS_COMPLEX_VEC_H
#define LS_OPS_COMPLEX_VEC_H

#include "ops/tile.h"

/* Each number's parts exchanged; its real, or imaginary, part in both places; the real, or imaginary, parts of two
 * vectors of numbers. (LS_ZIP_LOW and LS_ZIP_HIGH make numbers of two vectors of parts.) */
#if LS_LANE_COUNT == 16
#define LS_EACH(first, second)                                                                                         \
    first, second, first + 2, second + 2, first + 4, second + 4, first + 6, second + 6, first + 8, second + 8,         \
        first + 10, second + 10, first + 12, second + 12, first + 14, second + 14
#define LS_EVERY_OTHER(n)                                                                                              \
    n, n + 2, n + 4, n + 6, n + 8, n + 10, n + 12, n + 14, n + 16, n + 18, n + 20, n + 22, n + 24, n + 26, n + 28,     \
        n + 30
#elif LS_LANE_COUNT == 8
#define LS_EACH(first, second) first, second, first + 2, second + 2, first + 4, second + 4, first + 6, second + 6
#define LS_EVERY_OTHER(n) n, n + 2, n + 4, n + 6, n + 8, n + 10, n + 12, n + 14
#elif LS_LANE_COUNT == 4
#define LS_EACH(first, second) first, second, first + 2, second + 2
#define LS_EVERY_OTHER(n) n, n + 2, n + 4, n + 6
#else
#define LS_EACH(first, second) first, second
#define LS_EVERY_OTHER(n) n, n + 2
#endif
#define LS_PARTS_SWAPPED(a) __builtin_shufflevector(a, a, LS_EACH(1, 0))
#define LS_REAL_PARTS(a) __builtin_shufflevector(a, a, LS_EACH(0, 0))
#define LS_IMAGINARY_PARTS(a) __builtin_shufflevector(a, a, LS_EACH(1, 1))
#define LS_ALL_REAL(a, b) __builtin_shufflevector(a, b, LS_EVERY_OTHER(0))
#define LS_ALL_IMAGINARY(a, b) __builtin_shufflevector(a, b, LS_EVERY_OTHER(1))

/* x w, or x conj(w), number by number. */
LS_INLINE vacc ls_complex_product(vacc x, vacc w, bool conjugate)
{
    vacc sign = {0};
#pragma GCC unroll 16
    for (int i = 0; i < LS_LANE_COUNT; i++)
        sign[i] = (i % 2 == 0) != conjugate ? -1 : 1;
    return x * LS_REAL_PARTS(w) + LS_PARTS_SWAPPED(x) * (LS_IMAGINARY_PARTS(w) * sign);
}

#endif
