/* Vectors of the build's arithmetic type, on GCC's vector extensions: the same source for every instruction set and
 * type.
 *
 * In the build for bfloat16 `real` is a structure, so that the compiler refuses whatever takes it for a number: values
 * pass through the loads and stores here, which widen exactly and round to the nearest, ties to even (NaN stays NaN,
 * made quiet). */
#ifndef LS_SIMD_VEC_H
#define LS_SIMD_VEC_H

#include "lockstep/op_build.h"

#include "base/bfloat16.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(LS_BUILD_FLOAT64)
typedef int64_t ls_int;
typedef uint64_t ls_bits;
#else
typedef int32_t ls_int;
typedef uint32_t ls_bits;
#endif

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LS_VEC_BYTES 64
#elif defined(__AVX2__)
#define LS_VEC_BYTES 32
#else
#define LS_VEC_BYTES 16
#endif

#define LS_LANES ((int64_t)(LS_VEC_BYTES / sizeof(acc)))

typedef acc vacc __attribute__((vector_size(LS_VEC_BYTES)));
typedef ls_int vint __attribute__((vector_size(LS_VEC_BYTES)));
typedef ls_bits vbits __attribute__((vector_size(LS_VEC_BYTES))); /* for sums that may wrap */

LS_INLINE vacc ls_splat(acc v) { return v - (vacc){0}; }

/* Whole vectors of statistics (acc) from and to any address. */
LS_INLINE vacc ls_load_acc(const acc *x)
{
    vacc v;
    memcpy(&v, x, sizeof v);
    return v;
}
LS_INLINE void ls_store_acc(acc *x, vacc v) { memcpy(x, &v, sizeof v); }
LS_INLINE vacc ls_load_acc_part(const acc *x, int64_t n)
{
    vacc v = {0};
    memcpy(&v, x, (size_t)n * sizeof(acc));
    return v;
}
LS_INLINE void ls_store_acc_part(acc *x, vacc v, int64_t n) { memcpy(x, &v, (size_t)n * sizeof(acc)); }

#ifndef LS_BUILD_FLOAT64
/* As many bfloat16 as a vector has floats, widened and rounded. */
typedef uint16_t ls_halves __attribute__((vector_size(LS_VEC_BYTES / 2)));

/* (GCC makes two halves and joins them where one instruction does it, so that one is named.) */
LS_INLINE vacc ls_widen(ls_halves h)
{
#if defined(__AVX512F__)
    return (vacc)((vbits)_mm512_cvtepu16_epi32((__m256i)h) << 16);
#elif defined(__AVX2__)
    return (vacc)((vbits)_mm256_cvtepu16_epi32((__m128i)h) << 16);
#else
    return (vacc)(__builtin_convertvector(h, vbits) << 16);
#endif
}
LS_INLINE ls_halves ls_narrow(vacc v)
{
#if defined(__AVX512BF16__)
    return (ls_halves)_mm512_cvtneps_pbh((__m512)v);
#else
    vbits bits = (vbits)v, rounded = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000;
    vbits nan = (vbits)(v != v), kept = ((rounded & ~nan) | (quiet & nan)) >> 16;
#if defined(__AVX512F__)
    return (ls_halves)_mm512_cvtepi32_epi16((__m512i)kept);
#else
    return __builtin_convertvector(kept, ls_halves);
#endif
#endif
}
#endif

/* Activations (real): a whole vector; one in every lane; the first n < LS_LANES lanes with the others zero, and
 * only those lanes written, for tails. */
#if defined(LS_BUILD_BFLOAT16)

LS_INLINE vacc ls_load(const real *x)
{
    ls_halves h;
    memcpy(&h, x, sizeof h);
    return ls_widen(h);
}
LS_INLINE void ls_store(real *x, vacc v)
{
    ls_halves h = ls_narrow(v);
    memcpy(x, &h, sizeof h);
}
LS_INLINE vacc ls_load_splat(const real *x) { return (vacc)((x->bits - (vbits){0}) << 16); }
LS_INLINE vacc ls_load_part(const real *x, int64_t n)
{
    ls_halves h = {0};
    memcpy(&h, x, (size_t)n * sizeof(real));
    return ls_widen(h);
}
LS_INLINE void ls_store_part(real *x, vacc v, int64_t n)
{
    ls_halves h = ls_narrow(v);
    memcpy(x, &h, (size_t)n * sizeof(real));
}

#else

LS_INLINE vacc ls_load(const real *x) { return ls_load_acc(x); }
LS_INLINE void ls_store(real *x, vacc v) { ls_store_acc(x, v); }
LS_INLINE vacc ls_load_splat(const real *x) { return ls_splat(*x); }
LS_INLINE vacc ls_load_part(const real *x, int64_t n)
{
    vacc v = {0};
    for (int64_t i = 0; i < n; i++)
        v[i] = x[i];
    return v;
}
LS_INLINE void ls_store_part(real *x, vacc v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = v[i];
}

#endif

/* A number that vectors are multiplied by in inner loops. AVX-512 spreads it over the lanes as it is read; elsewhere
 * that is an instruction of its own, which memory for whole vectors saves. */
#if defined(__AVX512F__)
typedef acc ls_spread;
LS_INLINE ls_spread ls_spread_of(const real *x) { return ls_load1(x); }
#else
typedef vacc ls_spread;
LS_INLINE ls_spread ls_spread_of(const real *x) { return ls_load_splat(x); }
#endif

/* min(n, LS_LANES) lanes: whole vectors and tails in one loop. */
LS_INLINE vacc ls_load_upto(const real *x, int64_t n) { return n >= LS_LANES ? ls_load(x) : ls_load_part(x, n); }
LS_INLINE void ls_store_upto(real *x, vacc v, int64_t n)
{
    if (n >= LS_LANES)
        ls_store(x, v);
    else
        ls_store_part(x, v, n);
}
/* Lane by lane: mask ? yes : no, for a mask made by comparing vectors. */
LS_INLINE vacc ls_select(vint mask, vacc yes, vacc no) { return (vacc)((mask & (vint)yes) | (~mask & (vint)no)); }

/* Is some lane of a mask set? */
LS_INLINE bool ls_any(vint mask)
{
#if defined(__AVX512F__) && !defined(LS_BUILD_FLOAT64)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__) && !defined(LS_BUILD_FLOAT64)
    return _mm256_movemask_ps((__m256)mask) != 0;
#else
    ls_int any = 0;
    for (int64_t i = 0; i < LS_LANES; i++)
        any |= mask[i];
    return any != 0;
#endif
}

/* Lane by lane a < b ? a : b, and a > b ? a : b: where one is NaN, the second. (The instruction says just this.) */
#if defined(__AVX512F__) && !defined(LS_BUILD_FLOAT64)
LS_INLINE vacc ls_vmin(vacc a, vacc b) { return (vacc)_mm512_min_ps((__m512)a, (__m512)b); }
LS_INLINE vacc ls_vmax(vacc a, vacc b) { return (vacc)_mm512_max_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__) && !defined(LS_BUILD_FLOAT64)
LS_INLINE vacc ls_vmin(vacc a, vacc b) { return (vacc)_mm256_min_ps((__m256)a, (__m256)b); }
LS_INLINE vacc ls_vmax(vacc a, vacc b) { return (vacc)_mm256_max_ps((__m256)a, (__m256)b); }
#elif defined(__SSE2__) && !defined(LS_BUILD_FLOAT64)
LS_INLINE vacc ls_vmin(vacc a, vacc b) { return (vacc)_mm_min_ps((__m128)a, (__m128)b); }
LS_INLINE vacc ls_vmax(vacc a, vacc b) { return (vacc)_mm_max_ps((__m128)a, (__m128)b); }
#else
LS_INLINE vacc ls_vmin(vacc a, vacc b) { return ls_select(a < b, a, b); }
LS_INLINE vacc ls_vmax(vacc a, vacc b) { return ls_select(a > b, a, b); }
#endif

/* 1 / x for 2^-126 <= |x| <= 2^126, to 1 unit in the last place: division keeps AVX-512's units busy for longer than an
 * estimate of 14 bits and one step of Newton's. */
LS_INLINE vacc ls_reciprocal(vacc x)
{
#if defined(__AVX512F__) && !defined(LS_BUILD_FLOAT64)
    /* not rounded twice, whatever the compiler does */
    __m512 y = _mm512_rcp14_ps((__m512)x), rest = _mm512_fnmadd_ps((__m512)x, y, _mm512_set1_ps(1));
    return (vacc)_mm512_fmadd_ps(y, rest, y);
#else
    return (acc)1 / x;
#endif
}

/* Sum and maximum of the lanes, by halves: a fixed order. */
LS_INLINE vacc ls_swap_lanes(vacc v, int distance)
{
    vint from = {0};
#pragma GCC unroll 16
    for (int i = 0; i < (int)LS_LANES; i++)
        from[i] = i ^ distance;
    return __builtin_shuffle(v, from);
}
LS_INLINE acc ls_hsum(vacc v)
{
    if (LS_LANES > 8)
        v += ls_swap_lanes(v, 8 % LS_LANES);
    if (LS_LANES > 4)
        v += ls_swap_lanes(v, 4 % LS_LANES);
    if (LS_LANES > 2)
        v += ls_swap_lanes(v, 2 % LS_LANES);
    v += ls_swap_lanes(v, 1);
    return v[0];
}
LS_INLINE acc ls_hmax(vacc v)
{
    if (LS_LANES > 8)
        v = ls_vmax(v, ls_swap_lanes(v, 8 % LS_LANES));
    if (LS_LANES > 4)
        v = ls_vmax(v, ls_swap_lanes(v, 4 % LS_LANES));
    if (LS_LANES > 2)
        v = ls_vmax(v, ls_swap_lanes(v, 2 % LS_LANES));
    v = ls_vmax(v, ls_swap_lanes(v, 1));
    return v[0];
}

/* Lane i of the result is the sum of the lanes of v[i], for LS_LANES vectors: at every distance two vectors become one
 * whose lanes with that bit clear go on with the first's sums, the others with the second's. */
LS_INLINE vacc ls_join_lanes(vacc a, vacc b, int distance)
{
    vint near = {0}, far = {0};
#pragma GCC unroll 16
    for (int i = 0; i < (int)LS_LANES; i++) {
        int from = i & distance ? i + (int)LS_LANES : i; /* lanes of b count from LS_LANES */
        near[i] = from;
        far[i] = from ^ distance;
    }
    return __builtin_shuffle(a, b, near) + __builtin_shuffle(a, b, far);
}
LS_INLINE vacc ls_hsums(const vacc *v)
{
    vacc w[LS_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < (int)LS_LANES; i++)
        w[i] = v[i];
#define LS_JOIN_ALL(distance)                                                                                          \
    if (LS_LANES > (distance)) {                                                                                       \
        _Pragma("GCC unroll 8") for (int i = 0; i < (distance); i++) w[i] =                                            \
            ls_join_lanes(w[i], w[(i + (distance)) % LS_LANES], (distance) % LS_LANES);                                \
    }
    LS_JOIN_ALL(8)
    LS_JOIN_ALL(4)
    LS_JOIN_ALL(2)
    LS_JOIN_ALL(1)
#undef LS_JOIN_ALL
    return w[0];
}

#ifndef LS_BUILD_FLOAT64
/* 2^n p for t = n + 1.5 * 2^23: the low bits of t, which are n, added to p's exponent. */
LS_INLINE vacc ls_scale2(vacc p, vacc t) { return (vacc)((vbits)p + ((vbits)t << 23)); }

/* e^r - 1 for x = n ln 2 + r, |r| <= ln 2 / 2, with n as ls_scale2 takes it in *t; Remez polynomial; see ls_exp. */
LS_INLINE vacc ls_expm1_reduced(vacc x, vacc *t)
{
    const vacc shift = ls_splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    *t = x * 1.44269504f + shift;
    vacc n = *t - shift;
    vacc r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    vacc s = ls_splat(0.00138144649f);
    s = s * r + 0.00836878084f;
    s = s * r + 0.0416683927f;
    s = s * r + 0.166665196f;
    s = s * r + 0.49999994f;
    return s * (r * r) + r;
}
#endif

/* exp for x <= 88; somewhat quicker than ls_exp, which it is but for what that says of large x. */
LS_INLINE vacc ls_exp_small(vacc x)
{
#if defined(LS_BUILD_FLOAT64)
    for (int64_t i = 0; i < LS_LANES; i++)
        x[i] = exp(x[i]);
    return x;
#else
    vacc t, p = ls_expm1_reduced(x, &t) + 1.0f;
    p = ls_scale2(p, t);
    return (vacc)((vint)p & ~(x < -87.3365402f));
#endif
}

/* exp, whole range. Float: Cody and Waite's reduction x = n ln 2 + r, |r| <= ln 2 / 2, then e^r = 1 + r + r^2 s(r) with
 * a minimax s of degree 4 (error 3e-9), and n added to the exponent. At most 1.1 units in the last place; results below
 * the least normal float are 0, above the greatest infinite; NaN stays NaN. Double: the library's. */
LS_INLINE vacc ls_exp(vacc x)
{
#if defined(LS_BUILD_FLOAT64)
    return ls_exp_small(x);
#else
    return ls_select(x > 88.7228317f, ls_splat(INFINITY), ls_exp_small(x));
#endif
}

#endif
