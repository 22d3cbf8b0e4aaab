/* The linear recurrence of channels that do not meet,
 *
 *     h_t = a_t h_{t-1} + b_t
 *
 * with a and b given, or made here of what a linear layer gave (Feng et al. 2024, "Were RNNs all we needed?"):
 *
 *     minGRU    z = sigmoid(k):  a = 1 - z,  b = z g(v)
 *     minLSTM   f = sigmoid(f'), i = sigmoid(i'):  a = f / (f + i),  b = i / (f + i) g(v)
 *     g(v) = v + 1/2 for v >= 0, sigmoid(v) below
 *
 * Gates are formed from logarithms, as the paper's are: 1 - z is sigmoid(-k), and i / (f + i) is sigmoid(softplus(-f')
 * - softplus(-i')), so that none of them loses digits near 0 or 1. The states themselves need no logarithms: the paper
 * divides by products of a, which this scan never does.
 *
 * Work is cut by stream and group of channels; where those are few, also into parts of the time: first each part's end
 * from zero and its product of a, then by the recurrence over parts what each starts from, then all parts at once. Over
 * ranks that share a sequence the summaries go on in the same way (LsComm.scan). The cut is a function of the shape.
 * Training keeps what each part starts from; the h in between are the result itself. */
#include "ops/linear_scan_gates.h"
#include "ops/scratch.h"

enum { X, ADDEND, STATE };

enum {
    SCAN_WIDE = 128,  /* channels of a group at most: their states stay in the first cache level */
    SCAN_NARROW = 32, /* where groups are few */
    FEW_PIECES = 8,
    WANTED_PIECES = 16, /* for 16 cores; a part's summary costs a half of its work */
    LEAST_PART = 256,   /* steps of a part at least */
    ROWS_AHEAD = 4      /* rows that are fetched ahead: from one to the next it is too far for the hardware */
};

typedef struct Attr {
    LsScanForm form;
} Attr;

/* B, T, E; channels of a group; parts of the time. */
typedef struct Cut {
    int64_t streams, steps, channels, width, groups, parts, part_steps;
} Cut;

/* acc (B, parts, E) each: states (in reverse: carries) that parts start from, products of a; (B, E) each: what the
 * first part starts from and, with a carry, product and end from zero of all parts together. */
typedef struct Scratch {
    acc *h, *decay, *start, *all, *sum;
    int64_t count;
} Scratch;

typedef struct Piece {
    int64_t stream, part, channel, width, first, end; /* channels from `channel`; steps from first to before end */
} Piece;

static LsScanForm form_of(const LsNode *node) { return ((const Attr *)node->attr)->form; }

/* Numbers of a row of x for one channel. */
static int64_t packed(LsScanForm form) { return form == LS_SCAN_PLAIN ? 1 : form == LS_SCAN_MINGRU ? 2 : 3; }

static Cut cut_of(const LsNode *node)
{
    const LsTensor *x = node->in[X];
    Cut c = {.streams = x->dim[0], .steps = x->dim[1], .channels = x->dim[2] / packed(form_of(node))};
    c.width = c.streams * ls_ceil_div(c.channels, SCAN_WIDE) >= FEW_PIECES ? SCAN_WIDE : SCAN_NARROW;
    c.groups = ls_ceil_div(c.channels, c.width);
    int64_t parts = c.streams * c.groups >= FEW_PIECES ? 1 : ls_ceil_div(WANTED_PIECES, c.streams * c.groups);
    if (parts > c.steps / LEAST_PART)
        parts = c.steps / LEAST_PART;
    c.part_steps = ls_ceil_div(c.steps, parts < 1 ? 1 : parts);
    c.parts = ls_ceil_div(c.steps, c.part_steps);
    return c;
}

static bool carries_over(const LsNode *node) { return node->in[STATE] && node->in[STATE]->role == LS_ROLE_CARRY; }

static Scratch scratch_of(const LsNode *node, const Cut *c)
{
    Scratch s = {0};
    acc *base = node->scratch;
    int64_t state = c->streams * c->channels, over = carries_over(node) ? state : 0;
    s.h = ls_scratch_block(base, &s.count, c->parts * state);
    s.decay = ls_scratch_block(base, &s.count, c->parts > 1 || over ? c->parts * state : 0);
    s.start = ls_scratch_block(base, &s.count, state);
    s.all = ls_scratch_block(base, &s.count, over);
    s.sum = ls_scratch_block(base, &s.count, over);
    return s;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[X], *addend = node->in[ADDEND], *state = node->in[STATE];
    LsScanForm form = form_of(node);
    if (x->rank != 3 || x->dtype != LS_REAL || x->dim[2] % packed(form) != 0)
        return ls_node_fail(node, "linear_scan: x %s must be (B, T, %lld E)", ls_shape_text(x),
                            (long long)packed(form));
    int64_t dim[3] = {x->dim[0], x->dim[1], x->dim[2] / packed(form)};
    if ((form == LS_SCAN_PLAIN) != (addend != NULL) ||
        (addend && (addend->rank != 3 || addend->dtype != LS_REAL || memcmp(addend->dim, dim, sizeof dim) != 0)))
        return ls_node_fail(node, "linear_scan: b must be given with a %s, in its shape, and with no packed gates",
                            ls_shape_text(x));
    if (state && (state->rank != 2 || state->dtype != LS_ACC || state->dim[0] != dim[0] || state->dim[1] != dim[2]))
        return ls_node_fail(node, "linear_scan: state %s must be (B, E) for x %s", ls_shape_text(state),
                            ls_shape_text(x));
    Cut c = cut_of(node);
    node->scratch_forward = node->scratch_backward = scratch_of(node, &c).count * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, 3, dim))
        return LS_RESOURCE;
    bool keep = ls_graph_mode(node->graph) == LS_TRAIN;
    return !keep || ls_node_output(node, LS_ACC, 3, (int64_t[]){c.streams, c.parts, c.channels}) ? LS_OK : LS_RESOURCE;
}

/* ---- Common to both directions ----------------------------------------------------------------------------------- */

static Piece piece_of(const Cut *c, int64_t index)
{
    Piece p = {.channel = index % c->groups * c->width,
               .part = index / c->groups % c->parts,
               .stream = index / c->groups / c->parts};
    p.width = c->channels - p.channel < c->width ? c->channels - p.channel : c->width;
    p.first = p.part * c->part_steps;
    p.end = p.first + c->part_steps < c->steps ? p.first + c->part_steps : c->steps;
    return p;
}

static int64_t pieces_of(const Cut *c) { return c->streams * c->parts * c->groups; }

static bool worth_threads(const Cut *c) { return c->streams * c->steps * c->channels > 8192; }

/* Where the piece's numbers of a (B, parts, E) array begin. */
static int64_t place_of(const Cut *c, const Piece *p)
{
    return (p->stream * c->parts + p->part) * c->channels + p->channel;
}

static ScanRows rows_of(const LsNode *node, const Cut *c, const Piece *p)
{
    ScanRows r = {.stride = node->in[X]->dim[2], .channels = c->channels};
    r.x = (const real *)node->in[X]->data + p->stream * c->steps * r.stride + p->channel;
    if (node->in[ADDEND])
        r.addend = (const real *)node->in[ADDEND]->data + p->stream * c->steps * c->channels + p->channel;
    return r;
}

LS_INLINE vacc load_some(const acc *x, int64_t n) { return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n); }

LS_INLINE void store_some(acc *x, vacc v, int64_t n)
{
    if (n >= LS_LANES)
        ls_store_acc(x, v);
    else
        ls_store_acc_part(x, v, n);
}

#define MOST_VECTORS (SCAN_WIDE / LS_LANES)

LS_INLINE void fetch_row(const ScanRows *r, int64_t t, int64_t at, int64_t parts)
{
    for (int64_t part = 0; part < parts; part++)
        __builtin_prefetch(r->x + (t + ROWS_AHEAD) * r->stride + part * r->channels + at, 0, 2);
}

/* A switch over the forms with each call's form a constant. */
#define IN_FORM(form, call)                                                                                            \
    do {                                                                                                               \
        if ((form) == LS_SCAN_PLAIN)                                                                                   \
            call(LS_SCAN_PLAIN);                                                                                       \
        else if ((form) == LS_SCAN_MINGRU)                                                                             \
            call(LS_SCAN_MINGRU);                                                                                      \
        else                                                                                                           \
            call(LS_SCAN_MINLSTM);                                                                                     \
    } while (0)

/* The piece's end from zero, into h, and its product of a; in reverse what dL/dh of its steps make of a carry of
 * zero. */
LS_INLINE void summarise_form(LsScanForm form, const LsNode *node, const Cut *c, const Scratch *s, const Piece *p,
                              bool reverse)
{
    ScanRows r = rows_of(node, c, p);
    const real *slope =
        reverse ? (const real *)node->out[0]->grad + p->stream * c->steps * c->channels + p->channel : NULL;
    vacc h[MOST_VECTORS], decay[MOST_VECTORS];
    for (int64_t v = 0; v * LS_LANES < p->width; v++) {
        h[v] = (vacc){0};
        decay[v] = ls_splat(1);
    }
    for (int64_t i = p->first; i < p->end; i++) {
        int64_t t = reverse ? p->end - 1 - (i - p->first) : i;
        for (int64_t v = 0; v * LS_LANES < p->width; v++) {
            int64_t at = v * LS_LANES, lanes = p->width - at;
            ScanGates g = scan_gates(form, &r, t, at, lanes);
            h[v] = reverse ? g.a * (ls_load_upto(slope + t * c->channels + at, lanes) + h[v]) : g.a * h[v] + g.b;
            decay[v] *= g.a;
        }
    }
    for (int64_t v = 0; v * LS_LANES < p->width; v++) {
        store_some(s->h + place_of(c, p) + v * LS_LANES, h[v], p->width - v * LS_LANES);
        store_some(s->decay + place_of(c, p) + v * LS_LANES, decay[v], p->width - v * LS_LANES);
    }
}

static void summarise(const LsNode *node, const Cut *c, const Scratch *s, const Piece *p, bool reverse)
{
#define CALL(form) summarise_form(form, node, c, s, p, reverse)
    IN_FORM(form_of(node), CALL);
#undef CALL
}

/* Over the ranks that share this part of the time: all parts of a rank are one step of the same recurrence. */
static LsStatus chain_ranks(const LsRun *run, const Cut *c, const Scratch *s, bool reverse)
{
    for (int64_t i = 0; i < c->streams * c->channels; i++) {
        int64_t b = i / c->channels, e = i % c->channels;
        acc x = 0, all = 1;
        for (int64_t j = 0; j < c->parts; j++) {
            int64_t at = (b * c->parts + (reverse ? c->parts - 1 - j : j)) * c->channels + e;
            x = s->h[at] + s->decay[at] * x;
            all *= s->decay[at];
        }
        s->sum[i] = x;
        s->all[i] = all;
    }
    return run->sequence->scan(run->sequence, s->start, s->all, s->sum, c->streams * c->channels, sizeof(acc) == 8,
                               reverse);
}

/* Fills the state that every part starts from into its h. */
static LsStatus start_parts(const LsNode *node, const LsRun *run, const Cut *c, const Scratch *s, bool reverse)
{
    const LsTensor *state = node->in[STATE];
    const acc *from = !state ? NULL : reverse ? state->end->grad : state->data;
    bool over_ranks = carries_over(node) && ls_over_ranks(run);
    int64_t count = c->streams * c->channels;
    if (c->parts > 1 || over_ranks) {
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(c))
        for (int64_t i = 0; i < pieces_of(c); i++) {
            Piece p = piece_of(c, i);
            if (over_ranks || p.part != (reverse ? 0 : c->parts - 1)) /* the last part's is for other ranks only */
                summarise(node, c, s, &p, reverse);
        }
    }
    if (from)
        memcpy(s->start, from, (size_t)count * sizeof(acc));
    else
        memset(s->start, 0, (size_t)count * sizeof(acc));
    if (over_ranks)
        LS_TRY(chain_ranks(run, c, s, reverse));
    for (int64_t i = 0; i < count; i++) {
        acc x = s->start[i];
        for (int64_t j = 0; j < c->parts; j++) {
            int64_t part = reverse ? c->parts - 1 - j : j;
            int64_t at = (i / c->channels * c->parts + part) * c->channels + i % c->channels;
            acc summary = j + 1 < c->parts ? s->h[at] : 0;
            s->h[at] = x;
            if (j + 1 < c->parts)
                x = summary + s->decay[at] * x;
        }
    }
    if (!reverse && node->outputs > 1)
        memcpy(node->out[1]->data, s->h, (size_t)(c->parts * count) * sizeof(acc));
    return LS_OK;
}

/* The h of one part, (B, E), into `to`. */
static void store_states(const Cut *c, const Scratch *s, int64_t part, acc *to)
{
    for (int64_t b = 0; b < c->streams; b++)
        memcpy(to + b * c->channels, s->h + (b * c->parts + part) * c->channels, (size_t)c->channels * sizeof(acc));
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

LS_INLINE void forward_form(LsScanForm form, const LsNode *node, const Cut *c, const Scratch *s, const Piece *p)
{
    ScanRows r = rows_of(node, c, p);
    real *y = (real *)node->out[0]->data + p->stream * c->steps * c->channels + p->channel;
    acc *end = s->h + place_of(c, p);
    vacc h[MOST_VECTORS];
    for (int64_t v = 0; v * LS_LANES < p->width; v++)
        h[v] = load_some(end + v * LS_LANES, p->width - v * LS_LANES);
    for (int64_t t = p->first; t < p->end; t++)
        for (int64_t v = 0; v * LS_LANES < p->width; v++) {
            int64_t at = v * LS_LANES, lanes = p->width - at;
            fetch_row(&r, t, at, packed(form));
            ScanGates g = scan_gates(form, &r, t, at, lanes);
            h[v] = g.a * h[v] + g.b;
            ls_store_upto(y + t * c->channels + at, h[v], lanes);
        }
    for (int64_t v = 0; v * LS_LANES < p->width; v++)
        store_some(end + v * LS_LANES, h[v], p->width - v * LS_LANES);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    Cut c = cut_of(node);
    Scratch s = scratch_of(node, &c);
    LS_TRY(start_parts(node, run, &c, &s, false));
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(&c))
    for (int64_t i = 0; i < pieces_of(&c); i++) {
        Piece p = piece_of(&c, i);
#define CALL(form) forward_form(form, node, &c, &s, &p)
        IN_FORM(form_of(node), CALL);
#undef CALL
    }
    if (node->in[STATE])
        store_states(&c, &s, c.parts - 1, node->in[STATE]->end->data);
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static ScanGrads grads_of(const LsNode *node, const Cut *c, const Piece *p)
{
    ScanGrads to = {.add_x = ls_adds(node, X), .add_addend = ls_adds(node, ADDEND)};
    if (ls_wants(node, X))
        to.x = (real *)node->in[X]->grad + p->stream * c->steps * node->in[X]->dim[2] + p->channel;
    if (ls_wants(node, ADDEND))
        to.addend = (real *)node->in[ADDEND]->grad + p->stream * c->steps * c->channels + p->channel;
    return to;
}

/* dL/dh_t with all that comes after, w_t = dL/dy_t + a_{t+1} w_{t+1}: h of the piece goes from a_end w_end to a_first
 * w_first. */
LS_INLINE void backward_form(LsScanForm form, const LsNode *node, const Cut *c, const Scratch *s, const Piece *p)
{
    int64_t row = p->stream * c->steps * c->channels + p->channel;
    const real *y = (const real *)node->out[0]->data + row, *dy = (const real *)node->out[0]->grad + row;
    const acc *start = (const acc *)node->out[1]->data + place_of(c, p);
    ScanRows r = rows_of(node, c, p);
    ScanGrads to = grads_of(node, c, p);
    acc *carry = s->h + place_of(c, p);
    vacc w[MOST_VECTORS];
    for (int64_t v = 0; v * LS_LANES < p->width; v++)
        w[v] = load_some(carry + v * LS_LANES, p->width - v * LS_LANES);
    for (int64_t t = p->end - 1; t >= p->first; t--)
        for (int64_t v = 0; v * LS_LANES < p->width; v++) {
            int64_t at = v * LS_LANES, lanes = p->width - at;
            ScanGates g = scan_gates(form, &r, t, at, lanes);
            vacc before =
                t > p->first ? ls_load_upto(y + (t - 1) * c->channels + at, lanes) : load_some(start + at, lanes);
            vacc slope = ls_load_upto(dy + t * c->channels + at, lanes) + w[v];
            scan_put_gates(form, &r, &g, &to, t, at, lanes, slope, before);
            w[v] = g.a * slope;
        }
    for (int64_t v = 0; v * LS_LANES < p->width; v++)
        store_some(carry + v * LS_LANES, w[v], p->width - v * LS_LANES);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    Cut c = cut_of(node);
    Scratch s = scratch_of(node, &c);
    LS_TRY(start_parts(node, run, &c, &s, true));
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(&c))
    for (int64_t i = 0; i < pieces_of(&c); i++) {
        Piece p = piece_of(&c, i);
#define CALL(form) backward_form(form, node, &c, &s, &p)
        IN_FORM(form_of(node), CALL);
#undef CALL
    }
    if (ls_wants(node, STATE)) /* dL/dh before the first step */
        store_states(&c, &s, 0, node->in[STATE]->grad);
    return LS_OK;
}

/* ---- Plain, cost, cases ------------------------------------------------------------------------------------------ */

static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    if (ls_over_ranks(run))
        return ls_fail(LS_ERROR, "%s: the plain form works on one rank only", node->name);
    Cut c = cut_of(node);
    LsScanForm form = form_of(node);
    const LsTensor *state = node->in[STATE];
    for (int64_t i = 0; i < c.streams * c.channels; i++) {
        int64_t b = i / c.channels, e = i % c.channels, width = node->in[X]->dim[2];
        double h = state ? (double)((const acc *)state->data)[i] : 0;
        for (int64_t t = 0; t < c.steps; t++) {
            const real *x = (const real *)node->in[X]->data + (b * c.steps + t) * width + e;
            int64_t at = (b * c.steps + t) * c.channels + e;
            if (node->outputs > 1 && t % c.part_steps == 0)
                ((acc *)node->out[1]->data)[(b * c.parts + t / c.part_steps) * c.channels + e] = (acc)h;
            if (form == LS_SCAN_PLAIN)
                h = (double)ls_load1(x) * h + (double)ls_load1((const real *)node->in[ADDEND]->data + at);
            else {
                double k = (double)ls_load1(x), v = (double)ls_load1(x + (packed(form) - 1) * c.channels);
                double f = sigmoid_of(-k), z = sigmoid_of(k);
                if (form == LS_SCAN_MINLSTM) {
                    double forget = z, input = sigmoid_of((double)ls_load1(x + c.channels));
                    f = forget / (forget + input);
                    z = input / (forget + input);
                }
                h = f * h + z * (v >= 0 ? v + 0.5 : sigmoid_of(v));
            }
            ls_store1((real *)node->out[0]->data + at, (acc)h);
        }
        if (state)
            ((acc *)state->end->data)[i] = (acc)h;
    }
    return LS_OK;
}

/* An exponential counts as 12. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    static const double flops[] = {2, 40, 110};
    LsScanForm form = form_of(node);
    double count = (double)node->out[0]->count, inputs = form == LS_SCAN_PLAIN ? 2 : (double)packed(form);
    *fwd = (LsCost){count * flops[form], (inputs + 1) * count * sizeof(real)};
    *bwd = (LsCost){count * (flops[form] + 10), (2 * inputs + 2) * count * sizeof(real)};
}

/* ls_linear_scan(g, x, b, state, form): h_t = a_t h_{t-1} + b_t. form LS_SCAN_PLAIN: x is a, of b's shape (B, T, E);
 * LS_SCAN_MINGRU: x: (B, T, 2 E), in each row k, then v, and b NULL; LS_SCAN_MINLSTM: x: (B, T, 3 E), f', i', v, and b
 * NULL. state: (B, E) of LS_ACC, h before the first step and after the last (ls_state, ls_carry), or NULL for zero. ->
 * h: (B, T, E) */
LS_BUILDER LsTensor *ls_linear_scan(LsGraph *g, LsTensor *x, LsTensor *b, LsTensor *state, LsScanForm form)
{
    return ls_node(g, "linear_scan", 3, (LsTensor *[]){x, b, state}, &(Attr){form}, sizeof(Attr));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        LsScanForm form;
        int64_t streams, steps, channels;
        bool carry;
        double steepest; /* of gates' inputs; 0: 3 */
    } table[] = {{LS_SCAN_PLAIN, 1, 1, 1},           {LS_SCAN_PLAIN, 2, 7, 5},
                 {LS_SCAN_PLAIN, 1, 3, 140},         {LS_SCAN_PLAIN, 1, 1030, 1},
                 {LS_SCAN_PLAIN, 2, 9, 33, true},    {LS_SCAN_PLAIN, 1, 600, 2, true},
                 {LS_SCAN_MINGRU, 2, 6, 19},         {LS_SCAN_MINGRU, 3, 4, 5, true},
                 {LS_SCAN_MINGRU, 1, 520, 2, true},  {LS_SCAN_MINGRU, 2, 5, 3, false, 30},
                 {LS_SCAN_MINLSTM, 2, 6, 19},        {LS_SCAN_MINLSTM, 3, 4, 5, true},
                 {LS_SCAN_MINLSTM, 1, 520, 1, true}, {LS_SCAN_MINLSTM, 2, 5, 3, false, 30},
                 {LS_SCAN_MINLSTM, 3, 1, 18, true}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    LsScanForm form = table[which].form;
    int64_t b = table[which].streams, t = table[which].steps, e = table[which].channels;
    double low = form == LS_SCAN_PLAIN ? -0.9 : table[which].steepest > 0 ? -table[which].steepest : -3;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, low, -low, 3, (int64_t[]){b, t, packed(form) * e});
    LsTensor *addend = form == LS_SCAN_PLAIN ? ls_case_input(g, "b", LS_REAL, -1, 1, 3, (int64_t[]){b, t, e}) : NULL;
    LsTensor *state = table[which].carry ? ls_case_carry(g, "h", LS_ACC, -1, 1, 2, (int64_t[]){b, e}) : NULL;
    ls_linear_scan(g, x, addend, state, form);
    return true;
}

LS_OP(linear_scan) = {
    .name = "linear_scan",
    .formula = "h_t = a_t h_{t-1} + b_t; minGRU: a = 1 - z, b = z g(v), z = sigmoid(k); minLSTM: a = f / (f + i), "
               "b = i / (f + i) g(v); g(v) = v + 1/2 for v >= 0, sigmoid(v) below",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1 << X | 1 << ADDEND,
    .saves_out = 3,
    .mixes_time = true,
    .collective = LS_COLLECTIVE_WITH_CARRY,
    .cases = cases,
    .bf16_ulps = 1, /* of the states that backward reads, in the gradients of gates */
};
