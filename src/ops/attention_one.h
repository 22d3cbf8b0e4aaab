/* Attention of one new token to its cache; a part of src/ops/attention.c.
 *
 * The time is that of reading the cache once, so the cache is read as it lies: row after row, all heads of a row together, by
 * chunks of keys that threads share. Each chunk gives maximum, sum and result of its own; these are put together in order (the
 * "split" of Dao et al. 2023, "Flash-Decoding"), so that the bits do not depend on the number of threads. */
#ifndef LS_OPS_ATTENTION_ONE_H
#define LS_OPS_ATTENTION_ONE_H

#include "ops/attention_block.h"

#include <omp.h>

/* Of a chunk and head: o: (padded D), then maximum and sum. */
LS_INLINE int64_t ls_one_part(const Shape *s) { return s->heads * (s->padded + 2); }

/* Of a thread: weights (H, KEYS), sums before they are added up: (H, LS_LANES, LS_LANES). */
LS_INLINE int64_t ls_one_work(const Shape *s) { return s->heads * (KEYS + LS_LANES * LS_LANES); }

LS_INLINE int64_t ls_one_chunks(int64_t context) { return (context + KEYS - 1) / KEYS; }

LS_INLINE int64_t ls_one_scratch(const Shape *s, int64_t context, int threads)
{
    return s->batch * ls_one_chunks(context) * ls_one_part(s) + threads * ls_one_work(s);
}

LS_INLINE vacc ls_load_up_to(const real *x, int64_t count) { return count >= LS_LANES ? ls_load(x) : ls_load_part(x, count); }

/* weight: (H, KEYS) = q . k / sqrt(D) for `keys` rows of k, LOWEST beyond. */
static void one_scores(const Shape *s, const real *q, const real *k, int64_t stride, int64_t keys, acc *weight, acc *work)
{
    for (int64_t from = 0; from < KEYS; from += LS_LANES) {
        int64_t rows = keys - from < LS_LANES ? keys - from : LS_LANES;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t h = 0; h < s->heads; h++) {
                const real *key = k + (from + i) * stride + h / s->group * s->size, *query = q + h * s->size;
                vacc sum = {0};
                int64_t d = 0;
                for (; d + LS_LANES <= s->size; d += LS_LANES)
                    sum += ls_load(query + d) * ls_load(key + d);
                if (d < s->size)
                    sum += ls_load_part(query + d, s->size - d) * ls_load_part(key + d, s->size - d);
                ls_store_acc(work + (h * LS_LANES + i) * LS_LANES, sum);
            }
        for (int64_t h = 0; h < s->heads; h++) {
            vacc square[LS_LANE_COUNT], sum = {0}, seen = {0};
            for (int64_t i = 0; i < LS_LANES; i++) {
                square[i] = i < rows ? ls_load_acc(work + (h * LS_LANES + i) * LS_LANES) : (vacc){0};
                seen[i] = i < rows ? 0 : LOWEST;
            }
            ls_transpose(square);
            for (int64_t i = 0; i < LS_LANES; i++)
                sum += square[i];
            ls_store_acc(weight + h * KEYS + from, sum * s->scale + seen);
        }
    }
}

/* One chunk of keys: part = results (H, padded D), maxima (H), sums (H). */
static void one_chunk(const Shape *s, const real *q, const real *k, const real *v, int64_t stride, int64_t keys, acc *part, acc *work)
{
    acc *weight = work, *top = part + s->heads * s->padded, *total = top + s->heads;
    one_scores(s, q, k, stride, keys, weight, work + s->heads * KEYS);
    for (int64_t h = 0; h < s->heads; h++) {
        acc *at = weight + h * KEYS;
        vacc high = ls_splat(LOWEST), sum = {0};
        for (int64_t i = 0; i < KEYS; i += LS_LANES)
            high = ls_vmax(high, ls_load_acc(at + i));
        top[h] = ls_hmax(high);
        for (int64_t i = 0; i < KEYS; i += LS_LANES)
            ls_store_acc(at + i, ls_exp(ls_load_acc(at + i) - top[h]));
        for (int64_t i = keys; i < KEYS; i++)
            at[i] = 0;
        for (int64_t i = 0; i < KEYS; i += LS_LANES)
            sum += ls_load_acc(at + i);
        total[h] = ls_hsum(sum);
    }
    ls_zero(part, s->heads * s->padded);
    for (int64_t i = 0; i < keys; i++)
        for (int64_t h = 0; h < s->heads; h++) {
            const real *value = v + i * stride + h / s->group * s->size;
            acc *o = part + h * s->padded, w = weight[h * KEYS + i];
            int64_t d = 0;
            for (; d + LS_LANES <= s->size; d += LS_LANES)
                ls_store_acc(o + d, ls_load_acc(o + d) + w * ls_load(value + d));
            if (d < s->size)
                ls_store_acc(o + d, ls_load_acc(o + d) + w * ls_load_part(value + d, s->size - d));
        }
}

/* Puts the chunks of one head together: o = sum_c exp(m_c - m) o_c / l, l = sum_c exp(m_c - m) l_c. */
static void one_finish(const Shape *s, const acc *part, int64_t chunks, int64_t head, real *out, acc *lse)
{
    int64_t size = ls_one_part(s), top_at = s->heads * s->padded + head, sum_at = top_at + s->heads;
    acc top = LOWEST, sum = 0;
    for (int64_t c = 0; c < chunks; c++)
        top = part[c * size + top_at] > top ? part[c * size + top_at] : top;
    for (int64_t c = 0; c < chunks; c++)
        sum += (acc)exp((double)(part[c * size + top_at] - top)) * part[c * size + sum_at];
    for (int64_t d = 0; d < s->size; d += LS_LANES) {
        vacc o = {0};
        for (int64_t c = 0; c < chunks; c++)
            o += (acc)exp((double)(part[c * size + top_at] - top)) * ls_load_acc(part + c * size + head * s->padded + d);
        o /= sum;
        if (d + LS_LANES <= s->size)
            ls_store(out + d, o);
        else
            ls_store_part(out + d, o, s->size - d);
    }
    *lse = top + (acc)log((double)sum);
}

/* qkv: (B, 1, row), cache: (B, context, 2 Hkv D), position: (B) -> out: (B, 1, H D), lse: (B, H, 1). room: acc of scratch. */
static void ls_attend_one(const Shape *s, const real *qkv, const real *cache, int64_t context, const int32_t *position, real *out,
                          acc *lse, acc *scratch, int64_t room)
{
    int64_t chunks = ls_one_chunks(context), part = ls_one_part(s), stride = 2 * s->kv_heads * s->size;
    acc *work = scratch + s->batch * chunks * part;
    int64_t threads = (room - s->batch * chunks * part) / ls_one_work(s), busy = 0;
    threads = threads < ls_threads() ? threads : ls_threads();
    for (int64_t b = 0; b < s->batch; b++)
        busy = busy > ls_one_chunks(position[b] + 1) ? busy : ls_one_chunks(position[b] + 1);
#pragma omp parallel num_threads((int)threads) if (s->batch * busy > 1)
    {
#pragma omp for collapse(2) schedule(dynamic, 1)
        for (int64_t b = 0; b < s->batch; b++)
            for (int64_t c = 0; c < busy; c++) {
                int64_t keys = position[b] + 1 - c * KEYS;
                const real *k = cache + (b * context + c * KEYS) * stride;
                if (keys > 0)
                    one_chunk(s, qkv + b * s->row, k, k + stride / 2, stride, keys < KEYS ? keys : KEYS, scratch + (b * chunks + c) * part,
                              work + omp_get_thread_num() * ls_one_work(s));
            }
#pragma omp for collapse(2) schedule(static)
        for (int64_t b = 0; b < s->batch; b++)
            for (int64_t h = 0; h < s->heads; h++)
                one_finish(s, scratch + b * chunks * part, ls_one_chunks(position[b] + 1), h, out + (b * s->heads + h) * s->size,
                           lse + b * s->heads + h);
    }
}

#endif
