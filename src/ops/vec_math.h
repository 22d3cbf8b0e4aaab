/* Elementary functions of vectors, beside ls_exp of vec.h.
 *
 * Float: polynomials fitted by Remez exchange with the stated weight (tests/fixtures/minimax.py makes them again); the
 * errors, in units in the last place of the result (ulp), are what tests/test_vec_math.c holds them to on every
 * instruction set. Results below the least normal float may be 0. Double: the library's, lane by lane.
 */
#ifndef LS_OPS_VEC_MATH_H
#define LS_OPS_VEC_MATH_H

#include "simd/vec.h"

/* |x|, and |x| with the sign of another vector. */
LS_INLINE vacc ls_abs(vacc x) { return (vacc)((vint)x & ~(vint)ls_splat((acc)-0.0)); }
LS_INLINE vacc ls_copysign(vacc x, vacc sign)
{
    const vint bit = (vint)ls_splat(-0.0f);
    return (vacc)(((vint)x & ~bit) | ((vint)sign & bit));
}

/* Products from here on need nothing of what ls_decay_of does for ones far below. */
#define LS_DECAY_FAR (-64)

#if defined(LS_BUILD_FLOAT64)

#define LS_LANEWISE(name, function)                                                                                    \
    LS_INLINE vacc name(vacc x)                                                                                        \
    {                                                                                                                  \
        for (int64_t i = 0; i < LS_LANES; i++)                                                                         \
            x[i] = function(x[i]);                                                                                     \
        return x;                                                                                                      \
    }
LS_LANEWISE(ls_decay, exp2)
LS_INLINE vacc ls_decay_of(vacc d, vacc rate, bool far)
{
    (void)far;
    return ls_decay(d * rate);
}
LS_LANEWISE(ls_vlog, log)
LS_LANEWISE(ls_vlog1p, log1p)
LS_LANEWISE(ls_log1p_unit, log1p)
LS_LANEWISE(ls_vtanh, tanh)
LS_LANEWISE(ls_verf, erf)

#else

/* 2^(d rate) for a product <= 0, as short as it can be, for recurrences. 1.9 ulp; 0 below about 2^-64, where nothing
 * is left of what decays and products with the result would be denormal, which processors are slow at. Where no
 * product is less than LS_DECAY_FAR, `far` may be false: the same bits in two instructions less. For a positive
 * product of 1 or more the result is undefined, NaN stays NaN.
 *
 * AVX-512: the product to the nearest 32nd, whose power is a table's entry with the integer part in the exponent,
 * and 2^r = 1 + r (c1 + c2 r), |r| <= 1/64, with the least relative error, 5.3e-8 (0.9 ulp, and a half each for the
 * entry and the sum). The entries are less by what the shifted index adds. AVX2: likewise to the nearest eighth, and
 * 2^r = 1 + r (c1 + c2 r + c3 r^2), |r| <= 1/16 (relative error 2.5e-8). Elsewhere: 2^r = 1 + r q(r), |r| <= 1/2,
 * minimax q of degree 5 (relative error 1e-8). */
#if defined(__AVX512F__)
LS_INLINE vacc ls_decay_of(vacc d, vacc rate, bool far)
{
    static const vbits low = {0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a,
                              0x3f79c3d3, 0x3f78f4f0, 0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043,
                              0x3f75fed7, 0x3f75a15b, 0x3f75583f, 0x3f7523f6};
    static const vbits high = {0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be,
                               0x3f76248c, 0x3f76a81e, 0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907,
                               0x3f7ac0c7, 0x3f7be4ba, 0x3f7d257d, 0x3f7e83b3};
    const vacc shift = ls_splat(393216.0f); /* 1.5 * 2^18: the last bits of a sum are a 32nd */
    vacc t = d * rate + shift;
    vacc r = d * rate - (t - shift);
    vbits power = (vbits)_mm512_permutex2var_ps((__m512)low, (__m512i)t, (__m512)high) + ((vbits)t << 18);
    vacc p = (r * 0.240228847f + 0.693157315f) * r;
    if (!far)
        return (vacc)_mm512_fmadd_ps((__m512)power, (__m512)p, (__m512)power);
    __mmask16 left = _mm512_cmp_ps_mask((__m512)t, (__m512)(shift - 64.5f), _CMP_NLT_UQ);
    return (vacc)_mm512_maskz_fmadd_ps(left, (__m512)power, (__m512)p, (__m512)power);
}
#elif defined(__AVX2__)
LS_INLINE vacc ls_decay_of(vacc d, vacc rate, bool far)
{
    static const vbits table = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
    const vacc shift = ls_splat(1572864.0f); /* 1.5 * 2^20: the last bits of a sum are an eighth */
    vacc t = d * rate + shift, n = t - shift;
    vacc r = d * rate - n;
    vacc power = (vacc)(__builtin_shuffle(table, (vbits)t) + ((vbits)t << 20));
    vacc q = (r * 0.0554962214f + 0.24025763f) * r + 0.693147214f;
    vacc p = power * r * q + power;
    /* n + r is the product again, but for an infinite one */
    return far ? (vacc)((vint)p & ~((n + r < -64.5f) | (n < -64.5f))) : p;
}
#else
LS_INLINE vacc ls_decay_of(vacc d, vacc rate, bool far)
{
    const vacc shift = ls_splat(12582912.0f);
    vacc x = d * rate, t = x + shift;
    vacc r = x - (t - shift);
    vacc q = ls_splat(0.000154035326f);
    q = q * r + 0.00133907353f;
    q = q * r + 0.00961823761f;
    q = q * r + 0.0555035733f;
    q = q * r + 0.240226492f;
    q = q * r + 0.693147182f;
    q = q * r + 1.0f;
    q = ls_scale2(q, t);
    return far ? (vacc)((vint)q & ~(t < 12582912.0f - 64)) : q;
}
#endif

/* 2^x for x <= 0: likewise. */
LS_INLINE vacc ls_decay(vacc x) { return ls_decay_of(x, ls_splat(1.0f), true); }

/* log(1 + m) for m in [-1/4, 1/2]: m - m^2 t(m), minimax t of degree 8 (relative error 5e-9). */
LS_INLINE vacc ls_log1p_reduced(vacc m)
{
    vacc t = ls_splat(0.0449100547f);
    t = t * m - 0.104483604f;
    t = t * m + 0.131622225f;
    t = t * m - 0.144820526f;
    t = t * m + 0.16647768f;
    t = t * m - 0.199906081f;
    t = t * m + 0.250000536f;
    t = t * m - 0.333334535f;
    t = t * m + 0.5f;
    return m - t * (m * m);
}

/* The number to subtract from the bits of a positive u so that u 2^-k lies in [3/4, 3/2): k in the exponent's place. */
LS_INLINE vint ls_exponent(vacc u) { return (vint)((vbits)u - 0x3f400000) & (vint)(ls_splat(-INFINITY)); }

/* k ln 2, for k in the exponent's place. */
LS_INLINE vacc ls_exponent_log(vint k) { return __builtin_convertvector(k, vacc) * (0.693147181f / 8388608); }

/* log x. 1.2 ulp, absolute error below 2^-24 near 1. log 0 = -inf, of negative numbers NaN, of inf inf. */
LS_INLINE vacc ls_vlog(vacc x)
{
    vint tiny = x < 1.17549435e-38f; /* denormal: scale up by 2^24 */
    vacc scaled = ls_select(tiny, x * 16777216.0f, x);
    vint k = ls_exponent(scaled);
    vacc y = ls_log1p_reduced((vacc)((vbits)scaled - (vbits)k) - 1.0f);
    y = y + ls_exponent_log((vint)((vbits)k - (vbits)(tiny & (24 << 23))));
    y = ls_select(x == INFINITY, x, y);
    y = ls_select(x == 0, ls_splat(-INFINITY), y);
    y = ls_select(x < 0, ls_splat(NAN), y);
    return ls_select(x == x, y, x);
}

/* log(1 + x), x >= 0 (or NaN): with 1 + x = 2^k (1 + m), m = 2^-k x + (2^-k - 1) without rounding 1 + x. 1.2 ulp. */
LS_INLINE vacc ls_vlog1p(vacc x)
{
    vint k = ls_exponent(x + 1.0f);
    vacc scale = (vacc)((vbits)ls_splat(4.0f) - (vbits)k); /* 4 * 2^-k, as 2^-k itself may be denormal */
    vacc m = (vacc)((vbits)x - (vbits)k) + (scale * 0.25f - 1.0f);
    vacc y = ls_log1p_reduced(m) + ls_exponent_log(k);
    return ls_select(x < INFINITY, y, x);
}

/* log(1 + x), 0 <= x <= 1 (or NaN): above 1/2, 1 + x = 2 (1 + m). */
LS_INLINE vacc ls_log1p_unit(vacc x)
{
    vint far = x >= 0.5f;
    vacc y = ls_log1p_reduced(ls_select(far, x * 0.5f - 0.5f, x));
    return y + (vacc)(far & (vint)ls_splat(0.693147181f));
}

/* tanh x = (e^2x - 1) / (e^2x + 1), with e^2x - 1 formed without cancellation; clamped where it rounds to 1. 2.6
 * ulp. */
LS_INLINE vacc ls_vtanh(vacc x)
{
    vacc y = ls_vmin(ls_splat(9.1f), ls_abs(x)) * 2.0f; /* NaN passes: it is the second */
    vacc t, p = ls_expm1_reduced(y, &t);
    vacc scale = ls_scale2(ls_splat(1.0f), t);
    vacc e = p * scale + (scale - 1.0f);
    return ls_copysign(e / (e + 2.0f), x);
}

/* erf x: x P(x^2) for |x| <= 1 (degree 6, 1.3e-9), and 1 - e^-Q(|x|) above (-log erfc, degree 7, weighted so that erf's
 * error is 3e-11). 2.6 ulp. */
LS_INLINE vacc ls_verf(vacc x)
{
    vacc a = ls_vmin(ls_splat(4.0f), ls_abs(x)), v = x * x;
    vacc p = ls_splat(7.85383963e-05f);
    p = p * v - 0.000801018672f;
    p = p * v + 0.00518832682f;
    p = p * v - 0.026853811f;
    p = p * v + 0.112835854f;
    p = p * v - 0.37612626f;
    p = p * v + 1.12837911f;
    vacc q = ls_splat(2.16975586e-05f);
    q = q * a - 0.00044147193f;
    q = q * a + 0.00420528091f;
    q = q * a - 0.0252103284f;
    q = q * a + 0.108422078f;
    q = q * a + 0.633216441f;
    q = q * a + 1.12958026f;
    q = q * a - 0.000188465536f;
    vacc far = ls_copysign(1.0f - ls_exp(-q), x);
    return ls_select(a <= 1.0f, x * p, far);
}

#endif

/* 1 / (1 + e^-x). 2.2 ulp where the result is normal; in float never below 2^-126. */
LS_INLINE vacc ls_vsigmoid(vacc x)
{
#if defined(LS_BUILD_FLOAT64)
    return (acc)1 / ((acc)1 + ls_exp(-x));
#else
    /* NaN passes: it is the second */
    return ls_reciprocal(1.0f + ls_exp_small(ls_vmin(ls_splat(87.3365402f), -x)));
#endif
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), with e = e^-|x| given. 1.8 ulp. */
LS_INLINE vacc ls_softplus_of(vacc x, vacc e) { return ls_vmax((vacc){0}, x) + ls_log1p_unit(e); }
LS_INLINE vacc ls_vsoftplus(vacc x) { return ls_softplus_of(x, ls_exp_small(-ls_abs(x))); }

#endif
