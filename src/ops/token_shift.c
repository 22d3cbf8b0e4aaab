/* y_t = x_{t-1}, y_0 zero or what the state holds: the token shift of RWKV (Peng et al. 2023, "RWKV: reinventing RNNs
 * for the Transformer era", section 3.1.1).
 *
 *     dL/dx_t = dL/dy_{t+1}; of the last step, what the state's end asks for */
#include "ops/op_build.h"

enum { ALONE = 16384 }; /* elements that one thread copies */

static bool carries_over(const LsNode *node) { return node->in[1] && node->in[1]->role == LS_ROLE_CARRY; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *state = node->in[1];
    if (x->rank != 3 || x->dtype != LS_REAL)
        return ls_node_fail(node, "token_shift: x %s must be (B, T, C)", ls_shape_text(x));
    if (state &&
        (state->rank != 2 || state->dtype != LS_REAL || state->dim[0] != x->dim[0] || state->dim[1] != x->dim[2]))
        return ls_node_fail(node, "token_shift: state %s does not fit x %s: it must be (B, C)", ls_shape_text(state),
                            ls_shape_text(x));
    return ls_node_output(node, LS_REAL, 3, x->dim) ? LS_OK : LS_RESOURCE;
}

/* Leaves the last row of every stream in the state's end. A state of decoding is its own end: read it before. */
static void store_last_rows(const LsNode *node)
{
    const LsTensor *x = node->in[0], *state = node->in[1];
    int64_t steps = x->dim[1], channels = x->dim[2];
    for (int64_t b = 0; state && b < x->dim[0]; b++)
        memcpy((real *)state->end->data + b * channels, (const real *)x->data + ((b + 1) * steps - 1) * channels,
               (size_t)channels * sizeof(real));
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    const LsTensor *x = node->in[0], *state = node->in[1];
    int64_t steps = x->dim[1], channels = x->dim[2], rows = x->dim[0] * steps;
    size_t bytes = (size_t)channels * sizeof(real);
    if (carries_over(node)) {
        store_last_rows(node);
        if (ls_over_ranks(run))
            LS_TRY(run->sequence->shift(run->sequence, state->end->data, state->data,
                                        state->count * (int64_t)sizeof(real), false));
    }
#pragma omp parallel for schedule(static) if (x->count > ALONE)
    for (int64_t i = 0; i < rows; i++) {
        real *y = (real *)node->out[0]->data + i * channels;
        if (i % steps)
            memcpy(y, (const real *)x->data + (i - 1) * channels, bytes);
        else if (state)
            memcpy(y, (const real *)state->data + i / steps * channels, bytes);
        else
            memset(y, 0, bytes);
    }
    if (!carries_over(node))
        store_last_rows(node);
    return LS_OK;
}

/* The gradient of the row before the first step belongs to the rank before, or to the segment before. */
static LsStatus give_first_rows(const LsNode *node, const LsRun *run)
{
    const LsTensor *x = node->in[0], *state = node->in[1];
    int64_t steps = x->dim[1], channels = x->dim[2];
    if (!carries_over(node) || !ls_wants(node, 1))
        return LS_OK;
    for (int64_t b = 0; b < x->dim[0]; b++)
        memcpy((real *)state->grad + b * channels, (const real *)node->out[0]->grad + b * steps * channels,
               (size_t)channels * sizeof(real));
    return ls_over_ranks(run) ? run->sequence->shift(run->sequence, state->grad, state->end->grad,
                                                     state->count * (int64_t)sizeof(real), true)
                              : LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    const LsTensor *x = node->in[0], *state = node->in[1];
    int64_t steps = x->dim[1], channels = x->dim[2], rows = x->dim[0] * steps;
    const real *dy = node->out[0]->grad, *end = carries_over(node) ? state->end->grad : NULL;
    LS_TRY(give_first_rows(node, run));
    if (!ls_wants(node, 0))
        return LS_OK;
    bool add = ls_adds(node, 0);
#pragma omp parallel for schedule(static) if (x->count > ALONE)
    for (int64_t i = 0; i < rows; i++) {
        real *dx = (real *)x->grad + i * channels;
        const real *from = (i + 1) % steps ? dy + (i + 1) * channels : end ? end + i / steps * channels : NULL;
        if (!from && !add)
            memset(dx, 0, (size_t)channels * sizeof(real));
        else if (from && !add)
            memcpy(dx, from, (size_t)channels * sizeof(real));
        for (int64_t j = 0; from && add && j < channels; j++)
            ls_store1(dx + j, ls_load1(dx + j) + ls_load1(from + j));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){0, 2 * count * sizeof(real)};
    *bwd = (LsCost){count, 3 * count * sizeof(real)};
}

/* ls_token_shift(g, x, state): x: (B, T, C); state: (B, C) of LS_REAL or NULL: the row before the first step and, at
 * the end, the last one (ls_state, ls_carry). -> (B, T, C) */
LS_BUILDER LsTensor *ls_token_shift(LsGraph *g, LsTensor *x, LsTensor *state)
{
    return ls_node(g, "token_shift", 2, (LsTensor *[]){x, state}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t dim[3];
        bool carry;
    } table[] = {{{1, 1, 1}}, {{3, 5, 7}}, {{2, 1, 19}, true}, {{2, 6, 33}, true}, {{2, 70, 130}}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    const int64_t *dim = table[which].dim;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, 3, dim);
    ls_token_shift(
        g, x, table[which].carry ? ls_case_carry(g, "state", LS_REAL, -2, 2, 2, (int64_t[]){dim[0], dim[2]}) : NULL);
    return true;
}

LS_OP(token_shift) = {
    .name = "token_shift",
    .formula = "y_t = x_{t-1}",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
};
