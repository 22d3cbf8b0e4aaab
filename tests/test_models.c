/* Every model of the list, tiny, under several settings: gradients of the loss against central differences, and
 * decoding in pieces against the whole sequence at once. A new model is covered with its default settings made
 * small. */
#include "harness.h"
#include "config/config.h"
#include "graph/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define B 2
#define T 7
#define VOCABULARY 11

typedef struct Variant {
    const char *model;
    const char *settings[10]; /* "name=value", over those that make it small */
} Variant;

static const Variant variants[] = {
    {"gpt", {"layers=2", "width=12", "heads=3"}},
    {"gpt",
     {"layers=2", "width=12", "heads=3", "norm=rms", "activation=swiglu", "position=rotary", "kv_heads=1", "bias=false",
      "tied=false"}},
    {"gpt", {"layers=1", "width=8", "heads=2", "activation=relu", "position=none", "hidden=5", "dropout=0.2"}},
    {"mamba", {"layers=2", "width=6", "state=3", "rank=2"}},
    {"mamba", {"layers=1", "width=5", "state=16", "conv=3", "conv_bias=false", "bias=true", "tied=false", "expand=1"}},
};

typedef struct Subject {
    const LsModel *model;
    void *config;
    LsWant want;
    int64_t batch, sequence;
    LsPrecision precision; /* of decoding */
} Subject;

static void set(const LsModel *model, void *config, const char *assignment)
{
    char name[64];
    const char *equals = strchr(assignment, '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    ASSERT_OK(ls_settings_set(model->settings, config, name, equals + 1));
}

static Subject subject_of(const Variant *variant)
{
    Subject s = {.model = ls_model_find(variant->model), .want = LS_WANT_LOSS, .batch = B, .sequence = T};
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.model);
    s.config = ls_alloc(s.model->config_bytes);
    ASSERT_OK(ls_settings_defaults(s.model->settings, s.config));
    set(s.model, s.config, "vocabulary=11");
    set(s.model, s.config, "context=16");
    for (int i = 0; i < (int)LS_COUNT_OF(variant->settings) && variant->settings[i]; i++)
        set(s.model, s.config, variant->settings[i]);
    if (s.model->check)
        ASSERT_OK(s.model->check(s.config));
    return s;
}

static void subject_free(Subject *s)
{
    ls_settings_free(s->model->settings, s->config);
    ls_free(s->config);
}

static bool build(LsGraph *g, const void *self)
{
    const Subject *s = self;
    if (ls_graph_mode(g) == LS_DECODE)
        return true; /* the checker asks whether there are states; training has none */
    ls_task_build(g, s->model, s->config, ls_task_find("language"), NULL, &(LsShape){s->batch, s->sequence, s->want});
    const char *names[] = {"ids", "targets"};
    for (int i = 0; i < 2; i++)
        if (ls_graph_find(g, names[i]))
            ls_case_range(g, ls_graph_find(g, names[i]), 0, VOCABULARY);
    return true;
}

static void test_gradients(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(variants); i++) {
        Subject s = subject_of(&variants[i]);
        char name[64];
        snprintf(name, sizeof name, "%s, variant %zu", s.model->name, i);
        LsStatus status = ls_check_gradient(&(LsSubject){build, &s, name}, 12);
        if (status)
            fprintf(stderr, "%s\n", ls_message());
        CU_ASSERT_EQUAL(status, LS_OK);
        subject_free(&s);
    }
}

static LsGraph *graph_of(const Subject *s, LsParams *params, LsMode mode, int64_t sequence, LsWant want, LsGraph *share)
{
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = mode, .precision = s->precision});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_task_build(g, s->model, s->config, ls_task_find("language"), NULL, &(LsShape){s->batch, sequence, want});
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

/* All at once, 4 + 1 + 1 + 1 tokens, and 3 + 1 + ... must say the same at every position. */
static void test_decoding(void)
{
    int32_t ids[B * T];
    for (int i = 0; i < B * T; i++)
        ids[i] = (i * 7 + i * i) % VOCABULARY;
    for (size_t i = 0; i < 2 * LS_COUNT_OF(variants); i++) {
        Subject s = subject_of(&variants[i / 2]);
        s.precision = i % 2 ? LS_BFLOAT16 : LS_FLOAT32;
        LsParams *params = ls_params_new();
        LsGraph *whole = graph_of(&s, params, LS_EVAL, T, LS_WANT_OUTPUT, NULL);
        run_piece(whole, ids, 0, T);
        LsGraph *prompt = graph_of(&s, params, LS_DECODE, 4, LS_WANT_OUTPUT, NULL);
        LsGraph *one = graph_of(&s, params, LS_DECODE, 1, LS_WANT_LAST, prompt);
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
        subject_free(&s);
    }
}

/* Settings that do not fit together are refused. */
static void test_checks(void)
{
    Subject s = subject_of(&variants[0]);
    set(s.model, s.config, "heads=5");
    ASSERT_FAILS(s.model->check(s.config), LS_USAGE, "model.heads 5");
    set(s.model, s.config, "heads=4");
    set(s.model, s.config, "kv_heads=3");
    ASSERT_FAILS(s.model->check(s.config), LS_USAGE, "model.kv_heads 3");
    set(s.model, s.config, "kv_heads=0");
    set(s.model, s.config, "position=rotary");
    ASSERT_FAILS(s.model->check(s.config), LS_USAGE, "even head size");
    subject_free(&s);
    CU_ASSERT_PTR_NULL(ls_model_find("no such model"));
}

int main(void)
{
    return harness_run("models", (HarnessTest[]){{"gradients against central differences", test_gradients},
                                                 {"decoding in pieces", test_decoding},
                                                 {"settings that do not fit", test_checks},
                                                 {0}});
}
