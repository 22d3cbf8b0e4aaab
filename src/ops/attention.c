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
 * With relative positions r of a table, a_t their queries (attention_relative.h), a_t . r_{t-j} is added to q_t . k_j, and
 * r_{t-j} to v_j where values have them too.
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
    bool plain = !s->relative.count && (node->in[CACHE] || !s->causal);
    return s->queries == 1 && plain && (node->in[CACHE] || node->in[KV]) && ls_graph_mode(node->graph) == LS_DECODE;
}

/* acc that a thread needs in backward: the sums of the table's gradient of its group come last. The sums of all heads
 * stand before all threads' (table_room). */
static int64_t table_room(const LsNode *node, const Shape *s)
{
    return node->in[RELATIVE] && node->in[RELATIVE]->needs_grad ? ls_table_sums(s, s->heads) : 0;
}
static int64_t backward_room(const LsNode *node, const Shape *s)
{
    return backend_of(s)->backward_scratch(s) + (table_room(node, s) ? ls_table_sums(s, s->group) : 0);
}

static LsStatus infer(LsNode *node)
{
    LS_TRY(check_inputs(node));
    Shape s = shape_of(node);
    node->scratch_forward = ls_threads() * backend_of(&s)->forward_scratch(&s) * (int64_t)sizeof(acc);
    node->scratch_backward = (table_room(node, &s) + ls_threads() * backward_room(node, &s)) * (int64_t)sizeof(acc);
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

/* Queries of relative positions from this element on; NULL: they have none of their own. */
static const real *own_queries(const LsNode *node, int64_t at)
{
    return node->in[RELATIVE_Q] ? (const real *)node->in[RELATIVE_Q]->data + at : NULL;
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
                              .a = own_queries(node, b * s->queries * width + j * s->group * s->size),
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
    count_seen(node, &s);
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
 * scratch, of the keys that it sees, and of the gradient of the table, where table is not NULL. */
static KeyRange backward_range(const LsNode *node, const Shape *s, int64_t pair, int64_t range, acc *scratch,
                               acc *table)
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
                      .a = own_queries(node, at),
                      .da = ls_wants(node, RELATIVE_Q) ? (real *)node->in[RELATIVE_Q]->grad + at : NULL,
                      .add_a = ls_adds(node, RELATIVE_Q),
                      .table = table,
                      .dk = scratch,
                      .dv = scratch + sums,
                      .scratch = scratch + 2 * sums};
    ls_zero(t.dk + seen.first * width, rows);
    ls_zero(t.dv + seen.first * width, rows);
    if (table)
        ls_zero(table, ls_table_sums(s, s->group));
    for (t.first = first; t.first < have; t.first = t.end) {
        t.end = t.first + task < have ? t.first + task : have;
        backend->backward(s, &t);
    }
    if (t.dq && !t.add)
        zero_rows(t.dq, have, end, s->row, s->group * s->size);
    if (t.da && !t.add_a)
        zero_rows(t.da, have, end, s->heads * s->size, s->group * s->size);
    return seen;
}

/* The sums dk, which still lack the scale, and dv of these keys of a pair into the gradients of keys and values. */
static void merge(const LsNode *node, const Shape *s, int64_t pair, const acc *dk, KeyRange keys, bool first)
{
    const BlockOps *by = backend_of(s)->by;
    int64_t width = by->sizes(s).rows, count = keys.end - keys.first;
    const acc *dv = dk + LS_ROUND_UP(s->keys, KEYS) * width;
    int64_t at, in = node->in[KV] ? KV : Q, missing = missing_keys(node, s, pair / s->kv_heads);
    const LsTensor *x = keys_at(node, s, pair / s->kv_heads, pair % s->kv_heads, &at);
    if (!ls_wants(node, (int)in))
        return;
    bool add = ls_adds(node, (int)in) || !first;
    real *to_k = (real *)x->grad + at, *to_v = to_k + s->kv_heads * s->size;
    keys.first += missing;
    keys.end += missing;
    int64_t at_row = keys.first * s->kv_row, at_sum = (keys.first - missing) * width;
    by->write_sum(s, to_k + at_row, s->kv_row, dk + at_sum, count, s->scale, add);
    by->write_sum(s, to_v + at_row, s->kv_row, dv + at_sum, count, 1, add);
    if (!add) {
        zero_rows(to_k, 0, keys.first, s->kv_row, s->size);
        zero_rows(to_v, 0, keys.first, s->kv_row, s->size);
        zero_rows(to_k, keys.end, s->keys, s->kv_row, s->size);
        zero_rows(to_v, keys.end, s->keys, s->kv_row, s->size);
    }
}

/* Ranges of (stream, key head) pairs, each in a thread's scratch; their sums are added in order, those of the table, where
 * it is not NULL, to it: (H, rows, padded D). */
static void backward_in_order(const LsNode *node, const Shape *s, int64_t ranges, int threads, acc *scratch, acc *table)
{
    int64_t each = backward_room(node, s), sums_at = backend_of(s)->backward_scratch(s);
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
    for (int64_t n = 0; n < s->batch * s->kv_heads * ranges; n++) {
        int64_t range = ranges - 1 - n % ranges, pair = n / ranges; /* the last keys first */
        acc *own = scratch + omp_get_thread_num() * each, *sums = table ? own + sums_at : NULL;
        KeyRange seen = backward_range(node, s, pair, range, own, sums);
#pragma omp ordered
        {
            merge(node, s, pair, own, seen, range == ranges - 1);
            if (table)
                add_table_sums(s, table, pair % s->kv_heads * s->group, sums);
        }
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (ls_wants(node, SEEN)) /* a number of tokens */
        ls_zero(node->in[SEEN]->grad, node->in[SEEN]->count);
    if (!ls_wants(node, Q) && !ls_wants(node, KV) && !ls_wants(node, RELATIVE) && !ls_wants(node, RELATIVE_Q))
        return LS_OK;
    Shape s = shape_of(node);
    int64_t each = backward_room(node, &s), pairs = s.batch * s.kv_heads, ranges = range_count(&s);
    int64_t before = table_room(node, &s);
    int threads = team(node->scratch_backward - before * (int64_t)sizeof(acc), each);
    acc *table = ls_wants(node, RELATIVE) ? node->scratch : NULL, *scratch = (acc *)node->scratch + before;
    if (ranges == 1 && !table) {
        LsShare share;
        ls_share_begin(&share, pairs, threads);
#pragma omp parallel num_threads(threads)
        for (int64_t pair; (pair = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
            acc *own = scratch + omp_get_thread_num() * each;
            merge(node, &s, pair, own, backward_range(node, &s, pair, 0, own, NULL), true);
        }
        return LS_OK;
    }
    if (table)
        ls_zero(table, before);
    backward_in_order(node, &s, ranges, threads, scratch, table);
    if (table)
        write_table(&s, node->in[RELATIVE]->grad, table, ls_adds(node, RELATIVE));
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
                                .slope = s.alibi ? ls_alibi_slope(&s, h) : 0,
                                .place = (s.causal ? keys.offset : 0) + t};
                if (s.relative.count)
                    p.table = s.relative.rows + h * s.relative.head;
                p.a = node->in[RELATIVE_Q] ? own_queries(node, ((b * s.queries + t) * s.heads + h) * s.size) : p.q;
                real *o = (real *)node->out[0]->data + ((b * s.queries + t) * s.heads + h) * s.size;
                ((acc *)node->out[1]->data)[(b * s.heads + h) * s.queries + t] = (acc)attend_plainly(&s, &p, o);
            }
    count_seen(node, &s);
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
        pairs = pairs_in_sight(s.queries, s.window) + (double)s.queries * (double)(s.keys - s.queries);
    double band = s.relative.count ? (double)(COLUMNS + KEYS) / (double)KEYS : 0; /* products with a table */
    double more = s.relative.values ? 2 * band : band, back = more + band + (s.relative.count ? more : 0);
    double product = 2 * (double)(s.batch * s.heads * s.size) * pairs, o = (double)node->out[0]->count;
    double qkv = (double)node->in[Q]->count + (kv ? (double)kv->count : 0);
    double read = cache ? (double)cache->count * fmin(0.5, (double)s.window / (double)s.keys) : 0;
    double once = (2 + more) * product, twice = (5 + back) * product;
    *fwd = (LsCost){.flops = once, .bytes = (qkv + o + read) * sizeof(real), .products = once};
    *bwd = (LsCost){.flops = twice, .bytes = (2 * qkv + 2 * o) * sizeof(real), .products = twice};
}

static __attribute__((unused)) LsTensor *attention(LsGraph *g, LsTensor *q, const LsAttention *how,
                                                   const LsRelative *relative)
{
    LsTensor *in[INPUTS] = {q, how->kv, how->cache, how->position, how->lengths};
    in[RELATIVE] = relative->table;
    in[RELATIVE_Q] = relative->queries;
    in[SEEN] = relative->seen;
    return ls_node(g, "attention", INPUTS, in,
                   &(Attention){.heads = how->heads,
                                .kv_heads = how->kv_heads ? how->kv_heads : how->heads,
                                .window = how->window,
                                .mask = how->mask,
                                .alibi = how->alibi,
                                .relative_first = relative->first,
                                .relative_values = relative->values},
                   sizeof(Attention));
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
 * how->mask: LS_MASK_CAUSAL: token t sees tokens 0..t of this run. LS_MASK_NONE: all. A causal mask over kv: the queries
 * are the newest Tq of its Tk tokens, as after ls_segment_memory.
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
    return attention(g, q, how, &(LsRelative){0});
}

/* ls_relative_attention(g, q, how, relative): the same with relative positions, of self-attention and of kv with a causal
 * mask.
 *
 * relative->table: (N, D), or (N, H D) by head, or NULL: row n is for keys that stand relative->first + n tokens before the
 * query (less than 0: after it); keys farther away than the table reaches get its nearest row. The query meets the sum of
 * key and row. relative->values: the row is added to the value too (Wei et al. 2019, "NEZHA"; Shaw et al. 2018).
 * relative->queries: (B, Tq, H D): they meet the rows in the place of the queries (Dai et al. 2019, "Transformer-XL": q + v,
 * where the keys meet q + u); NULL: the queries do.
 *
 * relative->seen: a carry or a state (B) of LS_ACC, for kv with a causal mask: of the Tk - Tq tokens before the queries those
 * are seen, the newest, that it counts; all where it is NULL. At the end it counts those that there will be for the next
 * segment: at most Tk - Tq. */
LS_BUILDER LsTensor *ls_relative_attention(LsGraph *g, LsTensor *q, const LsAttention *how, const LsRelative *relative)
{
    return attention(g, q, how, relative);
}

#include "ops/attention_cases.h"

LS_OP(attention) = {
    .name = "attention",
    .formula = "o_t = sum_j softmax_j(q_t . k_j / sqrt(D)) v_j",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1u << Q | 1u << KV | 1u << LENGTHS | 1u << RELATIVE | 1u << RELATIVE_Q | 1u << SEEN,
    .saves_out = 3,
    .mixes_time = true,
    .cases = cases,
    /* delta_t = do_t . o_t takes o as it was stored, and weights and slopes are rounded for the products after them:
     * two errors of at most 2^-8 in every term of the gradients. Those of random sign grow no faster than the sums. */
    .bf16_ulps = 2,
};
