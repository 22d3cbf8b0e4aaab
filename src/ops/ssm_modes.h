/* The modes of a diagonal state space: from its continuous parameters to the numbers that steps are computed with, and
 * the gradients back, in double.
 *
 *     A = -exp(A_log) + i A_im,  delta = exp(log_delta)
 *     zero-order hold   a = exp(delta A),  b = (a - 1) / A
 *     bilinear          a = (1 + delta A / 2) / (1 - delta A / 2),  b = delta / (1 - delta A / 2)
 *     w = 2 C b; of real A, which has no conjugate beside it, w = C b
 *
 * so that x_t = a x_{t-1} + u_t and y_t = Re(sum w x_t) + D u_t: the input's own factor B is 1, since only its product
 * with C counts. Gradients of complex numbers are dL/dRe + i dL/dIm; that of z in f(z) is conj(f'(z)) times that of
 * f. */
#ifndef LS_OPS_SSM_MODES_H
#define LS_OPS_SSM_MODES_H

#include "ops/op_build.h"

#include <complex.h>

enum { U, DELTA, A_LOG, A_IM, C_OUT, SKIP, STATE };

typedef double _Complex SsmNumber;

typedef struct SsmMode {
    SsmNumber rate, out; /* A, C */
    double delta, scale; /* 2 or 1 */
    SsmNumber a, b;
} SsmMode;

/* Mode n of channel e. */
static SsmMode ssm_mode(const LsNode *node, LsSsmRule rule, int64_t e, int64_t n)
{
    int64_t modes = node->in[A_LOG]->dim[1], at = e * modes + n;
    bool real_rate = !node->in[A_IM];
    const acc *log_delta = node->in[DELTA]->data, *a_log = node->in[A_LOG]->data, *out = node->in[C_OUT]->data;
    SsmMode m = {.delta = exp((double)log_delta[e]), .scale = real_rate ? 1 : 2};
    m.rate = -exp((double)a_log[at]) + (real_rate ? 0 : I * (double)((const acc *)node->in[A_IM]->data)[at]);
    m.out = real_rate ? (double)out[at] : (double)out[2 * at] + I * (double)out[2 * at + 1];
    SsmNumber z = m.delta * m.rate;
    if (rule == LS_SSM_ZOH) {
        m.a = cexp(z);
        /* (e^z - 1) / A, by its series where that would cancel */
        m.b = cabs(z) > 1e-4 ? (m.a - 1) / m.rate : m.delta * (1 + z / 2 * (1 + z / 3));
    } else {
        m.a = (1 + z / 2) / (1 - z / 2);
        m.b = m.delta / (1 - z / 2);
    }
    return m;
}

/* Gradients of a mode's parameters. */
typedef struct SsmModeGrad {
    double log_delta, a_log, a_im;
    SsmNumber out;
} SsmModeGrad;

/* of_a, of_w: those of a and w. */
static SsmModeGrad ssm_mode_grad(const SsmMode *m, LsSsmRule rule, SsmNumber of_a, SsmNumber of_w)
{
    SsmModeGrad grad = {.out = m->scale * of_w * conj(m->b)};
    SsmNumber of_b = m->scale * of_w * conj(m->out), z = m->delta * m->rate, of_z, of_rate = 0;
    double of_delta = 0;
    if (rule == LS_SSM_ZOH) {
        /* b = delta f(z), f(z) = (e^z - 1) / z: f' = (e^z - f) / z, by its series near 0 */
        SsmNumber f = m->b / m->delta, slope = cabs(z) > 1e-4 ? (m->a - f) / z : 0.5 + z / 3;
        of_z = conj(m->a) * of_a + m->delta * conj(slope) * of_b;
        of_delta = creal(conj(f) * of_b);
    } else {
        SsmNumber q = 1 / (1 - z / 2); /* a' = q^2, b' = delta q^2 / 2 */
        of_z = conj(q * q) * (of_a + m->delta / 2 * of_b);
        of_delta = creal(conj(q) * of_b);
    }
    of_delta += creal(conj(m->rate) * of_z);
    of_rate = m->delta * of_z;
    grad.log_delta = m->delta * of_delta;
    grad.a_log = creal(of_rate) * creal(m->rate);
    grad.a_im = cimag(of_rate);
    return grad;
}

#endif
