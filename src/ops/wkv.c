/* The weighted average of RWKV-4 (Peng et al. 2023, "RWKV: reinventing RNNs for the Transformer era", equations 16 to
 * 18), each channel by itself, with w = -exp(decay) and u = first:
 *
 *     y_t = (sum_{i<t} e^{w (t-1-i) + k_i} v_i + e^{u + k_t} v_t) / (sum_{i<t} e^{w (t-1-i) + k_i} + e^{u + k_t})
 *
 * The past is kept as its mean m and the logarithm s of its weight, which no exponent overflows:
 *
 *     g = sigmoid(u + k_t - s),  y_t = m + (v_t - m) g
 *     d = s + w,  f = sigmoid(k_t - d),  m' = m + (v_t - m) f,  s' = log(e^d + e^{k_t})
 *
 * Backward, with dm' and ds' of the state after the step:
 *
 *     p = dy (v - m) g (1 - g),  q = dm' (v - m) f (1 - f),  e = q - ds' f
 *     dk = p + q + ds' f,  dv = dy g + dm' f,  dm = dy (1 - g) + dm' (1 - f)
 *     dw = ds' - ds' f - q,  ds = dw - p,  du = p
 *
 * Channels and streams are computed at once. Where those are few, parts of the time are too: a part's end (m_c, s_c)
 * without a past is made first, and what it makes of a past (m, s) is the step above with d = s + w L for its L steps.
 * Backward goes over parts likewise: with f of that step, a part hands dm (1 - f) and (ds - dm (m' - m)) (1 - f) to
 * what is before it, beside what its own results make. The cut is a function of the shape. Over ranks that share a
 * sequence only the step from part to part is done one after the other.
 *
 * out[1] keeps the state at the start of every chunk of WKV_CHUNK steps, and backward recomputes inside. */
#include "ops/ranks_in_turn.h"
#include "ops/wkv_pieces.h"

static LsStatus infer(LsNode *node)
{
    const LsTensor *k = node->in[K], *v = node->in[V], *state = node->in[STATE];
    if (k->rank != 3 || k->dtype != LS_REAL || v->rank != 3 || v->dtype != LS_REAL ||
        memcmp(k->dim, v->dim, 3 * sizeof *k->dim) != 0)
        return ls_node_fail(node, "wkv: k %s and v %s must be (B, T, C)", ls_shape_text(k), ls_shape_text(v));
    for (int i = DECAY; i <= FIRST; i++)
        if (node->in[i]->rank != 1 || node->in[i]->dtype != LS_ACC || node->in[i]->dim[0] != k->dim[2])
            return ls_node_fail(node, "wkv: %s %s must be (C), precise, for k %s", i == DECAY ? "decay" : "first",
                                ls_shape_text(node->in[i]), ls_shape_text(k));
    if (state && (state->rank != 3 || state->dtype != LS_ACC || state->dim[0] != k->dim[0] ||
                  state->dim[1] != STATE_ROWS || state->dim[2] != k->dim[2]))
        return ls_node_fail(node, "wkv: state %s must be (B, %d, C) for k %s", ls_shape_text(state), STATE_ROWS,
                            ls_shape_text(k));
    Wkv s = wkv_of(node);
    int64_t row = s.streams * s.parts * s.padded * (int64_t)sizeof(acc);
    node->scratch_forward = FORWARD_ROWS * row;
    node->scratch_backward = BACKWARD_ROWS * row;
    if (!ls_node_output(node, LS_REAL, 3, k->dim))
        return LS_RESOURCE;
    if (ls_graph_mode(node->graph) != LS_TRAIN)
        return LS_OK;
    return ls_node_output(node, LS_ACC, 4, (int64_t[]){s.streams, s.chunks, 2, s.padded}) ? LS_OK : LS_RESOURCE;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

LS_INLINE void forward_steps(const LsNode *node, const Wkv *s, Tile *t, int64_t first, int64_t end, int64_t vectors)
{
    for (int64_t step = first; step < end; step++) {
        int64_t row = (t->stream * s->steps + step) * s->channels + t->first;
        const real *k = (const real *)node->in[K]->data + row, *v = (const real *)node->in[V]->data + row;
        real *y = (real *)node->out[0]->data + row;
#pragma GCC unroll 4
        for (int64_t i = 0; i < vectors; i++) {
            int64_t at = i * LS_LANES, n = s->channels - t->first - at;
            vacc key = ls_load_upto(k + at, n), value = ls_load_upto(v + at, n);
            ls_store_upto(y + at, t->m[i] + (value - t->m[i]) * gate(t->u[i] + key - t->s[i]), n);
            advance(t, i, key, value);
        }
    }
}

/* The part's end without a past. */
static void summarise_part(const LsNode *node, const Wkv *s, Tile t)
{
    int64_t end = t.first_chunk * WKV_CHUNK + steps_of(s, &t);
    for (int64_t step = t.first_chunk * WKV_CHUNK; step < end; step++) {
        int64_t row = (t.stream * s->steps + step) * s->channels + t.first;
        const real *k = (const real *)node->in[K]->data + row, *v = (const real *)node->in[V]->data + row;
        for (int64_t i = 0; i < t.vectors; i++) {
            int64_t at = i * LS_LANES, n = s->channels - t.first - at;
            advance(&t, i, ls_load_upto(k + at, n), ls_load_upto(v + at, n));
        }
    }
    for (int64_t i = 0; i < t.vectors; i++) {
        ls_store_acc(part_row(node, s, &t, FORWARD_ROWS, PART_M, i), t.m[i]);
        ls_store_acc(part_row(node, s, &t, FORWARD_ROWS, PART_S, i), t.s[i]);
    }
}

/* What every part starts from, of the ends without a past; over ranks also what the next one starts from. */
static LsStatus start_parts(const LsNode *node, const LsRun *run)
{
    Wkv s = wkv_of(node);
#pragma omp parallel for schedule(static) if (worth_threads(&s))
    for (int64_t column = 0; column < s.streams * s.tiles; column++) {
        Tile t = tile_of(node, &s, column / s.tiles * s.tiles * s.parts + column % s.tiles);
        load_state(node, &s, &t);
        for (int64_t part = 0; part < s.parts; part++) {
            Tile at = tile_of(node, &s, (t.stream * s.parts + part) * s.tiles + column % s.tiles);
            for (int64_t i = 0; i < t.vectors; i++) {
                acc *m = part_row(node, &s, &at, FORWARD_ROWS, PART_M, i),
                    *l = part_row(node, &s, &at, FORWARD_ROWS, PART_S, i);
                vacc end_m = ls_load_acc(m), end_s = ls_load_acc(l), f;
                ls_store_acc(m, t.m[i]);
                ls_store_acc(l, t.s[i]);
                if (part + 1 == s.parts && !over_ranks(node, run))
                    continue;
                t.s[i] = log_sum(t.s[i] + t.w[i] * (acc)steps_of(&s, &at), end_s, &f);
                t.m[i] += (end_m - t.m[i]) * f;
            }
        }
        if (over_ranks(node, run))
            store_state(node, &s, &t);
    }
    return LS_OK;
}

static void forward_part(const LsNode *node, const Wkv *s, Tile t, bool last)
{
    for (int64_t i = 0; i < t.vectors; i++) {
        t.m[i] = ls_load_acc(part_row(node, s, &t, FORWARD_ROWS, PART_M, i));
        t.s[i] = ls_load_acc(part_row(node, s, &t, FORWARD_ROWS, PART_S, i));
    }
    for (int64_t chunk = t.first_chunk; chunk < t.end_chunk; chunk++) {
        int64_t first = chunk * WKV_CHUNK, end = ls_least(s->steps, first + WKV_CHUNK);
        for (int64_t i = 0; node->outputs > 1 && i < t.vectors; i++) {
            ls_store_acc(border_of(node, s, t.stream, chunk, 0) + t.first + i * LS_LANES, t.m[i]);
            ls_store_acc(border_of(node, s, t.stream, chunk, 1) + t.first + i * LS_LANES, t.s[i]);
        }
        if (t.vectors == WKV_VECTORS)
            forward_steps(node, s, &t, first, end, WKV_VECTORS);
        else
            forward_steps(node, s, &t, first, end, t.vectors);
    }
    if (last)
        store_state(node, s, &t);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    Wkv s = wkv_of(node);
    bool over = over_ranks(node, run);
    if (s.parts > 1 || over) {
#pragma omp parallel for schedule(static) if (worth_threads(&s))
        for (int64_t i = 0; i < pieces_of(&s); i++) {
            Tile t = tile_of(node, &s, i);
            if (over || t.part + 1 < s.parts)
                summarise_part(node, &s, t);
        }
    }
    LS_TRY(ls_ranks_in_turn(node, run, node->in[STATE], false, start_parts));
#pragma omp parallel for schedule(static) if (worth_threads(&s))
    for (int64_t i = 0; i < pieces_of(&s); i++) {
        Tile t = tile_of(node, &s, i);
        forward_part(node, &s, t, !over && t.part + 1 == s.parts);
    }
    return LS_OK;
}

/* The sums as they stand in the paper, after the largest exponent is taken out of them. */
static LsStatus reference_all(const LsNode *node, const LsRun *run)
{
    (void)run;
    Wkv s = wkv_of(node);
    const acc *decay = node->in[DECAY]->data, *first = node->in[FIRST]->data;
    for (int64_t i = 0; i < s.streams * s.channels; i++) {
        int64_t b = i / s.channels, c = i % s.channels;
        acc *state = node->in[STATE] ? (acc *)node->in[STATE]->data + b * STATE_ROWS * s.channels + c : NULL;
        bool past = state && state[2 * s.channels] != 0;
        double w = -exp((double)decay[c]), u = (double)first[c], largest = past ? (double)state[s.channels] : -1e300;
        double over = past ? (double)state[0] : 0, under = past;
        for (int64_t t = 0; t < s.steps; t++) {
            int64_t at = (b * s.steps + t) * s.channels + c;
            double k = (double)ls_load1((const real *)node->in[K]->data + at),
                   v = (double)ls_load1((const real *)node->in[V]->data + at);
            double top = fmax(largest, u + k), old = exp(largest - top), now = exp(u + k - top);
            ls_store1((real *)node->out[0]->data + at, (acc)((old * over + now * v) / (old * under + now)));
            top = fmax(largest + w, k);
            old = exp(largest + w - top);
            now = exp(k - top);
            over = old * over + now * v;
            under = old * under + now;
            largest = top;
        }
        if (state) {
            acc *end = (acc *)node->in[STATE]->end->data + b * STATE_ROWS * s.channels + c;
            end[0] = (acc)(over / under);
            end[s.channels] = (acc)(largest + log(under));
            end[2 * s.channels] = 1;
        }
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    return ls_ranks_in_turn(node, run, node->in[STATE], false, reference_all);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

typedef struct Back {
    vacc m[WKV_CHUNK], s[WKV_CHUNK]; /* before each step of a chunk */
    vacc dm, ds, dw, du;
    bool carry_only; /* no gradients but dm and ds */
} Back;

/* One chunk of vector i of the tile, from its last step to its first. Leaves the state at the chunk's end in the
 * tile. */
static void backward_chunk(const LsNode *node, const Wkv *s, Tile *t, Back *back, int64_t i, int64_t chunk)
{
    int64_t first = chunk * WKV_CHUNK, end = ls_least(s->steps, first + WKV_CHUNK), column = t->first + i * LS_LANES;
    int64_t n = s->channels - column, base = t->stream * s->steps * s->channels + column;
    const real *k = (const real *)node->in[K]->data + base, *v = (const real *)node->in[V]->data + base,
               *dy = (const real *)node->out[0]->grad + base;
    t->m[i] = ls_load_acc(border_of(node, s, t->stream, chunk, 0) + column);
    t->s[i] = ls_load_acc(border_of(node, s, t->stream, chunk, 1) + column);
    for (int64_t step = first; step < end; step++) {
        back->m[step - first] = t->m[i];
        back->s[step - first] = t->s[i];
        advance(t, i, ls_load_upto(k + step * s->channels, n), ls_load_upto(v + step * s->channels, n));
    }
    for (int64_t step = end - 1; step >= first; step--) {
        int64_t at = step * s->channels;
        vacc key = ls_load_upto(k + at, n), value = ls_load_upto(v + at, n), up = ls_load_upto(dy + at, n);
        vacc past = back->s[step - first], apart = value - back->m[step - first], f;
        vacc g = gate(t->u[i] + key - past);
        log_sum(past + t->w[i], key, &f);
        vacc p = up * apart * g * (1 - g), q = back->dm * apart * f * (1 - f), share = back->ds * f;
        vacc dw = back->ds - share - q;
        if (!back->carry_only) {
            ls_rows_put(node, K, base + at, p + q + share, n);
            ls_rows_put(node, V, base + at, up * g + back->dm * f, n);
        }
        back->dm = up * (1 - g) + back->dm * (1 - f);
        back->ds = dw - p;
        back->dw += dw;
        back->du += p;
    }
}

/* What the part's own results make of a carry of zero, and what the part does to one. */
static void summarise_back(const LsNode *node, const Wkv *s, Tile t)
{
    for (int64_t i = 0; i < t.vectors; i++) {
        Back back = {.carry_only = true};
        int64_t column = t.first + i * LS_LANES;
        vacc end_m = {0}, end_s = {0};
        for (int64_t chunk = t.end_chunk - 1; chunk >= t.first_chunk; chunk--) {
            backward_chunk(node, s, &t, &back, i, chunk);
            if (chunk + 1 == t.end_chunk) {
                end_m = t.m[i];
                end_s = t.s[i];
            }
        }
        vacc m = ls_load_acc(border_of(node, s, t.stream, t.first_chunk, 0) + column),
             l = ls_load_acc(border_of(node, s, t.stream, t.first_chunk, 1) + column);
        vacc kept = ls_exp_small(ls_vmin(l + t.w[i] * (acc)steps_of(s, &t) - end_s, ls_splat(0)));
        ls_store_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_M, i), back.dm);
        ls_store_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_S, i), back.ds);
        ls_store_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_KEPT, i), kept);
        ls_store_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_APART, i), end_m - m);
    }
}

/* The gradient by the state before the first step; without a past there is nothing that it could change. */
static void store_carry(const LsNode *node, const Wkv *s, const Tile *t, int64_t i, vacc dm, vacc ds)
{
    const LsTensor *state = node->in[STATE];
    int64_t n = s->channels - t->first - i * LS_LANES;
    vint there = ls_rows_load_acc(state_row(s, t, state->data, 2, i), n) != 0;
    ls_rows_store_acc(state_row(s, t, state->grad, 0, i), (vacc)((vint)dm & there), n);
    ls_rows_store_acc(state_row(s, t, state->grad, 1, i), (vacc)((vint)ds & there), n);
    ls_rows_store_acc(state_row(s, t, state->grad, 2, i), (vacc){0}, n);
}

/* The carry that every part takes at its end; over ranks also what the rank before takes. */
static LsStatus carry_parts(const LsNode *node, const LsRun *run)
{
    Wkv s = wkv_of(node);
#pragma omp parallel for schedule(static) if (worth_threads(&s))
    for (int64_t column = 0; column < s.streams * s.tiles * WKV_VECTORS; column++) {
        int64_t i = column % WKV_VECTORS, tile = column / WKV_VECTORS % s.tiles,
                stream = column / WKV_VECTORS / s.tiles;
        Tile t = tile_of(node, &s, stream * s.parts * s.tiles + tile);
        int64_t n = s.channels - t.first - i * LS_LANES;
        vacc dm = {0}, ds = {0};
        if (i >= t.vectors)
            continue;
        if (carries_over(node)) {
            dm = ls_rows_load_acc(state_row(&s, &t, node->in[STATE]->end->grad, 0, i), n);
            ds = ls_rows_load_acc(state_row(&s, &t, node->in[STATE]->end->grad, 1, i), n);
        }
        for (t.part = s.parts - 1; t.part >= 0; t.part--) {
            acc *row[PART_APART + 1];
            for (int r = 0; r <= PART_APART; r++)
                row[r] = part_row(node, &s, &t, BACKWARD_ROWS, r, i);
            vacc own_m = ls_load_acc(row[PART_M]), own_s = ls_load_acc(row[PART_S]);
            ls_store_acc(row[PART_M], dm);
            ls_store_acc(row[PART_S], ds);
            if (t.part == 0 && !over_ranks(node, run))
                continue;
            vacc kept = ls_load_acc(row[PART_KEPT]);
            ds = own_s + kept * (ds - dm * ls_load_acc(row[PART_APART]));
            dm = own_m + kept * dm;
        }
        if (over_ranks(node, run) && ls_wants(node, STATE))
            store_carry(node, &s, &t, i, dm, ds);
    }
    return LS_OK;
}

static void backward_part(const LsNode *node, const Wkv *s, Tile t, bool first)
{
    for (int64_t i = 0; i < t.vectors; i++) {
        Back back = {.dm = ls_load_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_M, i)),
                     .ds = ls_load_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_S, i))};
        for (int64_t chunk = t.end_chunk - 1; chunk >= t.first_chunk; chunk--)
            backward_chunk(node, s, &t, &back, i, chunk);
        ls_store_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_DECAY, i), back.dw * t.w[i]); /* dw/ddecay = w */
        ls_store_acc(part_row(node, s, &t, BACKWARD_ROWS, PART_FIRST, i), back.du);
        if (first && carries_over(node) && ls_wants(node, STATE))
            store_carry(node, s, &t, i, back.dm, back.ds);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    Wkv s = wkv_of(node);
    bool over = over_ranks(node, run);
    if (s.parts > 1 || over) {
#pragma omp parallel for schedule(static) if (worth_threads(&s))
        for (int64_t i = 0; i < pieces_of(&s); i++) {
            Tile t = tile_of(node, &s, i);
            if (over || t.part > 0)
                summarise_back(node, &s, t);
        }
    }
    LS_TRY(ls_ranks_in_turn(node, run, node->in[STATE], true, carry_parts));
#pragma omp parallel for schedule(static) if (worth_threads(&s))
    for (int64_t i = 0; i < pieces_of(&s); i++) {
        Tile t = tile_of(node, &s, i);
        backward_part(node, &s, t, !over && t.part == 0);
    }
    for (int p = DECAY; p <= FIRST; p++) {
        acc *to = ls_wants(node, p) ? node->in[p]->grad : NULL;
        for (int64_t c = 0; to && c < s.channels; c++) {
            acc sum = 0;
            for (int64_t b = 0; b < s.streams * s.parts; b++)
                sum += ((const acc *)node->scratch)[(b * BACKWARD_ROWS + PART_DECAY + p - DECAY) * s.padded + c];
            to[c] = ls_adds(node, p) ? to[c] + sum : sum;
        }
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){60 * count, 3 * count * sizeof(real)};
    *bwd = (LsCost){120 * count, 6 * count * sizeof(real)};
}

/* ls_wkv(g, k, v, decay, first, state): k, v: (B, T, C); decay, first: (C), parameters with LS_PRECISE; state:
 * (B, 3, C) of LS_ACC or NULL: mean and log weight of the past, and whether there is any (ls_state, ls_carry).
 * -> (B, T, C) */
LS_BUILDER LsTensor *ls_wkv(LsGraph *g, LsTensor *k, LsTensor *v, LsTensor *decay, LsTensor *first, LsTensor *state)
{
    return ls_node(g, "wkv", 5, (LsTensor *[]){k, v, decay, first, state}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t dim[3];
        double reach;
        bool carry;
    } table[] = {{{1, 1, 1}, 2, false},  {{2, 5, 19}, 3, false},  {{1, 70, 33}, 3, false}, {{2, 3, 70}, 6, true},
                 {{1, 40, 17}, 2, true}, {{2, 33, 5}, 60, false}, {{1, 520, 3}, 2, false}, {{1, 800, 2}, 3, true}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    const int64_t *dim = table[which].dim;
    double reach = table[which].reach;
    LsTensor *k = ls_case_input(g, "k", LS_REAL, -reach, reach, 3, dim);
    LsTensor *v = ls_case_input(g, "v", LS_REAL, -2, 2, 3, dim);
    LsTensor *decay = ls_case_param(g, "decay", LS_PRECISE, -4, 0.5, 1, &dim[2]);
    LsTensor *first = ls_case_param(g, "first", LS_PRECISE, -1, 1, 1, &dim[2]);
    ls_wkv(g, k, v, decay, first,
           table[which].carry ? ls_case_carry(g, "state", LS_ACC, 0.1, 2, 3, (int64_t[]){dim[0], STATE_ROWS, dim[2]})
                              : NULL);
    return true;
}

LS_OP(wkv) = {
    .name = "wkv",
    .formula = "y_t = mean of v_i, i <= t, weighted by e^(w (t-1-i) + k_i), of v_t by e^(u + k_t)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1 << K | 1 << V | 1 << DECAY | 1 << FIRST | 1 << STATE,
    .saves_out = 2,
    .param_in = 1 << DECAY | 1 << FIRST,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    .tolerance = 256, /* of exponents: a weight e^60 is off by 60 2^-24 of itself */
};
