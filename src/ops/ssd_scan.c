/* The state-space dual scan of Mamba-2 (Dao and Gu 2024, "Transformers are SSMs: generalized models and efficient
 * algorithms through structured state space duality", sections 6 and 7), with its discretisation and skip:
 *
 *     delta = clamp(softplus(raw + bias)),  A = -exp(A_log)
 *     h_t = exp(delta_t A) h_{t-1} + delta_t B_t x_t',   y_t = h_t' C_t + D x_t
 *
 * each head of P channels with its own A, D, delta and state h: (N, P), B and C shared by the heads of a group. Inside
 * a chunk of SSD_CHUNK steps the recurrence is multiplied out, to products of matrices (ssd_chunk.h; gradients in
 * ssd_backward.h):
 *
 *     y_t = L_t h' C_t + sum_{j <= t} L_tj (C_t . B_j) delta_j x_j + D x_t,   L_tj the decay from step j to step t
 *
 * First every chunk's state from zero, then the recurrence over chunks, which is all that goes on in order of time,
 * then all chunks. Nothing of size T E N exists: out[1] keeps h at the start of every chunk. Work is cut by stream,
 * chunk, group and heads: a function of the shape. */
#include "base/share.h"
#include "ops/has_shape.h"
#include "ops/ssd_backward.h"
#include "ops/ssd_one.h"

#include <omp.h>

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

static LsStatus check(const LsNode *node)
{
    const Ssd *ssd = node->attr;
    LsTensor *const *in = node->in;
    const LsTensor *xbc = in[XBC], *a = in[A_LOG];
    if (xbc->rank != 3 || xbc->dtype != LS_REAL || a->rank != 1 || a->dtype != LS_ACC)
        return ls_node_fail(node, "ssd_scan: xbc %s must be (B, T, E + 2 G N), A_log %s (H), precise",
                            ls_shape_text(xbc), ls_shape_text(a));
    int64_t b = xbc->dim[0], t = xbc->dim[1], h = a->dim[0], channels = xbc->dim[2] - 2 * ssd->groups * ssd->states;
    if (ssd->groups < 1 || ssd->states < 1 || channels < h || channels % h || h % ssd->groups)
        return ls_node_fail(node,
                            "ssd_scan: xbc %s and A_log %s do not fit %lld groups of %lld states: xbc must be (B, T, E "
                            "+ 2 G N) with E a multiple of the heads, these a multiple of the groups",
                            ls_shape_text(xbc), ls_shape_text(a), (long long)ssd->groups, (long long)ssd->states);
    const LsTensor *delta = in[DELTA], *state = in[STATE];
    if (delta->rank != 3 || delta->dtype != LS_REAL || delta->dim[0] != b || delta->dim[1] != t || ssd->first < 0 ||
        delta->dim[2] < ssd->first + h)
        return ls_node_fail(node, "ssd_scan: delta %s must be (B, T, at least %lld) for xbc %s and A_log %s",
                            ls_shape_text(delta), (long long)(ssd->first + h), ls_shape_text(xbc), ls_shape_text(a));
    if (!ls_has_shape(in[BIAS], LS_ACC, 1, h, 0, 0) || !ls_has_shape(in[SKIP], LS_ACC, 1, h, 0, 0))
        return ls_node_fail(node, "ssd_scan: delta_bias %s and D %s must be (H), precise, as A_log %s",
                            ls_shape_text(in[BIAS]), ls_shape_text(in[SKIP]), ls_shape_text(a));
    if (state && !ls_has_shape(state, LS_ACC, 3, b, ssd->states, channels))
        return ls_node_fail(node, "ssd_scan: state %s must be (B, N, E) for xbc %s", ls_shape_text(state),
                            ls_shape_text(xbc));
    return LS_OK;
}

static LsStatus infer(LsNode *node)
{
    LS_TRY(check(node));
    Shape s = shape_of(node);
    bool keeps = ls_graph_mode(node->graph) == LS_TRAIN;
    Scratch forward = scratch_of(node, &s, keeps, false), backward = scratch_of(node, &s, keeps, true);
    node->scratch_forward = (forward.count + ls_threads() * forward.room) * (int64_t)sizeof(acc);
    node->scratch_backward = (backward.count + ls_threads() * backward.room) * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, 3, (int64_t[]){s.streams, s.steps, s.channels}))
        return LS_RESOURCE;
    return !keeps || ls_node_output(node, LS_ACC, 4, (int64_t[]){s.streams, s.chunks, s.states, s.channels})
               ? LS_OK
               : LS_RESOURCE;
}

/* ---- Pieces ------------------------------------------------------------------------------------------------------ */

/* States at the chunks' starts: (B, chunks, N, E). */
static acc *borders_of(const LsNode *node, const Scratch *k)
{
    return node->outputs > 1 ? node->out[1]->data : k->states;
}

static Work work_of(const LsNode *node, const Shape *s, const Scratch *k, int64_t index, bool backward)
{
    Work w = {.node = node, .s = s, .k = k, .p = piece_of(s, index)};
    const real *xbc = node->in[XBC]->data;
    int64_t count;
    w.r = room_of(s, k->rooms + omp_get_thread_num() * k->room, backward, &count);
    w.x = xbc + x_at(s, &w.p);
    w.b = xbc + b_at(s, &w.p);
    w.c = xbc + c_at(s, &w.p);
    w.start = borders_of(node, k) + state_at(s, &w.p);
    if (backward) {
        w.dy = (const real *)node->out[0]->grad + w.p.first_row * s->channels + w.p.at;
        w.end = k->states + state_at(s, &w.p);
    }
    return w;
}

static LsStatus state_piece(const Work *w) { return make_state(w, (acc *)(uintptr_t)w->start); }
static LsStatus end_piece(const Work *w) { return make_end(w, (acc *)(uintptr_t)w->end); }

/* Not more threads than there is scratch for, should their number have been raised since the graph was planned. */
static int team(const Scratch *k, int64_t bytes)
{
    int64_t room = (bytes / (int64_t)sizeof(acc) - k->count) / k->room;
    return ls_threads() < room ? ls_threads() : (int)room;
}

static LsStatus each_piece(const LsNode *node, const Shape *s, const Scratch *k, bool backward,
                           LsStatus (*work)(const Work *))
{
    int threads = team(k, backward ? node->scratch_backward : node->scratch_forward);
    LsStatus failed = LS_OK;
    LsShare share;
    ls_share_begin(&share, piece_count(s), threads);
#pragma omp parallel num_threads(threads)
    for (int64_t i; (i = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
        Work w = work_of(node, s, k, i, backward);
        LsStatus status = work(&w);
        if (status != LS_OK) {
#pragma omp atomic write
            failed = status;
        }
    }
    return failed;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    Shape s = shape_of(node);
    if (is_one_step(node)) {
        one_step(node, &s);
        return LS_OK;
    }
    Scratch k = scratch_of(node, &s, node->outputs > 1, false);
    prepare_steps(node, &s, &k);
    LS_TRY(each_piece(node, &s, &k, false, state_piece));
    LS_TRY(chain_chunks(node, run, &s, &k, borders_of(node, &k), false,
                        node->in[STATE] ? node->in[STATE]->end->data : NULL));
    return each_piece(node, &s, &k, false, forward_piece);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Sums over chunks and streams, in order. */
static void finish_parameter(const LsNode *node, int input, const Shape *s, const Scratch *k, int which)
{
    acc *to = ls_wants(node, input) ? node->in[input]->grad : NULL;
    for (int64_t head = 0; to && head < s->heads; head++) {
        acc sum = 0;
        for (int64_t i = 0; i < s->streams * s->chunks; i++)
            sum += k->sums[(i * s->heads + head) * SUMS + which];
        to[head] = ls_adds(node, input) ? to[head] + sum : sum;
    }
}

/* dL/dB and dL/dC of several blocks, in order. */
static void finish_rows_of_blocks(const LsNode *node, const Shape *s, const Scratch *k)
{
    int64_t wide = 2 * s->groups * s->states, rows = s->streams * s->steps;
    bool add = ls_adds(node, XBC);
#pragma omp parallel for schedule(static) if (rows * wide > SSD_SHARED)
    for (int64_t i = 0; i < rows; i++) {
        real *to = (real *)node->in[XBC]->grad + i * s->row + s->channels;
        for (int64_t n = 0; n < wide; n++) {
            acc sum = add ? ls_load1(to + n) : 0;
            for (int64_t block = 0; block < s->blocks; block++)
                sum += k->dbc[(block * rows + i) * wide + n];
            ls_store1(to + n, sum);
        }
    }
}

/* Columns of delta that are no head's, unless other ops write them. */
static void clear_packed(const LsNode *node, const Shape *s)
{
    if (!ls_wants(node, DELTA) || ls_adds(node, DELTA) || ls_partial_grad(node, DELTA) || s->delta_row == s->heads)
        return;
    memset(node->in[DELTA]->grad, 0, (size_t)(s->streams * s->steps * s->delta_row) * sizeof(real));
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    Shape s = shape_of(node);
    Scratch k = scratch_of(node, &s, true, true);
    prepare_steps(node, &s, &k);
    clear_packed(node, &s);
    LS_TRY(each_piece(node, &s, &k, true, end_piece));
    LS_TRY(chain_chunks(node, run, &s, &k, k.states, true, ls_wants(node, STATE) ? node->in[STATE]->grad : NULL));
    LS_TRY(each_piece(node, &s, &k, true, backward_piece));
    if (ls_wants(node, XBC) && s.blocks > 1)
        finish_rows_of_blocks(node, &s, &k);
    finish_parameter(node, A_LOG, &s, &k, SUM_A);
    finish_parameter(node, SKIP, &s, &k, SUM_SKIP);
    finish_parameter(node, BIAS, &s, &k, SUM_BIAS);
    return LS_OK;
}

/* ---- Plain, cost, cases ------------------------------------------------------------------------------------------ */

/* One step of one head of stream b; h: (N, P), E from row to row. */
static void plain_step(const LsNode *node, const Shape *s, int64_t b, int64_t t, int64_t head, acc *h)
{
    int64_t row = b * s->steps + t, group = head / (s->heads / s->groups);
    const real *x = (const real *)node->in[XBC]->data + row * s->row, *in = x + s->channels + group * s->states,
               *from = in + s->groups * s->states;
    double raw = (double)ls_load1((const real *)node->in[DELTA]->data + row * s->delta_row + s->first + head) +
                 (double)((const acc *)node->in[BIAS]->data)[head];
    double delta = fmin(fmax(log1p(exp(raw)), (double)s->low), (double)s->high);
    double decay = exp(-delta * exp((double)((const acc *)node->in[A_LOG]->data)[head]));
    for (int64_t p = 0; p < s->size; p++) {
        double u = (double)ls_load1(x + head * s->size + p), y = (double)((const acc *)node->in[SKIP]->data)[head] * u;
        for (int64_t n = 0; n < s->states; n++) {
            acc *at = h + n * s->channels + p;
            *at = (acc)(decay * (double)*at + delta * (double)ls_load1(in + n) * u);
            y += (double)ls_load1(from + n) * (double)*at;
        }
        ls_store1((real *)node->out[0]->data + row * s->channels + head * s->size + p, (acc)y);
    }
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    if (ls_over_ranks(run))
        return ls_fail(LS_ERROR, "%s: the plain form works on one rank only", node->name);
    Shape s = shape_of(node);
    Scratch k = scratch_of(node, &s, node->outputs > 1, false);
    const LsTensor *state = node->in[STATE];
    int64_t numbers = s.states * s.channels;
    for (int64_t b = 0; b < s.streams; b++) {
        acc *h = k.start + b * numbers;
        if (state)
            memcpy(h, (const acc *)state->data + b * numbers, (size_t)numbers * sizeof(acc));
        else
            memset(h, 0, (size_t)numbers * sizeof(acc));
        for (int64_t t = 0; t < s.steps; t++) {
            if (node->outputs > 1 && t % SSD_CHUNK == 0)
                memcpy((acc *)node->out[1]->data + (b * s.chunks + t / SSD_CHUNK) * numbers, h,
                       (size_t)numbers * sizeof(acc));
            for (int64_t head = 0; head < s.heads; head++)
                plain_step(node, &s, b, t, head, h + head * s.size);
        }
        if (state)
            memcpy((acc *)state->end->data + b * numbers, h, (size_t)numbers * sizeof(acc));
    }
    return LS_OK;
}

static bool grad_columns(const LsNode *node, int i, int64_t *first, int64_t *count)
{
    *first = ((const Ssd *)node->attr)->first;
    *count = node->in[A_LOG]->dim[0];
    return i == DELTA;
}

/* Products of a triangle count by half of the square. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Shape s = shape_of(node);
    double rows = (double)(s.streams * s.steps), channels = (double)s.channels, states = (double)s.states,
           chunk = s.steps < SSD_CHUNK ? (double)s.steps : SSD_CHUNK;
    double by_states = 2 * rows * channels * states, by_chunk = rows * channels * chunk,
           rest = rows * (double)s.heads * chunk;
    double borders = rows / chunk * channels * states * sizeof(acc), packed = rows * (double)s.row * sizeof(real);
    *fwd = (LsCost){2 * by_states + by_chunk + 10 * rest, packed + rows * channels * sizeof(real) + 3 * borders};
    fwd->products = 2 * by_states + by_chunk;
    *bwd =
        (LsCost){5 * by_states + 2 * by_chunk + 15 * rest, 3 * packed + rows * channels * sizeof(real) + 5 * borders};
    bwd->products = 5 * by_states + 2 * by_chunk;
}

/* ls_ssd_scan(g, xbc, delta, delta_bias, A_log, D, state, groups, states, first, low, high): xbc: (B, T, E + 2 G N), in
 * each row x, all groups' B, all groups' C; delta: (B, T, at least first + H), of which the columns from `first` on are
 * the heads' raw step sizes, so that it may be a packed result of one linear layer (the gradient of the others is
 * zero); delta_bias, A_log, D: (H), parameters with LS_PRECISE; state: (B, N, E) of LS_ACC, h before the first step and
 * after the last (ls_state, ls_carry), or NULL for zero; step sizes are kept between low and high. -> (B, T, E) */
LS_BUILDER LsTensor *ls_ssd_scan(LsGraph *g, LsTensor *xbc, LsTensor *delta, LsTensor *delta_bias, LsTensor *A_log,
                                 LsTensor *D, LsTensor *state, int64_t groups, int64_t states, int64_t first,
                                 double low, double high)
{
    return ls_node(g, "ssd_scan", 6, (LsTensor *[]){xbc, delta, delta_bias, A_log, D, state},
                   &(Ssd){groups, states, first, low, high}, sizeof(Ssd));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t streams, steps, heads, size, groups, states, first, more; /* more: columns of delta behind the heads' */
        bool carry;
        double low, high, steepest; /* the greatest A_log; 0: 2 */
    } table[] = {{1, 1, 1, 1, 1, 1, 0, 0, false, 0, 1e30, 0},   {2, 5, 2, 3, 1, 4, 0, 0, false, 0, 1e30, 0},
                 {1, 67, 4, 5, 2, 3, 3, 2, false, 0, 1e30, 0},  {2, 64, 2, 17, 1, 5, 0, 1, false, 0.2, 1.5, 0},
                 {1, 150, 2, 2, 1, 2, 1, 0, false, 0, 1e30, 5}, {1, 10, 3, 48, 1, 6, 0, 0, false, 0, 1e30, -2},
                 {3, 1, 6, 4, 3, 7, 2, 1, true, 0, 1e30, 0},    {2, 70, 2, 6, 1, 4, 0, 0, true, 0, 1e30, -1},
                 {1, 130, 1, 3, 1, 2, 0, 0, true, 0.1, 1, 0},   {1, 33, 2, 16, 2, 16, 0, 0, false, 0, 1e30, 0}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    int64_t b = table[which].streams, t = table[which].steps, h = table[which].heads, e = h * table[which].size,
            n = table[which].states, groups = table[which].groups, first = table[which].first;
    LsTensor *xbc = ls_case_input(g, "xbc", LS_REAL, -1, 1, 3, (int64_t[]){b, t, e + 2 * groups * n});
    LsTensor *delta = ls_case_input(g, "delta", LS_REAL, -4, 1, 3, (int64_t[]){b, t, first + h + table[which].more});
    LsTensor *bias = ls_case_param(g, "delta_bias", LS_PRECISE, -1, 1, 1, &h);
    double steepest = table[which].steepest != 0 ? table[which].steepest : 2;
    LsTensor *a = ls_case_param(g, "A_log", LS_PRECISE, fmin(-1, steepest - 1), steepest, 1, &h);
    LsTensor *skip = ls_case_param(g, "D", LS_PRECISE, -1, 1, 1, &h);
    LsTensor *state = table[which].carry ? ls_case_carry(g, "h", LS_ACC, -1, 1, 3, (int64_t[]){b, n, e}) : NULL;
    ls_ssd_scan(g, xbc, delta, bias, a, skip, state, groups, n, first, table[which].low, table[which].high);
    return true;
}

LS_OP(ssd_scan) = {
    .name = "ssd_scan",
    .formula =
        "h_t = exp(d_t A) h_{t-1} + d_t B_t x_t', y_t = h_t' C_t + D x_t by head, d = softplus(delta + bias), A = "
        "-exp(A_log)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .grad_columns = grad_columns,
    .saves_in = 1 << XBC | 1 << DELTA | 1 << BIAS | 1 << A_LOG | 1 << SKIP,
    .saves_out = 2,
    .param_in = 1 << BIAS | 1 << A_LOG | 1 << SKIP,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    /* scaled rows and states become operands of bfloat16, each off by 2^-9 of itself, in sums of several */
    .bf16_ulps = 2,
};
