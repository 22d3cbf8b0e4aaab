/* A linear state space with a diagonal A for each channel (S4D; Gu, Gupta, Goel, Re 2022, "On the parameterization and
 * initialization of diagonal state space models"):
 *
 *     x'(t) = A x(t) + u(t),  y(t) = Re(sum_n C_n x_n(t)) + D u(t)
 *
 * in steps of delta, by zero-order hold or the bilinear rule (ssm_modes.h). Modes of complex A stand for a conjugate
 * pair; where A_im is left out they are real. It is computed
 *
 *     step by step       while decoding: x_t = a x_{t-1} + u_t
 *     as a scan          over chunks of time, streams and channels beside each other, segments and ranks of a sequence
 *     as a convolution   of whole sequences, with the kernel K_t = Re(sum w a^t) (ssm_convolution.h)
 *
 * which say the same to rounding. */
#include "ops/ssm_convolution.h"
#include "ops/ssm_ranks.h"

static LsStatus infer(LsNode *node)
{
    LsTensor *const *in = node->in;
    const LsTensor *u = in[U], *a = in[A_LOG], *state = in[STATE];
    if (u->rank != 3 || u->dtype != LS_REAL || a->rank != 2 || a->dtype != LS_ACC || a->dim[0] != u->dim[2])
        return ls_node_fail(node,
                            "diagonal_ssm: u %s does not fit A_log %s: u must be (B, T, E), A_log (E, N), precise",
                            ls_shape_text(u), ls_shape_text(a));
    int64_t e = u->dim[2], n = a->dim[1];
    for (int i = DELTA; i <= SKIP; i += SKIP - DELTA)
        if (in[i]->rank != 1 || in[i]->dtype != LS_ACC || in[i]->dim[0] != e)
            return ls_node_fail(node, "diagonal_ssm: log_delta and D must be (E), precise, and not %s, for u %s",
                                ls_shape_text(in[i]), ls_shape_text(u));
    if (in[A_IM] &&
        (in[A_IM]->rank != 2 || in[A_IM]->dtype != LS_ACC || in[A_IM]->dim[0] != e || in[A_IM]->dim[1] != n))
        return ls_node_fail(node, "diagonal_ssm: A_im %s must have the shape of A_log %s", ls_shape_text(in[A_IM]),
                            ls_shape_text(a));
    if (in[C_OUT]->dtype != LS_ACC || in[C_OUT]->rank != (in[A_IM] ? 3 : 2) || in[C_OUT]->dim[0] != e ||
        in[C_OUT]->dim[1] != n || (in[A_IM] && in[C_OUT]->dim[2] != 2))
        return ls_node_fail(node, "diagonal_ssm: C %s must be (E, N, 2), without A_im (E, N), precise, for A_log %s",
                            ls_shape_text(in[C_OUT]), ls_shape_text(a));
    if (state && (state->rank != 3 || state->dtype != LS_ACC || state->dim[0] != u->dim[0] || state->dim[1] != 2 * n ||
                  state->dim[2] != e))
        return ls_node_fail(node, "diagonal_ssm: state %s must be (B, 2 N, E) for u %s and A_log %s",
                            ls_shape_text(state), ls_shape_text(u), ls_shape_text(a));
    SsmPlan p = plan_of(node);
    if (p.points && !p.fft)
        return LS_RESOURCE;
    node->scratch_forward = scratch_of(node, &p, false).count * (int64_t)sizeof(acc);
    node->scratch_backward = scratch_of(node, &p, true).count * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, 3, u->dim))
        return LS_RESOURCE;
    bool keep = ls_graph_mode(node->graph) == LS_TRAIN && !p.points;
    int64_t border[4] = {p.streams, p.chunks, 2 * n, p.padded};
    return !keep || ls_node_output(node, LS_ACC, 4, border) ? LS_OK : LS_RESOURCE;
}

/* ---- The scan ---------------------------------------------------------------------------------------------------- */

static acc *states_of(const SsmPlan *p, const SsmScratch *s, int64_t b) { return s->x + 2 * b * p->modes * p->padded; }

static acc *border_of(const LsNode *node, const SsmPlan *p, int64_t b, int64_t chunk)
{
    return node->outputs > 1 ? (acc *)node->out[1]->data + (b * p->chunks + chunk) * 2 * p->modes * p->padded : NULL;
}

static int64_t chunk_steps(const SsmPlan *p, int64_t chunk)
{
    int64_t left = p->steps - chunk * SSM_CHUNK;
    return left < SSM_CHUNK ? left : SSM_CHUNK;
}

/* Into s->x what the first step starts from, or in reverse dL/dx of the last one by what comes after it. */
static void load_starts(const LsNode *node, const SsmPlan *p, const SsmScratch *s, bool reverse)
{
    const LsTensor *state = node->in[STATE];
    const acc *from = !state ? NULL : reverse ? state->end->grad : state->data;
    memset(s->x, 0, (size_t)(2 * p->streams * p->modes * p->padded) * sizeof(acc));
    for (int64_t i = 0; from && i < 2 * p->streams * p->modes; i++)
        memcpy(s->x + i * p->padded, from + i * p->channels, (size_t)p->channels * sizeof(acc));
}

static void store_states(const SsmPlan *p, const SsmScratch *s, acc *to)
{
    for (int64_t i = 0; i < 2 * p->streams * p->modes; i++)
        memcpy(to + i * p->channels, s->x + i * p->padded, (size_t)p->channels * sizeof(acc));
}

/* out false: the states alone. */
static void scan_piece(const LsNode *node, const SsmPlan *p, const SsmScratch *s, const SsmPiece *k, bool out)
{
    for (int64_t b = k->first_stream; b < k->end_stream; b++)
        for (int64_t chunk = 0; chunk < p->chunks; chunk++)
            for (int64_t at = k->channel; at < k->channel + SSM_TILE; at += LS_LANES) {
                vacc u[SSM_CHUNK], y[SSM_CHUNK];
                int64_t steps = chunk_steps(p, chunk), lanes = p->channels - at,
                        row = (b * p->steps + chunk * SSM_CHUNK) * p->channels + at;
                if (lanes <= 0)
                    break;
                SsmColumn column = column_of(p, s, at);
                vacc skip = skip_of(node, at, lanes);
                acc *x = states_of(p, s, b) + at, *border = out ? border_of(node, p, b, chunk) : NULL;
                for (int64_t n = 0; border && n < 2 * p->modes; n++)
                    ls_store_acc(border + n * p->padded + at, ls_load_acc(x + n * p->padded));
                load_column((const real *)node->in[U]->data + row, steps, p->channels, lanes, u);
                for (int64_t t = 0; t < steps; t++)
                    y[t] = skip * u[t];
                ssm_run(&column, steps, u, y, x);
                for (int64_t t = 0; out && t < steps; t++)
                    ls_store_upto((real *)node->out[0]->data + row + t * p->channels, y[t], lanes);
            }
}

/* x in s->x goes on from the first step to after the last; sums of gradients of a, w and D. summary: the carries
 * alone. */
static void scan_back_piece(const LsNode *node, const SsmPlan *p, const SsmScratch *s, const SsmPiece *k, bool summary)
{
    acc *sums = summary ? NULL : s->sums + k->batch * (4 * p->modes + 1) * p->padded;
    for (int64_t n = 0; sums && n < 4 * p->modes + 1; n++)
        memset(sums + n * p->padded + k->channel, 0, SSM_TILE * sizeof(acc));
    for (int64_t b = k->first_stream; b < k->end_stream; b++)
        for (int64_t chunk = p->chunks - 1; chunk >= 0; chunk--)
            for (int64_t at = k->channel; at < k->channel + SSM_TILE; at += LS_LANES) {
                vacc u[SSM_CHUNK], dy[SSM_CHUNK], du[SSM_CHUNK];
                int64_t steps = chunk_steps(p, chunk), lanes = p->channels - at,
                        row = (b * p->steps + chunk * SSM_CHUNK) * p->channels + at;
                if (lanes <= 0)
                    break;
                SsmColumn column = column_of(p, s, at);
                acc *carry = states_of(p, s, b) + at;
                load_column((const real *)node->out[0]->grad + row, steps, p->channels, lanes, dy);
                if (summary) {
                    ssm_back_summary(&column, steps, dy, carry);
                    continue;
                }
                acc *skipped = sums + 4 * p->modes * p->padded + at;
                vacc skip = skip_of(node, at, lanes), dskip = ls_load_acc(skipped);
                load_column((const real *)node->in[U]->data + row, steps, p->channels, lanes, u);
                for (int64_t t = 0; t < steps; t++) {
                    du[t] = skip * dy[t];
                    dskip += dy[t] * u[t];
                }
                ls_store_acc(skipped, dskip);
                ssm_back(&column, steps, u, dy, du, border_of(node, p, b, chunk) + at, carry, sums + at);
                real *to = ls_wants(node, U) ? (real *)node->in[U]->grad + row : NULL;
                for (int64_t t = 0; to && t < steps; t++, to += p->channels)
                    ls_store_upto(to, ls_adds(node, U) ? ls_load_upto(to, lanes) + du[t] : du[t], lanes);
            }
}

/* Over ranks: what this rank's steps make of zero first, then from the ranks before what it starts from. */
static LsStatus start_scan(const LsNode *node, const LsRun *run, const SsmPlan *p, const SsmScratch *s, bool reverse)
{
    if (carries_over(node) && ls_over_ranks(run)) {
        int64_t state = 2 * p->streams * p->modes * p->padded;
        memset(s->x, 0, (size_t)state * sizeof(acc));
#pragma omp parallel for schedule(dynamic, 1)
        for (int64_t i = 0; i < pieces_of(p); i++) {
            SsmPiece k = piece_of(p, i);
            if (reverse)
                scan_back_piece(node, p, s, &k, true);
            else
                scan_piece(node, p, s, &k, false);
        }
        memcpy(s->sum, s->x, (size_t)state * sizeof(acc));
        load_starts(node, p, s, reverse);
        return chain_ranks(run, p, s, reverse);
    }
    load_starts(node, p, s, reverse);
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    SsmPlan p = plan_of(node);
    SsmScratch s = scratch_of(node, &p, false);
    prepare_modes(node, &p, &s);
    if (p.points) {
        convolve(node, &p, &s);
        return LS_OK;
    }
    LS_TRY(start_scan(node, run, &p, &s, false));
#pragma omp parallel for schedule(dynamic, 1) if (p.streams * p.steps * p.padded * p.modes > 8192)
    for (int64_t i = 0; i < pieces_of(&p); i++) {
        SsmPiece k = piece_of(&p, i);
        scan_piece(node, &p, &s, &k, true);
    }
    if (node->in[STATE])
        store_states(&p, &s, node->in[STATE]->end->data);
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static void put_gradient(const LsNode *node, int input, int64_t at, double value)
{
    if (!ls_wants(node, input))
        return;
    acc *to = (acc *)node->in[input]->grad + at;
    *to = (acc)(ls_adds(node, input) ? (double)*to + value : value);
}

/* The sums of all batches of streams, in order. */
static double sum_of(const SsmPlan *p, const SsmScratch *s, int64_t row, int64_t e)
{
    double sum = 0;
    for (int64_t i = 0; i < (p->points ? 1 : p->batches); i++)
        sum += (double)s->sums[(i * (4 * p->modes + 1) + row) * p->padded + e];
    return sum;
}

static void store_gradients(const LsNode *node, const SsmPlan *p, const SsmScratch *s)
{
    LsSsmRule rule = attr_of(node)->rule;
    bool complex_rate = node->in[A_IM];
#pragma omp parallel for schedule(static) if (p->channels * p->modes > 256)
    for (int64_t e = 0; e < p->channels; e++) {
        double log_delta = 0;
        for (int64_t n = 0; n < p->modes; n++) {
            SsmMode m = ssm_mode(node, rule, e, n);
            SsmNumber of_a = sum_of(p, s, n, e) + I * sum_of(p, s, p->modes + n, e);
            SsmNumber of_w = sum_of(p, s, 2 * p->modes + n, e) + I * sum_of(p, s, 3 * p->modes + n, e);
            SsmModeGrad grad = ssm_mode_grad(&m, rule, of_a, of_w);
            int64_t at = e * p->modes + n;
            log_delta += grad.log_delta;
            put_gradient(node, A_LOG, at, grad.a_log);
            put_gradient(node, C_OUT, complex_rate ? 2 * at : at, creal(grad.out));
            if (complex_rate) {
                put_gradient(node, A_IM, at, grad.a_im);
                put_gradient(node, C_OUT, 2 * at + 1, cimag(grad.out));
            }
        }
        put_gradient(node, DELTA, e, log_delta);
        put_gradient(node, SKIP, e, sum_of(p, s, 4 * p->modes, e));
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    SsmPlan p = plan_of(node);
    SsmScratch s = scratch_of(node, &p, true);
    prepare_modes(node, &p, &s);
    if (p.points)
        convolve_back(node, &p, &s);
    else {
        LS_TRY(start_scan(node, run, &p, &s, true));
#pragma omp parallel for schedule(dynamic, 1) if (p.streams * p.steps * p.padded * p.modes > 8192)
        for (int64_t i = 0; i < pieces_of(&p); i++) {
            SsmPiece k = piece_of(&p, i);
            scan_back_piece(node, &p, &s, &k, false);
        }
        if (ls_wants(node, STATE)) /* dL/dx before the first step */
            store_states(&p, &s, node->in[STATE]->grad);
    }
    store_gradients(node, &p, &s);
    return LS_OK;
}

/* ---- Plain, cost, cases ------------------------------------------------------------------------------------------ */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    if (ls_over_ranks(run))
        return ls_fail(LS_ERROR, "%s: the plain form works on one rank only", node->name);
    SsmPlan p = plan_of(node);
    const LsTensor *state = node->in[STATE];
    for (int64_t i = 0; i < p.streams * p.channels; i++) {
        int64_t b = i / p.channels, e = i % p.channels;
        for (int64_t t = 0; t < p.steps; t++) {
            int64_t at = (b * p.steps + t) * p.channels + e;
            double u = (double)ls_load1((const real *)node->in[U]->data + at);
            ls_store1((real *)node->out[0]->data + at, (acc)((double)((const acc *)node->in[SKIP]->data)[e] * u));
        }
        for (int64_t n = 0; n < p.modes; n++) {
            SsmMode m = ssm_mode(node, attr_of(node)->rule, e, n);
            int64_t place = (2 * b * p.modes + n) * p.channels + e, other = place + p.modes * p.channels;
            const acc *start = state ? state->data : NULL;
            SsmNumber x = start ? (double)start[place] + I * (double)start[other] : 0;
            for (int64_t t = 0; t < p.steps; t++) {
                acc *border = t % SSM_CHUNK == 0 ? border_of(node, &p, b, t / SSM_CHUNK) : NULL;
                if (border) {
                    border[n * p.padded + e] = (acc)creal(x);
                    border[(n + p.modes) * p.padded + e] = (acc)cimag(x);
                }
                int64_t at = (b * p.steps + t) * p.channels + e;
                real *y = (real *)node->out[0]->data + at;
                x = m.a * x + (double)ls_load1((const real *)node->in[U]->data + at);
                ls_store1(y, (acc)((double)ls_load1(y) + creal(m.scale * m.out * m.b * x)));
            }
            if (state) {
                ((acc *)state->end->data)[place] = (acc)creal(x);
                ((acc *)state->end->data)[other] = (acc)cimag(x);
            }
        }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    SsmPlan p = plan_of(node);
    double count = (double)node->out[0]->count, modes = (double)p.modes, kept = 0, flops = 12 * modes,
           back = 36 * modes;
    if (p.points) {
        double transform = 5 * log2((double)p.points + 1) * (double)p.points / (double)p.steps;
        flops = transform + 10 * modes / (double)p.streams;
        back = 2 * transform + 28 * modes / (double)p.streams;
    } else
        kept = (double)(p.streams * p.chunks * 2 * p.modes * p.padded) * sizeof(acc);
    *fwd = (LsCost){count * flops, 2 * count * sizeof(real) + kept};
    *bwd = (LsCost){count * back, 3 * count * sizeof(real) + kept};
}

/* ls_diagonal_ssm(g, u, log_delta, A_log, A_im, C, D, state, rule, form): u: (B, T, E); log_delta, D: (E); A_log, A_im:
 * (E, N), the latter NULL for real A; C: (E, N, 2), real and imaginary parts, without A_im (E, N); all of them
 * parameters with LS_PRECISE; state: (B, 2 N, E) of LS_ACC, x before the first step and after the last (ls_state,
 * ls_carry), real parts, then imaginary parts, or NULL for zero. form: how whole sequences are computed; with a state
 * it is always the scan. -> (B, T, E) */
LS_BUILDER LsTensor *ls_diagonal_ssm(LsGraph *g, LsTensor *u, LsTensor *log_delta, LsTensor *A_log, LsTensor *A_im,
                                     LsTensor *C, LsTensor *D, LsTensor *state, LsSsmRule rule, LsSsmForm form)
{
    return ls_node(g, "diagonal_ssm", 7, (LsTensor *[]){u, log_delta, A_log, A_im, C, D, state}, &(SsmAttr){rule, form},
                   sizeof(SsmAttr));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t streams, steps, channels, modes;
        bool real_rate, carry;
        LsSsmRule rule;
        LsSsmForm form;
    } table[] = {{1, 1, 1, 1, false, false, LS_SSM_ZOH, LS_SSM_SCAN},
                 {2, 5, 3, 4, false, false, LS_SSM_BILINEAR, LS_SSM_SCAN},
                 {3, 33, 5, 3, false, false, LS_SSM_ZOH, LS_SSM_SCAN},
                 {1, 7, 18, 5, true, false, LS_SSM_ZOH, LS_SSM_SCAN},
                 {2, 40, 3, 5, false, true, LS_SSM_BILINEAR, LS_SSM_SCAN},
                 {3, 1, 17, 3, false, true, LS_SSM_ZOH, LS_SSM_CONVOLUTION},
                 {1, 1, 1, 1, false, false, LS_SSM_ZOH, LS_SSM_CONVOLUTION},
                 {3, 6, 19, 5, false, false, LS_SSM_ZOH, LS_SSM_CONVOLUTION},
                 {2, 33, 2, 3, true, false, LS_SSM_BILINEAR, LS_SSM_CONVOLUTION},
                 {1, 300, 1, 2, false, false, LS_SSM_ZOH, LS_SSM_CONVOLUTION}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    int64_t b = table[which].streams, t = table[which].steps, e = table[which].channels, n = table[which].modes;
    bool real_rate = table[which].real_rate;
    int64_t wide[3] = {e, n, 2};
    LsTensor *u = ls_case_input(g, "u", LS_REAL, -2, 2, 3, (int64_t[]){b, t, e});
    LsTensor *delta = ls_case_param(g, "log_delta", LS_PRECISE, -3, -1, 1, &e);
    LsTensor *a = ls_case_param(g, "A_log", LS_PRECISE, -2, 1, 2, wide);
    LsTensor *im = real_rate ? NULL : ls_case_param(g, "A_im", LS_PRECISE, -9, 9, 2, wide);
    LsTensor *c = ls_case_param(g, "C", LS_PRECISE, -1, 1, real_rate ? 2 : 3, wide);
    LsTensor *d = ls_case_param(g, "D", LS_PRECISE, -1, 1, 1, &e);
    LsTensor *state = table[which].carry ? ls_case_carry(g, "x", LS_ACC, -1, 1, 3, (int64_t[]){b, 2 * n, e}) : NULL;
    ls_diagonal_ssm(g, u, delta, a, im, c, d, state, table[which].rule, table[which].form);
    return true;
}

LS_OP(diagonal_ssm) = {
    .name = "diagonal_ssm",
    .formula =
        "x_t = a x_{t-1} + u_t, y_t = Re(sum w x_t) + D u_t; zero-order hold: a = exp(d A), w = 2 C (a - 1) / A; "
        "bilinear: a = (1 + d A / 2) / (1 - d A / 2), w = 2 C d / (1 - d A / 2); A = -exp(A_log) + i A_im",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1 << U | 1 << DELTA | 1 << A_LOG | 1 << A_IM | 1 << C_OUT | 1 << SKIP,
    .saves_out = 2,
    .param_in = 1 << DELTA | 1 << A_LOG | 1 << A_IM | 1 << C_OUT | 1 << SKIP,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .tolerance = 128, /* a transform's rounding errors are those of its largest number, in every step alike */
    .cases = cases,
};
