/* Attention of one new token to its cache, or to an encoder's keys; a part of src/ops/attention.c.
 *
 * The time is that of reading the cache once, so it is read as it lies: row after row, all heads of a row
 * together, by chunks of keys that threads share, and while a thread works on one chunk it asks for the bytes of its
 * next. Each chunk gives maximum, sum and result of its own; these are put together in order (the "split" of Dao et al.
 * 2023, "Flash-Decoding"), so that the bits do not depend on the number of threads. */
#ifndef LS_OPS_ATTENTION_ONE_H
#define LS_OPS_ATTENTION_ONE_H

#include "ops/attention_block.h"

#include <omp.h>

/* Keys of a chunk: two chunks fit the second cache level beside each other. */
#define ONE_KEYS ((int64_t)32)

/* Of a chunk and head: o: (padded D), then maximum and sum. */
LS_INLINE int64_t ls_one_part(const Shape *s) { return s->heads * (s->padded + 2); }

/* Of a thread: weights (H, ONE_KEYS). */
LS_INLINE int64_t ls_one_work(const Shape *s) { return s->heads * ONE_KEYS; }

LS_INLINE int64_t ls_one_chunks(int64_t context) { return (context + ONE_KEYS - 1) / ONE_KEYS; }

LS_INLINE int64_t ls_one_scratch(const Shape *s, int64_t context, int threads)
{
    return s->batch * ls_one_chunks(context) * ls_one_part(s) + threads * ls_one_work(s);
}

/* A chunk of keys of one stream. */
typedef struct OneChunk {
    const real *q, *k, *v;
    int64_t keys, stride; /* from key to key */
    int64_t ahead;        /* of the first key: its position less that of the query */
    acc *part;
} OneChunk;

/* The next chunk's bytes, fetched evenly: some for every score and some for every weighted value, since all at once
 * would wait for each other. */
typedef struct OneFetch {
    const char *at;
    int64_t each;
} OneFetch;

static inline OneFetch one_foresee(const Shape *s, const OneChunk *next)
{
    int64_t steps = 2 * s->heads * ONE_KEYS, bytes = next->keys * next->stride * (int64_t)sizeof(real);
    return (OneFetch){(const char *)next->k, LS_ROUND_UP((bytes + steps - 1) / steps, 64)};
}

LS_INLINE void one_fetch(OneFetch *fetch)
{
    for (int64_t i = 0; i < fetch->each; i += 64)
        __builtin_prefetch(fetch->at + i, 0, 2);
    fetch->at += fetch->each;
}

/* q . k of a vector's worth of keys from k on, of which `rows` exist; of heads of just `vectors` vectors, or 0: of any
 * size. */
LS_INLINE vacc one_square(const Shape *s, const real *q, const real *k, int64_t stride, int64_t rows, const int vectors,
                          OneFetch *fetch)
{
    vacc square[LS_LANE_COUNT], sum = {0}, query[4];
    for (int j = 0; j < vectors; j++)
        query[j] = ls_load(q + j * LS_LANES);
#pragma GCC unroll 16
    for (int64_t i = 0; i < LS_LANES; i++) {
        const real *key = k + i * stride;
        vacc dot = {0};
        one_fetch(fetch);
        for (int j = 0; j < vectors && i < rows; j++)
            dot += query[j] * ls_load(key + j * LS_LANES);
        for (int64_t d = 0; d < s->size && i < rows && vectors == 0; d += LS_LANES)
            dot += ls_load_upto(q + d, s->size - d) * ls_load_upto(key + d, s->size - d);
        square[i] = dot;
    }
    ls_transpose(square);
#pragma GCC unroll 16
    for (int64_t i = 0; i < LS_LANES; i++)
        sum += square[i];
    return sum;
}

/* first, first + 1, ... */
LS_INLINE vacc one_distances(int64_t first)
{
    vacc distance;
    for (int64_t i = 0; i < LS_LANES; i++)
        distance[i] = (acc)(first + i);
    return distance;
}

/* weight: (H, ONE_KEYS) = q . k / sqrt(D), LOWEST beyond the chunk's keys. */
static void one_scores(const Shape *s, const OneChunk *c, acc *weight, OneFetch *fetch)
{
    for (int64_t from = 0; from < ONE_KEYS; from += LS_LANES) {
        int64_t rows = c->keys - from < LS_LANES ? c->keys - from : LS_LANES;
        vacc seen = {0};
        for (int64_t i = 0; i < LS_LANES; i++)
            seen[i] = i < rows ? 0 : LOWEST;
        for (int64_t h = 0; h < s->heads; h++) {
            const real *k = c->k + from * c->stride + h / s->group * s->size, *query = c->q + h * s->size;
            vacc sum = rows == LS_LANES && s->size == 4 * LS_LANES
                           ? one_square(s, query, k, c->stride, LS_LANES, 4, fetch)
                           : one_square(s, query, k, c->stride, rows, 0, fetch);
            sum = sum * s->scale + seen;
            if (s->alibi)
                sum += one_distances(c->ahead + from) * (acc)ls_alibi_slope(s, h);
            ls_store_acc(weight + h * ONE_KEYS + from, sum);
        }
    }
}

/* o: (padded D) += weight: (count) times the rows of v, for `vectors` vectors from number d on, which stay in
 * registers. */
LS_INLINE void one_sums(const Shape *s, const acc *weight, const real *v, int64_t stride, int64_t count, acc *o,
                        int64_t d, const int vectors, OneFetch *fetch)
{
    vacc sum[4];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
        sum[j] = ls_load_acc(o + d + j * LS_LANES);
    for (int64_t i = 0; i < count; i++) {
        if (d == 0)
            one_fetch(fetch);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[j] +=
                weight[i] * ls_load_upto(v + i * stride + d + j * LS_LANES, vectors == 4 ? LS_LANES : s->size - d);
    }
#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++)
        ls_store_acc(o + d + j * LS_LANES, sum[j]);
}

/* part's results: (H, padded D) = weights times values. */
static void one_values(const Shape *s, const OneChunk *c, const acc *weight, OneFetch *fetch)
{
    ls_zero(c->part, s->heads * s->padded);
    for (int64_t h = 0; h < s->heads; h++) {
        const real *v = c->v + h / s->group * s->size;
        int64_t d = 0;
        for (; d + 4 * LS_LANES <= s->size; d += 4 * LS_LANES)
            one_sums(s, weight + h * ONE_KEYS, v, c->stride, c->keys, c->part + h * s->padded, d, 4, fetch);
        for (; d < s->size; d += LS_LANES)
            one_sums(s, weight + h * ONE_KEYS, v, c->stride, c->keys, c->part + h * s->padded, d, 1, fetch);
    }
}

/* One chunk of keys: part = results (H, padded D), maxima (H), sums (H). */
static void one_chunk(const Shape *s, const OneChunk *c, const OneChunk *next, acc *weight)
{
    acc *top = c->part + s->heads * s->padded, *total = top + s->heads;
    OneFetch fetch = one_foresee(s, next);
    one_scores(s, c, weight, &fetch);
    for (int64_t h = 0; h < s->heads; h++) {
        acc *at = weight + h * ONE_KEYS;
        vacc high = ls_splat(LOWEST), sum = {0};
        for (int64_t i = 0; i < ONE_KEYS; i += LS_LANES)
            high = ls_vmax(high, ls_load_acc(at + i));
        top[h] = ls_hmax(high);
        for (int64_t i = 0; i < ONE_KEYS; i += LS_LANES)
            ls_store_acc(at + i, ls_exp(ls_load_acc(at + i) - top[h]));
        for (int64_t i = c->keys; i < ONE_KEYS; i++)
            at[i] = 0;
        for (int64_t i = 0; i < ONE_KEYS; i += LS_LANES)
            sum += ls_load_acc(at + i);
        total[h] = ls_hsum(sum);
    }
    one_values(s, c, weight, &fetch);
}

/* Puts the chunks of one head together: o = sum_c w_c o_c / l, l = sum_c w_c l_c, w_c = exp(m_c - m), which takes the
 * place of m_c. No chunk: zeros. */
static void one_finish(const Shape *s, acc *part, int64_t chunks, int64_t head, real *out, acc *lse)
{
    int64_t size = ls_one_part(s), top_at = s->heads * s->padded + head, sum_at = top_at + s->heads;
    acc top = LOWEST, sum = chunks == 0;
    for (int64_t c = 0; c < chunks; c++)
        top = part[c * size + top_at] > top ? part[c * size + top_at] : top;
    for (int64_t c = 0; c < chunks; c++) {
        acc *weight = part + c * size + top_at;
        *weight = (acc)exp((double)(*weight - top));
        sum += *weight * part[c * size + sum_at];
    }
    for (int64_t d = 0; d < s->size; d += LS_LANES) {
        vacc o = {0};
        for (int64_t c = 0; c < chunks; c++)
            o += part[c * size + top_at] * ls_load_acc(part + c * size + head * s->padded + d);
        ls_store_upto(out + d, o / sum, s->size - d);
    }
    *lse = chunks ? top + (acc)log((double)sum) : 0;
}

/* One token for every stream. q: (B, 1, row), keys: (B, Tk, 2 Hkv D) -> out: (B, 1, H D), lse: (B, H, 1). */
typedef struct OneRun {
    const real *q, *keys;
    const int32_t *count; /* keys that each stream sees: count[b] + more; NULL: all */
    int64_t more;
    real *out;
    acc *lse, *scratch;
    int64_t room; /* accs of scratch */
} OneRun;

/* Keys of stream b that lie there; those from the oldest that it sees to the newest, and those before them. */
static int64_t one_present(const Shape *s, const OneRun *run, int64_t b)
{
    return run->count ? run->count[b] - ls_window_first(s->window, run->count[b]) + run->more : s->keys;
}
static int64_t one_visible(const Shape *s, const OneRun *run, int64_t b)
{
    int64_t keys = one_present(s, run, b);
    return keys < s->window ? keys : s->window;
}
static int64_t one_past(const Shape *s, const OneRun *run, int64_t b)
{
    return one_present(s, run, b) - one_visible(s, run, b);
}

/* Chunk `number` of all streams' keys, stream by stream; none (0 keys) past the last. */
static OneChunk one_chunk_at(const Shape *s, const OneRun *run, int64_t number)
{
    int64_t stride = 2 * s->kv_heads * s->size;
    for (int64_t b = 0; b < s->batch; b++) {
        int64_t seen = one_visible(s, run, b), keys = seen - number * ONE_KEYS;
        if (keys <= 0) {
            number -= ls_one_chunks(seen);
            continue;
        }
        int64_t first = one_past(s, run, b) + number * ONE_KEYS;
        const real *k = run->keys + (b * s->keys + first) * stride;
        acc *part = run->scratch + (b * ls_one_chunks(s->keys) + number) * ls_one_part(s);
        return (OneChunk){.q = run->q + b * s->row,
                          .k = k,
                          .v = k + stride / 2,
                          .keys = keys < ONE_KEYS ? keys : ONE_KEYS,
                          .stride = stride,
                          .ahead = 1 - keys,
                          .part = part};
    }
    return (OneChunk){0};
}

static void ls_attend_one(const Shape *s, const OneRun *run)
{
    int64_t chunks = ls_one_chunks(s->keys), part = ls_one_part(s), parts = s->batch * chunks * part, all = 0;
    int64_t most = (run->room - parts) / ls_one_work(s);
    most = most < ls_threads() ? most : ls_threads();
    for (int64_t b = 0; b < s->batch; b++)
        all += ls_one_chunks(one_visible(s, run, b));
#pragma omp parallel num_threads((int)most) if (all > 1)
    {
        int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
        int64_t first = all * thread / threads, end = all * (thread + 1) / threads;
        OneChunk here = one_chunk_at(s, run, first), next;
        for (int64_t n = first; n < end; n++, here = next) {
            next = n + 1 < end ? one_chunk_at(s, run, n + 1) : (OneChunk){0};
            one_chunk(s, &here, &next, run->scratch + parts + thread * ls_one_work(s));
        }
#pragma omp barrier
#pragma omp for collapse(2) schedule(static)
        for (int64_t b = 0; b < s->batch; b++)
            for (int64_t h = 0; h < s->heads; h++)
                one_finish(s, run->scratch + b * chunks * part, ls_one_chunks(one_visible(s, run, b)), h,
                           run->out + (b * s->heads + h) * s->size, run->lse + b * s->heads + h);
    }
}

#endif
