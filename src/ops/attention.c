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
 * With relative positions r of a table, a_t their queries (attention_relative.h), a_t . r_{t-j} is added to q_t . k_j,
 * and r_{t-j} to v_j where values have them too.
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
    bool plain = !s->relative.count && (node->in[CACHE] || !s->causal);
    return s->queries == 1 && plain && (node->in[CACHE] || node->in[KV]) && ls_graph_mode(node->graph) == LS_DECODE;
}

static LsStatus infer(LsNode *node)
{
    LS_TRY(check_inputs(node));
    Shape s = shape_of(node);
    int64_t shared = strand_count(&s) * global_sums(&s) + table_room(node, &s), size = (int64_t)sizeof(acc);
    int64_t more = globals_bytes(&s) + documents_bytes(node, &s);
    node->scratch_forward = ls_threads() * backend_of(&s)->forward_scratch(&s) * size + more;
    node->scratch_backward = (ls_threads() * backward_room(node, &s) + shared) * size + more;
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

/* The first row of the cache that a run fills. */
static int64_t first_free(const Shape *s, int32_t position) { return position - ls_window_first(s->window, position); }

/* Puts the new keys and values into their rows of the cache: (B, rows, 2 Hkv D). */
static LsStatus append_keys(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[CACHE];
    const int32_t *position = node->in[POSITION]->data;
    int64_t rows = cache->dim[1], row = cache->dim[2];
    for (int64_t b = 0; b < s->batch; b++)
        if (position[b] < 0 || first_free(s, position[b]) + s->queries > rows)
            return ls_fail(LS_USAGE,
                           "%s: stream %lld has seen %d tokens and gets %lld more, but the context is %lld; use a "
                           "model with a longer "
                           "context or fewer tokens",
                           node->name, (long long)b, (int)position[b], (long long)s->queries,
                           (long long)(rows + ls_window_first(s->window, position[b] < 0 ? 0 : position[b])));
#pragma omp parallel for collapse(2) schedule(static) if (s->batch * s->queries * row > 65536)
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t t = 0; t < s->queries; t++) {
            const real *from = (const real *)node->in[Q]->data + (b * s->queries + t) * s->row + s->heads * s->size;
            memcpy((real *)cache->data + (b * rows + first_free(s, position[b]) + t) * row, from,
                   (size_t)row * sizeof(real));
        }
    return LS_OK;
}

/* After a run: the rows of tokens that no later query sees make room, a step of them at once. */
static void drop_keys(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[CACHE];
    int64_t rows = cache ? cache->dim[1] : 0, row = cache ? cache->dim[2] : 0;
#pragma omp parallel for schedule(static) if (s->batch > 1)
    for (int64_t b = 0; b < (cache ? s->batch : 0); b++) {
        int64_t position = ((const int32_t *)node->in[POSITION]->data)[b], seen = position + s->queries;
        int64_t first = ls_window_first(s->window, seen), past = first - ls_window_first(s->window, position);
        real *to = (real *)cache->data + b * rows * row;
        if (past > 0)
            memmove(to, to + past * row, (size_t)((seen - first) * row) * sizeof(real));
    }
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
                                              .a = own_queries(node, token * s->out_row + head * s->size),
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
        drop_keys(node, &s);
        return LS_OK;
    }
    Globals globals;
    int64_t each = backend_of(&s)->forward_scratch(&s), task = ls_task_queries(&s), strands = strand_count(&s);
    int64_t globals_at = node->scratch_forward - globals_bytes(&s), room = globals_at - documents_bytes(node, &s);
    LS_TRY(gather_globals(node, &s, (char *)node->scratch + globals_at, &globals));
    find_documents(node, &s, (char *)node->scratch + room);
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
    count_seen(node, &s);
    drop_keys(node, &s);
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (ls_wants(node, SEEN)) /* a number of tokens */
        ls_zero(node->in[SEEN]->grad, node->in[SEEN]->count);
    if (!ls_wants(node, Q) && !ls_wants(node, KV) && !ls_wants(node, RELATIVE) && !ls_wants(node, RELATIVE_Q))
        return LS_OK;
    Backward w = {.node = node, .s = shape_of(node)};
    w.ranges = range_count(&w.s);
    w.each = backward_room(node, &w.s);
    w.sums_each = global_sums(&w.s);
    int64_t sums_bytes = strand_count(&w.s) * w.sums_each * (int64_t)sizeof(acc), before = table_room(node, &w.s);
    int64_t globals_at = node->scratch_backward - globals_bytes(&w.s);
    int64_t documents_at = globals_at - documents_bytes(node, &w.s), room = documents_at - sums_bytes;
    w.table = ls_wants(node, RELATIVE) ? node->scratch : NULL;
    w.scratch = (acc *)node->scratch + before;
    w.sums = (acc *)((char *)node->scratch + room);
    LS_TRY(gather_globals(node, &w.s, (char *)node->scratch + globals_at, &w.globals));
    find_documents(node, &w.s, (char *)node->scratch + documents_at);
    if (w.table)
        ls_zero(w.table, before);
    backward_strands(&w, team(room - before * (int64_t)sizeof(acc), w.each));
    if (w.table)
        write_table(&w.s, node->in[RELATIVE]->grad, w.table, ls_adds(node, RELATIVE));
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
                    .place = (s->causal ? keys.offset : 0) + t,
                    .own = t,
                    .step = step,
                    .slope = s->alibi ? ls_alibi_slope(s, h) : 0,
                    .globals = s->globals,
                    .global = node->in[GLOBAL] ? (const int32_t *)node->in[GLOBAL]->data + b * s->globals : NULL};
    if (s->relative.count)
        p.table = s->relative.rows + h * s->relative.head;
    p.a = node->in[RELATIVE_Q] ? own_queries(node, (b * s->queries + t) * s->out_row + h * s->size) : p.q;
    if (has_documents(node)) {
        int64_t start = document_start(node, s, b, t);
        p.first = p.first > start ? p.first : start;
    }
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
    count_seen(node, &s);
    drop_keys(node, &s);
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
        pairs = pairs_in_sight(s.queries, s.window) + (double)s.queries * (double)(s.keys - s.queries);
    else if (s.ahead >= 0)
        pairs = pairs_on_both_sides(&s);
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
    LsTensor *in[INPUTS] = {q, how->kv, how->cache, how->position, how->lengths, how->global};
    in[RELATIVE] = relative->table;
    in[RELATIVE_Q] = relative->queries;
    in[SEEN] = relative->seen;
    return ls_node(g, "attention", INPUTS, in,
                   &(Attention){.heads = how->heads,
                                .kv_heads = how->kv_heads ? how->kv_heads : how->heads,
                                .window = how->window,
                                .dilation = how->dilation,
                                .dilated_heads = how->dilated_heads,
                                .globals = how->globals,
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
 * how->mask: LS_MASK_CAUSAL: token t sees tokens 0..t of this run. LS_MASK_NONE: all. A causal mask over kv: the
 * queries are the newest Tq of its Tk tokens, as after ls_segment_memory.
 *
 * how->position without a cache, for self-attention with a causal mask: (B, T) of LS_I32, each token's position in its
 * document: a position of 0 begins a document, and a token sees those of its own document alone. Blocks of keys before
 * it are not computed.
 *
 * how->window, for self-attention: token t sees itself and the window - 1 tokens before it, without a causal mask
 * also as many after it (Beltagy et al. 2020, "Longformer"); 0: no limit. Blocks of keys out of sight are not computed.
 * how->alibi, for self-attention and for kv with a causal mask: slope_h |t - j| is subtracted from the scores of head h
 * (Press et al. 2022, "Train short, test long"; without a causal mask tokens on both sides count alike): with it tokens
 * need no positions. It goes neither with dilation nor with global tokens.
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
 * state (B, rows, 2 Hkv D) and position an input (B) LS_I32, the tokens that each stream has seen before this run. The
 * new keys and values become rows position..position + T - 1 of the cache, and token t sees rows 0..position + t. With
 * a window (lockstep/window.h) row 0 is that of token ls_window_first(window, position), the rows move on by
 * themselves, and a run goes on where the stream's last one ended; ls_window_rows says how many rows serve without end.
 * A run that would pass the last row fails with LS_USAGE. */
LS_BUILDER LsTensor *ls_attention(LsGraph *g, LsTensor *q, const LsAttention *how)
{
    return attention(g, q, how, &(LsRelative){0});
}

/* ls_relative_attention(g, q, how, relative): the same with relative positions, of self-attention and of kv with a
 * causal mask.
 *
 * relative->table: (N, D), or (N, H D) by head, or NULL: row n is for keys that stand relative->first + n tokens before
 * the query (less than 0: after it); keys farther away than the table reaches get its nearest row. The query meets the
 * sum of key and row. relative->values: the row is added to the value too (Wei et al. 2019, "NEZHA"; Shaw et al. 2018).
 * relative->queries: (B, Tq, H D): they meet the rows in the place of the queries (Dai et al. 2019, "Transformer-XL": q
 * + v, where the keys meet q + u); NULL: the queries do.
 *
 * relative->seen: a carry or a state (B) of LS_ACC, for kv with a causal mask: of the Tk - Tq tokens before the queries
 * those are seen, the newest, that it counts; all where it is NULL. At the end it counts those that there will be for
 * the next segment: at most Tk - Tq.
 *
 * A table goes neither with dilation nor with global tokens. */
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
    .saves_in = 1u << Q | 1u << KV | 1u << POSITION | 1u << LENGTHS | 1u << GLOBAL | 1u << RELATIVE | 1u << RELATIVE_Q |
                1u << SEEN,
    .saves_out = 3,
    .mixes_time = true,
    .cases = cases,
    /* delta_t = do_t . o_t takes o as it was stored, and weights and slopes are rounded for the products after them:
     * two errors of at most 2^-8 in every term of the gradients. Those of random sign grow no faster than the sums. */
    .bf16_ulps = 2,
};
