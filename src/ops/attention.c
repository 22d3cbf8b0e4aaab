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
#include "ops/attention_backend.h"
#include "ops/attention_gradients.h"
#include "ops/attention_one.h"
#include "ops/attention_reference.h"
#include "ops/attention_strand.h"

#include <omp.h>

/* One query a stream while decoding: the keys are read once, as they lie. */
static bool reads_keys_once(const LsNode *node, const Shape *s)
{
    return s->queries == 1 && (node->in[CACHE] || node->in[KV]) && ls_graph_mode(node->graph) == LS_DECODE;
}

static LsStatus infer(LsNode *node)
{
    LS_TRY(check_inputs(node));
    Shape s = shape_of(node);
    int64_t shared = strand_count(&s) * global_sums(&s), size = (int64_t)sizeof(acc), more = globals_bytes(&s);
    node->scratch_forward = ls_threads() * backend_of(&s)->forward_scratch(&s) * size + more;
    node->scratch_backward = (ls_threads() * backend_of(&s)->backward_scratch(&s) + shared) * size + more;
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

/* Queries first..end-1 of a strand; s: of all tokens. */
static void forward_queries(const LsNode *node, const Shape *s, const Strand *r, const Globals *globals, int64_t first,
                            int64_t end, acc *scratch)
{
    Keys keys = strand_keys(node, s, r);
    int64_t have = queries_of(node, &r->s, &keys), head = r->j * s->group, token = r->b * s->queries + r->start;
    real *out = (real *)node->out[0]->data + token * s->out_row + head * s->size;
    acc *lse = (acc *)node->out[1]->data + (r->b * s->heads + head) * s->lse_row + strand_lse(r, s->queries);
    have = have < first ? first : have < end ? have : end;
    if (first < have)
        backend_of(s)->forward(&r->s,
                               &(ForwardTask){.keys = keys,
                                              .global = strand_globals(s, globals, r),
                                              .first = first,
                                              .end = have,
                                              .head = head,
                                              .q = (const real *)node->in[Q]->data + token * s->row + head * s->size,
                                              .out = out,
                                              .lse = lse,
                                              .scratch = scratch});
    zero_rows(out, have, end, r->s.out_row, s->group * s->size);
    for (int64_t i = 0; have < end && i < s->group; i++)
        ls_zero(lse + i * s->lse_row + have, end - have);
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
    Globals globals;
    int64_t each = backend_of(&s)->forward_scratch(&s), task = ls_task_queries(&s), strands = strand_count(&s);
    int64_t room = node->scratch_forward - globals_bytes(&s);
    LS_TRY(gather_globals(node, &s, (char *)node->scratch + room, &globals));
    int threads = team(room, each);
    /* a query's result does not depend on it */
    while (task > COLUMNS && strands * ((s.queries + task - 1) / task) < 4 * threads)
        task = LS_ROUND_UP(task / 2, COLUMNS);
    int64_t tasks = (s.queries + task - 1) / task;
    LsShare share;
    ls_share_begin(&share, strands * tasks, threads);
#pragma omp parallel num_threads(threads)
    for (int64_t i; (i = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
        /* the longest first */
        int64_t first = (tasks - 1 - i % tasks) * task;
        Strand r = strand_at(&s, i / tasks);
        if (first < r.s.queries)
            forward_queries(node, &s, &r, &globals, first, first + task < r.s.queries ? first + task : r.s.queries,
                            (acc *)node->scratch + omp_get_thread_num() * each);
    }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (!ls_wants(node, Q) && !ls_wants(node, KV))
        return LS_OK;
    Backward w = {.node = node, .s = shape_of(node)};
    w.ranges = range_count(&w.s);
    w.sums_each = global_sums(&w.s);
    int64_t sums_bytes = strand_count(&w.s) * w.sums_each * (int64_t)sizeof(acc);
    int64_t room = node->scratch_backward - globals_bytes(&w.s) - sums_bytes;
    int64_t each = backend_of(&w.s)->backward_scratch(&w.s);
    w.sums = (acc *)((char *)node->scratch + room);
    LS_TRY(gather_globals(node, &w.s, (char *)node->scratch + room + sums_bytes, &w.globals));
    backward_strands(&w, each, team(room, each));
#pragma omp parallel for collapse(2) schedule(static) if (w.s.globals > 0)
    for (int64_t b = 0; b < w.s.batch; b++)
        for (int64_t j = 0; j < w.s.kv_heads; j++)
            if (w.s.globals && ls_wants(node, Q))
                add_globals(&w, b, j);
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static void reference_query(const LsNode *node, const Shape *s, int64_t b, int64_t h, int64_t t)
{
    Keys keys = keys_of(node, s, b, h / s->group);
    bool dilated = h / s->group >= s->kv_heads - s->dilated;
    int64_t step = dilated ? s->dilation : 1;
    PlainQuery p = {.keys = &keys,
                    .q = (const real *)node->in[Q]->data + (b * s->queries + t) * s->row + h * s->size,
                    .first = s->ahead >= 0 ? t - s->ahead * step : ls_oldest_key(s, &keys, t),
                    .end = s->ahead >= 0 ? t + s->ahead * step + 1 : ls_visible_keys(&keys, t + 1),
                    .at = keys.offset + t,
                    .own = t,
                    .step = step,
                    .slope = s->alibi ? ls_alibi_slope(s, h) : 0,
                    .globals = s->globals,
                    .global = node->in[GLOBAL] ? (const int32_t *)node->in[GLOBAL]->data + b * s->globals : NULL};
    if (t >= queries_of(node, s, &keys))
        keys.count = 0;
    real *o = (real *)node->out[0]->data + (b * s->queries + t) * s->out_row + h * s->size;
    int64_t lse = strand_lse(&(Strand){.start = t % step, .step = step}, s->queries) + t / step;
    ((acc *)node->out[1]->data)[(b * s->heads + h) * s->lse_row + lse] = (acc)attend_plainly(s, &p, o);
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    LS_TRY(check_lengths(node, &s));
    if (node->in[CACHE])
        LS_TRY(append_keys(node, &s));
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++)
            for (int64_t t = 0; t < s.queries; t++)
                reference_query(node, &s, b, h, t);
    return LS_OK;
}

/* ---- Cost, builder, cases ---------------------------------------------------------------------------------------- */

/* Queries and the keys that each sees under a causal mask. */
static double pairs_in_sight(int64_t queries, int64_t window)
{
    double all = (double)queries, w = (double)(window < queries ? window : queries);
    return all * w - w * (w - 1) / 2;
}

/* Of a window to both sides, as a mean over the heads. */
static double pairs_on_both_sides(const Shape *s)
{
    double pairs = 0;
    for (int64_t n = 0; n < strands_of_stream(s); n++) {
        int64_t tokens = strand_at(s, n).s.queries;
        pairs += 2 * pairs_in_sight(tokens, s->ahead + 1) - (double)tokens;
    }
    return pairs / (double)s->kv_heads + (double)s->queries * (double)s->globals;
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
    else if (s.ahead >= 0)
        pairs = pairs_on_both_sides(&s);
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
 * how->window, for self-attention: token t sees itself and the window - 1 tokens before it, without a causal mask
 * also as many after it (Beltagy et al. 2020, "Longformer"); 0: no limit. Blocks of keys out of sight are not computed.
 * how->alibi, for a causal mask: slope_h (j - t) is added to the scores of head h (Press et al. 2022, "Train short,
 * test long"): with it tokens need no positions.
 *
 * With a window to both sides: the last how->dilated_heads heads, whole groups of those that share keys, see every
 * how->dilation-th token, as many to each side. how->globals: the stream's first so many tokens are seen by all,
 * how->global: (B, G) of LS_I32: these tokens are, each once; less than 0 or behind the stream's end: none, at Tk or
 * past it fails with LS_DATA. What global tokens see themselves is another attention's (ls_replace_rows).
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
    return ls_node(g, "attention", INPUTS,
                   (LsTensor *[]){q, how->kv, how->cache, how->position, how->lengths, how->global},
                   &(Attention){.heads = how->heads,
                                .kv_heads = how->kv_heads ? how->kv_heads : how->heads,
                                .window = how->window,
                                .dilation = how->dilation,
                                .dilated_heads = how->dilated_heads,
                                .globals = how->globals,
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
    int64_t dilation, dilated, first; /* global tokens: the first */
    int64_t global;                   /* so many, given */
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
    {1, 5, 1, 1, 3, .window = 1},
    {2, 33, 4, 2, 5, .window = 7},
    {1, 300, 1, 1, 2, .window = 33},
    {2, 200, 2, 2, 33, .window = 40},
    {1, 90, 2, 1, 50, .window = 1000},
    {3, 140, 2, 1, 6, .window = 20, .lengths = true},
    {2, 130, 4, 2, 5, .window = 9, .dilation = 3, .dilated = 2},
    {1, 5, 2, 2, 3, .window = 2, .dilation = 7, .dilated = 2},
    {3, 100, 2, 2, 4, .window = 5, .dilation = 2, .dilated = 1, .lengths = true},
    {2, 70, 2, 1, 6, .window = 8, .first = 3},
    {1, 150, 2, 1, 17, .window = 33, .first = 70},
    {3, 140, 2, 2, 18, .window = 20, .lengths = true, .global = 5},
    {2, 100, 4, 2, 5, .window = 6, .dilation = 3, .dilated = 2, .lengths = true, .global = 4},
};

static bool cases(LsGraph *g, int which)
{
    if (which >= (int)LS_COUNT_OF(case_list))
        return false;
    const Case *c = &case_list[which];
    LsAttention how = {.heads = c->heads, .kv_heads = c->kv_heads, .mask = c->mask, .window = c->window};
    how.alibi = c->alibi;
    how.dilation = c->dilation;
    how.dilated_heads = c->dilated;
    how.globals = c->first;
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
    if (c->global)
        how.global = ls_case_input(g, "global", LS_I32, -1, (double)c->t, 2, (int64_t[]){c->b, c->global});
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
    .saves_in = 1u << Q | 1u << KV | 1u << LENGTHS | 1u << GLOBAL,
    .saves_out = 3,
    .mixes_time = true,
    .cases = cases,
    /* delta_t = do_t . o_t takes o as it was stored, and weights and slopes are rounded for the products after them:
     * two errors of at most 2^-8 in every term of the gradients. Those of random sign grow no faster than the sums. */
    .bf16_ulps = 2,
};
