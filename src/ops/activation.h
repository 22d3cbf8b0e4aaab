/* The activations that a linear layer's epilogue can apply, and their slopes: vectors in, vectors out. */
#ifndef LS_OPS_ACTIVATION_H
#define LS_OPS_ACTIVATION_H

#include "lockstep/ops.h"
#include "ops/vec_math.h"

/* GPT-2's approximation: gelu(x) = x s, s = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3), as tanh(u) = 2 sigmoid(2 u) - 1. */
#define LS_GELU_2_ROOT_2_PI ((acc)1.5957691216057307118)
#define LS_GELU_CUBE ((acc)0.044715)
#define LS_ROOT_HALF ((acc)0.70710678118654752440)
#define LS_ROOT_HALF_OF_1_PI ((acc)0.39894228040143267794) /* 1 / sqrt(2 pi) */

LS_INLINE vacc ls_activate(LsActivation kind, vacc x)
{
    switch (kind) {
    case LS_GELU:
        return x * (acc)0.5 * (1 + ls_verf(x * LS_ROOT_HALF));
    case LS_GELU_TANH:
        return x * ls_vsigmoid(LS_GELU_2_ROOT_2_PI * x * (1 + LS_GELU_CUBE * x * x));
    case LS_SILU:
        return x * ls_vsigmoid(x);
    case LS_RELU:
        return ls_select(x > 0, x, x * 0); /* x * 0, not 0: NaN stays NaN */
    case LS_NO_ACTIVATION:
        break;
    }
    return x;
}

/* dy/dx at x. */
LS_INLINE vacc ls_activate_slope(LsActivation kind, vacc x)
{
    switch (kind) {
    case LS_GELU: /* Phi(x) + x phi(x) */
        return (acc)0.5 * (1 + ls_verf(x * LS_ROOT_HALF)) + x * LS_ROOT_HALF_OF_1_PI * ls_exp(x * x * (acc)-0.5);
    case LS_GELU_TANH: { /* s + x s (1 - s) d(2 u)/dx */
        vacc s = ls_vsigmoid(LS_GELU_2_ROOT_2_PI * x * (1 + LS_GELU_CUBE * x * x));
        return s + x * s * (1 - s) * LS_GELU_2_ROOT_2_PI * (1 + 3 * LS_GELU_CUBE * x * x);
    }
    case LS_SILU: {
        vacc s = ls_vsigmoid(x);
        return s + x * s * (1 - s);
    }
    case LS_RELU:
        return ls_select(x > 0, ls_splat(1), x * 0);
    case LS_NO_ACTIVATION:
        break;
    }
    return ls_splat(1);
}

#endif
