/* Step sizes and decays of the state-space dual scan, and the recurrence over its chunks; a part of
 * src/ops/ssd_scan.c. */
#ifndef LS_OPS_SSD_STEPS_H
#define LS_OPS_SSD_STEPS_H

#include "ops/ssd_shape.h"
#include "ops/vec_math.h"

#define SSD_LOG2_E ((acc)1.44269504088896340736)

/* A step's log2 of decay at least: nothing is left of what decays so, and a chunk's sum keeps its digits. */
#define SSD_LEAST_LOG ((acc)-512)

/* ---- One head's chunk -------------------------------------------------------------------------------------------- */

/* The decay from step j to step t is 2^(S_t - S_j), S the running sum of log2 of the steps' decays. Where decays are
 * strong S is large and the difference of two of its values would be worth little: S is kept in two parts, multiples of
 * 2^-8, whose sums and differences are exact, and the rest, which stays small. */
static void sum_logs(const acc *delta, acc rate, acc *coarse, acc *fine)
{
    acc whole = 0, rest = 0;
    for (int64_t t = 0; t < SSD_CHUNK; t++) {
        acc log = delta[t] * rate;
        log = log > SSD_LEAST_LOG ? log : SSD_LEAST_LOG;       /* NaN becomes the least; y shows it, by delta */
        acc part = (acc)(((double)log + 0x1.8p44) - 0x1.8p44); /* to the nearest multiple of 2^-8 */
        whole += part;
        rest += log - part;
        coarse[t] = whole;
        fine[t] = rest;
    }
}

/* Step sizes of one head's chunk, and by how much raw ones move them; steps after the last: 0. */
static void find_deltas(const LsNode *node, const Shape *s, const Piece *p, acc *delta, acc *slope)
{
    const real *raw = (const real *)node->in[DELTA]->data + p->first_row * s->delta_row + s->first + p->head;
    acc bias = ((const acc *)node->in[BIAS]->data)[p->head];
    for (int64_t t = 0; t < SSD_CHUNK; t++)
        delta[t] = t < p->steps ? ls_load1(raw + t * s->delta_row) + bias : 0;
    for (int64_t t = 0; t < SSD_CHUNK; t += LS_LANES) {
        vacc x = ls_load_acc(delta + t), step = ls_vsoftplus(x);
        if (slope)
            ls_store_acc(slope + t, (vacc)((vint)ls_vsigmoid(x) & (step >= s->low) & (step <= s->high)));
        step = ls_select(step < s->low, ls_splat(s->low), step);
        ls_store_acc(delta + t, ls_select(step > s->high, ls_splat(s->high), step));
    }
    for (int64_t t = p->steps; t < SSD_CHUNK; t++)
        delta[t] = 0;
}

static void prepare_steps(const LsNode *node, const Shape *s, const Scratch *k)
{
    const acc *a_log = node->in[A_LOG]->data;
    int64_t lines = s->streams * s->chunks * s->heads;
#pragma omp parallel for schedule(static) if (lines * SSD_CHUNK > SSD_SHARED / 4)
    for (int64_t i = 0; i < lines; i++) {
        Piece p = {.stream = i / s->heads / s->chunks, .chunk = i / s->heads % s->chunks, .head = i % s->heads};
        int64_t at = step_at(s, p.stream, p.head, p.chunk);
        p.first_row = p.stream * s->steps + p.chunk * SSD_CHUNK;
        p.steps = s->steps - p.chunk * SSD_CHUNK < SSD_CHUNK ? s->steps - p.chunk * SSD_CHUNK : SSD_CHUNK;
        find_deltas(node, s, &p, k->delta + at, k->slope ? k->slope + at : NULL);
        sum_logs(k->delta + at, -SSD_LOG2_E * (acc)exp((double)a_log[p.head]), k->coarse + at, k->fine + at);
        acc all = k->coarse[at + SSD_CHUNK - 1] + k->fine[at + SSD_CHUNK - 1];
        k->whole[at / SSD_CHUNK] = ls_decay(ls_splat(all))[0];
    }
}

/* One head's chunk: step sizes and logs of decay. */
typedef struct Line {
    const acc *delta, *coarse, *fine; /* (chunk) */
} Line;

LS_INLINE Line line_of(const Shape *s, const Scratch *k, const Piece *p, int64_t head)
{
    int64_t at = step_at(s, p->stream, head, p->chunk);
    return (Line){k->delta + at, k->coarse + at, k->fine + at};
}

/* The decay from step j to the steps t.. of a vector; those before j are not to be used. */
LS_INLINE vacc decay_since(const Line *l, int64_t j, int64_t t)
{
    vacc log = (ls_load_acc(l->coarse + t) - l->coarse[j]) + (ls_load_acc(l->fine + t) - l->fine[j]);
    return ls_decay(log);
}

/* From the steps j.. of a vector to step t. */
LS_INLINE vacc decay_until(const Line *l, int64_t j, int64_t t)
{
    vacc log = (l->coarse[t] - ls_load_acc(l->coarse + j)) + (l->fine[t] - ls_load_acc(l->fine + j));
    return ls_decay(log);
}

/* From before the chunk to the steps t.. of a vector, the steps' own decay included. */
LS_INLINE vacc decay_to(const Line *l, int64_t t)
{
    return ls_decay(ls_load_acc(l->coarse + t) + ls_load_acc(l->fine + t));
}

/* From before the chunk to its end. */
LS_INLINE acc decay_whole(const Shape *s, const Scratch *k, int64_t b, int64_t head, int64_t chunk)
{
    return k->whole[(b * s->heads + head) * s->chunks + chunk];
}

/* (chunk): what a step adds to the state at the chunk's end: delta_j and the decay after it. */
LS_INLINE void weights_to_end(const Line *l, acc *weight)
{
    for (int64_t j = 0; j < SSD_CHUNK; j += LS_LANES)
        ls_store_acc(weight + j, decay_until(l, j, SSD_CHUNK - 1) * ls_load_acc(l->delta + j));
}
LS_INLINE void weights_from_start(const Line *l, acc *weight)
{
    for (int64_t t = 0; t < SSD_CHUNK; t += LS_LANES)
        ls_store_acc(weight + t, decay_to(l, t));
}

/* ---- Over the chunks --------------------------------------------------------------------------------------------- */

/* One state of one stream: (E) in each chunk. add: what a chunk makes of zero; becomes what the chunk starts from (in
 * reverse: ends with). x: what the first starts from; becomes what the last ends with. keep: only x changes. */
static void chain_row(const Shape *s, const Scratch *k, int64_t b, int64_t n, acc *states, acc *x, bool reverse,
                      bool keep)
{
    for (int64_t i = 0; i < s->chunks; i++) {
        int64_t chunk = reverse ? s->chunks - 1 - i : i;
        acc *at = states + ((b * s->chunks + chunk) * s->states + n) * s->channels;
        for (int64_t head = 0; head < s->heads; head++) {
            acc decay = decay_whole(s, k, b, head, chunk);
            for (int64_t e = head * s->size; e < (head + 1) * s->size; e++) {
                acc add = at[e];
                if (!keep)
                    at[e] = x[e];
                x[e] = add + decay * x[e];
            }
        }
    }
}

/* Over the ranks that share this part of the time: every rank's chunks together are one step of the same recurrence,
 * which turns k->start, right on the first rank, into what each rank starts from. */
static LsStatus chain_ranks(const LsRun *run, const Shape *s, const Scratch *k, acc *states, bool reverse)
{
    int64_t rows = s->streams * s->states;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        acc *sum = k->sum + i * s->channels, *decay = k->decay + i * s->channels;
        memset(sum, 0, (size_t)s->channels * sizeof(acc));
        chain_row(s, k, i / s->states, i % s->states, states, sum, reverse, true);
        for (int64_t head = 0; head < s->heads; head++) {
            acc all = 1;
            for (int64_t chunk = 0; chunk < s->chunks; chunk++)
                all *= decay_whole(s, k, i / s->states, head, chunk);
            for (int64_t e = head * s->size; e < (head + 1) * s->size; e++)
                decay[e] = all;
        }
    }
    return run->sequence->scan(run->sequence, k->start, k->decay, k->sum, rows * s->channels, sizeof(acc) == 8,
                               reverse);
}

/* states: (B, chunks, N, E), what each chunk makes of zero: h at its end, or in reverse dL/dh at its start. Becomes
 * what the chunks start from (end with); to: what is left after the last, or NULL. */
static LsStatus chain_chunks(const LsNode *node, const LsRun *run, const Shape *s, const Scratch *k, acc *states,
                             bool reverse, acc *to)
{
    const LsTensor *state = node->in[STATE];
    const acc *from = !state ? NULL : reverse ? state->end->grad : state->data;
    int64_t rows = s->streams * s->states;
    size_t bytes = (size_t)(rows * s->channels) * sizeof(acc);
    if (from)
        memcpy(k->start, from, bytes);
    else
        memset(k->start, 0, bytes);
    if (s->carries && ls_over_ranks(run))
        LS_TRY(chain_ranks(run, s, k, states, reverse));
#pragma omp parallel for schedule(static) if (rows * s->channels * s->chunks > SSD_SHARED)
    for (int64_t i = 0; i < rows; i++)
        chain_row(s, k, i / s->states, i % s->states, states, k->start + i * s->channels, reverse, false);
    if (to)
        memcpy(to, k->start, bytes);
    return LS_OK;
}

#endif
