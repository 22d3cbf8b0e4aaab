/* Multi-head attention with grouped queries (Vaswani et al. 2017, "Attention is all you need"; Ainslie et al. 2023,
 * "GQA").
 *
 *     s_tj = q_t . k_j / sqrt(D)  for the j that t sees      p_t = softmax(s_t)      o_t = sum_j p_tj v_j
 *
 * and backward, with delta_t = do_t . o_t:
 *
 *     dv_j = sum_t p_tj do_t      ds_tj = p_tj (do_t . v_j - delta_t)
 *     dq_t = sum_j ds_tj k_j / sqrt(D)            dk_j = sum_t ds_tj q_t / sqrt(D)
 *
 * No (Tq, Tk) array exists: out[1] keeps log sum_j exp(s_tj), from which backward makes p again, block by block. Blocks
 * that the mask or the lengths hide are not computed. */
#include "base/share.h"
#include "ops/attention_backward.h"
#include "ops/attention_block.h"
#include "ops/attention_forward.h"
#include "ops/attention_one.h"
#if defined(__AVX512BW__) && (defined(LS_BUILD_FLOAT32) || (defined(LS_BUILD_BFLOAT16) && defined(__AVX512BF16__)))
#include "ops/attention_panel.h"
#endif
#include "ops/attention_node.h"
#include "ops/attention_reference.h"

#include <omp.h>

/* ---- The order of work, compiled for each kind of products ------------------------------------------------------- */

typedef struct Backend {
    int64_t (*forward_scratch)(const Shape *s);
    void (*forward)(const Shape *s, const ForwardTask *t);
    int64_t (*backward_scratch)(const Shape *s);
    void (*backward)(const Shape *s, const BackwardTask *t);
    const BlockOps *by;
} Backend;

#define BACKEND(products)                                                                                              \
    static int64_t products##_forward_scratch(const Shape *s) { return ls_forward_scratch(&products, s); }             \
    static int64_t products##_backward_scratch(const Shape *s) { return ls_backward_scratch(&products, s); }           \
    static void products##_forward(const Shape *s, const ForwardTask *t) { ls_forward_task(&products, s, t); }         \
    static void products##_backward(const Shape *s, const BackwardTask *t) { ls_backward_task(&products, s, t); }      \
    static const Backend products##_backend = {products##_forward_scratch, products##_forward,                         \
                                               products##_backward_scratch, products##_backward, &products};

BACKEND(by_vectors)
#ifdef LS_OPS_ATTENTION_PANEL_H
BACKEND(by_panels)
#endif

static const Backend *backend_of(const Shape *s)
{
#ifdef LS_OPS_ATTENTION_PANEL_H
    if (s->kernel)
        return &by_panels_backend;
#endif
    (void)s;
    return &by_vectors_backend;
}

/* One query a stream while decoding: the keys are read once, as they lie. */
static bool reads_keys_once(const LsNode *node, const Shape *s)
{
    return s->queries == 1 && (node->in[CACHE] || node->in[KV]) && ls_graph_mode(node->graph) == LS_DECODE;
}

static LsStatus infer(LsNode *node)
{
    LS_TRY(check_inputs(node));
    Shape s = shape_of(node);
    node->scratch_forward = ls_threads() * backend_of(&s)->forward_scratch(&s) * (int64_t)sizeof(acc);
    node->scratch_backward = ls_threads() * backend_of(&s)->backward_scratch(&s) * (int64_t)sizeof(acc);
    if (reads_keys_once(node, &s))
        node->scratch_forward = ls_one_scratch(&s, s.keys, ls_threads()) * (int64_t)sizeof(acc);
    bool made = ls_node_output(node, LS_REAL, 3, (int64_t[]){s.batch, s.queries, s.heads * s.size}) &&
                ls_node_output(node, LS_ACC, 3, (int64_t[]){s.batch, s.heads, s.queries});
    return made ? LS_OK : LS_RESOURCE;
}

/* Threads of a team: not more than there is scratch for, should the number have been raised since the graph was
 * planned. */
static int team(int64_t scratch_bytes, int64_t each)
{
    int64_t room = scratch_bytes / (each * (int64_t)sizeof(acc));
    return ls_threads() < room ? ls_threads() : (int)room;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* Puts the new keys and values into their rows of the cache: (B, context, 2 Hkv D). */
static LsStatus append_keys(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[CACHE];
    const int32_t *position = node->in[POSITION]->data;
    int64_t context = cache->dim[1], row = cache->dim[2];
    for (int64_t b = 0; b < s->batch; b++)
        if (position[b] < 0 || position[b] + s->queries > context)
            return ls_fail(LS_USAGE,
                           "%s: stream %lld has seen %d tokens and gets %lld more, but the context is %lld; use a "
                           "model with a longer "
                           "context or fewer tokens",
                           node->name, (long long)b, (int)position[b], (long long)s->queries, (long long)context);
#pragma omp parallel for collapse(2) schedule(static) if (s->batch * s->queries * row > 65536)
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t t = 0; t < s->queries; t++) {
            const real *from = (const real *)node->in[Q]->data + (b * s->queries + t) * s->row + s->heads * s->size;
            memcpy((real *)cache->data + (b * context + position[b] + t) * row, from, (size_t)row * sizeof(real));
        }
    return LS_OK;
}

static void attend_one(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[CACHE], *kv = node->in[KV], *count = node->in[cache ? POSITION : LENGTHS];
    ls_attend_one(s, &(OneRun){.q = node->in[Q]->data,
                               .keys = cache ? cache->data : kv->data,
                               .count = count ? count->data : NULL,
                               .more = cache ? 1 : 0,
                               .out = node->out[0]->data,
                               .lse = node->out[1]->data,
                               .scratch = node->scratch,
                               .room = node->scratch_forward / (int64_t)sizeof(acc)});
}

/* Queries first..end-1 of stream b and the heads of key head j. */
static void forward_queries(const LsNode *node, const Shape *s, int64_t b, int64_t j, int64_t first, int64_t end,
                            acc *scratch)
{
    Keys keys = keys_of(node, s, b, j);
    int64_t have = queries_of(node, s, &keys), width = s->heads * s->size;
    real *out = (real *)node->out[0]->data + b * s->queries * width + j * s->group * s->size;
    acc *lse = (acc *)node->out[1]->data + (b * s->heads + j * s->group) * s->queries;
    have = have < first ? first : have < end ? have : end;
    if (first < have)
        backend_of(s)->forward(
            s, &(ForwardTask){.keys = keys,
                              .first = first,
                              .end = have,
                              .head = j * s->group,
                              .q = (const real *)node->in[Q]->data + b * s->queries * s->row + j * s->group * s->size,
                              .out = out,
                              .lse = lse,
                              .scratch = scratch});
    zero_rows(out, have, end, width, s->group * s->size);
    for (int64_t head = 0; have < end && head < s->group; head++)
        ls_zero(lse + head * s->queries + have, end - have);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    LS_TRY(check_lengths(node, &s));
    if (node->in[CACHE])
        LS_TRY(append_keys(node, &s));
    if (reads_keys_once(node, &s)) {
        attend_one(node, &s);
        return LS_OK;
    }
    int64_t each = backend_of(&s)->forward_scratch(&s), task = ls_task_queries(&s), pairs = s.batch * s.kv_heads;
    int threads = team(node->scratch_forward, each);
    /* a query's result does not depend on it */
    while (task > COLUMNS && pairs * ((s.queries + task - 1) / task) < 4 * threads)
        task = LS_ROUND_UP(task / 2, COLUMNS);
    int64_t tasks = (s.queries + task - 1) / task;
    LsShare share;
    ls_share_begin(&share, pairs * tasks, threads);
#pragma omp parallel num_threads(threads)
    for (int64_t i; (i = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
        /* the longest first */
        int64_t pair = i / tasks, first = (tasks - 1 - i % tasks) * task;
        forward_queries(node, &s, pair / s.kv_heads, pair % s.kv_heads, first,
                        first + task < s.queries ? first + task : s.queries,
                        (acc *)node->scratch + omp_get_thread_num() * each);
    }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Keys' and values' gradients are sums over queries. A range of query blocks forms its sums together; ranges of a
 * (stream, key head) are added in order. Their number is a function of the shape only, so that bits do not depend on
 * the number of threads: one where there are enough (stream, key head) pairs to keep a processor busy. */
static int64_t range_count(const Shape *s)
{
    int64_t blocks = (s->queries + ls_task_queries(s) - 1) / ls_task_queries(s), pairs = s->batch * s->kv_heads;
    int64_t ranges = (LS_REDUCE_CHUNKS + pairs - 1) / pairs;
    return ranges < blocks ? ranges : blocks;
}

/* First query of a range: work grows with the square of the position where the mask is causal, up to the window. */
static int64_t range_begin(const Shape *s, int64_t ranges, int64_t range)
{
    int64_t task = ls_task_queries(s), blocks = (s->queries + task - 1) / task;
    if (range == ranges)
        return s->queries;
    double share = (double)range / (double)ranges;
    return task * (int64_t)((double)blocks * (s->causal && s->window >= s->queries ? sqrt(share) : share) + 0.5);
}

/* Keys first..end-1. */
typedef struct KeyRange {
    int64_t first, end;
} KeyRange;

/* The queries' gradient of a range of a (stream, key head) pair, and its share of dk, dv: (Tk, D), which lie at
 * scratch, of the keys that it sees. */
static KeyRange backward_range(const LsNode *node, const Shape *s, int64_t pair, int64_t range, acc *scratch)
{
    const Backend *backend = backend_of(s);
    int64_t width = backend->by->sizes(s).rows, sums = LS_ROUND_UP(s->keys, KEYS) * width, task = ls_task_queries(s);
    int64_t b = pair / s->kv_heads, j = pair % s->kv_heads, head = j * s->group, ranges = range_count(s);
    int64_t at = (b * s->queries * s->heads + head) * s->size, from = b * s->queries * s->row + head * s->size;
    int64_t first = range_begin(s, ranges, range), end = range_begin(s, ranges, range + 1);
    Keys keys = keys_of(node, s, b, j);
    int64_t have = queries_of(node, s, &keys);
    have = have < first ? first : have < end ? have : end;
    KeyRange seen = {0, 0};
    if (first < have)
        seen = (KeyRange){ls_first_block(s, &keys, first), ls_visible_keys(&keys, have)};
    int64_t rows = (LS_ROUND_UP(seen.end, KEYS) - seen.first) * width;
    BackwardTask t = {.keys = keys,
                      .head = head,
                      .q = (const real *)node->in[Q]->data + from,
                      .o = (const real *)node->out[0]->data + at,
                      .d = (const real *)node->out[0]->grad + at,
                      .lse = (const acc *)node->out[1]->data + (b * s->heads + head) * s->queries,
                      .dq = ls_wants(node, Q) ? (real *)node->in[Q]->grad + from : NULL,
                      .add = ls_adds(node, Q),
                      .dk = scratch,
                      .dv = scratch + sums,
                      .scratch = scratch + 2 * sums};
    ls_zero(t.dk + seen.first * width, rows);
    ls_zero(t.dv + seen.first * width, rows);
    for (t.first = first; t.first < have; t.first = t.end) {
        t.end = t.first + task < have ? t.first + task : have;
        backend->backward(s, &t);
    }
    if (t.dq && !t.add)
        zero_rows(t.dq, have, end, s->row, s->group * s->size);
    return seen;
}

/* The sums dk, which still lack the scale, and dv of these keys of a pair into the gradients of keys and values. */
static void merge(const LsNode *node, const Shape *s, int64_t pair, const acc *dk, KeyRange keys, bool first)
{
    const BlockOps *by = backend_of(s)->by;
    int64_t width = by->sizes(s).rows, count = keys.end - keys.first;
    const acc *dv = dk + LS_ROUND_UP(s->keys, KEYS) * width;
    int64_t at, in = node->in[KV] ? KV : Q;
    const LsTensor *x = keys_at(node, s, pair / s->kv_heads, pair % s->kv_heads, &at);
    if (!ls_wants(node, (int)in))
        return;
    bool add = ls_adds(node, (int)in) || !first;
    real *to_k = (real *)x->grad + at, *to_v = to_k + s->kv_heads * s->size;
    int64_t at_row = keys.first * s->kv_row, at_sum = keys.first * width;
    by->write_sum(s, to_k + at_row, s->kv_row, dk + at_sum, count, s->scale, add);
    by->write_sum(s, to_v + at_row, s->kv_row, dv + at_sum, count, 1, add);
    if (!add) {
        zero_rows(to_k, 0, keys.first, s->kv_row, s->size);
        zero_rows(to_v, 0, keys.first, s->kv_row, s->size);
        zero_rows(to_k, keys.end, s->keys, s->kv_row, s->size);
        zero_rows(to_v, keys.end, s->keys, s->kv_row, s->size);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (!ls_wants(node, Q) && !ls_wants(node, KV))
        return LS_OK;
    Shape s = shape_of(node);
    int64_t each = backend_of(&s)->backward_scratch(&s), pairs = s.batch * s.kv_heads, ranges = range_count(&s);
    int threads = team(node->scratch_backward, each);
    if (ranges == 1) {
        LsShare share;
        ls_share_begin(&share, pairs, threads);
#pragma omp parallel num_threads(threads)
        for (int64_t pair; (pair = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
            acc *scratch = (acc *)node->scratch + omp_get_thread_num() * each;
            merge(node, &s, pair, scratch, backward_range(node, &s, pair, 0, scratch), true);
        }
        return LS_OK;
    }
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
    for (int64_t n = 0; n < pairs * ranges; n++) {
        int64_t range = ranges - 1 - n % ranges; /* the last keys first */
        acc *scratch = (acc *)node->scratch + omp_get_thread_num() * each;
        KeyRange seen = backward_range(node, &s, n / ranges, range, scratch);
#pragma omp ordered
        merge(node, &s, n / ranges, scratch, seen, range == ranges - 1);
    }
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    LS_TRY(check_lengths(node, &s));
    if (node->in[CACHE])
        LS_TRY(append_keys(node, &s));
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++)
            for (int64_t t = 0; t < s.queries; t++) {
                Keys keys = keys_of(node, &s, b, h / s.group);
                PlainQuery p = {.keys = &keys,
                                .q = (const real *)node->in[Q]->data + (b * s.queries + t) * s.row + h * s.size,
                                .first = ls_oldest_key(&s, &keys, t),
                                .end = t < queries_of(node, &s, &keys) ? ls_visible_keys(&keys, t + 1) : 0,
                                .at = keys.offset + t,
                                .slope = s.alibi ? ls_alibi_slope(&s, h) : 0};
                real *o = (real *)node->out[0]->data + ((b * s.queries + t) * s.heads + h) * s.size;
                ((acc *)node->out[1]->data)[(b * s.heads + h) * s.queries + t] = (acc)attend_plainly(&s, &p, o);
            }
    return LS_OK;
}

/* ---- Cost, builder, cases ---------------------------------------------------------------------------------------- */

/* Queries and the keys that each sees under a causal mask. */
static double pairs_in_sight(int64_t queries, int64_t window)
{
    double all = (double)queries, w = (double)(window < queries ? window : queries);
    return all * w - w * (w - 1) / 2;
}

/* Scores and results: 2 products of 2 D operations for each pair of query and key in sight; backward has 5. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Shape s = shape_of(node);
    const LsTensor *cache = node->in[CACHE], *kv = node->in[KV];
    double pairs = (double)s.queries * (double)s.keys;
    if (cache) /* half full, on average */
        pairs = (double)s.queries * fmin((double)(s.keys + s.queries) / 2, (double)s.window);
    else if (s.causal)
        pairs = pairs_in_sight(s.queries, s.window);
    double product = 2 * (double)(s.batch * s.heads * s.size) * pairs, o = (double)node->out[0]->count;
    double qkv = (double)node->in[Q]->count + (kv ? (double)kv->count : 0);
    double read = cache ? (double)cache->count * fmin(0.5, (double)s.window / (double)s.keys) : 0;
    *fwd = (LsCost){.flops = 2 * product, .bytes = (qkv + o + read) * sizeof(real), .products = 2 * product};
    *bwd = (LsCost){.flops = 5 * product, .bytes = (2 * qkv + 2 * o) * sizeof(real), .products = 5 * product};
}

/* ls_attention(g, q, how) -> (B, Tq, H D). H = how->heads must be a multiple of Hkv = how->kv_heads (0: H); query head
 * h looks at key head h / (H / Hkv).
 *
 * - Self-attention, how->kv NULL: q is qkv: (B, T, (H + 2 Hkv) D). A token's row holds its H queries, then its Hkv
 *   keys, then its Hkv values, D numbers each: one packed linear layer makes it, and ls_rotary turns its first H + Hkv
 *   heads in place.
 * - Cross-attention: q: (B, Tq, H D), kv: (B, Tk, 2 Hkv D), a row's keys and then its values: an activation, an input,
 *   or a state.
 *
 * how->mask: LS_MASK_CAUSAL, for self-attention only: token t sees tokens 0..t of this run. LS_MASK_NONE: all.
 *
 * how->window: token t sees itself and the window - 1 tokens before it (Beltagy et al. 2020, "Longformer", one side of
 * it, as in Mistral); 0: no limit. Blocks of keys out of sight are not computed. how->alibi: slope_h (j - t) is added to
 * the scores of head h (Press et al. 2022, "Train short, test long"): with it tokens need no positions. Both are for
 * a causal mask.
 *
 * how->lengths: (B) of LS_I32 or NULL: nobody sees the keys of stream b from lengths[b] on, whose gradients are 0 and
 * which may be anything. In self-attention the queries from there on have results of 0 and no gradient either, and a
 * stream of length 0 has only such queries. A query of cross-attention with no key at all has a result of 0. A length
 * past Tk fails with LS_DATA.
 *
 * how->cache and how->position go together, in graphs of mode LS_DECODE, with a causal mask and no lengths: cache is a
 * state (B, context, 2 Hkv D) and position an input (B) LS_I32, the tokens that each stream has seen before this run.
 * The new keys and values become rows position..position + T - 1 of the cache, and token t sees rows 0..position + t. A
 * run that would pass the end of the context fails with LS_USAGE. */
LS_BUILDER LsTensor *ls_attention(LsGraph *g, LsTensor *q, const LsAttention *how)
{
    return ls_node(g, "attention", INPUTS, (LsTensor *[]){q, how->kv, how->cache, how->position, how->lengths},
                   &(Attention){.heads = how->heads,
                                .kv_heads = how->kv_heads ? how->kv_heads : how->heads,
                                .window = how->window,
                                .mask = how->mask,
                                .alibi = how->alibi},
                   sizeof(Attention));
}

typedef struct Case {
    int64_t b, t, heads, kv_heads, size;
    int64_t context; /* of a cache; 0: none */
    int64_t keys;    /* of cross-attention; 0: self-attention */
    LsMask mask;
    bool lengths;
    int64_t window;
    bool alibi;
} Case;

#define CAUSAL .mask = LS_MASK_CAUSAL
static const Case case_list[] = {
    {1, 1, 1, 1, 1, CAUSAL},
    {2, 5, 2, 2, 3, CAUSAL},
    {2, 33, 4, 2, 5, CAUSAL},
    {1, 70, 1, 1, 16, CAUSAL},
    {1, 37, 6, 1, 8, CAUSAL},
    {2, 130, 1, 1, 4, CAUSAL},
    {1, 300, 1, 1, 2, CAUSAL},
    {2, 1, 4, 2, 5, 9, CAUSAL},
    {3, 1, 2, 2, 16, 140, CAUSAL},
    {2, 7, 2, 1, 3, 11, CAUSAL},
    {1, 40, 1, 1, 20, 90, CAUSAL},
    {1, 100, 2, 1, 36, CAUSAL},
    {1, 70, 1, 1, 50, 100, CAUSAL},
    {1, 150, 2, 1, 17, CAUSAL},
    {2, 129, 1, 1, 50, CAUSAL},
    {1, 131, 2, 1, 40, 200, CAUSAL},
    {2, 72, 4, 2, 32, CAUSAL},
    {1, 24, 2, 1, 16, 64, CAUSAL},
    {2, 33, 4, 2, 5},
    {1, 150, 2, 2, 17},
    {1, 300, 1, 1, 2},
    {5, 33, 2, 1, 5, .lengths = true},
    {3, 140, 2, 2, 18, .lengths = true},
    {4, 75, 2, 1, 6, CAUSAL, .lengths = true},
    {2, 9, 2, 2, 3, .keys = 70},
    {2, 70, 4, 2, 8, .keys = 13},
    {2, 130, 1, 1, 17, .keys = 129},
    {3, 20, 2, 1, 16, .keys = 33, .lengths = true},
    {3, 1, 2, 1, 20, .keys = 100, .lengths = true},
    {2, 1, 2, 2, 3, .keys = 5},
    {1, 5, 1, 1, 3, CAUSAL, .window = 1},
    {2, 33, 4, 2, 5, CAUSAL, .window = 7},
    {1, 150, 2, 1, 17, CAUSAL, .window = 64},
    {1, 300, 1, 1, 2, CAUSAL, .window = 65},
    {2, 200, 2, 2, 33, CAUSAL, .window = 40},
    {1, 90, 2, 1, 50, CAUSAL, .window = 1000},
    {3, 140, 2, 1, 6, CAUSAL, .window = 20, .lengths = true},
    {3, 1, 4, 2, 16, 140, CAUSAL, .window = 33},
    {1, 70, 1, 1, 20, 230, CAUSAL, .window = 50},
    {2, 40, 6, 3, 5, CAUSAL, .alibi = true},
    {1, 140, 1, 1, 40, CAUSAL, .alibi = true},
    {2, 1, 3, 1, 16, 70, CAUSAL, .alibi = true},
    {2, 5, 3, 3, 4, 70, CAUSAL, .window = 9, .alibi = true},
};

static bool cases(LsGraph *g, int which)
{
    if (which >= (int)LS_COUNT_OF(case_list))
        return false;
    const Case *c = &case_list[which];
    LsAttention how = {.heads = c->heads, .kv_heads = c->kv_heads, .mask = c->mask, .window = c->window};
    how.alibi = c->alibi;
    int64_t kv_width = 2 * c->kv_heads * c->size, width = c->heads * c->size + (c->keys ? 0 : kv_width);
    LsTensor *q = ls_case_input(g, c->keys ? "q" : "qkv", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->t, width});
    if (c->keys)
        how.kv = ls_case_input(g, "kv", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->keys, kv_width});
    if (c->context) {
        how.cache = ls_case_state(g, "cache", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->context, kv_width});
        how.position = ls_case_input(g, "position", LS_I32, 0, (double)(c->context - c->t + 1), 1, &c->b);
    }
    if (c->lengths)
        how.lengths = ls_case_input(g, "lengths", LS_I32, 0, (double)(c->keys ? c->keys : c->t) + 1, 1, &c->b);
    ls_attention(g, q, &how);
    return true;
}

LS_OP(attention) = {
    .name = "attention",
    .formula = "o_t = sum_j softmax_j(q_t . k_j / sqrt(D)) v_j",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1u << Q | 1u << KV | 1u << LENGTHS,
    .saves_out = 3,
    .mixes_time = true,
    .cases = cases,
    /* delta_t = do_t . o_t takes o as it was stored, and weights and slopes are rounded for the products after them:
     * two errors of at most 2^-8 in every term of the gradients. Those of random sign grow no faster than the sums. */
    .bf16_ulps = 2,
};
