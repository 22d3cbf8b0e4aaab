/* Attention's gradients of ranges of queries, and how they become those of keys and values; a part of
 * src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_GRADIENTS_H
#define LS_OPS_ATTENTION_GRADIENTS_H

#include "base/share.h"
#include "ops/attention_backend.h"
#include "ops/attention_strand.h"

#include <omp.h>

/* Queries of relative positions from this element on; NULL: they have none of their own. */
static const real *own_queries(const LsNode *node, int64_t at)
{
    return node->in[RELATIVE_Q] ? (const real *)node->in[RELATIVE_Q]->data + at : NULL;
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

/* Keys' and values' gradients are sums over queries. A range of query blocks forms its sums together; ranges of a
 * strand are added in order. Their number is a function of the shape only, so that bits do not depend on the number of
 * threads: one where there are enough strands to keep a processor busy. */
static int64_t range_count(const Shape *s)
{
    int64_t blocks = (s->queries + ls_task_queries(s) - 1) / ls_task_queries(s), strands = strand_count(s);
    int64_t ranges = (LS_REDUCE_CHUNKS + strands - 1) / strands;
    return ranges < blocks ? ranges : blocks;
}

/* First query of a range: work grows with the square of the position where the mask is causal, up to the window. */
static int64_t range_begin(const Shape *s, int64_t ranges, int64_t range)
{
    int64_t task = ls_task_queries(s), blocks = (s->queries + task - 1) / task;
    if (range == ranges)
        return s->queries;
    double share = (double)range / (double)ranges;
    int64_t begin =
        task * (int64_t)((double)blocks * (s->causal && s->window >= s->queries ? sqrt(share) : share) + 0.5);
    return begin < s->queries ? begin : s->queries;
}

/* Keys first..end-1. */
typedef struct KeyRange {
    int64_t first, end;
} KeyRange;

/* What backward knows of all strands. sums: (strands, dk and dv, G, D) of the keys that all queries see; table: sums of
 * the gradient of relative positions, (H, rows, padded D), or NULL; scratch: of all threads, `each` acc apart */
typedef struct Backward {
    const LsNode *node;
    Shape s;
    Globals globals;
    acc *sums, *table, *scratch;
    int64_t ranges, sums_each, each;
} Backward;

/* The queries' gradient of a range of a strand, and its share of dk, dv: (Tk, D) and (G, D), which lie at scratch, of
 * the keys that it sees, and of the gradient of the table, where table is not NULL. */
static KeyRange backward_range(const Backward *w, const Strand *r, int64_t range, acc *scratch, acc *table)
{
    const LsNode *node = w->node;
    const Shape *s = &r->s;
    const Backend *backend = backend_of(s);
    int64_t width = backend->by->sizes(s).rows, sums = LS_ROUND_UP(w->s.keys, KEYS) * width, task = ls_task_queries(s);
    int64_t head = r->j * s->group, token = r->b * w->s.queries + r->start;
    int64_t at = token * w->s.out_row + head * s->size, from = token * w->s.row + head * s->size;
    int64_t first = range_begin(s, w->ranges, range), end = range_begin(s, w->ranges, range + 1);
    Keys keys = strand_keys(node, &w->s, r);
    int64_t have = queries_of(node, s, &keys);
    have = have < first ? first : have < end ? have : end;
    KeyRange seen = {0, 0};
    if (first < have)
        seen = (KeyRange){ls_first_block(s, &keys, first), ls_visible_keys(&keys, have)};
    int64_t rows = (LS_ROUND_UP(seen.end, KEYS) - seen.first) * width;
    BackwardTask t = {.keys = keys,
                      .global = strand_globals(&w->s, &w->globals, r),
                      .head = head,
                      .q = (const real *)node->in[Q]->data + from,
                      .o = (const real *)node->out[0]->data + at,
                      .d = (const real *)node->out[0]->grad + at,
                      .lse = (const acc *)node->out[1]->data + (r->b * s->heads + head) * s->lse_row +
                             strand_lse(r, w->s.queries),
                      .dq = ls_wants(node, Q) ? (real *)node->in[Q]->grad + from : NULL,
                      .add = ls_adds(node, Q),
                      .a = own_queries(node, at),
                      .da = ls_wants(node, RELATIVE_Q) ? (real *)node->in[RELATIVE_Q]->grad + at : NULL,
                      .add_a = ls_adds(node, RELATIVE_Q),
                      .table = table,
                      .dk = scratch,
                      .dv = scratch + sums,
                      .global_dk = scratch + 2 * sums,
                      .global_dv = scratch + 2 * sums + w->sums_each / 2,
                      .scratch = scratch + 2 * sums + w->sums_each};
    ls_zero(t.dk + seen.first * width, rows);
    ls_zero(t.dv + seen.first * width, rows);
    ls_zero(t.global_dk, w->sums_each);
    if (table)
        ls_zero(table, ls_table_sums(s, s->group));
    for (t.first = first; t.first < have; t.first = t.end) {
        t.end = t.first + task < have ? t.first + task : have;
        backend->backward(s, &t);
    }
    if (t.dq && !t.add)
        zero_rows(t.dq, have, end, s->row, s->group * s->size);
    if (t.da && !t.add_a)
        zero_rows(t.da, have, end, s->out_row, s->group * s->size);
    return seen;
}

/* The sums dk, which still lack the scale, and dv of these keys of a strand into the gradients of keys and values;
 * those of keys that all queries see into the strand's own. */
static void merge(const Backward *w, int64_t number, const Strand *r, const acc *dk, KeyRange keys, bool first)
{
    const LsNode *node = w->node;
    const Shape *s = &r->s;
    const BlockOps *by = backend_of(s)->by;
    int64_t width = by->sizes(s).rows, count = keys.end - keys.first, all = LS_ROUND_UP(w->s.keys, KEYS) * width;
    const acc *dv = dk + all, *global = dv + all;
    int64_t at, in = node->in[KV] ? KV : Q, missing = missing_keys(node, &w->s, r->b), at_sum = keys.first * width;
    const LsTensor *x = keys_at(node, &w->s, r->b, r->j, &at);
    if (!ls_wants(node, (int)in))
        return;
    bool add = ls_adds(node, (int)in) || !first;
    real *to_k = (real *)x->grad + at + r->start * w->s.kv_row, *to_v = to_k + s->kv_heads * s->size;
    keys.first += missing;
    keys.end += missing;
    int64_t at_row = keys.first * s->kv_row;
    by->write_sum(s, to_k + at_row, s->kv_row, dk + at_sum, 0, count, s->scale, add);
    by->write_sum(s, to_v + at_row, s->kv_row, dv + at_sum, 0, count, 1, add);
    if (!add) {
        zero_rows(to_k, 0, keys.first, s->kv_row, s->size);
        zero_rows(to_v, 0, keys.first, s->kv_row, s->size);
        zero_rows(to_k, keys.end, s->keys, s->kv_row, s->size);
        zero_rows(to_v, keys.end, s->keys, s->kv_row, s->size);
    }
    acc *sums = w->sums + number * w->sums_each;
    for (int64_t i = 0; i < w->sums_each; i++)
        sums[i] = first ? global[i] : sums[i] + global[i];
}

/* Adds the gradients of keys that all queries see, of a stream and key head, over all its strands. */
static void add_globals(const Backward *w, int64_t b, int64_t j)
{
    const Shape *s = &w->s;
    const BlockOps *by = backend_of(s)->by;
    int64_t at, strands = strands_of_head(s, j);
    acc *sums = w->sums + first_strand(s, b, j) * w->sums_each;
    const int32_t *token = w->globals.at + b * s->globals;
    real *to = (real *)keys_at(w->node, s, b, j, &at)->grad;
    for (int64_t n = 1; n < strands; n++)
        for (int64_t i = 0; i < w->sums_each; i++)
            sums[i] += sums[n * w->sums_each + i];
    for (int64_t i = 0; i < w->globals.count[b]; i++) {
        real *to_k = to + at + token[i] * s->kv_row;
        by->write_sum(s, to_k, s->kv_row, sums, i, 1, s->scale, true);
        by->write_sum(s, to_k + s->kv_heads * s->size, s->kv_row, sums + w->sums_each / 2, i, 1, 1, true);
    }
}

/* Ranges of strands, each in a thread's scratch; their sums are added in order, those of the table to w->table. */
static void backward_in_order(const Backward *w, int threads)
{
    int64_t ranges = w->ranges, sums_at = backend_of(&w->s)->backward_scratch(&w->s);
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
    for (int64_t n = 0; n < strand_count(&w->s) * ranges; n++) {
        int64_t range = ranges - 1 - n % ranges; /* the last keys first */
        acc *own = w->scratch + omp_get_thread_num() * w->each, *table = w->table ? own + sums_at : NULL;
        Strand r = strand_at(&w->s, n / ranges);
        KeyRange seen = backward_range(w, &r, range, own, table);
#pragma omp ordered
        {
            merge(w, n / ranges, &r, own, seen, range == ranges - 1);
            if (table)
                add_table_sums(&w->s, w->table, r.j * w->s.group, table);
        }
    }
}

static void backward_strands(const Backward *w, int threads)
{
    if (w->ranges > 1 || w->table) {
        backward_in_order(w, threads);
        return;
    }
    LsShare share;
    ls_share_begin(&share, strand_count(&w->s), threads);
#pragma omp parallel num_threads(threads)
    for (int64_t n; (n = ls_share_next(&share, omp_get_thread_num())) >= 0;) {
        acc *own = w->scratch + omp_get_thread_num() * w->each;
        Strand r = strand_at(&w->s, n);
        merge(w, n, &r, own, backward_range(w, &r, 0, own, NULL), true);
    }
}

#endif
