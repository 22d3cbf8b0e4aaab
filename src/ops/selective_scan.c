/* The selective state space scan of Mamba (S6; Gu and Dao 2023, "Mamba: linear-time sequence modeling with selective
 * state spaces", section 3 and algorithm 2), with its discretisation, skip and gate:
 *
 *     delta' = softplus(delta + bias),  A = -exp(A_log)
 *     h_t = exp(delta'_t A) h_{t-1} + delta'_t B_t u_t,   y_t = C_t . h_t + D u_t,   out_t = y_t silu(z_t)
 *
 * each channel with its own A, D, delta', u, z and N states, B and C shared by the channels. The backward stands in
 * scan_block.h. Nothing of size T E N exists: out[1] keeps h at the start of every chunk of SCAN_CHUNK steps, backward
 * recomputes inside.
 *
 * Work is cut by stream and group of channels; where those are few, also into parts of the time: each part's end state
 * from zero and its decay product first, then the states at the parts' starts by the recurrence over parts, then all
 * parts. The cut is a function of the shape. Sums over channels and streams go over its pieces in order. */
#include "ops/has_shape.h"
#include "ops/scan_one.h"
#include "ops/scan_chain.h"
#include "ops/scan_scratch.h"
#include "ops/scan_summary.h"
#include "ops/vec_stream.h"

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

static LsStatus infer(LsNode *node)
{
    LsTensor *const *in = node->in;
    const LsTensor *u = in[U], *a = in[A_LOG], *gate = in[GATE], *state = in[STATE];
    if (u->rank != 3 || u->dtype != LS_REAL || a->rank != 2 || a->dtype != LS_ACC || a->dim[0] != u->dim[2])
        return ls_node_fail(node,
                            "selective_scan: u %s does not fit A_log %s: u must be (B, T, E), A_log (E, N), precise",
                            ls_shape_text(u), ls_shape_text(a));
    int64_t b = u->dim[0], t = u->dim[1], e = u->dim[2], n = a->dim[1];
    if (!ls_has_shape(in[DELTA], LS_REAL, 3, b, t, e))
        return ls_node_fail(node, "selective_scan: delta %s must have the shape of u %s", ls_shape_text(in[DELTA]),
                            ls_shape_text(u));
    if (!ls_has_shape(in[BIAS], LS_ACC, 1, e, 0, 0) || !ls_has_shape(in[SKIP], LS_ACC, 1, e, 0, 0))
        return ls_node_fail(node, "selective_scan: delta_bias %s and D %s must be (E), precise, for u %s",
                            ls_shape_text(in[BIAS]), ls_shape_text(in[SKIP]), ls_shape_text(u));
    if (!ls_has_shape(in[BC], LS_REAL, 3, b, t, 2 * n))
        return ls_node_fail(node, "selective_scan: bc %s must be (B, T, 2 N) for u %s and A_log %s",
                            ls_shape_text(in[BC]), ls_shape_text(u), ls_shape_text(a));
    if (gate &&
        (gate->rank != 3 || gate->dtype != LS_REAL || gate->dim[0] != b || gate->dim[1] != t || gate->dim[2] < e))
        return ls_node_fail(node, "selective_scan: z %s must be (B, T, at least E) for u %s", ls_shape_text(gate),
                            ls_shape_text(u));
    if (state && !ls_has_shape(state, LS_ACC, 3, b, n, e))
        return ls_node_fail(node, "selective_scan: state %s must be (B, N, E) for u %s and A_log %s",
                            ls_shape_text(state), ls_shape_text(u), ls_shape_text(a));
    Cut c = cut_of(node->in[U], node->in[A_LOG]->dim[1]);
    node->scratch_forward = scratch_of(node, &c, false).count * (int64_t)sizeof(acc);
    node->scratch_backward = scratch_of(node, &c, true).count * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, 3, u->dim))
        return LS_RESOURCE;
    bool keep = ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_ACC, 4, (int64_t[]){b, c.chunks, n, c.padded}) ? LS_OK : LS_RESOURCE;
}

/* ---- Common to both directions ----------------------------------------------------------------------------------- */

/* A by state, padded with zeros: a decay of 1 there keeps the lanes that do not exist at zero. */
static void prepare(const LsNode *node, const Cut *c, const Scratch *s)
{
    const acc *a_log = node->in[A_LOG]->data;
    memset(s->rate, 0, (size_t)(c->states * c->padded) * sizeof(acc));
    memset(s->bias, 0, (size_t)c->padded * sizeof(acc));
    memset(s->skip, 0, (size_t)c->padded * sizeof(acc));
    memcpy(s->bias, node->in[BIAS]->data, (size_t)c->channels * sizeof(acc));
    memcpy(s->skip, node->in[SKIP]->data, (size_t)c->channels * sizeof(acc));
#pragma omp parallel for schedule(static) if (c->channels * c->states > WORTH_THREADS)
    for (int64_t e = 0; e < c->channels; e++)
        for (int64_t n = 0; n < c->states; n += LS_LANES) {
            int64_t count = c->states - n < LS_LANES ? c->states - n : LS_LANES;
            vacc rate = -SCAN_LOG2_E * ls_exp(ls_load_acc_part(a_log + e * c->states + n, count));
            for (int64_t i = 0; i < count; i++)
                s->rate[(n + i) * c->padded + e] = rate[i];
        }
}

static const real *rows(const LsTensor *x, int64_t row, int64_t width, int64_t column)
{
    return x ? (const real *)x->data + row * width + column : NULL;
}

static real *grad_rows(const LsNode *node, int i, int64_t row, int64_t width, int64_t column)
{
    return ls_wants(node, i) ? (real *)node->in[i]->grad + row * width + column : NULL;
}

/* Channels from number `channel` to before `end`, at most SCAN_WIDE, in one chunk of stream b. */
static ScanBlock block_of(const LsNode *node, const Cut *c, const Scratch *s, int64_t b, int64_t chunk, int64_t channel,
                          int64_t end)
{
    const LsTensor *gate = node->in[GATE];
    int64_t row = b * c->steps + chunk * SCAN_CHUNK, width = gate ? gate->dim[2] : 0;
    ScanBlock k = {.steps = chunk_steps(c, chunk), .channels = end - channel < SCAN_WIDE ? end - channel : SCAN_WIDE};
    k.stride = c->channels;
    k.gate_stride = width;
    k.states = c->states;
    k.padded = c->padded;
    k.u = rows(node->in[U], row, c->channels, channel);
    k.delta = rows(node->in[DELTA], row, c->channels, channel);
    k.gate = rows(gate, row, width, width - c->channels + channel);
    k.bc = rows(node->in[BC], row, 2 * c->states, 0);
    k.out = (real *)node->out[0]->data + row * c->channels + channel;
    k.rate = s->rate + channel;
    k.bias = s->bias + channel;
    k.skip = s->skip + channel;
    return k;
}

static ScanBlock backward_block_of(const LsNode *node, const Cut *c, const Scratch *s, int64_t b, int64_t chunk,
                                   int64_t channel, int64_t end)
{
    ScanBlock k = block_of(node, c, s, b, chunk, channel, end);
    int64_t row = b * c->steps + chunk * SCAN_CHUNK, width = k.gate_stride;
    k.dout = (const real *)node->out[0]->grad + row * c->channels + channel;
    k.du = grad_rows(node, U, row, c->channels, channel);
    k.ddelta = grad_rows(node, DELTA, row, c->channels, channel);
    k.dgate = grad_rows(node, GATE, row, width, width - c->channels + channel);
    k.add_u = ls_adds(node, U);
    k.add_delta = ls_adds(node, DELTA);
    k.add_gate = ls_adds(node, GATE);
    return k;
}

/* Tells the block which one comes after it: the next channels of the chunk, or the piece's first in the chunk `step`
 * chunks on. */
static void foresee(ScanBlock *k, const Piece *p, int64_t channel, int64_t step)
{
    bool more = channel + SCAN_WIDE < p->end_channel;
    scan_foresee(k, more ? 0 : step * SCAN_CHUNK, more ? SCAN_WIDE : p->first_channel - channel);
}

static acc *border_of(const LsNode *node, const Cut *c, int64_t b, int64_t chunk)
{
    return node->outputs > 1 ? (acc *)node->out[1]->data + (b * c->chunks + chunk) * c->states * c->padded : NULL;
}

/* Fills the state that the first part starts from into s->start: (B, N, padded): h before the first step or, in
 * reverse, dL/dh after the last one. */
static void load_starts(const LsNode *node, const Cut *c, const Scratch *s, bool reverse)
{
    const LsTensor *state = node->in[STATE];
    const acc *from = !state ? NULL : reverse ? state->end->grad : state->data;
    memset(s->start, 0, (size_t)(c->streams * c->states * c->padded) * sizeof(acc));
#pragma omp parallel for schedule(static) if (from && c->streams * c->states * c->padded > WORTH_THREADS)
    for (int64_t i = 0; i < (from ? c->streams * c->states : 0); i++)
        memcpy(s->start + i * c->padded, from + i * c->channels, (size_t)c->channels * sizeof(acc));
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* h of one part into `to`: (B, N, E). */
static void store_states(const Cut *c, const Scratch *s, int64_t part, acc *to)
{
#pragma omp parallel for schedule(static) if (c->streams * c->states * c->padded > WORTH_THREADS)
    for (int64_t i = 0; i < c->streams * c->states; i++)
        memcpy(to + i * c->channels, h_of(c, s, i / c->states, part) + i % c->states * c->padded,
               (size_t)c->channels * sizeof(acc));
}

/* Borders that no cache keeps until backward, in bytes: they are written past the caches. */
#define BORDERS_AWAY ((int64_t)2 << 20)

static void keep_states(const LsNode *node, const Cut *c, const Piece *p, int64_t b, int64_t chunk, const acc *h)
{
    acc *border = border_of(node, c, b, chunk);
    bool away = c->streams * c->chunks * c->states * c->padded * (int64_t)sizeof(acc) > BORDERS_AWAY;
    for (int64_t n = 0; border && n < c->states; n++) {
        int64_t at = n * c->padded + p->first_channel;
        for (int64_t i = at; away && i < at + piece_width(c, p); i += LS_LANES)
            ls_stream_acc(border + i, ls_load_acc(h + i));
        if (!away)
            memcpy(border + at, h + at, (size_t)piece_width(c, p) * sizeof(acc));
    }
}

static void forward_piece(const LsNode *node, const Cut *c, const Scratch *s, const Piece *p)
{
    for (int64_t b = p->first_stream; b < p->end_stream; b++)
        for (int64_t chunk = p->first_chunk; chunk < p->end_chunk; chunk++) {
            acc *h = h_of(c, s, b, p->part);
            keep_states(node, c, p, b, chunk, h);
            for (int64_t channel = p->first_channel; channel < p->end_channel; channel += SCAN_WIDE) {
                ScanBlock k = block_of(node, c, s, b, chunk, channel, p->end_channel);
                foresee(&k, p, channel, 1);
                scan_forward(&k, h + channel);
            }
        }
    ls_stream_end();
}

/* The summary of a part, into its h and delta_sum, both zero before. */
static void summarise_piece(const LsNode *node, const Cut *c, const Scratch *s, const Piece *p, bool reverse)
{
    for (int64_t b = p->first_stream; b < p->end_stream; b++)
        for (int64_t i = p->first_chunk; i < p->end_chunk; i++)
            for (int64_t channel = p->first_channel; channel < p->end_channel; channel += SCAN_WIDE) {
                int64_t chunk = reverse ? p->end_chunk - 1 - (i - p->first_chunk) : i;
                acc *h = h_of(c, s, b, p->part) + channel,
                    *sum = s->delta_sum + (b * c->parts + p->part) * c->padded + channel;
                if (reverse) {
                    ScanBlock k = backward_block_of(node, c, s, b, chunk, channel, p->end_channel);
                    foresee(&k, p, channel, -1);
                    scan_reverse_summary(&k, h, sum);
                } else {
                    ScanBlock k = block_of(node, c, s, b, chunk, channel, p->end_channel);
                    foresee(&k, p, channel, 1);
                    scan_summary(&k, h, sum);
                }
            }
}

/* Fills the state that every part starts from into its h. */
static LsStatus start_parts(const LsNode *node, const LsRun *run, const Cut *c, const Scratch *s, bool reverse)
{
    bool over_ranks = carries_over(node) && ls_over_ranks(run);
    memset(s->h, 0, (size_t)(c->streams * c->parts * c->states * c->padded) * sizeof(acc));
    if (c->parts > 1 || over_ranks) {
        memset(s->delta_sum, 0, (size_t)(c->streams * c->parts * c->padded) * sizeof(acc));
#pragma omp parallel for schedule(dynamic, 1)
        for (int64_t i = 0; i < c->batches * c->parts * c->groups; i++) {
            Piece p = piece_of(c, i);
            if (over_ranks || p.part != (reverse ? 0 : c->parts - 1)) /* the last part's is for other ranks only */
                summarise_piece(node, c, s, &p, reverse);
        }
    }
    load_starts(node, c, s, reverse);
    if (over_ranks)
        LS_TRY(chain_ranks(run, c, s, reverse));
    chain_parts(c, s, reverse);
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    Cut c = cut_of(node->in[U], node->in[A_LOG]->dim[1]);
    if (is_one_step(node)) {
        scan_one_step(node, &c);
        return LS_OK;
    }
    Scratch s = scratch_of(node, &c, false);
    prepare(node, &c, &s);
    LS_TRY(start_parts(node, run, &c, &s, false));
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(&c))
    for (int64_t i = 0; i < c.batches * c.parts * c.groups; i++) {
        Piece p = piece_of(&c, i);
        forward_piece(node, &c, &s, &p);
    }
    if (node->in[STATE])
        store_states(&c, &s, c.parts - 1, node->in[STATE]->end->data);
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static void backward_piece(const LsNode *node, const Cut *c, const Scratch *s, const Piece *p)
{
    acc *sums = s->sums + (p->batch * c->parts + p->part) * (c->states + 2) * c->padded;
    for (int64_t n = 0; n < c->states + 2; n++)
        memset(sums + n * c->padded + p->first_channel, 0, (size_t)piece_width(c, p) * sizeof(acc));
    for (int64_t b = p->first_stream; b < p->end_stream; b++)
        for (int64_t chunk = p->end_chunk - 1; chunk >= p->first_chunk; chunk--) {
            acc *dbc = s->dbc + ((p->group * c->streams + b) * c->steps + chunk * SCAN_CHUNK) * 2 * c->states;
            for (int64_t channel = p->first_channel; channel < p->end_channel; channel += SCAN_WIDE) {
                ScanBlock k = backward_block_of(node, c, s, b, chunk, channel, p->end_channel);
                foresee(&k, p, channel, -1);
                bool more = channel + SCAN_WIDE < p->end_channel;
                if (more || chunk > p->first_chunk)
                    k.next_h = border_of(node, c, b, more ? chunk : chunk - 1) +
                               (more ? channel + SCAN_WIDE : p->first_channel);
                scan_backward(&k, border_of(node, c, b, chunk) + channel, h_of(c, s, b, p->part) + channel,
                              sums + channel, dbc, channel > p->first_channel);
            }
        }
}

/* Sums of the pieces, in order. */
static void finish_bc(const LsNode *node, const Cut *c, const Scratch *s)
{
    int64_t count = c->streams * c->steps * 2 * c->states;
    bool add = ls_adds(node, BC);
    real *to = node->in[BC]->grad;
#pragma omp parallel for schedule(static) if (worth_threads(c))
    for (int64_t i = 0; i < count; i++) {
        acc sum = s->dbc[i];
        for (int64_t group = 1; group < c->groups; group++)
            sum += s->dbc[group * count + i];
        ls_store1(to + i, add ? ls_load1(to + i) + sum : sum);
    }
}

static void finish_parameter(const LsNode *node, int input, const Cut *c, const Scratch *s, int64_t row,
                             int64_t channel, int64_t at, acc factor)
{
    if (!ls_wants(node, input))
        return;
    acc sum = 0, *to = (acc *)node->in[input]->grad + at;
    for (int64_t i = 0; i < c->batches * c->parts; i++)
        sum += s->sums[(i * (c->states + 2) + row) * c->padded + channel];
    *to = ls_adds(node, input) ? *to + factor * sum : factor * sum;
}

/* dL/dA_log = A dL/dA */
static void finish_parameters(const LsNode *node, const Cut *c, const Scratch *s)
{
#pragma omp parallel for schedule(static) if (worth_threads(c))
    for (int64_t e = 0; e < c->channels; e++) {
        for (int64_t n = 0; n < c->states; n++)
            finish_parameter(node, A_LOG, c, s, n, e, e * c->states + n, s->rate[n * c->padded + e] * SCAN_LN_2);
        finish_parameter(node, SKIP, c, s, c->states, e, e, 1);
        finish_parameter(node, BIAS, c, s, c->states + 1, e, e, 1);
    }
}

/* Columns of a packed z that are not the gate, unless another op writes them. */
static void clear_packed(const LsNode *node, const Cut *c)
{
    const LsTensor *gate = node->in[GATE];
    if (!ls_wants(node, GATE) || ls_adds(node, GATE) || ls_partial_grad(node, GATE) || gate->dim[2] == c->channels)
        return;
#pragma omp parallel for schedule(static) if (worth_threads(c))
    for (int64_t i = 0; i < c->streams * c->steps; i++)
        memset((real *)gate->grad + i * gate->dim[2], 0, (size_t)(gate->dim[2] - c->channels) * sizeof(real));
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    Cut c = cut_of(node->in[U], node->in[A_LOG]->dim[1]);
    Scratch s = scratch_of(node, &c, true);
    prepare(node, &c, &s);
    clear_packed(node, &c);
    LS_TRY(start_parts(node, run, &c, &s, true));
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(&c))
    for (int64_t i = 0; i < c.batches * c.parts * c.groups; i++) {
        Piece p = piece_of(&c, i);
        backward_piece(node, &c, &s, &p);
    }
    if (ls_wants(node, BC))
        finish_bc(node, &c, &s);
    finish_parameters(node, &c, &s);
    if (ls_wants(node, STATE)) /* w before the first step */
        store_states(&c, &s, 0, node->in[STATE]->grad);
    return LS_OK;
}

/* ---- Plain, cost, cases ------------------------------------------------------------------------------------------ */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    if (ls_over_ranks(run))
        return ls_fail(LS_ERROR, "%s: the plain form works on one rank only", node->name);
    Cut c = cut_of(node->in[U], node->in[A_LOG]->dim[1]);
    Scratch s = scratch_of(node, &c, false);
    prepare(node, &c, &s);
    c.parts = 1;
    load_starts(node, &c, &s, false);
    chain_parts(&c, &s, false);
    const acc *a_log = node->in[A_LOG]->data, *bias = node->in[BIAS]->data, *skip = node->in[SKIP]->data;
    for (int64_t i = 0; i < c.streams * c.steps * c.channels; i++) {
        int64_t row = i / c.channels, b = row / c.steps, t = row % c.steps, e = i % c.channels;
        const real *bc = rows(node->in[BC], row, 2 * c.states, 0);
        double u = (double)ls_load1((const real *)node->in[U]->data + i),
               raw = (double)ls_load1((const real *)node->in[DELTA]->data + i);
        double delta = log1p(exp(raw + (double)bias[e])), y = (double)skip[e] * u;
        for (int64_t n = 0; n < c.states; n++) {
            acc *h = s.h + (b * c.states + n) * c.padded + e, *border = border_of(node, &c, b, t / SCAN_CHUNK);
            if (border && t % SCAN_CHUNK == 0)
                border[n * c.padded + e] = *h;
            double a = -exp((double)a_log[e * c.states + n]);
            *h = (acc)(exp(delta * a) * (double)*h + delta * (double)ls_load1(bc + n) * u);
            y += (double)ls_load1(bc + c.states + n) * (double)*h;
        }
        if (node->in[GATE]) {
            int64_t width = node->in[GATE]->dim[2];
            double z = (double)ls_load1(rows(node->in[GATE], row, width, width - c.channels + e));
            y *= z / (1 + exp(-z));
        }
        ls_store1((real *)node->out[0]->data + i, (acc)y);
    }
    if (node->in[STATE])
        store_states(&c, &s, 0, node->in[STATE]->end->data);
    return LS_OK;
}

static bool grad_columns(const LsNode *node, int i, int64_t *first, int64_t *count)
{
    *count = node->in[U]->dim[2];
    *first = i == GATE ? node->in[GATE]->dim[2] - *count : 0;
    return i == GATE;
}

/* An exponential counts as 12. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Cut c = cut_of(node->in[U], node->in[A_LOG]->dim[1]);
    double count = (double)node->out[0]->count, states = (double)c.states, gate = node->in[GATE] ? 1 : 0;
    double borders = (double)(c.streams * c.chunks * c.states * c.padded) * sizeof(acc);
    *fwd = (LsCost){count * (states * 18 + 40 + 20 * gate), (3 + gate) * count * sizeof(real) + borders};
    *bwd = (LsCost){count * (states * 32 + 70 + 30 * gate), (5 + 2 * gate) * count * sizeof(real) + borders};
}

/* ls_selective_scan(g, u, delta, delta_bias, A_log, bc, D, z, state): u, delta: (B, T, E); A_log: (E, N), delta_bias,
 * D: (E), parameters with LS_PRECISE; bc: (B, T, 2 N), in each row B, then C; z: (B, T, at least E), of which the last
 * E columns are the gate, so that it may be the packed result of the linear layer whose first E columns ls_causal_conv
 * took (the gradient of the others is zero), or NULL for no gate; state: (B, N, E) of LS_ACC, h before the first step
 * and after the last (ls_state, ls_carry), or NULL for zero. -> (B, T, E) */
LS_BUILDER LsTensor *ls_selective_scan(LsGraph *g, LsTensor *u, LsTensor *delta, LsTensor *delta_bias, LsTensor *A_log,
                                       LsTensor *bc, LsTensor *D, LsTensor *z, LsTensor *state)
{
    return ls_node(g, "selective_scan", 8, (LsTensor *[]){u, delta, delta_bias, A_log, bc, D, z, state}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t streams, steps, channels, states, gate; /* gate: columns of z, 0 none */
        enum { NONE, CARRY } state;
        double steepest; /* the greatest A_log; where it is high, some states decay to nothing in a step */
    } table[] = {{1, 1, 1, 1, 0, NONE},      {2, 5, 3, 4, 3, NONE},     {1, 33, 17, 3, 34, NONE},
                 {2, 40, 5, 16, 10, NONE},   {1, 70, 35, 5, 0, NONE},   {1, 1200, 2, 2, 2, NONE},
                 {3, 1, 18, 16, 36, CARRY},  {2, 35, 20, 7, 20, CARRY}, {1, 600, 3, 2, 0, CARRY},
                 {2, 70, 35, 9, 35, NONE, 5}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    int64_t b = table[which].streams, t = table[which].steps, e = table[which].channels, n = table[which].states;
    LsTensor *u = ls_case_input(g, "u", LS_REAL, -2, 2, 3, (int64_t[]){b, t, e});
    LsTensor *delta = ls_case_input(g, "delta", LS_REAL, -4, 1, 3, (int64_t[]){b, t, e});
    LsTensor *bc = ls_case_input(g, "bc", LS_REAL, -1, 1, 3, (int64_t[]){b, t, 2 * n});
    LsTensor *z =
        table[which].gate ? ls_case_input(g, "z", LS_REAL, -3, 3, 3, (int64_t[]){b, t, table[which].gate}) : NULL;
    LsTensor *bias = ls_case_param(g, "delta_bias", LS_PRECISE, -1, 1, 1, &e);
    double steepest = table[which].steepest > 0 ? table[which].steepest : 2;
    LsTensor *a = ls_case_param(g, "A_log", LS_PRECISE, -1, steepest, 2, (int64_t[]){e, n});
    LsTensor *skip = ls_case_param(g, "D", LS_PRECISE, -1, 1, 1, &e);
    LsTensor *state =
        table[which].state == CARRY ? ls_case_carry(g, "h", LS_ACC, -1, 1, 3, (int64_t[]){b, n, e}) : NULL;
    ls_selective_scan(g, u, delta, bias, a, bc, skip, z, state);
    return true;
}

LS_OP(selective_scan) = {
    .name = "selective_scan",
    .formula = "h_t = exp(d_t A) h_{t-1} + d_t B_t u_t, y_t = (C_t . h_t + D u_t) silu(z_t), d = softplus(delta + "
               "bias), A = -exp(A_log)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .grad_columns = grad_columns,
    .saves_in = 1 << U | 1 << DELTA | 1 << BIAS | 1 << A_LOG | 1 << BC | 1 << SKIP | 1 << GATE,
    .saves_out = 2,
    .param_in = 1 << BIAS | 1 << A_LOG | 1 << SKIP,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
};
