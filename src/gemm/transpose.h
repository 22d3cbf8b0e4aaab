/* A square of (16, 16) units of 32 bits in registers. Only for files compiled for AVX-512. */
#ifndef LS_GEMM_SQUARE_H
#define LS_GEMM_SQUARE_H

#include <immintrin.h>

typedef __m512i LsSquare[16];

static inline __attribute__((always_inline)) void ls_transpose_16x16(LsSquare x)
{
    LsSquare u;
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++) {
        __m512i a = _mm512_unpacklo_epi32(x[4 * g], x[4 * g + 1]), b = _mm512_unpackhi_epi32(x[4 * g], x[4 * g + 1]);
        __m512i c = _mm512_unpacklo_epi32(x[4 * g + 2], x[4 * g + 3]),
                d = _mm512_unpackhi_epi32(x[4 * g + 2], x[4 * g + 3]);
        /* lane group L of u[4 g + c]: element 4 L + c of x[4 g] to x[4 g + 3] */
        u[4 * g] = _mm512_unpacklo_epi64(a, c);
        u[4 * g + 1] = _mm512_unpackhi_epi64(a, c);
        u[4 * g + 2] = _mm512_unpacklo_epi64(b, d);
        u[4 * g + 3] = _mm512_unpackhi_epi64(b, d);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        __m512i a = _mm512_shuffle_i32x4(u[c], u[4 + c], 0x44), b = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x44);
        __m512i d = _mm512_shuffle_i32x4(u[c], u[4 + c], 0xee), e = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xee);
        x[c] = _mm512_shuffle_i32x4(a, b, 0x88);
        x[4 + c] = _mm512_shuffle_i32x4(a, b, 0xdd);
        x[8 + c] = _mm512_shuffle_i32x4(d, e, 0x88);
        x[12 + c] = _mm512_shuffle_i32x4(d, e, 0xdd);
    }
}

#endif
