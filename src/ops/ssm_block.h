/* The diagonal state space's kernels on a vector of channels of one stream. Sums over the modes are made a few modes at
 * a time with their states in registers, and time runs inside. */
#ifndef LS_OPS_SSM_BLOCK_H
#define LS_OPS_SSM_BLOCK_H

#include "ops/op_build.h"

enum {
    SSM_CHUNK = 32,                        /* steps between kept states */
    SSM_GROUP = LS_VEC_BYTES == 64 ? 4 : 2 /* modes at a time: as many as registers hold */
};

/* Numbers of modes, each at [mode * padded] from the column's first channel: a and w of the steps, states. */
typedef struct SsmColumn {
    const acc *ar, *ai, *wr, *wi;
    int64_t modes, padded;
} SsmColumn;

typedef struct SsmGroup {
    vacc ar[SSM_GROUP], ai[SSM_GROUP], wr[SSM_GROUP], wi[SSM_GROUP], xr[SSM_GROUP], xi[SSM_GROUP];
} SsmGroup;

/* x: (2 modes, padded), real parts, then imaginary parts. */
LS_INLINE void ssm_load(const SsmColumn *k, int64_t n, int count, const acc *x, SsmGroup *g)
{
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        int64_t at = (n + i) * k->padded;
        g->ar[i] = ls_load_acc(k->ar + at);
        g->ai[i] = ls_load_acc(k->ai + at);
        g->wr[i] = ls_load_acc(k->wr + at);
        g->wi[i] = ls_load_acc(k->wi + at);
        g->xr[i] = ls_load_acc(x + at);
        g->xi[i] = ls_load_acc(x + at + k->modes * k->padded);
    }
}

LS_INLINE void ssm_store(const SsmColumn *k, int64_t n, int count, acc *x, const SsmGroup *g)
{
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) {
        ls_store_acc(x + (n + i) * k->padded, g->xr[i]);
        ls_store_acc(x + (n + i + k->modes) * k->padded, g->xi[i]);
    }
}

/* x_t = a x_{t-1} + u */
LS_INLINE void ssm_step(SsmGroup *g, int i, vacc u)
{
    vacc xr = g->ar[i] * g->xr[i] - g->ai[i] * g->xi[i] + u;
    g->xi[i] = g->ar[i] * g->xi[i] + g->ai[i] * g->xr[i];
    g->xr[i] = xr;
}

LS_INLINE void ssm_run_group(const SsmColumn *k, int64_t n, int count, int64_t steps, const vacc *u, vacc *y, acc *x)
{
    SsmGroup g;
    ssm_load(k, n, count, x, &g);
    for (int64_t t = 0; t < steps; t++) {
        vacc sum = y[t];
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            ssm_step(&g, i, u[t]);
            sum += g.wr[i] * g.xr[i] - g.wi[i] * g.xi[i];
        }
        y[t] = sum;
    }
    ssm_store(k, n, count, x, &g);
}

/* x from before the steps to after them; y_t += Re(sum w x_t). */
static inline void ssm_run(const SsmColumn *k, int64_t steps, const vacc *u, vacc *y, acc *x)
{
    int64_t n = 0;
    for (; n + SSM_GROUP <= k->modes; n += SSM_GROUP)
        ssm_run_group(k, n, SSM_GROUP, steps, u, y, x);
    for (; n < k->modes; n++)
        ssm_run_group(k, n, 1, steps, u, y, x);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* sums: (4 modes, padded): dL/da, real and imaginary parts, then dL/dw. */
LS_INLINE void ssm_add(const SsmColumn *k, int64_t n, int part, acc *sums, vacc v)
{
    acc *to = sums + (part * k->modes + n) * k->padded;
    ls_store_acc(to, ls_load_acc(to) + v);
}

LS_INLINE void ssm_back_group(const SsmColumn *k, int64_t n, int count, int64_t steps, const vacc *u, const vacc *dy,
                              vacc *du, const acc *x, acc *carry, acc *sums)
{
    vacc xr[SSM_CHUNK + 1][SSM_GROUP], xi[SSM_CHUNK + 1][SSM_GROUP], sum[4][SSM_GROUP];
    SsmGroup g;
    ssm_load(k, n, count, x, &g);
    for (int64_t t = 0; t <= steps; t++)
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            xr[t][i] = g.xr[i];
            xi[t][i] = g.xi[i];
            if (t < steps)
                ssm_step(&g, i, u[t]);
        }
    ssm_load(k, n, count, carry, &g);
#pragma GCC unroll 4
    for (int i = 0; i < count; i++)
        sum[0][i] = sum[1][i] = sum[2][i] = sum[3][i] = (vacc){0};
    for (int64_t t = steps - 1; t >= 0; t--) {
        vacc back = {0};
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) {
            /* dL/dx_t = conj(w) dy_t + conj(a) dL/dx_{t+1}, of which the second is the carry */
            vacc lr = g.wr[i] * dy[t] + g.xr[i], li = g.xi[i] - g.wi[i] * dy[t];
            sum[2][i] += dy[t] * xr[t + 1][i];
            sum[3][i] -= dy[t] * xi[t + 1][i];
            sum[0][i] += lr * xr[t][i] + li * xi[t][i];
            sum[1][i] += li * xr[t][i] - lr * xi[t][i];
            back += lr;
            g.xr[i] = g.ar[i] * lr + g.ai[i] * li;
            g.xi[i] = g.ar[i] * li - g.ai[i] * lr;
        }
        du[t] += back;
    }
    ssm_store(k, n, count, carry, &g);
#pragma GCC unroll 4
    for (int i = 0; i < count; i++)
        for (int part = 0; part < 4; part++)
            ssm_add(k, n + i, part, sums, sum[part][i]);
}

/* x: before the steps, at most SSM_CHUNK of them; carry: conj(a) dL/dx of the step after them, to that of the first;
 * du_t += Re(sum dL/dx_t). */
static inline void ssm_back(const SsmColumn *k, int64_t steps, const vacc *u, const vacc *dy, vacc *du, const acc *x,
                            acc *carry, acc *sums)
{
    int64_t n = 0;
    for (; n + SSM_GROUP <= k->modes; n += SSM_GROUP)
        ssm_back_group(k, n, SSM_GROUP, steps, u, dy, du, x, carry, sums);
    for (; n < k->modes; n++)
        ssm_back_group(k, n, 1, steps, u, dy, du, x, carry, sums);
}

/* The carry alone: a summary for the ranks before. */
static inline void ssm_back_summary(const SsmColumn *k, int64_t steps, const vacc *dy, acc *carry)
{
    for (int64_t n = 0; n < k->modes; n++) {
        SsmGroup g;
        ssm_load(k, n, 1, carry, &g);
        for (int64_t t = steps - 1; t >= 0; t--) {
            vacc lr = g.wr[0] * dy[t] + g.xr[0], li = g.xi[0] - g.wi[0] * dy[t];
            g.xr[0] = g.ar[0] * lr + g.ai[0] * li;
            g.xi[0] = g.ar[0] * li - g.ai[0] * lr;
        }
        ssm_store(k, n, 1, carry, &g);
    }
}

/* Of the kernel K_t = Re(sum w a^t), given dL/dK: dL/dw = sum_t dK_t conj(a^t), dL/da = conj(w) sum_t dK_t t
 * conj(a^(t-1)). dk: (steps) at every `stride`. */
static inline void ssm_kernel_back(const SsmColumn *k, int64_t steps, const acc *dk, int64_t stride, acc *sums)
{
    for (int64_t n = 0; n < k->modes; n++) {
        int64_t at = n * k->padded;
        vacc ar = ls_load_acc(k->ar + at), ai = ls_load_acc(k->ai + at), pr = ls_splat(1), pi = {0}, before_r = {0},
             before_i = {0}, dwr = {0}, dwi = {0}, sr = {0}, si = {0};
        for (int64_t t = 0; t < steps; t++) {
            vacc d = ls_load_acc(dk + t * stride), dt = d * (acc)t;
            dwr += d * pr;
            dwi -= d * pi;
            sr += dt * before_r;
            si -= dt * before_i;
            before_r = pr;
            before_i = pi;
            pr = ar * before_r - ai * before_i;
            pi = ar * before_i + ai * before_r;
        }
        vacc wr = ls_load_acc(k->wr + at), wi = ls_load_acc(k->wi + at);
        ssm_add(k, n, 0, sums, wr * sr + wi * si);
        ssm_add(k, n, 1, sums, wr * si - wi * sr);
        ssm_add(k, n, 2, sums, dwr);
        ssm_add(k, n, 3, sums, dwi);
    }
}

#endif
