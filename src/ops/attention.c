/* Causal multi-head attention with grouped queries (Vaswani et al. 2017, "Attention is all you need"; Ainslie et al.
 * 2023, "GQA").
 *
 *     s_tj = q_t . k_j / sqrt(D)  for j <= t      p_t = softmax(s_t)      o_t = sum_j p_tj v_j
 *
 * and backward, with delta_t = do_t . o_t:
 *
 *     dv_j = sum_t p_tj do_t      ds_tj = p_tj (do_t . v_j - delta_t)
 *     dq_t = sum_j ds_tj k_j / sqrt(D)            dk_j = sum_t ds_tj q_t / sqrt(D)
 *
 * No (T, T) array exists: out[1] keeps log sum_j exp(s_tj), from which backward makes p again, block by block. */
#include "base/share.h"
#include "ops/attention_block.h"
#include "ops/attention_one.h"
#if defined(__AVX512BW__) && (defined(LS_BUILD_FLOAT32) || (defined(LS_BUILD_BFLOAT16) && defined(__AVX512BF16__)))
#include "ops/attention_panel.h"
#endif

#include <omp.h>

typedef struct Attention {
    int64_t heads, kv_heads;
} Attention;

/* ---- The two ways of multiplying blocks -------------------------------------------------------------------------- */

typedef struct Way {
    int64_t (*forward_scratch)(const Shape *s);
    void (*forward)(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q, real *out, acc *lse,
                    acc *scratch);
    int64_t (*backward_scratch)(const Shape *s);
    void (*backward)(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q, const real *o,
                     const real *d, const acc *lse, real *dq, bool add, acc *dk, acc *dv, acc *scratch);
    const Products *by;
} Way;

/* The order of work, compiled for products that are known. */
#define WAY(products)                                                                                                  \
    static int64_t products##_forward_scratch(const Shape *s) { return ls_forward_scratch(&products, s); }             \
    static int64_t products##_backward_scratch(const Shape *s) { return ls_backward_scratch(&products, s); }           \
    static void products##_forward(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q,        \
                                   real *out, acc *lse, acc *scratch)                                                  \
    {                                                                                                                  \
        ls_forward_task(&products, s, keys, first, end, q, out, lse, scratch);                                         \
    }                                                                                                                  \
    static void products##_backward(const Shape *s, const Keys *keys, int64_t first, int64_t end, const real *q,       \
                                    const real *o, const real *d, const acc *lse, real *dq, bool add, acc *dk,         \
                                    acc *dv, acc *scratch)                                                             \
    {                                                                                                                  \
        ls_backward_task(&products, s, keys, first, end, q, o, d, lse, dq, add, dk, dv, scratch);                      \
    }                                                                                                                  \
    static const Way products##_way = {products##_forward_scratch, products##_forward, products##_backward_scratch,    \
                                       products##_backward, &products};

WAY(by_vectors)
#ifdef LS_OPS_ATTENTION_PANEL_H
WAY(by_panels)
#endif

#define WORTH_SPLITTING 128 /* queries and keys that each element of a float, once split, meets */

/* What multiplies tiles, for operands of this build; NULL where vectors are faster. */
static const LsPanelKernel *kernel_for(const Shape *s)
{
    (void)s;
#ifndef LS_OPS_ATTENTION_PANEL_H
    return NULL;
#elif defined(LS_BUILD_BFLOAT16)
    return ls_panel_kernel();
#else
    return s->queries >= WORTH_SPLITTING && s->size > LS_TILE ? ls_panel_tiles() : NULL;
#endif
}

static Shape shape_of(const LsNode *node)
{
    const Attention *a = node->attr;
    const LsTensor *qkv = node->in[0];
    Shape s = {
        .batch = qkv->dim[0], .queries = qkv->dim[1], .heads = a->heads, .kv_heads = a->kv_heads, .row = qkv->dim[2]};
    s.size = s.row / (a->heads + 2 * a->kv_heads);
    s.group = a->heads / a->kv_heads;
    s.padded = LS_ROUND_UP(s.size, LS_TILE_UNIT);
    s.scale = (acc)(1 / sqrt((double)s.size));
    s.kernel = kernel_for(&s);
    return s;
}

static const Way *way_of(const Shape *s)
{
#ifdef LS_OPS_ATTENTION_PANEL_H
    if (s->kernel)
        return &by_panels_way;
#endif
    (void)s;
    return &by_vectors_way;
}

static LsStatus check_state(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[1], *position = node->in[2];
    if (!cache != !position)
        return ls_node_fail(node, "attention: cache and position go together; one of them is missing");
    if (!cache)
        return LS_OK;
    if (ls_graph_mode(node->graph) != LS_DECODE)
        return ls_node_fail(node, "attention: a cache is for graphs of mode LS_DECODE only");
    if (cache->rank != 3 || cache->dtype != LS_REAL || cache->dim[0] != s->batch ||
        cache->dim[2] != 2 * s->kv_heads * s->size)
        return ls_node_fail(node, "attention: cache %s does not fit qkv %s: it must be (%lld, context, %lld)",
                            ls_shape_text(cache), ls_shape_text(node->in[0]), (long long)s->batch,
                            (long long)(2 * s->kv_heads * s->size));
    if (position->rank != 1 || position->dtype != LS_I32 || position->dim[0] != s->batch)
        return ls_node_fail(node, "attention: position %s must be (%lld) of LS_I32", ls_shape_text(position),
                            (long long)s->batch);
    return LS_OK;
}

static LsStatus infer(LsNode *node)
{
    const Attention *a = node->attr;
    const LsTensor *qkv = node->in[0];
    if (a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads != 0)
        return ls_node_fail(node, "attention: %lld heads cannot share %lld key heads evenly", (long long)a->heads,
                            (long long)a->kv_heads);
    int64_t parts = a->heads + 2 * a->kv_heads;
    if (qkv->rank != 3 || qkv->dtype != LS_REAL || qkv->dim[2] % parts != 0)
        return ls_node_fail(node, "attention: qkv %s must be (B, T, (H + 2 Hkv) D) with H = %lld, Hkv = %lld",
                            ls_shape_text(qkv), (long long)a->heads, (long long)a->kv_heads);
    Shape s = shape_of(node);
    LS_TRY(check_state(node, &s));
    node->scratch_forward = ls_threads() * way_of(&s)->forward_scratch(&s) * (int64_t)sizeof(acc);
    node->scratch_backward = ls_threads() * way_of(&s)->backward_scratch(&s) * (int64_t)sizeof(acc);
    if (node->in[1] && s.queries == 1)
        node->scratch_forward = ls_one_scratch(&s, node->in[1]->dim[1], ls_threads()) * (int64_t)sizeof(acc);
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
static LsStatus append(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[1];
    const int32_t *position = node->in[2]->data;
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
            const real *from = (const real *)node->in[0]->data + (b * s->queries + t) * s->row + s->heads * s->size;
            memcpy((real *)cache->data + (b * context + position[b] + t) * row, from, (size_t)row * sizeof(real));
        }
    return LS_OK;
}

/* Keys of stream b and key head j: in the cache, or in qkv itself. */
static Keys keys_of(const LsNode *node, const Shape *s, int64_t b, int64_t j)
{
    if (node->in[1]) {
        const real *k = (const real *)node->in[1]->data + b * node->in[1]->dim[1] * node->in[1]->dim[2] + j * s->size;
        return (Keys){k, k + s->kv_heads * s->size, node->in[1]->dim[2], ((const int32_t *)node->in[2]->data)[b]};
    }
    const real *k = (const real *)node->in[0]->data + b * s->queries * s->row + (s->heads + j) * s->size;
    return (Keys){k, k + s->kv_heads * s->size, s->row, 0};
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    if (node->in[1])
        LS_TRY(append(node, &s));
    if (node->in[1] && s.queries == 1) {
        ls_attend_one(&s, &(OneRun){node->in[0]->data, node->in[1]->data, node->in[1]->dim[1], node->in[2]->data,
                                    node->out[0]->data, node->out[1]->data, node->scratch,
                                    node->scratch_forward / (int64_t)sizeof(acc)});
        return LS_OK;
    }
    const Way *way = way_of(&s);
    int64_t each = way->forward_scratch(&s), task = ls_task_queries(&s), pairs = s.batch * s.kv_heads;
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
        int64_t pair = i / tasks, b = pair / s.kv_heads, j = pair % s.kv_heads, first = (tasks - 1 - i % tasks) * task;
        Keys keys = keys_of(node, &s, b, j);
        way->forward(&s, &keys, first, first + task < s.queries ? first + task : s.queries,
                     (const real *)node->in[0]->data + b * s.queries * s.row + j * s.group * s.size,
                     (real *)node->out[0]->data + (b * s.queries * s.heads + j * s.group) * s.size,
                     (acc *)node->out[1]->data + (b * s.heads + j * s.group) * s.queries,
                     (acc *)node->scratch + omp_get_thread_num() * each);
    }
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* Keys' and values' gradients are sums over queries. A part is a range of query blocks, whose sums are formed together;
 * parts of a (stream, key head) are added in order. Their number is a function of the shape only, so that bits do not
 * depend on the number of threads: one where there are enough (stream, key head) pairs to keep a processor busy. */
static int64_t part_count(const Shape *s)
{
    int64_t blocks = (s->queries + ls_task_queries(s) - 1) / ls_task_queries(s), pairs = s->batch * s->kv_heads;
    int64_t parts = (LS_REDUCE_CHUNKS + pairs - 1) / pairs;
    return parts < blocks ? parts : blocks;
}

/* First query block of a part: work grows with the square of the position. */
static int64_t part_begin(const Shape *s, int64_t parts, int64_t part)
{
    int64_t blocks = (s->queries + ls_task_queries(s) - 1) / ls_task_queries(s);
    return part == parts ? blocks : (int64_t)((double)blocks * sqrt((double)part / (double)parts) + 0.5);
}

/* Part `part` of a pair: the queries' gradient, and their share of dk, dv: (T, D), which lie at scratch. Returns how
 * many keys there are. */
static int64_t backward_part(const LsNode *node, const Shape *s, int64_t pair, int64_t part, int64_t parts,
                             acc *scratch)
{
    const Way *way = way_of(s);
    int64_t width = way->by->sizes(s).rows, sums = LS_ROUND_UP(s->queries, KEYS) * width, task = ls_task_queries(s);
    int64_t b = pair / s->kv_heads, j = pair % s->kv_heads, head = j * s->group;
    int64_t at = (b * s->queries * s->heads + head) * s->size, from = b * s->queries * s->row + head * s->size;
    acc *dk = scratch, *dv = dk + sums;
    Keys keys = keys_of(node, s, b, j);
    int64_t end = part_begin(s, parts, part + 1) * task;
    end = end < s->queries ? end : s->queries;
    ls_zero(dk, LS_ROUND_UP(end, KEYS) * width);
    ls_zero(dv, LS_ROUND_UP(end, KEYS) * width);
    for (int64_t first = part_begin(s, parts, part) * task; first < end; first += task)
        way->backward(s, &keys, first, first + task < end ? first + task : end, (const real *)node->in[0]->data + from,
                      (const real *)node->out[0]->data + at, (const real *)node->out[0]->grad + at,
                      (const acc *)node->out[1]->data + (b * s->heads + head) * s->queries,
                      (real *)node->in[0]->grad + from, ls_adds(node, 0), dk, dv, dv + sums);
    return end;
}

/* The sums dk, which still lack the scale, and dv of the first `count` keys of a pair into the gradient of qkv. */
static void merge(const LsNode *node, const Shape *s, int64_t pair, const acc *dk, int64_t count, bool add)
{
    const Products *by = way_of(s)->by;
    const acc *dv = dk + LS_ROUND_UP(s->queries, KEYS) * by->sizes(s).rows;
    real *to_k = (real *)node->in[0]->grad + pair / s->kv_heads * s->queries * s->row +
                 (s->heads + pair % s->kv_heads) * s->size;
    by->write_sum(s, to_k, dk, count, s->scale, add);
    by->write_sum(s, to_k + s->kv_heads * s->size, dv, count, 1, add);
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    if (!ls_wants(node, 0))
        return LS_OK;
    Shape s = shape_of(node);
    int64_t each = way_of(&s)->backward_scratch(&s), pairs = s.batch * s.kv_heads, parts = part_count(&s);
    int threads = team(node->scratch_backward, each);
    bool add = ls_adds(node, 0);
    if (parts == 1) {
        LsShare share;
        ls_share_begin(&share, pairs, threads);
#pragma omp parallel num_threads(threads)
        for (int64_t pair; (pair = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
            acc *scratch = (acc *)node->scratch + omp_get_thread_num() * each;
            merge(node, &s, pair, scratch, backward_part(node, &s, pair, 0, 1, scratch), add);
        }
        return LS_OK;
    }
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
    for (int64_t n = 0; n < pairs * parts; n++) {
        int64_t part = parts - 1 - n % parts; /* all keys first */
        acc *scratch = (acc *)node->scratch + omp_get_thread_num() * each;
        int64_t end = backward_part(node, &s, n / parts, part, parts, scratch);
#pragma omp ordered
        merge(node, &s, n / parts, scratch, end, add || part < parts - 1);
    }
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static double score(const Shape *s, const real *q, const real *k)
{
    double sum = 0;
    for (int64_t d = 0; d < s->size; d++)
        sum += (double)ls_load1(q + d) * (double)ls_load1(k + d);
    return sum / sqrt((double)s->size);
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    Shape s = shape_of(node);
    if (node->in[1])
        LS_TRY(append(node, &s));
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++)
            for (int64_t t = 0; t < s.queries; t++) {
                Keys keys = keys_of(node, &s, b, h / s.group);
                const real *q = (const real *)node->in[0]->data + (b * s.queries + t) * s.row + h * s.size;
                real *o = (real *)node->out[0]->data + ((b * s.queries + t) * s.heads + h) * s.size;
                double top = -INFINITY, sum = 0;
                for (int64_t j = 0; j <= keys.offset + t; j++)
                    top = fmax(top, score(&s, q, keys.k + j * keys.stride));
                for (int64_t j = 0; j <= keys.offset + t; j++)
                    sum += exp(score(&s, q, keys.k + j * keys.stride) - top);
                for (int64_t d = 0; d < s.size; d++) {
                    double result = 0;
                    for (int64_t j = 0; j <= keys.offset + t; j++)
                        result += exp(score(&s, q, keys.k + j * keys.stride) - top) / sum *
                                  (double)ls_load1(keys.v + j * keys.stride + d);
                    ls_store1(o + d, (acc)result);
                }
                ((acc *)node->out[1]->data)[(b * s.heads + h) * s.queries + t] = (acc)(top + log(sum));
            }
    return LS_OK;
}

/* ---- Cost, cases, builder ---------------------------------------------------------------------------------------- */

/* Scores and results: 2 products of 2 D operations for each pair of query and key in sight; backward has 5. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    Shape s = shape_of(node);
    double pairs = (double)s.queries * ((double)s.queries + 1) / 2;
    if (node->in[1]) /* the cache half full, on average */
        pairs = (double)s.queries * (double)(node->in[1]->dim[1] + s.queries) / 2;
    double product = 2 * (double)(s.batch * s.heads * s.size) * pairs, qkv = (double)node->in[0]->count,
           o = (double)node->out[0]->count;
    double cache = node->in[1] ? (double)node->in[1]->count / 2 : 0;
    *fwd = (LsCost){.flops = 2 * product, .bytes = (qkv + o + cache) * sizeof(real), .products = 2 * product};
    *bwd = (LsCost){.flops = 5 * product, .bytes = (2 * qkv + 2 * o) * sizeof(real), .products = 5 * product};
}

/* ls_attention(g, qkv, cache, position, heads, kv_heads): qkv: (B, T, (H + 2 Hkv) D) -> (B, T, H D).
 *
 * A token's row of qkv holds its H queries, then its Hkv keys, then its Hkv values, D numbers each: one packed linear
 * layer makes it, and ls_rotary turns its first H + Hkv heads in place. H = heads must be a multiple of Hkv = kv_heads;
 * query head h looks at key head h / (H / Hkv).
 *
 * Without cache (NULL, and position NULL): token t sees tokens 0..t of this run. With cache, in graphs of mode
 * LS_DECODE only: cache is a state (B, context, 2 Hkv D) and position an input (B) LS_I32, the tokens that each stream
 * has seen before this run. The new keys and values become rows position..position + T - 1 of the cache, and token t
 * sees rows 0..position + t. A run that would pass the end of the context fails with LS_USAGE. */
LS_BUILDER LsTensor *ls_attention(LsGraph *g, LsTensor *qkv, LsTensor *cache, LsTensor *position, int64_t heads,
                                  int64_t kv_heads)
{
    return ls_node(g, "attention", 3, (LsTensor *[]){qkv, cache, position}, &(Attention){heads, kv_heads},
                   sizeof(Attention));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, t, heads, kv_heads, size, context; /* context 0: no cache */
    } list[] = {{1, 1, 1, 1, 1, 0},     {2, 5, 2, 2, 3, 0},    {2, 33, 4, 2, 5, 0},   {1, 70, 1, 1, 16, 0},
                {1, 37, 6, 1, 8, 0},    {2, 130, 1, 1, 4, 0},  {1, 300, 1, 1, 2, 0},  {2, 1, 4, 2, 5, 9},
                {3, 1, 2, 2, 16, 140},  {2, 7, 2, 1, 3, 11},   {1, 40, 1, 1, 20, 90}, {1, 100, 2, 1, 36, 0},
                {1, 70, 1, 1, 50, 100}, {1, 150, 2, 1, 17, 0}, {2, 129, 1, 1, 50, 0}, {1, 131, 2, 1, 40, 200},
                {2, 72, 4, 2, 32, 0},   {1, 24, 2, 1, 16, 64}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t heads = list[which].heads, kv = list[which].kv_heads, size = list[which].size,
            context = list[which].context;
    LsTensor *qkv =
        ls_case_input(g, "qkv", LS_REAL, -1, 1, 3, (int64_t[]){list[which].b, list[which].t, (heads + 2 * kv) * size});
    LsTensor *cache = NULL, *position = NULL;
    if (context) {
        cache = ls_case_state(g, "cache", LS_REAL, -1, 1, 3, (int64_t[]){list[which].b, context, 2 * kv * size});
        position = ls_case_input(g, "position", LS_I32, 0, (double)(context - list[which].t + 1), 1,
                                 (int64_t[]){list[which].b});
    }
    ls_attention(g, qkv, cache, position, heads, kv);
    return true;
}

LS_OP(attention) = {
    .name = "attention",
    .formula = "o_t = sum_{j<=t} softmax_j(q_t . k_j / sqrt(D)) v_j",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1,
    .saves_out = 3,
    .mixes_time = true,
    .cases = cases,
    /* delta_t = do_t . o_t takes o as it was stored, and weights and slopes are rounded for the products after them:
     * two errors of at most 2^-8 in every term of the gradients. Those of random sign grow no faster than the sums. */
    .bf16_ulps = 2,
};
