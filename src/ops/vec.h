/* Vectors of the build's arithmetic type, on GCC's vector extensions: the same source for every instruction set and type. */
#ifndef LS_OPS_VEC_H
#define LS_OPS_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(LS_BUILD_FLOAT64)
typedef double real;
typedef double acc;
typedef int64_t ls_int;
#else
typedef float real;
typedef float acc;
typedef int32_t ls_int;
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

#define LS_INLINE static inline __attribute__((always_inline, unused))

LS_INLINE acc ls_load1(const real *x) { return (acc)*x; }
LS_INLINE void ls_store1(real *x, acc v) { *x = (real)v; }

LS_INLINE vacc ls_splat(acc v) { return v - (vacc){0}; }

/* Whole vectors from and to any address, of activations (real) and of statistics (acc). */
LS_INLINE vacc ls_load(const real *x)
{
    vacc v;
    memcpy(&v, x, sizeof v);
    return v;
}
LS_INLINE void ls_store(real *x, vacc v) { memcpy(x, &v, sizeof v); }
LS_INLINE vacc ls_load_acc(const acc *x)
{
    vacc v;
    memcpy(&v, x, sizeof v);
    return v;
}
LS_INLINE void ls_store_acc(acc *x, vacc v) { memcpy(x, &v, sizeof v); }

/* The first n lanes (n < LS_LANES), the others zero; and only those lanes written. For tails. */
LS_INLINE vacc ls_load_part(const real *x, int64_t n)
{
    vacc v = {0};
    for (int64_t i = 0; i < n; i++)
        v[i] = ls_load1(x + i);
    return v;
}
LS_INLINE void ls_store_part(real *x, vacc v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ls_store1(x + i, v[i]);
}
LS_INLINE vacc ls_load_acc_part(const acc *x, int64_t n)
{
    vacc v = {0};
    memcpy(&v, x, (size_t)n * sizeof(acc));
    return v;
}
LS_INLINE void ls_store_acc_part(acc *x, vacc v, int64_t n) { memcpy(x, &v, (size_t)n * sizeof(acc)); }

LS_INLINE vacc ls_select(vint mask, vacc yes, vacc no) { return (vacc)(((vint)yes & mask) | ((vint)no & ~mask)); }
LS_INLINE vacc ls_vmin(vacc a, vacc b) { return ls_select(a < b, a, b); }
LS_INLINE vacc ls_vmax(vacc a, vacc b) { return ls_select(a > b, a, b); }

/* Sum and maximum of the lanes, by halves: a fixed order. */
LS_INLINE acc ls_hsum(vacc v)
{
    acc lane[LS_LANES];
    memcpy(lane, &v, sizeof v);
    for (int64_t half = LS_LANES / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}
LS_INLINE acc ls_hmax(vacc v)
{
    acc lane[LS_LANES];
    memcpy(lane, &v, sizeof v);
    for (int64_t half = LS_LANES / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half; i++)
            lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
}

/* exp. Float: Cody and Waite's reduction x = n ln 2 + r, |r| <= ln 2 / 2, a minimax-like polynomial of degree 6 for e^r, and n
 * added to the exponent; below 2 units in the last place on [-87.3, 88.7], clamped outside (never 0, never infinite);
 * NaN stays NaN. Double: the library's. */
LS_INLINE vacc ls_exp(vacc x)
{
#if defined(LS_BUILD_FLOAT64)
    for (int64_t i = 0; i < LS_LANES; i++)
        x[i] = exp(x[i]);
    return x;
#else
    x = ls_select(x < -87.3f, ls_splat(-87.3f), x);
    x = ls_select(x > 88.7f, ls_splat(88.7f), x);
    const vacc shift = ls_splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    vacc t = x * 1.44269504f + shift;
    vacc n = t - shift;
    vacc r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    vacc p = ls_splat(1.0f / 720);
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (vacc)((vint)p + ((vint)t << 23));
#endif
}

#endif
