/* Generation with states against whole forward passes, for every model; batches, limits, ends, no allocation. */
#include "harness.h"
#include "lockstep/model.h"
#include "decode/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 700 };

static const char gpt[] =
    "model: {kind: gpt, vocabulary: 19, context: 620, layers: 2, heads: 2, width: 16, init_std: 0.4}\n";
static const char rotary[] =
    "model: {kind: gpt, vocabulary: 19, context: 620, layers: 2, heads: 4, kv_heads: 2, width: 16, "
    "position: rotary, norm: rms, activation: swiglu, tied: false, init_std: 0.4}\n";
static const char mamba[] = "model: {kind: mamba, vocabulary: 19, context: 620, layers: 2, width: 16}\n";
static const char llama[] =
    "model: {kind: llama, vocabulary: 19, context: 620, layers: 2, heads: 2, head_size: 6, width: 16, hidden: 24, "
    "window: 90, "
    "qk_norm: true, rotary_scaling: llama3, rotary_factor: 4, rotary_context: 100, init_std: 0.4}\n";
static const char mamba2[] =
    "model: {kind: mamba2, vocabulary: 19, context: 620, layers: 2, width: 16, head_dim: 8, groups: 2, state: 6}\n";
static const char *const models[] = {gpt, rotary, mamba, llama, mamba2};

/* A state of constant size has no limit, and neither has a window. */
static bool is_limited(const char *model) { return model != mamba && model != mamba2 && model != llama; }

typedef struct Model {
    LsConfig *config;
    LsParams *params;
} Model;

static LsGraph *build(Model *model, int64_t sequence)
{
    LsGraph *g = ls_graph_new(model->params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(model->config, g, 1, sequence, LS_WANT_LAST);
    return g;
}

static Model make(const char *yaml)
{
    Model model = {ls_config_parse("test", yaml, 0, NULL), ls_params_new()};
    if (!model.config)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(model.config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(model.params);
    LsGraph *g = build(&model, 4);
    ASSERT_OK(ls_graph_plan_dry(g));
    ASSERT_OK(ls_params_allocate(model.params, 3, false));
    ls_graph_free(g);
    /* sharper than a fresh model, so that the likeliest token is a clear one */
    for (int64_t i = 0; i < model.params->total; i++)
        model.params->value[i] *= 1.7f;
    return model;
}

static void drop(Model *model)
{
    ls_params_free(model->params);
    ls_config_free(model->config);
}

/* The likeliest token after these, by a pass over all of them. */
static int32_t likeliest(Model *model, const int32_t *ids, int64_t count)
{
    LsGraph *g = build(model, count);
    ASSERT_OK(ls_graph_plan(g));
    memcpy(ls_graph_find(g, "ids")->data, ids, (size_t)count * sizeof *ids);
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    const LsTensor *output = ls_graph_find(g, "output");
    float logits[64];
    CU_ASSERT_FATAL(output->count <= 64);
    ls_tensor_get(g, output, logits);
    int32_t best = 0;
    for (int32_t i = 1; i < output->count; i++)
        best = logits[i] > logits[best] ? i : best;
    ls_graph_free(g);
    return best;
}

typedef struct Heard {
    int32_t token[8][MAX_TOKENS];
    int64_t count[8], end_after, allocations;
} Heard;

static bool hear(void *self, int64_t stream, int64_t index, int32_t token)
{
    Heard *heard = self;
    CU_ASSERT_EQUAL(index, heard->count[stream]);
    heard->token[stream][heard->count[stream]++] = token;
    if (index == 0 && stream == 0)
        heard->allocations = ls_alloc_count();
    CU_ASSERT_EQUAL(ls_alloc_count(), heard->allocations);
    return heard->end_after == 0 || index + 1 < heard->end_after;
}

static void prompt_of(int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)((i * i + 3 * i) % 19);
}

static LsSampling greedy(int64_t tokens, int64_t batch)
{
    return (LsSampling){.temperature = 0, .top_p = 1, .tokens = tokens, .batch = batch, .stop = -1};
}

/* Prompts of one token, of some, and of more than a chunk. */
static void test_against_whole_passes(void)
{
    static const int64_t lengths[] = {1, 7, 512, 530};
    static Heard heard;
    for (size_t m = 0; m < LS_COUNT_OF(models); m++) {
        Model model = make(models[m]);
        for (size_t l = 0; l < LS_COUNT_OF(lengths); l++) {
            int32_t ids[MAX_TOKENS];
            int64_t count = lengths[l], tokens = count > 100 ? 4 : 12;
            LsGenerationSpeed speed;
            LsSampling sampling = greedy(tokens, 1);
            prompt_of(ids, count);
            heard = (Heard){.end_after = 0};
            ASSERT_OK(ls_generate(model.config, model.params, ids, count, &sampling, hear, &heard, &speed));
            CU_ASSERT_EQUAL(heard.count[0], tokens);
            CU_ASSERT_EQUAL(speed.tokens, tokens);
            CU_ASSERT(speed.prompt_seconds > 0 && speed.token_seconds > 0);
            for (int64_t i = 0; i < tokens; i++) {
                CU_ASSERT_EQUAL(heard.token[0][i], likeliest(&model, ids, count + i));
                ids[count + i] = heard.token[0][i];
            }
        }
        drop(&model);
    }
}

/* Streams of a batch are drawn apart, and a stream alone gives the same as the first of a batch. */
static void test_batch(void)
{
    static Heard one, many;
    for (size_t m = 0; m < LS_COUNT_OF(models); m++) {
        Model model = make(models[m]);
        int32_t ids[600];
        prompt_of(ids, 600);
        LsGenerationSpeed speed;
        LsSampling sampling = greedy(20, 1);
        for (int kind = 0; kind < 3; kind++) { /* greedy; sampled; sampled after a prompt of two parts */
            sampling.temperature = kind > 0;
            int64_t count = kind == 2 ? 600 : 5;
            one = many = (Heard){.end_after = 0};
            sampling.batch = 1;
            ASSERT_OK(ls_generate(model.config, model.params, ids, count, &sampling, hear, &one, &speed));
            sampling.batch = 4;
            ASSERT_OK(ls_generate(model.config, model.params, ids, count, &sampling, hear, &many, &speed));
            CU_ASSERT_EQUAL(speed.tokens, 80);
            CU_ASSERT_EQUAL(memcmp(one.token[0], many.token[0], 20 * sizeof(int32_t)), 0);
            for (int b = 1; b < 4; b++)
                CU_ASSERT_EQUAL(memcmp(many.token[0], many.token[b], 20 * sizeof(int32_t)) == 0, kind == 0);
        }
        drop(&model);
    }
}

static void test_ends(void)
{
    static Heard heard;
    Model model = make(mamba);
    int32_t ids[4] = {1, 2, 3, 4};
    LsGenerationSpeed speed;
    LsSampling sampling = greedy(50, 3);
    sampling.temperature = 3;
    heard = (Heard){.end_after = 0};
    ASSERT_OK(ls_generate(model.config, model.params, ids, 4, &sampling, hear, &heard, &speed));
    int32_t stop = heard.token[1][9];
    static Heard stopped;
    stopped = (Heard){.end_after = 0};
    sampling.stop = stop;
    ASSERT_OK(ls_generate(model.config, model.params, ids, 4, &sampling, hear, &stopped, &speed));
    CU_ASSERT(stopped.count[1] <= 10);
    for (int b = 0; b < 3; b++) {
        for (int64_t i = 0; i < stopped.count[b]; i++) {
            CU_ASSERT_EQUAL(stopped.token[b][i], heard.token[b][i]);
            CU_ASSERT_EQUAL(stopped.token[b][i] == stop, i == stopped.count[b] - 1 && stopped.count[b] < 50);
        }
    }
    static Heard more;
    more = (Heard){.end_after = 0};
    sampling.stop = -1;
    sampling.more_stop = (const int32_t[]){-1, stop};
    sampling.more_stops = 2;
    ASSERT_OK(ls_generate(model.config, model.params, ids, 4, &sampling, hear, &more, &speed));
    for (int b = 0; b < 3; b++)
        CU_ASSERT_EQUAL(more.count[b], stopped.count[b]);
    sampling.more_stops = 0;
    stopped = (Heard){.end_after = 6};
    ASSERT_OK(ls_generate(model.config, model.params, ids, 4, &sampling, hear, &stopped, &speed));
    CU_ASSERT_EQUAL(stopped.count[0], 6);
    CU_ASSERT_EQUAL(stopped.count[2], 5);
    drop(&model);
}

/* A context that is full goes on from its newer half, read again. */
static void test_full_context(void)
{
    static Heard heard;
    for (size_t m = 0; m < LS_COUNT_OF(models); m++) {
        Model model = make(models[m]);
        int32_t ids[MAX_TOKENS];
        int64_t first = 0, count = 612;
        LsGenerationSpeed speed;
        LsSampling sampling = greedy(16, 2);
        prompt_of(ids, count);
        heard = (Heard){.end_after = 0};
        ASSERT_OK(ls_generate(model.config, model.params, ids, count, &sampling, hear, &heard, &speed));
        for (int64_t i = 0; i < 16; i++, count++) {
            if (is_limited(models[m]) && count - first > 620)
                first = count - 310;
            CU_ASSERT_EQUAL(heard.token[0][i], likeliest(&model, ids + first, count - first));
            CU_ASSERT_EQUAL(heard.token[1][i], heard.token[0][i]);
            ids[count] = heard.token[0][i];
        }
        CU_ASSERT_EQUAL(first > 0, is_limited(models[m]));
        drop(&model);
    }
}

static void test_limits(void)
{
    static Heard heard;
    int32_t ids[MAX_TOKENS];
    prompt_of(ids, MAX_TOKENS);
    LsGenerationSpeed speed;
    for (size_t m = 0; m < LS_COUNT_OF(models); m++) {
        Model model = make(models[m]);
        LsSampling sampling = greedy(20, 1);
        heard = (Heard){.end_after = 0};
        LsStatus status = ls_generate(model.config, model.params, ids, 650, &sampling, hear, &heard, &speed);
        bool limited = is_limited(models[m]);
        CU_ASSERT_EQUAL(status, limited ? LS_USAGE : LS_OK);
        if (limited)
            ASSERT_FAILS(status, LS_USAGE, "the prompt has 650 tokens, but the model's context is 620");
        ASSERT_FAILS(ls_generate(model.config, model.params, ids, 0, &sampling, hear, &heard, &speed), LS_USAGE,
                     "prompt is empty");
        ids[3] = 19;
        ASSERT_FAILS(ls_generate(model.config, model.params, ids, 5, &sampling, hear, &heard, &speed), LS_USAGE,
                     "token 19 at place 3");
        ids[3] = 18;
        sampling.top_p = 0;
        ASSERT_FAILS(ls_generate(model.config, model.params, ids, 5, &sampling, hear, &heard, &speed), LS_USAGE,
                     "top-p");
        model.params->value[5] = model.params->value[6] = __builtin_nanf("");
        sampling = greedy(1, 1);
        ids[0] = 0; /* the row of the embedding that is not a number */
        ASSERT_FAILS(ls_generate(model.config, model.params, ids, 5, &sampling, hear, &heard, &speed), LS_DIVERGED,
                     "not finite");
        drop(&model);
    }
}

/* The cache of a model that may read a million tokens is as long as this text. */
static void test_room(void)
{
    static Heard heard;
    Model model =
        make("model: {kind: llama, vocabulary: 19, context: 1048576, layers: 1, heads: 2, width: 16, hidden: 8}\n");
    int32_t ids[5];
    LsGenerationSpeed speed;
    LsSampling sampling = greedy(20, 3);
    prompt_of(ids, 5);
    heard = (Heard){.end_after = 0};
    ASSERT_OK(ls_generate(model.config, model.params, ids, 5, &sampling, hear, &heard, &speed));
    CU_ASSERT_EQUAL(heard.count[2], 20);
    CU_ASSERT_EQUAL(speed.state_bytes, 3 * 25 * 2 * 16 * 4); /* streams, tokens, keys and values of so many floats */
    drop(&model);
}

/* A window's cache does not grow with the text, and the text goes on beyond the context, also in its prompt. */
static void test_window(void)
{
    static const char *const windows[] = {
        "model: {kind: llama, vocabulary: 19, context: 50, layers: 2, heads: 2, width: 16, hidden: 24, window: 20, "
        "init_std: 0.4}\n",
        "model: {kind: hybrid, vocabulary: 19, context: 50, layers: aa, width: 16, attention_heads: 2, "
        "attention_window: 20, attention_position: alibi, attention_init_std: 0.4}\n",
        "model: {kind: hybrid, vocabulary: 19, context: 50, layers: ama, width: 16, attention_heads: 2, "
        "attention_window: 20, attention_position: nezha, attention_init_std: 0.4}\n",
        "model: {kind: hybrid, vocabulary: 19, context: 50, layers: aa, width: 16, attention_heads: 2, "
        "attention_window: 20, attention_position: xl, attention_init_std: 0.4}\n"};
    static Heard heard;
    for (size_t m = 0; m < LS_COUNT_OF(windows); m++)
        for (int64_t given = 3; given < 200; given += 180) {
            Model model = make(windows[m]);
            int32_t ids[MAX_TOKENS];
            int64_t count = given, at_once = count < 50 ? count : 50;
            LsGenerationSpeed speed;
            LsSampling sampling = greedy(250, 2);
            prompt_of(ids, count);
            heard = (Heard){.end_after = 0};
            ASSERT_OK(ls_generate(model.config, model.params, ids, count, &sampling, hear, &heard, &speed));
            for (int64_t i = 0; i < 250; i++, count++) {
                if (i % 7 == 0)
                    CU_ASSERT_EQUAL(heard.token[0][i], likeliest(&model, ids, count));
                CU_ASSERT_EQUAL(heard.token[1][i], heard.token[0][i]);
                ids[count] = heard.token[0][i];
            }
            if (m != 2) /* streams, layers, rows, keys and values of so many floats */
                CU_ASSERT_EQUAL(speed.state_bytes, 2 * 2 * (20 + 64 - 2 + at_once) * 2 * 16 * 4);
            drop(&model);
        }
}

int main(void)
{
    ls_set_threads(1); /* many tiny graphs */
    return harness_run("generate", (HarnessTest[]){{"as whole passes", test_against_whole_passes},
                                                   {"batches", test_batch},
                                                   {"ends", test_ends},
                                                   {"a full context", test_full_context},
                                                   {"limits", test_limits},
                                                   {"room for the text alone", test_room},
                                                   {"a window", test_window},
                                                   {0}});
}
