/* Drawing tokens: greedy, temperature, top-k, top-p, seeds; frequencies against the probabilities they are drawn
 * from. */
#include "harness.h"
#include "decode/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { V = 12, DRAWS = 20000 };

static const float logits[V] = {0.5f, 2.0f, -1.0f, 1.5f, 0.0f, 2.0f, -3.0f, 1.0f, 0.9f, -0.5f, -2.0f, 0.2f};

static LsSampling sampling(double temperature, int64_t top_k, double top_p)
{
    return (LsSampling){
        .temperature = temperature, .top_k = top_k, .top_p = top_p, .seed = 5, .tokens = 1, .batch = 1, .stop = -1};
}

static int32_t draw(const LsSampling *s, const float *from, int64_t vocabulary, int64_t stream, int64_t index)
{
    LsSampler *sampler = ls_sampler_new(vocabulary);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sampler);
    int32_t token = -1;
    ASSERT_OK(ls_sampler_draw(sampler, s, from, stream, index, &token));
    ls_sampler_free(sampler);
    return token;
}

/* Draws many and compares with softmax(logits / temperature) over the tokens that `allowed` marks. */
static void check_frequencies(const LsSampling *s, const bool *allowed)
{
    double probability[V], sum = 0;
    int count[V] = {0};
    for (int i = 0; i < V; i++)
        sum += probability[i] = allowed[i] ? exp((double)logits[i] / s->temperature) : 0;
    LsSampler *sampler = ls_sampler_new(V);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sampler);
    for (int i = 0; i < DRAWS; i++) {
        int32_t token = -1;
        ASSERT_OK(ls_sampler_draw(sampler, s, logits, i % 3, i / 3, &token));
        CU_ASSERT_FATAL(token >= 0 && token < V);
        count[token]++;
    }
    ls_sampler_free(sampler);
    for (int i = 0; i < V; i++) {
        double p = probability[i] / sum;
        /* five standard errors; 0 stays 0 */
        ASSERT_AT_MOST(fabs((double)count[i] / DRAWS - p), 5 * sqrt(p * (1 - p) / DRAWS));
    }
}

static void test_greedy(void)
{
    LsSampling s = sampling(0, 0, 1);
    CU_ASSERT_EQUAL(draw(&s, logits, V, 0, 0), 1); /* the lower of two equals */
    s = sampling(1, 1, 1);
    CU_ASSERT_EQUAL(draw(&s, logits, V, 0, 0), 1);
    s = sampling(1, 0, 1e-9);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(draw(&s, logits, V, 0, i), 1);
}

static void test_all(void)
{
    bool allowed[V];
    memset(allowed, true, sizeof allowed);
    LsSampling s = sampling(1, 0, 1);
    check_frequencies(&s, allowed);
    s = sampling(0.5, V, 1);
    check_frequencies(&s, allowed);
    s = sampling(2, V + 5, 1);
    check_frequencies(&s, allowed);
}

static void test_top_k(void)
{
    bool allowed[V] = {[1] = true, [5] = true, [3] = true, [7] = true};
    LsSampling s = sampling(1.3, 4, 1);
    check_frequencies(&s, allowed);
}

static void test_top_p(void)
{
    /* probabilities at temperature 1, in order: 1 and 5 0.243, 3 0.147, 7 0.089, 8 0.081, 0 0.054, ... */
    bool two[V] = {[1] = true, [5] = true}, three[V] = {[1] = true, [5] = true, [3] = true};
    LsSampling s = sampling(1, 0, 0.45);
    check_frequencies(&s, two);
    s.top_p = 0.6;
    check_frequencies(&s, three);
    /* of the four likeliest (their sum is 0.72), 0.6 of it is reached by two */
    s = sampling(1, 4, 0.6);
    check_frequencies(&s, two);
}

/* Ids that are never drawn count for nothing, however likely, and whatever else restricts the draw. */
static void test_never(void)
{
    bool never[V] = {[1] = true, [3] = true, [5] = true, [8] = true}, allowed[V];
    for (int i = 0; i < V; i++)
        allowed[i] = !never[i];
    LsSampling s = sampling(0, 0, 1);
    s.never = never;
    CU_ASSERT_EQUAL(draw(&s, logits, V, 0, 0), 7);
    s = sampling(1.3, 0, 1);
    s.never = never;
    check_frequencies(&s, allowed);
    s.top_k = V; /* more than are left */
    check_frequencies(&s, allowed);
    s.top_k = 2; /* of those that are left */
    check_frequencies(&s, (bool[V]){[7] = true, [0] = true});
    for (int i = 0; i < V; i++)
        never[i] = true;
    LsSampler *sampler = ls_sampler_new(V);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sampler);
    int32_t token = -1;
    ASSERT_FAILS(ls_sampler_draw(sampler, &s, logits, 0, 0, &token), LS_USAGE, "none of the model's 12 ids");
    ls_sampler_free(sampler);
}

static void test_seeds(void)
{
    enum { MANY = 5000 };
    static float flat[MANY];
    LsSampling s = sampling(1, 0, 1);
    int same_seed = 0, same_stream = 0, same_index = 0;
    for (int i = 0; i < 200; i++) {
        int32_t token = draw(&s, flat, MANY, 1, i);
        CU_ASSERT_EQUAL(draw(&s, flat, MANY, 1, i), token);
        LsSampling other = s;
        other.seed = 6;
        same_seed += draw(&other, flat, MANY, 1, i) == token;
        same_stream += draw(&s, flat, MANY, 2, i) == token;
        same_index += draw(&s, flat, MANY, 1, i + 1000) == token;
    }
    CU_ASSERT(same_seed < 5 && same_stream < 5 && same_index < 5);
}

static void test_not_finite(void)
{
    float bad[V];
    for (int i = 0; i < V; i++) {
        memcpy(bad, logits, sizeof bad);
        bad[i] = i % 2 ? NAN : INFINITY;
        LsSampling s = sampling(i % 3, 0, 1);
        LsSampler *sampler = ls_sampler_new(V);
        CU_ASSERT_PTR_NOT_NULL_FATAL(sampler);
        int32_t token;
        ASSERT_FAILS(ls_sampler_draw(sampler, &s, bad, 0, 3, &token), LS_DIVERGED, "token 3");
        ls_sampler_free(sampler);
    }
}

int main(void)
{
    return harness_run("sampling", (HarnessTest[]){{"greedy", test_greedy},
                                                   {"ids that are never drawn", test_never},
                                                   {"all", test_all},
                                                   {"top-k", test_top_k},
                                                   {"top-p", test_top_p},
                                                   {"seeds", test_seeds},
                                                   {"not finite", test_not_finite},
                                                   {0}});
}
