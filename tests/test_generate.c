/* Generation token by token against whole passes: inside the context, past its end, for several streams. */
#include "harness.h"
#include "train/generate.h"

#include "lockstep/graph.h"

#include <stdio.h>
#include <string.h>

#define VOCABULARY 13
#define CONTEXT 8
#define TOKENS 30

static const char *const texts[] = {
    "model:\n  kind: gpt\n  layers: 2\n  heads: 2\n  width: 12\n  context: 8\n  vocabulary: 13\n  init_std: 0.4\ndata:\n  path: none.h5\n",
    "model:\n  kind: mamba\n  layers: 2\n  width: 10\n  state: 4\n  vocabulary: 13\ndata:\n  path: none.h5\n",
};

static LsConfig *config_of(int which)
{
    LsConfig *config = ls_config_parse("test", texts[which], 0, NULL);
    if (!config)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

/* The likeliest token after ids, by one pass over all of them. */
static int32_t likeliest(const LsConfig *config, LsParams *params, const int32_t *ids, int64_t count)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    config->model->build(g, config->model_config, &(LsShape){1, count, LS_WANT_LAST});
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 3, false));
    ASSERT_OK(ls_graph_plan(g));
    memcpy(ls_graph_find(g, "ids")->data, ids, sizeof(int32_t) * (size_t)count);
    ASSERT_OK(ls_graph_forward(g, &(LsRun){0}));
    const float *logits = ls_graph_find(g, "output")->data;
    int32_t best = 0;
    for (int32_t v = 1; v < VOCABULARY; v++)
        best = logits[v] > logits[best] ? v : best;
    ls_graph_free(g);
    return best;
}

typedef struct Sink {
    int32_t token[3][TOKENS];
    int64_t count;
} Sink;

static bool collect(void *self, int64_t stream, int64_t index, int32_t token)
{
    Sink *sink = self;
    sink->token[stream][index] = token;
    sink->count++;
    return true;
}

static const LsSampling greedy = {.temperature = 0, .top_p = 1, .tokens = TOKENS, .batch = 3, .stop = -1};

/* What the model saw at each step follows from the rule: everything, until that is the context; then the newer half. */
static void test_greedy(void)
{
    for (int which = 0; which < (int)LS_COUNT_OF(texts); which++) {
        LsConfig *config = config_of(which);
        LsParams *params = ls_params_new();
        int32_t ids[3 + TOKENS] = {1, 5, 2};
        likeliest(config, params, ids, 3); /* allocates */
        Sink sink = {0};
        LsGenerationSpeed speed;
        ASSERT_OK(ls_generate(config, params, ids, 3, &greedy, collect, &sink, &speed));
        CU_ASSERT_EQUAL(sink.count, 3 * TOKENS);
        CU_ASSERT_EQUAL(speed.tokens, 3 * TOKENS);
        int64_t first = 0, count = 3;
        for (int64_t i = 0; i < TOKENS; i++) {
            int32_t expected = likeliest(config, params, ids + first, count - first);
            for (int b = 0; b < 3; b++)
                CU_ASSERT_EQUAL(sink.token[b][i], expected);
            ids[count++] = expected;
            if (which == 0 && count - first > CONTEXT)
                first = count - CONTEXT / 2;
        }
        ls_params_free(params);
        ls_config_free(config);
    }
}

/* A prompt that fills the context still gives tokens; a longer one is refused. */
static void test_prompts(void)
{
    LsConfig *config = config_of(0);
    LsParams *params = ls_params_new();
    int32_t ids[CONTEXT + 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    int32_t expected = likeliest(config, params, ids, CONTEXT);
    Sink sink = {0};
    LsGenerationSpeed speed;
    ASSERT_OK(ls_generate(config, params, ids, CONTEXT, &greedy, collect, &sink, &speed));
    CU_ASSERT_EQUAL(sink.token[0][0], expected);
    ASSERT_FAILS(ls_generate(config, params, ids, CONTEXT + 1, &greedy, collect, &sink, &speed), LS_USAGE, "context is 8");
    ASSERT_FAILS(ls_generate(config, params, ids, 0, &greedy, collect, &sink, &speed), LS_USAGE, "empty");
    ids[1] = VOCABULARY;
    ASSERT_FAILS(ls_generate(config, params, ids, 3, &greedy, collect, &sink, &speed), LS_USAGE, "token 13 at place 1");
    ls_params_free(params);
    ls_config_free(config);
}

static int64_t counts[2];

static bool count_allocations(void *self, int64_t stream, int64_t index, int32_t token)
{
    (void)self, (void)stream, (void)token;
    if (index == 0)
        counts[0] = ls_alloc_count();
    counts[1] = ls_alloc_count();
    return true;
}

static void test_no_allocation(void)
{
    LsConfig *config = config_of(0);
    LsParams *params = ls_params_new();
    int32_t ids[] = {1, 5, 2};
    likeliest(config, params, ids, 3);
    LsSampling one = greedy;
    one.batch = 1;
    one.temperature = 0.8;
    LsGenerationSpeed speed;
    ASSERT_OK(ls_generate(config, params, ids, 3, &one, count_allocations, NULL, &speed));
    CU_ASSERT(counts[0] > 0);
    CU_ASSERT_EQUAL(counts[0], counts[1]);
    ls_params_free(params);
    ls_config_free(config);
}

int main(void)
{
    return harness_run("generate", (HarnessTest[]){{"greedy against whole passes", test_greedy},
                                                   {"prompts", test_prompts},
                                                   {"no allocation between tokens", test_no_allocation},
                                                   {0}});
}
