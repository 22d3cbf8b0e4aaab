/* Drawing a token. Top-k and top-p take candidates from a heap, so that a vocabulary is never sorted as a whole. */
#include "decode/generate.h"

#include <math.h>

struct LsSampler {
    int64_t vocabulary;
    float *weight; /* (V) exp((logit - largest) / temperature) */
    int32_t *heap; /* (V) ids, the likeliest first */
    float *masked; /* (V) logits with -infinity where an id is never drawn */
};

bool ls_sampling_stops(const LsSampling *sampling, int32_t token)
{
    bool stops = token == sampling->stop;
    for (int64_t i = 0; i < sampling->more_stops; i++)
        stops = stops || token == sampling->more_stop[i];
    return stops;
}

LsSampler *ls_sampler_new(int64_t vocabulary)
{
    LsSampler *sampler = ls_alloc(sizeof *sampler);
    if (!sampler)
        return NULL;
    sampler->vocabulary = vocabulary;
    sampler->weight = ls_alloc_array(vocabulary, sizeof(float));
    sampler->heap = ls_alloc_array(vocabulary, sizeof(int32_t));
    sampler->masked = ls_alloc_array(vocabulary, sizeof(float));
    if (!sampler->weight || !sampler->heap || !sampler->masked) {
        ls_sampler_free(sampler);
        return NULL;
    }
    return sampler;
}

void ls_sampler_free(LsSampler *sampler)
{
    if (!sampler)
        return;
    ls_free(sampler->weight);
    ls_free(sampler->heap);
    ls_free(sampler->masked);
    ls_free(sampler);
}

/* ---- Heap of ids, the greater logit on top, of equal ones the lower id ---- */

static bool before(const float *logits, int32_t a, int32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(int32_t *heap, int64_t size, int64_t at, const float *logits)
{
    int32_t id = heap[at];
    for (int64_t child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && before(logits, heap[child + 1], heap[child]))
            child++;
        if (!before(logits, heap[child], id))
            break;
        heap[at] = heap[child];
    }
    heap[at] = id;
}

static void build_heap(int32_t *heap, int64_t size, const float *logits)
{
    for (int64_t i = 0; i < size; i++)
        heap[i] = (int32_t)i;
    for (int64_t i = size / 2 - 1; i >= 0; i--)
        sift_down(heap, size, i, logits);
}

/* Moves the top to the end of the heap, which is one shorter then. */
static int32_t pop(int32_t *heap, int64_t size, const float *logits)
{
    int32_t top = heap[0];
    heap[0] = heap[size - 1];
    heap[size - 1] = top;
    sift_down(heap, size - 1, 0, logits);
    return top;
}

/* Puts the candidates at the end of the heap, the likeliest last; their number, and their weights' sum for that of
 * all. */
static int64_t restrict_candidates(LsSampler *s, const LsSampling *sampling, const float *logits, double *total)
{
    int64_t size = s->vocabulary, count = 0;
    build_heap(s->heap, size, logits);
    if (sampling->top_k > 0 && sampling->top_k < size) {
        *total = 0;
        for (; count < sampling->top_k; count++)
            *total += (double)s->weight[pop(s->heap, size - count, logits)];
        if (sampling->top_p >= 1)
            return count;
        size = count; /* of these, in the order in which they came */
    }
    double goal = sampling->top_p * *total;
    int64_t popped = count;
    *total = 0;
    for (count = 0; count < size && (count == 0 || *total < goal); count++) {
        int32_t id = count < popped ? s->heap[s->vocabulary - 1 - count] : pop(s->heap, s->vocabulary - count, logits);
        *total += (double)s->weight[id];
    }
    return count;
}

/* The id at which the running sum of weights passes `goal`: candidates from the heap's end if restricted, else all in
 * order. */
static int32_t pick(const LsSampler *s, int64_t candidates, bool restricted, double goal)
{
    double sum = 0;
    int32_t last = 0;
    for (int64_t i = 0; i < candidates; i++) {
        int32_t id = restricted ? s->heap[s->vocabulary - 1 - i] : (int32_t)i;
        if (s->weight[id] <= 0) /* never drawn, or too unlikely */
            continue;
        sum += (double)s->weight[id];
        last = id;
        if (sum > goal)
            return id;
    }
    return last; /* rounding: the sum of all ended just below its own value */
}

static bool all_finite(const float *logits, int64_t count)
{
    float bad = 0;
#pragma omp simd reduction(+ : bad)
    for (int64_t i = 0; i < count; i++)
        bad += logits[i] * 0; /* NaN where the logit is infinite or NaN */
    return bad == 0;
}

static const float *mask(LsSampler *s, const bool *never, const float *logits)
{
    for (int64_t i = 0; i < s->vocabulary; i++)
        s->masked[i] = never[i] ? -INFINITY : logits[i];
    return s->masked;
}

LsStatus ls_sampler_draw(LsSampler *s, const LsSampling *sampling, const float *logits, int64_t stream, int64_t index,
                         int32_t *token)
{
    if (!all_finite(logits, s->vocabulary))
        return ls_fail(LS_DIVERGED, "token %lld: the model's output is not finite", (long long)index);
    if (sampling->never)
        logits = mask(s, sampling->never, logits);
    float largest = logits[0];
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < s->vocabulary; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    if (isinf(largest))
        return ls_fail(LS_USAGE, "none of the model's %lld ids stands for a token", (long long)s->vocabulary);
    int32_t best = 0;
    while (logits[best] < largest)
        best++;
    *token = best;
    if (sampling->temperature <= 0 || sampling->top_k == 1)
        return LS_OK;

    float inverse = (float)(1 / sampling->temperature);
#pragma omp parallel for schedule(static) if (s->vocabulary > 4096)
    for (int64_t i = 0; i < s->vocabulary; i++)
        s->weight[i] = expf((logits[i] - largest) * inverse);
    double total = 0;
    for (int64_t i = 0; i < s->vocabulary; i++)
        total += (double)s->weight[i];

    int64_t candidates = s->vocabulary;
    bool restricted = sampling->top_p < 1 || (sampling->top_k > 0 && sampling->top_k < s->vocabulary);
    if (restricted)
        candidates = restrict_candidates(s, sampling, logits, &total);
    double uniform = (double)ls_uniform_at(ls_key(sampling->seed, "sample"), (uint64_t)stream, (uint64_t)index);
    *token = pick(s, candidates, restricted, uniform * total);
    return LS_OK;
}
