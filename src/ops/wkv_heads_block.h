/* One step of wkv_heads on a block of a head's state, forward and backward. The state is (N, N), keys by values; a
 * block is all keys by HEAD_VECTORS vectors of values, contiguous: (N, HEAD_WIDTH). Values do not meet in a head's
 * recurrence, so blocks are computed one by one; a block of every step of a chunk stays in the second-level cache. */
#ifndef LS_OPS_WKV_HEADS_BLOCK_H
#define LS_OPS_WKV_HEADS_BLOCK_H

#include "ops/vec_math.h"

enum { HEAD_VECTORS = 2 };
#define HEAD_WIDTH (HEAD_VECTORS * LS_LANES)

/* Sums over values, which belong to the inputs of a step. */
enum { SUM_W, SUM_K, SUM_R, SUM_A, SUM_B, SUMS };

/* The inputs of a step: (N) each by key, and the block's part of v and dy. */
typedef struct HeadStep {
    const acc *w, *k, *r, *a, *b;
    vacc v[HEAD_VECTORS], dy[HEAD_VECTORS];
} HeadStep;

/* S' = S diag(w) + (S a) b^T + v k^T, y = S' r (delta), or S' = S diag(w) + v k^T, y = S r. from: S, to: S', may be
 * the same. y, sa: S a; each HEAD_WIDTH values. */
LS_INLINE void head_forward(const HeadStep *x, int64_t size, bool delta, const acc *from, acc *to, acc *y, acc *sa)
{
    vacc out[HEAD_VECTORS] = {{0}}, mixed[HEAD_VECTORS] = {{0}};
    for (int64_t j = 0; delta && j < size; j++)
#pragma GCC unroll 2
        for (int i = 0; i < HEAD_VECTORS; i++)
            mixed[i] += ls_load_acc(from + j * HEAD_WIDTH + i * LS_LANES) * x->a[j];
    for (int64_t j = 0; j < size; j++)
#pragma GCC unroll 2
        for (int i = 0; i < HEAD_VECTORS; i++) {
            int64_t at = j * HEAD_WIDTH + i * LS_LANES;
            vacc before = ls_load_acc(from + at), after = before * x->w[j] + x->v[i] * x->k[j];
            if (delta)
                after += mixed[i] * x->b[j];
            out[i] += (delta ? after : before) * x->r[j];
            ls_store_acc(to + at, after);
        }
#pragma GCC unroll 2
    for (int i = 0; i < HEAD_VECTORS; i++) {
        ls_store_acc(y + i * LS_LANES, out[i]);
        if (delta)
            ls_store_acc(sa + i * LS_LANES, mixed[i]);
    }
}

/* With G = dL/dS' of what comes after the step:
 *
 *     delta:  G += dy r^T;  dv = G k,  dsa = G b;  dr = S'^T dy,  dk = G^T v,  db = G^T sa,  dw_j = sum_i G_ij S_ij,
 *             da = S^T dsa;  dL/dS = G diag(w) + dsa a^T
 *     else:   dv = G k;  dr = S^T dy,  dk = G^T v,  dw_j = sum_i G_ij S_ij;  dL/dS = G diag(w) + dy r^T
 *
 * g: G, becomes dL/dS. sums: (SUMS, N) vectors, whose lanes are still to be added. */
LS_INLINE void head_backward(const HeadStep *x, int64_t size, bool delta, const acc *before, const acc *after, acc *g,
                             const acc *sa, acc *dv, vacc *sums, int64_t stride)
{
    vacc to_v[HEAD_VECTORS] = {{0}}, to_sa[HEAD_VECTORS] = {{0}};
    for (int64_t j = 0; j < size; j++)
#pragma GCC unroll 2
        for (int i = 0; i < HEAD_VECTORS; i++) {
            int64_t at = j * HEAD_WIDTH + i * LS_LANES;
            vacc grad = ls_load_acc(g + at);
            if (delta) {
                grad += x->dy[i] * x->r[j];
                ls_store_acc(g + at, grad);
                to_sa[i] += grad * x->b[j];
            }
            to_v[i] += grad * x->k[j];
        }
    for (int64_t j = 0; j < size; j++) {
        vacc sum[SUMS] = {{0}};
#pragma GCC unroll 2
        for (int i = 0; i < HEAD_VECTORS; i++) {
            int64_t at = j * HEAD_WIDTH + i * LS_LANES;
            vacc grad = ls_load_acc(g + at), old = ls_load_acc(before + at);
            sum[SUM_W] += grad * old;
            sum[SUM_K] += grad * x->v[i];
            sum[SUM_R] += (delta ? ls_load_acc(after + at) : old) * x->dy[i];
            if (delta) {
                sum[SUM_A] += to_sa[i] * old;
                sum[SUM_B] += grad * ls_load_acc(sa + i * LS_LANES);
            }
            ls_store_acc(g + at, grad * x->w[j] + (delta ? to_sa[i] * x->a[j] : x->dy[i] * x->r[j]));
        }
        for (int q = 0; q < (delta ? SUMS : SUM_A); q++)
            sums[q * stride + j] = sum[q];
    }
#pragma GCC unroll 2
    for (int i = 0; i < HEAD_VECTORS; i++)
        ls_store_acc(dv + i * LS_LANES, to_v[i]);
}

#endif
