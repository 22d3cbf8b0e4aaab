/* Attention by additive scores (Bahdanau, Cho, Bengio 2015, appendix A.1.2; Luong, Pham, Manning 2015, "concat").
 *
 *     s_tj = v . tanh(q_t + k_j)  for j < length      p_t = softmax(s_t)      o_t = sum_j p_tj x_j
 *
 * and backward, with h = tanh(q_t + k_j) computed again:
 *
 *     dx_j = sum_t p_tj do_t      ds_tj = p_tj (do_t . x_j - do_t . o_t)      dv = sum_tj ds_tj h
 *     dq_t = sum_j ds_tj v (1 - h^2)      dk_j = sum_t ds_tj v (1 - h^2)
 *
 * out[1] keeps the weights p. Streams are independent but for dv, whose shares are added in their order. */
#include "ops/op_build.h"
#include "ops/vec_math.h"

enum { Q, KV, V, LENGTHS, INPUTS };

typedef struct Shape {
    int64_t batch, queries, keys, size, width; /* B, Tq, Tk, A, C */
    int64_t row;                               /* of keys and values: A + C */
} Shape;

static Shape shape_of(const LsNode *node)
{
    const LsTensor *q = node->in[Q], *kv = node->in[KV];
    return (Shape){q->dim[0], q->dim[1], kv->dim[1], q->dim[2], kv->dim[2] - q->dim[2], kv->dim[2]};
}

/* acc of a stream in backward: ds (Tq, Tk), dk (Tk, A), dx (Tk, C) and dv (A). */
static int64_t stream_scratch(const Shape *s) { return s->queries * s->keys + s->keys * s->row + s->size; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *q = node->in[Q], *kv = node->in[KV], *v = node->in[V], *lengths = node->in[LENGTHS];
    if (q->rank != 3 || q->dtype != LS_REAL || kv->rank != 3 || kv->dtype != LS_REAL || kv->dim[0] != q->dim[0] ||
        kv->dim[2] <= q->dim[2])
        return ls_node_fail(node, "additive_attention: q %s and kv %s must be (B, Tq, A) and (B, Tk, A + C)",
                            ls_shape_text(q), ls_shape_text(kv));
    if (v->rank != 1 || v->dtype != LS_ACC || v->dim[0] != q->dim[2])
        return ls_node_fail(node, "additive_attention: v %s must be (%lld), declared with LS_PRECISE", ls_shape_text(v),
                            (long long)q->dim[2]);
    if (lengths && (lengths->rank != 1 || lengths->dtype != LS_I32 || lengths->dim[0] != q->dim[0]))
        return ls_node_fail(node, "additive_attention: lengths %s must be (%lld) of LS_I32", ls_shape_text(lengths),
                            (long long)q->dim[0]);
    Shape s = shape_of(node);
    node->scratch_backward = s.batch * stream_scratch(&s) * (int64_t)sizeof(acc);
    bool made = ls_node_output(node, LS_REAL, 3, (int64_t[]){s.batch, s.queries, s.width}) &&
                ls_node_output(node, LS_ACC, 3, (int64_t[]){s.batch, s.queries, s.keys});
    return made ? LS_OK : LS_RESOURCE;
}

static int64_t length_of(const LsNode *node, const Shape *s, int64_t b)
{
    return node->in[LENGTHS] ? ((const int32_t *)node->in[LENGTHS]->data)[b] : s->keys;
}

static LsStatus check_lengths(const LsNode *node, const Shape *s)
{
    for (int64_t b = 0; b < s->batch; b++)
        if (length_of(node, s, b) < 0 || length_of(node, s, b) > s->keys)
            return ls_fail(LS_DATA, "%s: length %lld of stream %lld is not within 0 and the %lld keys that there are",
                           node->name, (long long)length_of(node, s, b), (long long)b, (long long)s->keys);
    return LS_OK;
}

LS_INLINE vacc load_acc_upto(const acc *x, int64_t n)
{
    return n >= LS_LANES ? ls_load_acc(x) : ls_load_acc_part(x, n);
}

LS_INLINE void store_acc_upto(acc *x, vacc y, int64_t n)
{
    if (n >= LS_LANES)
        ls_store_acc(x, y);
    else
        ls_store_acc_part(x, y, n);
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* p: (Tk), the weights of one query on the first `count` keys: 0 on the rest. */
LS_INLINE void weigh_keys(const Shape *s, const real *q, const real *kv, const acc *v, int64_t count, acc *p)
{
    acc most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < count; j++) {
        vacc score = {0};
        for (int64_t a = 0; a < s->size; a += LS_LANES) { /* beyond A, v is 0 */
            int64_t n = s->size - a;
            score += load_acc_upto(v + a, n) * ls_vtanh(ls_load_upto(q + a, n) + ls_load_upto(kv + j * s->row + a, n));
        }
        p[j] = ls_hsum(score);
        most = p[j] > most ? p[j] : most;
    }
    for (int64_t j = 0; j < count; j += LS_LANES) {
        vacc e = ls_exp(load_acc_upto(p + j, count - j) - ls_splat(most));
        store_acc_upto(p + j, e, count - j);
    }
    for (int64_t j = 0; j < count; j++)
        sum += p[j];
    for (int64_t j = 0; j < s->keys; j++)
        p[j] = j < count ? p[j] / sum : 0;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    LS_TRY(check_lengths(node, &s));
    const acc *v = node->in[V]->data;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t t = 0; t < s.queries; t++) {
            const real *q = (const real *)node->in[Q]->data + (b * s.queries + t) * s.size;
            const real *kv = (const real *)node->in[KV]->data + b * s.keys * s.row;
            acc *p = (acc *)node->out[1]->data + (b * s.queries + t) * s.keys;
            real *o = (real *)node->out[0]->data + (b * s.queries + t) * s.width;
            int64_t count = length_of(node, &s, b);
            weigh_keys(&s, q, kv, v, count, p);
            for (int64_t c = 0; c < s.width; c += LS_LANES) {
                vacc sum = {0};
                for (int64_t j = 0; j < count; j++)
                    sum += p[j] * ls_load_upto(kv + j * s.row + s.size + c, s.width - c);
                ls_store_upto(o + c, sum, s.width - c);
            }
        }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Stream b: its operands, and its share of the scratch. */
typedef struct Stream {
    const real *q, *kv, *d; /* d: dL/do */
    const acc *p, *v;
    int64_t count;
    acc *ds, *dkv, *dv; /* dkv: (Tk, A + C) */
} Stream;

static Stream stream_of(const LsNode *node, const Shape *s, int64_t b)
{
    Stream r = {.q = (const real *)node->in[Q]->data + b * s->queries * s->size,
                .kv = (const real *)node->in[KV]->data + b * s->keys * s->row,
                .d = (const real *)node->out[0]->grad + b * s->queries * s->width,
                .p = (const acc *)node->out[1]->data + b * s->queries * s->keys,
                .v = node->in[V]->data,
                .count = length_of(node, s, b)};
    r.ds = (acc *)node->scratch + b * stream_scratch(s);
    r.dkv = r.ds + s->queries * s->keys;
    r.dv = r.dkv + s->keys * s->row;
    return r;
}

/* ds of all queries and keys, and the values' gradient. */
LS_INLINE void slopes(const Shape *s, const Stream *r)
{
    for (int64_t t = 0; t < s->queries; t++) {
        const acc *p = r->p + t * s->keys;
        const real *d = r->d + t * s->width;
        acc *ds = r->ds + t * s->keys, mean = 0;
        for (int64_t j = 0; j < r->count; j++) {
            vacc sum = {0};
            for (int64_t c = 0; c < s->width; c += LS_LANES) {
                int64_t n = s->width - c;
                acc *dx = r->dkv + j * s->row + s->size + c;
                vacc up = ls_load_upto(d + c, n);
                sum += up * ls_load_upto(r->kv + j * s->row + s->size + c, n);
                store_acc_upto(dx, p[j] * up + (t > 0 ? load_acc_upto(dx, n) : (vacc){0}), n);
            }
            ds[j] = ls_hsum(sum);
            mean += p[j] * ds[j];
        }
        for (int64_t j = 0; j < r->count; j++)
            ds[j] = p[j] * (ds[j] - mean);
    }
}

/* The gradients of LS_LANES (or n, if fewer) of the channels of the scores, from channel a on. dq: of query 0, or
 * NULL. */
LS_INLINE void channels(const Shape *s, const Stream *r, int64_t a, int64_t n, real *dq, bool add)
{
    vacc v = load_acc_upto(r->v + a, n), dv = {0};
    for (int64_t j = 0; j < r->count; j++)
        store_acc_upto(r->dkv + j * s->row + a, (vacc){0}, n);
    for (int64_t t = 0; t < s->queries; t++) {
        vacc q = ls_load_upto(r->q + t * s->size + a, n), sum = {0};
        for (int64_t j = 0; j < r->count; j++) {
            vacc h = ls_vtanh(q + ls_load_upto(r->kv + j * s->row + a, n)), ds = ls_splat(r->ds[t * s->keys + j]);
            acc *dk = r->dkv + j * s->row + a;
            vacc slope = ds * v * (1 - h * h);
            dv += ds * h;
            sum += slope;
            store_acc_upto(dk, load_acc_upto(dk, n) + slope, n);
        }
        if (dq) {
            real *to = dq + t * s->size + a;
            ls_store_upto(to, add ? ls_load_upto(to, n) + sum : sum, n);
        }
    }
    store_acc_upto(r->dv + a, dv, n);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    if (!ls_wants(node, Q) && !ls_wants(node, KV) && !ls_wants(node, V))
        return LS_OK;
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < s.batch; b++) {
        Stream r = stream_of(node, &s, b);
        real *dq = ls_wants(node, Q) ? (real *)node->in[Q]->grad + b * s.queries * s.size : NULL;
        slopes(&s, &r);
        for (int64_t a = 0; a < s.size; a += LS_LANES)
            channels(&s, &r, a, s.size - a, dq, ls_adds(node, Q));
        if (!ls_wants(node, KV))
            continue;
        real *to = (real *)node->in[KV]->grad + b * s.keys * s.row;
        int64_t there = r.count * s.row;
        bool add = ls_adds(node, KV);
        for (int64_t i = 0; i < there; i += LS_LANES) {
            vacc sum = load_acc_upto(r.dkv + i, there - i);
            ls_store_upto(to + i, add ? ls_load_upto(to + i, there - i) + sum : sum, there - i);
        }
        if (!add)
            memset(to + there, 0, (size_t)(s.keys * s.row - there) * sizeof *to);
    }
    acc *dv = ls_wants(node, V) ? node->in[V]->grad : NULL;
    for (int64_t a = 0; dv && a < s.size; a++) {
        acc sum = ls_adds(node, V) ? dv[a] : 0;
        for (int64_t b = 0; b < s.batch; b++)
            sum += stream_of(node, &s, b).dv[a];
        dv[a] = sum;
    }
    return LS_OK;
}

/* ---- Reference, cost, builder, cases ----------------------------------------------------------------------------- */

static double plain_score(const Shape *s, const real *q, const real *k, const acc *v)
{
    double sum = 0;
    for (int64_t a = 0; a < s->size; a++)
        sum += (double)v[a] * tanh((double)ls_load1(q + a) + (double)ls_load1(k + a));
    return sum;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    LS_TRY(check_lengths(node, &s));
    for (int64_t row = 0; row < s.batch * s.queries; row++) {
        const real *q = (const real *)node->in[Q]->data + row * s.size;
        const real *kv = (const real *)node->in[KV]->data + row / s.queries * s.keys * s.row;
        const acc *v = node->in[V]->data;
        acc *p = (acc *)node->out[1]->data + row * s.keys;
        int64_t count = length_of(node, &s, row / s.queries);
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < count; j++)
            most = fmax(most, plain_score(&s, q, kv + j * s.row, v));
        for (int64_t j = 0; j < count; j++)
            sum += exp(plain_score(&s, q, kv + j * s.row, v) - most);
        for (int64_t j = 0; j < s.keys; j++)
            p[j] = j < count ? (acc)(exp(plain_score(&s, q, kv + j * s.row, v) - most) / sum) : 0;
        for (int64_t c = 0; c < s.width; c++) {
            double o = 0;
            for (int64_t j = 0; j < count; j++)
                o += (double)p[j] * (double)ls_load1(kv + j * s.row + s.size + c);
            ls_store1((real *)node->out[0]->data + row * s.width + c, (acc)o);
        }
    }
    return LS_OK;
}

/* A hyperbolic tangent counts as 20 operations. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Shape s = shape_of(node);
    double pairs = (double)(s.batch * s.queries * s.keys), a = (double)s.size, c = (double)s.width;
    double elements = (double)node->in[Q]->count + (double)node->in[KV]->count + (double)node->out[0]->count;
    *fwd = (LsCost){.flops = pairs * (23 * a + 2 * c), .bytes = elements * sizeof(real) + pairs * sizeof(acc)};
    *bwd = (LsCost){.flops = pairs * (28 * a + 4 * c), .bytes = 2 * elements * sizeof(real) + pairs * sizeof(acc)};
}

/* ls_additive_attention(g, q, kv, v, lengths) -> (B, Tq, C); result 1 is the weights (B, Tq, Tk), LS_ACC.
 *
 * q: (B, Tq, A); kv: (B, Tk, A + C), a row's key and then its value; v: (A), a parameter with LS_PRECISE. lengths: (B)
 * of LS_I32 or NULL: nobody sees the keys of stream b from lengths[b] on, whose gradients are 0; where there are none
 * the result is 0. A length past Tk fails with LS_DATA. */
LS_BUILDER LsTensor *ls_additive_attention(LsGraph *g, LsTensor *q, LsTensor *kv, LsTensor *v, LsTensor *lengths)
{
    return ls_node(g, "additive_attention", INPUTS, (LsTensor *[]){q, kv, v, lengths}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    /* B, Tq, Tk, A, C, with lengths or not */
    static const int64_t list[][6] = {{1, 1, 1, 1, 1, 0},  {2, 3, 4, 5, 3, 0},   {3, 5, 7, 16, 33, 1},
                                      {4, 1, 9, 19, 6, 1}, {1, 4, 37, 8, 17, 0}, {5, 2, 3, 4, 2, 1}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *d = list[which];
    LsTensor *q = ls_case_input(g, "q", LS_REAL, -2, 2, 3, (int64_t[]){d[0], d[1], d[3]});
    LsTensor *kv = ls_case_input(g, "kv", LS_REAL, -1, 1, 3, (int64_t[]){d[0], d[2], d[3] + d[4]});
    LsTensor *v = ls_case_param(g, "v", LS_PRECISE, -1, 1, 1, d + 3);
    ls_additive_attention(g, q, kv, v, d[5] ? ls_case_input(g, "lengths", LS_I32, 0, (double)d[2] + 1, 1, d) : NULL);
    return true;
}

LS_OP(additive_attention) = {
    .name = "additive_attention",
    .formula = "o_t = sum_j softmax_j(v . tanh(q_t + k_j)) x_j",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1u << Q | 1u << KV | 1u << V | 1u << LENGTHS,
    .saves_out = 2,
    .param_in = 1u << V,
    .mixes_time = true,
    .cases = cases,
};
