/* ls_philox for many counters at once: 64 random words of one key. */
#ifndef LS_OPS_PHILOX_H
#define LS_OPS_PHILOX_H

#include "simd/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Lanes of 64 bits; a multiplication reads their lower halves only, so that the upper ones may hold anything. */
typedef uint64_t ls_wide __attribute__((vector_size(LS_VEC_BYTES)));

LS_INLINE ls_wide ls_multiply_low_halves(ls_wide a, ls_wide b)
{
#if defined(__AVX512F__)
    return (ls_wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (ls_wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (ls_wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

enum { LS_PHILOX_BLOCKS = 16, LS_PHILOX_WIDE = LS_VEC_BYTES / 8 };

/* word[w][b] = word w of block (key, high, low + b), b = 0..15. low is a multiple of 16. */
LS_INLINE void ls_philox_blocks(uint64_t key, uint64_t high, uint64_t low, uint32_t word[4][LS_PHILOX_BLOCKS])
{
    for (int from = 0; from < LS_PHILOX_BLOCKS; from += 2 * LS_PHILOX_WIDE) {
        /* blocks of even and odd number, so that they interleave to whole vectors */
        ls_wide even[4], odd[4], first = {0};
        for (int i = 0; i < LS_PHILOX_WIDE; i++)
            first[i] = (uint64_t)(2 * i);
        even[0] = first + (low + (uint64_t)from); /* the carry into the upper half is no part of the word */
        odd[0] = even[0] + 1;
        even[1] = odd[1] = (low >> 32) - (ls_wide){0};
        even[2] = odd[2] = high - (ls_wide){0};
        even[3] = odd[3] = (high >> 32) - (ls_wide){0};
        ls_wide k0 = key - (ls_wide){0}, k1 = (key >> 32) - (ls_wide){0};
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            ls_wide p0 = ls_multiply_low_halves(even[0], 0xD2511F53u - (ls_wide){0});
            ls_wide p1 = ls_multiply_low_halves(even[2], 0xCD9E8D57u - (ls_wide){0});
            ls_wide q0 = ls_multiply_low_halves(odd[0], 0xD2511F53u - (ls_wide){0});
            ls_wide q1 = ls_multiply_low_halves(odd[2], 0xCD9E8D57u - (ls_wide){0});
            even[0] = (p1 >> 32) ^ even[1] ^ k0;
            even[2] = (p0 >> 32) ^ even[3] ^ k1;
            odd[0] = (q1 >> 32) ^ odd[1] ^ k0;
            odd[2] = (q0 >> 32) ^ odd[3] ^ k1;
            even[1] = p1;
            even[3] = p0;
            odd[1] = q1;
            odd[3] = q0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
#pragma GCC unroll 4
        for (int w = 0; w < 4; w++) {
            ls_wide both = (even[w] & 0xffffffffu) | odd[w] << 32;
            memcpy(word[w] + from, &both, sizeof both);
        }
    }
}

#endif
