/* The activations that a linear layer's epilogue can apply, and their slopes: vectors in, vectors out. */
#ifndef LS_OPS_ACTIVATION_H
#define LS_OPS_ACTIVATION_H

#include "lockstep/ops.h"
#include "ops/vec_math.h"

/* GPT-2's approximation: gelu(x) = x s, s = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3), as tanh(u) = 2 sigmoid(2
 * u) - 1. */
#define LS_GELU_2_ROOT_2_PI ((acc)1.5957691216057307118)
#define LS_GELU_CUBE ((acc)0.044715)
#define LS_ROOT_HALF ((acc)0.70710678118654752440)
#define LS_ROOT_HALF_OF_1_PI ((acc)0.39894228040143267794) /* 1 / sqrt(2 pi) */

/* Each activation NAME: act_NAME(x), its slope dy/dx at x, and both in the library's functions. */

LS_INLINE vacc act_gelu(vacc x) { return x * (acc)0.5 * (1 + ls_verf(x * LS_ROOT_HALF)); }

LS_INLINE vacc act_gelu_slope(vacc x) /* Phi(x) + x phi(x) */
{
    return (acc)0.5 * (1 + ls_verf(x * LS_ROOT_HALF)) + x * LS_ROOT_HALF_OF_1_PI * ls_exp(x * x * (acc)-0.5);
}

LS_INLINE double act_gelu_plain(double x) { return x * 0.5 * (1 + erf(x / sqrt(2))); }
LS_INLINE double act_gelu_slope_plain(double x)
{
    return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
}

LS_INLINE vacc act_gelu_tanh(vacc x) { return x * ls_vsigmoid(LS_GELU_2_ROOT_2_PI * x * (1 + LS_GELU_CUBE * x * x)); }

LS_INLINE vacc act_gelu_tanh_slope(vacc x) /* s + x s (1 - s) d(2 u)/dx */
{
    vacc s = ls_vsigmoid(LS_GELU_2_ROOT_2_PI * x * (1 + LS_GELU_CUBE * x * x));
    return s + x * s * (1 - s) * LS_GELU_2_ROOT_2_PI * (1 + 3 * LS_GELU_CUBE * x * x);
}

LS_INLINE double act_gelu_tanh_plain(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

LS_INLINE double act_gelu_tanh_slope_plain(double x)
{
    double c = sqrt(2 / acos(-1)), t = tanh(c * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
}

LS_INLINE vacc act_silu(vacc x) { return x * ls_vsigmoid(x); }

LS_INLINE vacc act_silu_slope(vacc x)
{
    vacc s = ls_vsigmoid(x);
    return s + x * s * (1 - s);
}

LS_INLINE double act_silu_plain(double x) { return x / (1 + exp(-x)); }
LS_INLINE double act_silu_slope_plain(double x) { return (1 + x / (1 + exp(x))) / (1 + exp(-x)); }

LS_INLINE vacc act_relu(vacc x) { return ls_select(x > 0, x, x * 0); } /* x * 0, not 0: NaN stays NaN */
LS_INLINE vacc act_relu_slope(vacc x) { return ls_select(x > 0, ls_splat(1), x * 0); }
LS_INLINE double act_relu_plain(double x) { return x > 0 ? x : 0 * x; }
LS_INLINE double act_relu_slope_plain(double x) { return x > 0 ? 1 : 0 * x; }

LS_INLINE vacc act_none(vacc x) { return x; }

LS_INLINE vacc act_none_slope(vacc x)
{
    (void)x;
    return ls_splat(1);
}

LS_INLINE double act_none_plain(double x) { return x; }

LS_INLINE double act_none_slope_plain(double x)
{
    (void)x;
    return 1;
}

/* The list that everything else is made from. */
#define LS_ACTIVATIONS(DO)                                                                                             \
    DO(LS_NO_ACTIVATION, none) DO(LS_GELU, gelu) DO(LS_GELU_TANH, gelu_tanh) DO(LS_SILU, silu) DO(LS_RELU, relu)

/* act(x) and dy/dx at x of a kind that the compiler knows: nothing is left of the choice. */
LS_INLINE vacc ls_activate(LsActivation kind, vacc x)
{
#define CHOOSE(entry, name) kind == entry ? act_##name(x):
    return LS_ACTIVATIONS(CHOOSE) x;
#undef CHOOSE
}

LS_INLINE vacc ls_activate_slope(LsActivation kind, vacc x)
{
#define CHOOSE(entry, name) kind == entry ? act_##name##_slope(x):
    return LS_ACTIVATIONS(CHOOSE) x;
#undef CHOOSE
}

#endif
