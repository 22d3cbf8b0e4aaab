/* Depthwise causal convolution over time, each channel with its own K taps, as before Mamba's scan (Gu and Dao 2023,
 * section 3.4):
 *
 *     h_t = bias + sum_k w[k] x_{t-K+1+k},   y_t = act(h_t),   x before the first step zero, or from the state
 *
 * With g_t = dL/dy_t act'(h_t), h recomputed:
 *     dL/dx_t = sum_k w[k] g_{t+K-1-k},   dL/dw[k] = sum_t g_t x_{t-K+1+k},   dL/dbias = sum_t g_t
 *
 * Rows (time steps) are streamed in segments; a segment's backward recomputes the K - 1 rows of g that follow it. */
#include "ops/conv_rows.h"

typedef struct Conv {
    LsActivation activation;
} Conv;

enum { LEAST_ROWS = 32 };

static ConvShape shape_of(const LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1];
    ConvShape s = {.streams = x->dim[0], .steps = x->dim[1], .columns = x->dim[2]};
    s.channels = w->dim[0];
    s.taps = w->dim[1];
    s.clear = ls_partial_grad(node, 0) ? 0 : s.columns - s.channels;
    s.padded = (s.channels + 15) / 16 * 16; /* 16: a multiple of LS_LANES in every build */
    int64_t cuts = LS_REDUCE_CHUNKS / s.streams, most = (s.steps + LEAST_ROWS - 1) / LEAST_ROWS;
    cuts = cuts > most ? most : cuts;
    s.rows = cuts < 1 ? s.steps : (s.steps + cuts - 1) / cuts;
    s.rows = (s.rows + CONV_ROWS - 1) / CONV_ROWS * CONV_ROWS;
    s.cuts = (s.steps + s.rows - 1) / s.rows;
    s.segments = s.streams * s.cuts;
    s.groups = s.segments < LS_REDUCE_CHUNKS ? s.segments : LS_REDUCE_CHUNKS;
    return s;
}

/* Accumulators in scratch, in this order: taps by channel (K, padded), bias (padded); zeros (padded) of real; then for
 * each group in backward a ring of the last K rows of g (K, padded), the sums (K + 1, padded) and a row for what nobody
 * wants (padded). */
static acc *taps_of(const LsNode *node) { return node->scratch; }
static acc *bias_of(const LsNode *node, const ConvShape *s) { return taps_of(node) + s->taps * s->padded; }
static real *zeros_of(const LsNode *node, const ConvShape *s) { return (real *)(bias_of(node, s) + s->padded); }
static acc *ring_of(const LsNode *node, const ConvShape *s, int64_t group)
{
    return bias_of(node, s) + 2 * s->padded + group * (2 * s->taps + 2) * s->padded;
}
static acc *sums_of(const LsNode *node, const ConvShape *s, int64_t group)
{
    return ring_of(node, s, group) + s->taps * s->padded;
}
static real *waste_of(const LsNode *node, const ConvShape *s, int64_t group)
{
    return (real *)(sums_of(node, s, group) + (s->taps + 1) * s->padded);
}

/* The state is a carry: other parts of the time, maybe of other ranks, come before and after this one. */
static bool carries_over(const LsNode *node) { return node->in[3] && node->in[3]->role == LS_ROLE_CARRY; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2], *state = node->in[3];
    const Conv *conv = node->attr;
    if (x->rank != 3 || x->dtype != LS_REAL || w->rank != 2 || w->dtype != LS_REAL || x->dim[2] < w->dim[0] ||
        w->dim[1] > CONV_MOST_TAPS)
        return ls_node_fail(node,
                            "causal_conv: x %s does not fit w %s: x must be (B, T, at least E), w (E, K), K at most %d",
                            ls_shape_text(x), ls_shape_text(w), CONV_MOST_TAPS);
    if (bias && (bias->rank != 1 || bias->dim[0] != w->dim[0] || bias->dtype != LS_REAL))
        return ls_node_fail(node, "causal_conv: bias %s does not fit w %s: it must be (E)", ls_shape_text(bias),
                            ls_shape_text(w));
    if (state && (state->rank != 3 || state->dtype != LS_REAL || state->dim[0] != x->dim[0] ||
                  state->dim[1] != w->dim[1] - 1 || state->dim[2] != w->dim[0]))
        return ls_node_fail(node, "causal_conv: state %s does not fit x %s and w %s: it must be (B, K - 1, E)",
                            ls_shape_text(state), ls_shape_text(x), ls_shape_text(w));
    if (conv->activation != LS_NO_ACTIVATION && conv->activation != LS_SILU)
        return ls_node_fail(node, "causal_conv: its activation is none or silu");
    if (carries_over(node) && x->dim[1] < w->dim[1] - 1)
        return ls_node_fail(
            node,
            "causal_conv: a part of the sequence has %lld tokens, fewer than the %lld that the next one's convolution "
            "looks back: set a longer train.segment, or fewer train.sequence_ranks",
            (long long)x->dim[1], (long long)w->dim[1] - 1);
    ConvShape s = shape_of(node);
    node->scratch_forward = (s.taps + 2) * s.padded * (int64_t)sizeof(acc);
    node->scratch_backward = node->scratch_forward + s.groups * (2 * s.taps + 2) * s.padded * (int64_t)sizeof(acc);
    return ls_node_output(node, LS_REAL, 3, (int64_t[]){x->dim[0], x->dim[1], w->dim[0]}) ? LS_OK : LS_RESOURCE;
}

/* The lanes first, first + 2, ... of a and b one after the other, for first 0 or 1. */
LS_INLINE vacc lanes_of_two(vacc a, vacc b, int first)
{
    vint from = {0};
#pragma GCC unroll 16
    for (int i = 0; i < (int)LS_LANES; i++)
        from[i] = 2 * i + first; /* lanes of b count from LS_LANES */
    return __builtin_shuffle(a, b, from);
}

/* w: (E, 4) of LS_LANES channels, into four rows of `padded`: the square of 4 x LANES is turned by two perfect
 * shuffles. */
LS_INLINE void turn_four(const real *w, acc *to, int64_t padded)
{
    vacc v[4], half[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        v[i] = ls_load(w + i * LS_LANES);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        half[i] = lanes_of_two(v[2 * i], v[2 * i + 1], 0);
        half[2 + i] = lanes_of_two(v[2 * i], v[2 * i + 1], 1);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) { /* taps 0 and 2 from the even lanes, 1 and 3 from the odd ones */
        ls_store_acc(to + i * padded, lanes_of_two(half[2 * i], half[2 * i + 1], 0));
        ls_store_acc(to + (i + 2) * padded, lanes_of_two(half[2 * i], half[2 * i + 1], 1));
    }
}

static void prepare(const LsNode *node, const ConvShape *s)
{
    const real *w = node->in[1]->data, *bias = node->in[2] ? node->in[2]->data : NULL;
    int64_t whole = s->channels / LS_LANES * LS_LANES, e = 0;
    for (; s->taps == 4 && e < whole; e += LS_LANES)
        turn_four(w + e * 4, taps_of(node) + e, s->padded);
    for (; e < s->channels; e++)
        for (int64_t k = 0; k < s->taps; k++)
            taps_of(node)[k * s->padded + e] = ls_load1(w + e * s->taps + k);
    for (e = 0; e < whole; e += LS_LANES)
        ls_store_acc(bias_of(node, s) + e, bias ? ls_load(bias + e) : (vacc){0});
    for (; e < s->channels; e++)
        bias_of(node, s)[e] = bias ? ls_load1(bias + e) : 0;
    for (int64_t k = 0; k <= s->taps; k++)
        memset(taps_of(node) + k * s->padded + s->channels, 0, (size_t)(s->padded - s->channels) * sizeof(acc));
    memset(zeros_of(node, s), 0, (size_t)s->padded * sizeof(real));
}

/* row[k]: x_{t-K+1+k} of stream b, for the K rows that step t needs and those of the `more` steps after it; zeros
 * past the last step. */
static void rows_at(const LsNode *node, const ConvShape *s, int64_t b, int64_t t, int64_t more, const real **row)
{
    for (int64_t k = 0; k < s->taps + more; k++) {
        int64_t at = t - s->taps + 1 + k;
        if (at >= 0)
            row[k] =
                at >= s->steps ? zeros_of(node, s) : (const real *)node->in[0]->data + (b * s->steps + at) * s->columns;
        else if (node->in[3])
            row[k] = (const real *)node->in[3]->data + (b * (s->taps - 1) + at + s->taps - 1) * s->channels;
        else
            row[k] = zeros_of(node, s);
    }
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* The last K - 1 steps of state and x together. */
static void update_state(const LsNode *node, const ConvShape *s)
{
    size_t bytes = (size_t)s->channels * sizeof(real);
#pragma omp parallel for schedule(static) if (s->streams * s->taps * s->channels > 32768)
    for (int64_t b = 0; b < s->streams; b++) {
        const real *state = (const real *)node->in[3]->data + b * (s->taps - 1) * s->channels;
        real *end = (real *)node->in[3]->end->data + b * (s->taps - 1) * s->channels;
        for (int64_t i = 0; i < s->taps - 1; i++) {
            int64_t t = s->steps - s->taps + 1 + i;
            const real *from = t >= 0 ? (const real *)node->in[0]->data + (b * s->steps + t) * s->columns
                                      : state + (i + s->steps) * s->channels;
            memcpy(end + i * s->channels, from, bytes);
        }
    }
}

/* The rows before the first step, which the carry brings or the rank before this one has: they are its last, whatever
 * comes before. */
static LsStatus take_rows(const LsNode *node, const LsRun *run, const ConvShape *s)
{
    const LsTensor *state = node->in[3];
    if (!carries_over(node))
        return LS_OK;
    update_state(node, s);
    return ls_over_ranks(run) ? run->sequence->shift(run->sequence, state->end->data, state->data,
                                                     state->count * (int64_t)sizeof(real), false)
                              : LS_OK;
}

/* Steps from number t of stream b on. */
LS_INLINE void forward_block(const LsNode *node, const ConvShape *s, int64_t b, int64_t t, int64_t taps, int64_t rows,
                             LsActivation kind)
{
    const real *row[CONV_MOST_TAPS + 2 * CONV_ROWS];
    rows_at(node, s, b, t, 2 * rows - 1, row);
    real *y = (real *)node->out[0]->data + (b * s->steps + t) * s->channels;
    conv_forward_rows(s, row, taps_of(node), bias_of(node, s), y, taps, rows, kind);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    ConvShape s = shape_of(node);
    LsActivation kind = ((const Conv *)node->attr)->activation;
    int64_t blocks = (s.steps + CONV_ROWS - 1) / CONV_ROWS;
    prepare(node, &s);
    LS_TRY(take_rows(node, run, &s));
#pragma omp parallel for schedule(static) if (s.streams * s.steps * s.channels > 16384)
    for (int64_t i = 0; i < s.streams * blocks; i++) {
        int64_t b = i / blocks, t = i % blocks * CONV_ROWS, left = s.steps - t;
        if (s.taps == CONV_KNOWN_TAPS && kind == LS_SILU && left >= CONV_ROWS)
            forward_block(node, &s, b, t, CONV_KNOWN_TAPS, CONV_ROWS, LS_SILU);
        else
            for (int64_t end = t + (left < CONV_ROWS ? left : CONV_ROWS); t < end; t++)
                forward_block(node, &s, b, t, s.taps, 1, kind);
    }
    if (node->in[3] && !carries_over(node))
        update_state(node, &s);
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    ConvShape s = shape_of(node);
    const Conv *conv = node->attr;
    prepare(node, &s);
    LS_TRY(take_rows(node, run, &s));
    for (int64_t i = 0; i < s.streams * s.steps; i++) {
        const real *row[CONV_MOST_TAPS];
        rows_at(node, &s, i / s.steps, i % s.steps, 0, row);
        for (int64_t e = 0; e < s.channels; e++) {
            acc h = bias_of(node, &s)[e];
            for (int64_t k = 0; k < s.taps; k++)
                h += taps_of(node)[k * s.padded + e] * ls_load1(row[k] + e);
            if (conv->activation == LS_SILU)
                h = (acc)((double)h / (1 + exp(-(double)h)));
            ls_store1((real *)node->out[0]->data + i * s.channels + e, h);
        }
    }
    if (node->in[3] && !carries_over(node))
        update_state(node, &s);
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Steps first to end of stream b, and g of the K - 1 steps after them, with which the last gradients of x are complete.
 */
LS_INLINE void backward_segment(const LsNode *node, const ConvShape *s, int64_t segment, int64_t group, int64_t taps,
                                LsActivation kind)
{
    int64_t b = segment / s->cuts, first = segment % s->cuts * s->rows;
    int64_t end = first + s->rows < s->steps ? first + s->rows : s->steps;
    real *waste = waste_of(node, s, group);
    ConvBack r = {.ring = ring_of(node, s, group), .want = ls_wants(node, 0), .add = ls_adds(node, 0)};
    for (int64_t t = first, rows; t < (r.want ? end + taps - 1 : end); t += rows) {
        rows = taps == CONV_KNOWN_TAPS && (t >= end || t + CONV_ROWS <= end) ? CONV_ROWS : 1;
        r.t = t;
        r.sums = t < end ? sums_of(node, s, group) : NULL;
        rows_at(node, s, b, t, 2 * rows - 1, r.row);
        for (int64_t i = 0; i < 2 * rows; i++)
            r.dy[i] = t + i < s->steps ? (const real *)node->out[0]->grad + (b * s->steps + t + i) * s->channels
                                       : zeros_of(node, s);
        for (int64_t i = 0, at = t - taps + 1; r.want && i < rows; i++, at++) {
            bool own = at >= first && at < end;
            r.dx[i] = own ? (real *)node->in[0]->grad + (b * s->steps + at) * s->columns : waste;
            if (own && !r.add && s->clear > 0)
                memset(r.dx[i] + s->channels, 0, (size_t)s->clear * sizeof(real));
        }
        if (rows == CONV_ROWS)
            conv_backward_rows(s, &r, taps_of(node), bias_of(node, s), CONV_KNOWN_TAPS, CONV_ROWS, kind);
        else
            conv_backward_rows(s, &r, taps_of(node), bias_of(node, s), taps, 1, kind);
    }
}

/* The gradient of the rows before the first step, from g of the first K - 1 steps; it belongs to the last rows of the
 * rank before. */
static LsStatus give_rows(const LsNode *node, const LsRun *run, const ConvShape *s, LsActivation kind)
{
    LsTensor *state = node->in[3];
    if (!carries_over(node) || !ls_wants(node, 3))
        return LS_OK;
    ConvBack r = {.ring = ring_of(node, s, 0), .want = true};
    for (int64_t b = 0; b < s->streams; b++) {
        memset(r.ring, 0, (size_t)(s->taps * s->padded) * sizeof(acc));
        for (r.t = 0; r.t < s->taps - 1; r.t++) {
            rows_at(node, s, b, r.t, 1, r.row);
            r.dy[0] = r.dy[1] = (const real *)node->out[0]->grad + (b * s->steps + r.t) * s->channels;
            r.dx[0] = (real *)state->grad + (b * (s->taps - 1) + r.t) * s->channels;
            conv_backward_rows(s, &r, taps_of(node), bias_of(node, s), s->taps, 1, kind);
        }
    }
    return ls_over_ranks(run) ? run->sequence->shift(run->sequence, state->grad, state->end->grad,
                                                     state->count * (int64_t)sizeof(real), true)
                              : LS_OK;
}

/* Adds the gradients of the last K - 1 rows that come from the steps after the last one. */
static void add_rows(const LsNode *node, const ConvShape *s)
{
    if (!carries_over(node) || !ls_wants(node, 0))
        return;
    for (int64_t b = 0; b < s->streams; b++)
        for (int64_t i = 0; i < s->taps - 1; i++) {
            const real *from = (const real *)node->in[3]->end->grad + (b * (s->taps - 1) + i) * s->channels;
            real *to = (real *)node->in[0]->grad + (b * s->steps + s->steps - s->taps + 1 + i) * s->columns;
            for (int64_t e = 0; e < s->channels; e++)
                ls_store1(to + e, ls_load1(to + e) + ls_load1(from + e));
        }
}

/* Sums of the groups, in order, into the parameters' gradients. */
static void finish_sums(const LsNode *node, const ConvShape *s)
{
    acc *dw = ls_wants(node, 1) ? node->in[1]->grad : NULL, *dbias = ls_wants(node, 2) ? node->in[2]->grad : NULL;
#pragma omp parallel for schedule(static) if (s->groups * s->channels > 4096)
    for (int64_t e = 0; e < s->channels; e++)
        for (int64_t k = 0; k <= s->taps; k++) {
            acc *to = k < s->taps ? (dw ? dw + e * s->taps + k : NULL) : (dbias ? dbias + e : NULL), sum = 0;
            if (!to)
                continue;
            for (int64_t group = 0; group < s->groups; group++)
                sum += sums_of(node, s, group)[k * s->padded + e];
            *to = ls_adds(node, k < s->taps ? 1 : 2) ? *to + sum : sum;
        }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    ConvShape s = shape_of(node);
    LsActivation kind = ((const Conv *)node->attr)->activation;
    prepare(node, &s);
    LS_TRY(give_rows(node, run, &s, kind));
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t group = 0; group < s.groups; group++) {
        memset(sums_of(node, &s, group), 0, (size_t)((s.taps + 1) * s.padded) * sizeof(acc));
        for (int64_t i = group * s.segments / s.groups; i < (group + 1) * s.segments / s.groups; i++) {
            if (s.taps == CONV_KNOWN_TAPS && kind == LS_SILU)
                backward_segment(node, &s, i, group, CONV_KNOWN_TAPS, LS_SILU);
            else
                backward_segment(node, &s, i, group, s.taps, kind);
        }
    }
    add_rows(node, &s);
    finish_sums(node, &s);
    return LS_OK;
}

static bool grad_columns(const LsNode *node, int i, int64_t *first, int64_t *count)
{
    *first = 0;
    *count = node->in[1]->dim[0];
    return i == 0;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count, taps = (double)node->in[1]->dim[1];
    double act = ((const Conv *)node->attr)->activation == LS_SILU ? 20 : 0;
    *fwd = (LsCost){(2 * taps + act) * count, 2 * count * sizeof(real)};
    *bwd = (LsCost){(6 * taps + act) * count, 3 * count * sizeof(real)};
}

/* ls_causal_conv(g, x, w, bias, state, activation): x: (B, T, at least E), of which the first E columns are convolved,
 * so that it may be a packed result of one linear layer (the gradient of the others is zero); w: (E, K) and bias: (E)
 * or NULL, parameters; state: (B, K - 1, E) of LS_REAL or NULL: the inputs before the first step and the last ones
 * (ls_state, ls_carry); activation: LS_NO_ACTIVATION or LS_SILU. -> (B, T, E) */
LS_BUILDER LsTensor *ls_causal_conv(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, LsTensor *state,
                                    LsActivation activation)
{
    return ls_node(g, "causal_conv", 4, (LsTensor *[]){x, w, bias, state}, &(Conv){activation}, sizeof(Conv));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t streams, steps, columns, channels, taps;
        bool bias, state, silu, carry;
    } table[] = {{1, 1, 1, 1, 1, true, false, true},
                 {2, 7, 5, 5, 4, true, false, true},
                 {3, 5, 40, 19, 4, true, false, false},
                 {1, 70, 17, 17, 3, false, false, true},
                 {2, 3, 6, 3, 5, true, false, true},
                 {1, 130, 33, 20, 2, true, false, true},
                 {2, 1, 36, 18, 4, true, true, true},
                 {2, 2, 18, 18, 4, false, true, false},
                 {1, 9, 5, 5, 4, true, false, true, true},
                 {2, 5, 9, 7, 4, true, false, true, true},
                 {1, 70, 20, 20, 3, false, false, false, true},
                 {1, 3, 3, 3, 4, true, false, true, true},
                 {2, 70, 21, 18, 4, true, false, true},
                 {1, 41, 20, 19, 4, false, false, true, true},
                 {1, 67, 3, 3, CONV_MOST_TAPS, true, false, true}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    int64_t b = table[which].streams, e = table[which].channels, k = table[which].taps;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, 3, (int64_t[]){b, table[which].steps, table[which].columns});
    LsTensor *w = ls_case_param(g, "w", 0, -1, 1, 2, (int64_t[]){e, k});
    LsTensor *bias = table[which].bias ? ls_case_param(g, "bias", 0, -1, 1, 1, &e) : NULL;
    LsTensor *state = table[which].state ? ls_case_state(g, "conv", LS_REAL, -2, 2, 3, (int64_t[]){b, k - 1, e}) : NULL;
    if (table[which].carry)
        state = ls_case_carry(g, "conv", LS_REAL, -2, 2, 3, (int64_t[]){b, k - 1, e});
    ls_causal_conv(g, x, w, bias, state, table[which].silu ? LS_SILU : LS_NO_ACTIVATION);
    return true;
}

LS_OP(causal_conv) = {
    .name = "causal_conv",
    .formula = "y_t = act(bias + sum_k w[k] x_{t-K+1+k})",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .grad_columns = grad_columns,
    .saves_in = 7,
    .param_in = 6,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    .bf16_ulps = 1, /* with a carry the gradient of the last rows is stored, then added to */
};
