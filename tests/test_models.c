/* Every model of the list with every task that fits it, tiny, under several settings: gradients of the loss against
 * central differences, and decoding in pieces against the whole sequence at once. */
#include "models_list.h"
#include "graph/check.h"
#include "graph/graph_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define B 2
#define T 7
#define VOCABULARY LISTED_VOCABULARY

/* Classes are drawn from those there are, lengths from 1 to T. */
static bool build(LsGraph *g, const void *self)
{
    const Listed *listed = self;
    LsFields fields;
    if (ls_graph_mode(g) == LS_DECODE)
        return true; /* the checker asks whether there are states; training has none */
    ls_config_build(listed->config, g, B, T, LS_WANT_LOSS);
    CU_ASSERT_FATAL(ls_config_fields(listed->config, &fields) == LS_OK);
    for (int i = 0; i < fields.count; i++) {
        const LsField *field = &fields.list[i];
        LsTensor *x = ls_graph_find(g, field->name);
        CU_ASSERT(x || strcmp(field->name, "length") == 0); /* what the data hold reaches the graph */
        if (x && field->dtype == LS_REAL)
            ls_case_range(g, x, -1, 1);
        else if (x)
            ls_case_range(g, x, field->classes > 0 ? 0 : 1, field->classes > 0 ? (double)field->classes : T + 1);
    }
    return true;
}

static void test_gradients(void)
{
    int seen = 0;
    for (Listed listed = {0}; listed_next(&listed, ""); seen++) {
        LsStatus status = ls_check_gradient(&(LsSubject){build, &listed, listed.name}, 12);
        if (status)
            fprintf(stderr, "%s: %s\n", listed.name, ls_message());
        CU_ASSERT_EQUAL(status, LS_OK);
    }
    CU_ASSERT(seen >= 2);
}

static LsGraph *graph_of(const Listed *listed, LsParams *params, LsMode mode, LsPrecision precision, int64_t sequence,
                         LsWant want, LsGraph *share)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = mode, .precision = precision});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(listed->config, g, B, sequence, want);
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 3, false));
    if (share)
        ASSERT_OK(ls_graph_share_states(g, share));
    ASSERT_OK(ls_graph_plan(g));
    return g;
}

/* Runs g on tokens first..first+length-1 of every stream. ids: (B, T) */
static void run_piece(LsGraph *g, const int32_t *ids, int64_t first, int64_t length)
{
    int32_t *to = ls_graph_find(g, "ids")->data;
    for (int64_t b = 0; b < B; b++)
        memcpy(to + b * length, ids + b * T + first, sizeof(int32_t) * (size_t)length);
    LsTensor *position = ls_graph_find(g, "position");
    for (int64_t b = 0; position && b < B; b++)
        ((int32_t *)position->data)[b] = (int32_t)first;
    ASSERT_OK(ls_graph_forward(g, &(LsRun){0}));
}

/* In bfloat16 the ways differ where sums that differ in float round to neighbours of storage; each layer passes on and
 * adds to that: an element is then off by 2^-8 of its tensor's size, of which the output has a few. */
static void compare_rows(const LsGraph *whole, const LsGraph *piece, int64_t t, int64_t row, int64_t length)
{
    float a[B * T * VOCABULARY], b[B * T * VOCABULARY], largest = 0;
    ls_tensor_get(whole, ls_graph_find(whole, "output"), a);
    ls_tensor_get(piece, ls_graph_find(piece, "output"), b);
    for (int i = 0; i < B * T * VOCABULARY; i++)
        largest = fmaxf(largest, fabsf(a[i]));
    double allowed = ls_graph_precision(whole) == LS_BFLOAT16 ? 4 * 0x1p-8 * (double)largest : 2e-5;
    for (int64_t s = 0; s < B; s++)
        for (int64_t v = 0; v < VOCABULARY; v++)
            ASSERT_AT_MOST(fabs(a[(s * T + t) * VOCABULARY + v] - b[(s * length + row) * VOCABULARY + v]), allowed);
}

/* All at once, and 4 + 1 + 1 + 1 tokens must say the same at every position. */
static void check_decoding(const Listed *listed, LsPrecision precision, const int32_t *ids)
{
    LsParams *params = ls_params_new();
    LsGraph *whole = graph_of(listed, params, LS_EVAL, precision, T, LS_WANT_OUTPUT, NULL);
    run_piece(whole, ids, 0, T);
    LsGraph *prompt = graph_of(listed, params, LS_DECODE, precision, 4, LS_WANT_OUTPUT, NULL);
    LsGraph *one = graph_of(listed, params, LS_DECODE, precision, 1, LS_WANT_LAST, prompt);
    for (int again = 0; again < 2; again++) { /* the second time shows that states are reset */
        ls_graph_reset_states(prompt);
        run_piece(prompt, ids, 0, 4);
        for (int64_t t = 0; t < 4; t++)
            compare_rows(whole, prompt, t, t, 4);
        for (int64_t t = 4; t < T; t++) {
            run_piece(one, ids, t, 1);
            compare_rows(whole, one, t, 0, 1);
        }
    }
    ls_graph_free(one);
    ls_graph_free(prompt);
    ls_graph_free(whole);
    ls_params_free(params);
}

static void test_decoding(void)
{
    int32_t ids[B * T];
    for (int i = 0; i < B * T; i++)
        ids[i] = (i * 7 + i * i) % VOCABULARY;
    int seen = 0;
    for (Listed listed = {0}; listed_next(&listed, "");)
        for (int i = 0; i < 2 && strcmp(listed.task->name, "language") == 0; i++, seen++)
            check_decoding(&listed, i ? LS_BFLOAT16 : LS_FLOAT32, ids);
    CU_ASSERT(seen >= 4);
}

/* ---- Dropout ----------------------------------------------------------------------------------------------------- */

/* model.dropout; 0: it has no such setting, or drops nothing. */
static double dropout_of(const LsConfig *config)
{
    for (const LsSetting *s = config->model->settings; s->name; s++)
        if (strcmp(s->name, "dropout") == 0 && s->type == LS_SETTING_TYPE_FLOAT) {
            double value;
            memcpy(&value, (const char *)config->model_config + s->offset, sizeof value);
            return value;
        }
    return 0;
}

static bool drops(const LsConfig *config)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(config, g, B, T, LS_WANT_LOSS);
    bool found = false;
    for (int i = 0; i < g->nodes; i++)
        found = found || strcmp(g->node[i]->op->name, "dropout") == 0;
    ls_graph_free(g);
    ls_params_free(params);
    return found;
}

/* A model that is asked to drop does so however few layers it has. */
static void test_dropout(void)
{
    int seen = 0;
    for (Listed listed = {0}; listed_next(&listed, "");) {
        if (dropout_of(listed.config) == 0)
            continue;
        ls_config_set_model_int(listed.config, "layers", 1);
        bool found = drops(listed.config);
        if (!found)
            fprintf(stderr, "%s: drops nothing\n", listed.name);
        CU_ASSERT(found);
        seen++;
    }
    CU_ASSERT(seen >= 10);
}

/* ---- Values at the start ----------------------------------------------------------------------------------------- */

/* Standard deviation of the rnn's token embedding. */
static double embedding_deviation(const char *tied)
{
    char yaml[128];
    snprintf(yaml, sizeof yaml, "model: {kind: rnn, width: 64, tied: %s}", tied);
    LsConfig *config = ls_config_parse("rnn", yaml, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ls_config_set_model_int(config, "vocabulary", LISTED_VOCABULARY);
    LsParams *params = ls_params_new();
    ASSERT_OK(ls_config_declare(config, params));
    ASSERT_OK(ls_params_allocate(params, 3, false));
    int at = ls_params_find(params, "token_embedding");
    CU_ASSERT_FATAL(at >= 0);
    const LsParam *p = &params->list[at];
    double sum = 0;
    for (int64_t i = 0; i < p->count; i++)
        sum += pow((double)params->value[p->offset + i], 2);
    sum /= (double)p->count;
    ls_params_free(params);
    ls_config_free(config);
    return sqrt(sum);
}

/* U(-0.1, 0.1) deviates by 0.1 / sqrt(3); PyTorch's embedding is N(0, 1). */
static void test_embedding(void)
{
    CU_ASSERT_DOUBLE_EQUAL(embedding_deviation("true"), 0.1 / sqrt(3), 0.005);
    CU_ASSERT_DOUBLE_EQUAL(embedding_deviation("false"), 1, 0.1);
}

/* Settings that do not fit together are refused. */
static void test_checks(void)
{
    struct {
        const char *settings, *message;
    } wrong[] = {{"width: 12, heads: 5", "model.heads 5"},
                 {"width: 12, heads: 4, kv_heads: 3", "model.kv_heads 3"},
                 {"width: 12, heads: 4, position: rotary", "even head size"}};
    for (size_t i = 0; i < LS_COUNT_OF(wrong); i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "model: {kind: gpt, %s}", wrong[i].settings);
        CU_ASSERT_PTR_NULL(ls_config_parse("wrong", yaml, 0, NULL));
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), wrong[i].message));
    }
    /* a task that needs what the model does not make, with those that fit */
    LsConfig *config = ls_config_parse("wrong", "model: {kind: lenet}\ntask: {kind: tagging}", 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_FALSE(listed_fits(config));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "tasks that take it are classification, regression"));
    ls_config_free(config);
    CU_ASSERT_PTR_NULL(ls_model_find("no such model"));
}

int main(void)
{
    /* double is built for one level alone */
    return harness_run(
        "models", (HarnessTest[]){{"decoding in pieces", test_decoding},
                                  {harness_repeats() ? NULL : "gradients against central differences", test_gradients},
                                  {"dropout with a single layer", test_dropout},
                                  {"a recurrent model's embedding", test_embedding},
                                  {"settings that do not fit", test_checks},
                                  {0}});
}
