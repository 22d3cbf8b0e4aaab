/* Several documents in a window, which do not see each other: attention against PyTorch's with a dense mask, models
 * against the documents one by one, and what the data set says of its documents. */
#include "config/config.h"
#include "data/text_documents.h"
#include "fixture_numbers.h"
#include "lockstep/task.h"
#include "text_files.h"

#include <stdlib.h>

static const LsRun run = {.seed = 1, .training = true};

/* ---- Attention --------------------------------------------------------------------------------------------------- */

typedef struct Case {
    int64_t b, heads, kv_heads, size, window;
    int64_t documents[6]; /* their tokens; of every second stream in the other order */
} Case;

static int64_t count_of(const int64_t *documents)
{
    int64_t count = 0;
    while (documents[count])
        count++;
    return count;
}

/* positions: (B, T); T is returned, and counted alone where positions is NULL. */
static int64_t place(const int64_t *documents, int64_t streams, int32_t *positions)
{
    int64_t count = count_of(documents), tokens = 0, at = 0;
    for (int64_t i = 0; i < count; i++)
        tokens += documents[i];
    for (int64_t b = 0; positions && b < streams; b++)
        for (int64_t i = 0; i < count; i++)
            for (int64_t t = 0; t < documents[b % 2 ? count - 1 - i : i]; t++)
                positions[at++] = (int32_t)t;
    return tokens;
}

static void test_pytorch(void)
{
    static const Case cases[] = {{2, 4, 2, 6, 0, {1, 9, 30, 2, 28}},
                                 {1, 2, 1, 17, 0, {70, 64, 16}},
                                 {1, 1, 1, 40, 0, {3, 130, 67}},
                                 {1, 2, 1, 33, 20, {50, 11, 90}}};
    FILE *file = fopen(TESTS_FOLDER "/fixtures/attention_documents.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const Case *c = &cases[i];
        int64_t tokens = place(c->documents, c->b, NULL);
        LsParams *params = ls_params_new();
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true});
        CU_ASSERT_PTR_NOT_NULL_FATAL(g);
        LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){c->b, tokens, (c->heads + 2 * c->kv_heads) * c->size});
        LsTensor *positions = ls_input(g, "positions", LS_I32, 2, (int64_t[]){c->b, tokens});
        LsTensor *y = ls_attention(g, x,
                                   &(LsAttention){.heads = c->heads,
                                                  .kv_heads = c->kv_heads,
                                                  .mask = LS_MASK_CAUSAL,
                                                  .window = c->window,
                                                  .position = positions});
        LsTensor *r = ls_input(g, "r", LS_REAL, y->rank, y->dim);
        ls_output(g, "y", y);
        ls_output(g, "loss", ls_mul(g, y, r));
        ASSERT_OK(ls_params_allocate(params, 3, true));
        ASSERT_OK(ls_graph_plan(g));
        fixture_fill(x->data, x->count, 1);
        fixture_fill(r->data, r->count, 2);
        place(c->documents, c->b, positions->data);
        ASSERT_OK(ls_graph_forward(g, &run));
        ASSERT_OK(ls_graph_backward(g, &run, 1, false, NULL));
        fixture_expect(file, y->data, y->count, 5e-6, "y");
        fixture_expect(file, x->grad, x->count, 5e-6, "dx");
        ls_graph_free(g);
        ls_params_free(params);
    }
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
}

/* What is hidden is not looked at: NaN in keys of whole blocks before a document stays there. */
static void test_hidden_blocks(void)
{
    enum { TOKENS = 200, BORDER = 128, WIDTH = 8 };
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, TOKENS, 3 * WIDTH});
    LsTensor *positions = ls_input(g, "positions", LS_I32, 2, (int64_t[]){1, TOKENS});
    LsTensor *y = ls_attention(g, x, &(LsAttention){.heads = 1, .mask = LS_MASK_CAUSAL, .position = positions});
    ls_output(g, "y", y);
    ASSERT_OK(ls_params_allocate(params, 3, true));
    ASSERT_OK(ls_graph_plan(g));
    float *data = x->data;
    fixture_fill(data, x->count, 1);
    for (int64_t i = 0; i < (int64_t)BORDER * 3 * WIDTH; i++)
        data[i] = NAN;
    for (int t = 0; t < TOKENS; t++)
        ((int32_t *)positions->data)[t] = t < BORDER ? t : t - BORDER;
    ASSERT_OK(ls_graph_forward(g, &run));
    for (int64_t i = (int64_t)BORDER * WIDTH; i < y->count; i++)
        CU_ASSERT_FALSE(isnan(((const float *)y->data)[i]));
    ls_graph_free(g);
    ls_params_free(params);
}

/* ---- Models: a window of documents against each by itself ---------------------------------------------------------- */

#define VOCABULARY 40
static const int64_t documents[] = {5, 70, 1, 44, 84, 0};
enum { TOKENS = 204, STREAMS = 2 };

/* A training graph with the loss, and outputs of it that are read: the body's features times the table. */
typedef struct Model {
    LsGraph *g;
    LsTensor *ids, *targets, *positions, *logits, *loss;
} Model;

static Model model_new(const LsConfig *config, LsParams *params, LsPrecision precision, int64_t streams, int64_t tokens)
{
    Model m = {.g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN, .precision = precision})};
    CU_ASSERT_PTR_NOT_NULL_FATAL(m.g);
    LsFields fields = ls_language_fields(VOCABULARY);
    if (streams == STREAMS)
        ASSERT_OK(ls_fields_add(&fields, "positions", LS_I32, 0, 1, (int64_t[]){LS_STEPS}));
    LsShape shape = {.batch = streams, .sequence = tokens, .want = LS_WANT_LOSS, .fields = &fields};
    LsBody body = config->model->build(m.g, config->model_config, &shape);
    m.targets = ls_shape_input(m.g, &shape, "targets");
    m.logits = ls_linear(m.g, body.features, body.table, NULL, LS_NO_ACTIVATION);
    m.loss = ls_head_cross_entropy(m.g, body.features, body.table, NULL, m.targets, body.loss_classes, 0);
    ls_output(m.g, "logits", m.logits);
    ls_output(m.g, "loss", m.loss);
    if (!params->sealed)
        ASSERT_OK(ls_params_allocate(params, 7, true));
    ASSERT_OK(ls_graph_plan(m.g));
    m.ids = ls_graph_find(m.g, "ids");
    m.positions = ls_graph_find(m.g, "positions");
    CU_ASSERT_EQUAL(m.positions != NULL, streams == STREAMS);
    return m;
}

static int32_t token_of(int64_t at) { return (int32_t)((at * at * 7 + at / 3) % VOCABULARY); }

/* A document, from token `first` of all on, at element `at` of the inputs; its last token has no target. */
static void fill_document(const Model *m, int64_t at, int64_t first, int64_t tokens)
{
    for (int64_t t = 0; t < tokens; t++) {
        ((int32_t *)m->ids->data)[at + t] = token_of(first + t);
        ((int32_t *)m->targets->data)[at + t] = t + 1 < tokens ? token_of(first + t + 1) : LS_IGNORE;
    }
}

static double run_model(const Model *m, float *logits, bool accumulate)
{
    float loss = 0;
    ASSERT_OK(ls_graph_forward(m->g, &run));
    ls_tensor_get(m->g, m->logits, logits);
    ls_tensor_get(m->g, m->loss, &loss);
    ASSERT_OK(ls_graph_backward(m->g, &run, 1.0 / TOKENS, accumulate, NULL));
    return (double)loss;
}

/* Window, then document by document; both streams have the documents, the second in the other order. */
static void compare_model(const char *yaml, LsPrecision precision, double bound)
{
    LsConfig *config = ls_config_parse("documents", yaml, 0, NULL);
    if (!config)
        fprintf(stderr, "%s: %s\n", yaml, ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ls_config_set_model_int(config, "vocabulary", VOCABULARY);
    LsParams *params = ls_params_new();
    Model whole = model_new(config, params, precision, STREAMS, TOKENS);
    static float packed[STREAMS * TOKENS * VOCABULARY], alone[STREAMS * TOKENS * VOCABULARY];
    int64_t count = count_of(documents), at = 0, size = params->total;
    CU_ASSERT_EQUAL_FATAL(place(documents, STREAMS, whole.positions->data), TOKENS);
    for (int64_t i = 0; i < STREAMS * count; i++) {
        int64_t tokens = documents[i < count ? i : 2 * count - 1 - i];
        fill_document(&whole, at, at, tokens);
        at += tokens;
    }
    double loss = run_model(&whole, packed, false), expected = 0;
    float *grad = malloc(sizeof *grad * (size_t)size);
    memcpy(grad, params->grad, sizeof *grad * (size_t)size);
    at = 0;
    for (int64_t i = 0; i < STREAMS * count; i++) {
        int64_t tokens = documents[i < count ? i : 2 * count - 1 - i];
        Model one = model_new(config, params, precision, 1, tokens);
        fill_document(&one, 0, at, tokens);
        expected += run_model(&one, alone + at * VOCABULARY, i > 0);
        at += tokens;
        ls_graph_free(one.g);
    }
    ASSERT_AT_MOST(fixture_difference(packed, alone, STREAMS * TOKENS * VOCABULARY), bound);
    ASSERT_AT_MOST(fabs(loss - expected), bound * expected);
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        double off = fixture_difference(grad + p->offset, params->grad + p->offset, p->count);
        if (!(off <= bound))
            fprintf(stderr, "%s: gradient of %s is off by %g\n", yaml, p->name, off);
        CU_ASSERT(off <= bound);
    }
    free(grad);
    ls_graph_free(whole.g);
    ls_params_free(params);
    ls_config_free(config);
}

static const char *const models[] = {
    "model: {kind: gpt, context: 204, layers: 2, width: 24, heads: 2, init_std: 0.2}",
    "model: {kind: gpt, context: 204, layers: 2, width: 24, heads: 2, init_std: 0.2, position: sinusoidal}",
    "model: {kind: gpt, context: 204, layers: 2, width: 24, heads: 2, init_std: 0.2, position: rotary, kv_heads: 1}",
    "model: {kind: gpt, context: 204, layers: 2, width: 24, heads: 2, init_std: 0.2, position: alibi}",
    "model: {kind: gpt, context: 204, layers: 2, width: 24, heads: 2, init_std: 0.2, position: nezha}",
    "model: {kind: gpt, context: 204, layers: 1, width: 24, heads: 2, init_std: 0.2, position: xl}",
    "model: {kind: llama, context: 204, layers: 2, width: 24, heads: 2, kv_heads: 1, hidden: 40, init_std: 0.2}",
    "model: {kind: llama, context: 204, layers: 2, width: 24, heads: 2, hidden: 40, init_std: 0.2, window: 30, "
    "qk_norm: "
    "true}",
    "model: {kind: gpt_neox, context: 204, layers: 2, width: 24, heads: 3, init_std: 0.2}",
    "model: {kind: hybrid, context: 204, layers: aa, width: 24, attention_heads: 2, attention_position: rotary}",
};

static void test_models(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(models); i++)
        compare_model(models[i], LS_FLOAT32, 1e-5);
}

/* Sums in another order round to neighbours of storage now and then. */
static void test_bfloat16(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(models); i++)
        compare_model(models[i], LS_BFLOAT16, 0.03);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

/* Models whose ops see other documents say so. */
static void test_refusals(void)
{
    static const char *const others[] = {"model: {kind: mamba, layers: 1, width: 8}",
                                         "model: {kind: rnn, layers: 1, width: 8}",
                                         "model: {kind: rwkv7, layers: 1, width: 8, head: 4}",
                                         "model: {kind: transformer_xl, layers: 1, width: 8, heads: 2}",
                                         "model: {kind: hybrid, layers: ma, width: 8, attention_heads: 2}"};
    for (size_t i = 0; i < LS_COUNT_OF(others); i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "%s\ndata: {fields: \"ids T of 40, targets T of 40, positions T int\"}", others[i]);
        LsConfig *config = ls_config_parse("refused", yaml, 0, NULL);
        if (!config)
            fprintf(stderr, "%s: %s\n", others[i], ls_message());
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        ls_config_set_model_int(config, "vocabulary", VOCABULARY);
        LsParams *params = ls_params_new();
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
        CU_ASSERT_PTR_NOT_NULL_FATAL(g);
        ls_config_build(config, g, 2, 8, LS_WANT_LOSS);
        ASSERT_FAILS(ls_graph_plan_dry(g), LS_USAGE, "do not fit model.kind");
        ls_graph_free(g);
        ls_params_free(params);
        ls_config_free(config);
    }
}

/* ---- Data sets --------------------------------------------------------------------------------------------------- */

static LsGraph *inputs_new(LsParams *params, int64_t rows, int64_t tokens)
{
    static const char *const names[] = {"ids", "targets", "positions"};
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    for (size_t i = 0; i < LS_COUNT_OF(names); i++)
        ls_output(g, names[i], ls_input(g, names[i], LS_I32, 2, (int64_t[]){rows, tokens}));
    ASSERT_OK(ls_params_allocate(params, 1, false));
    ASSERT_OK(ls_graph_plan(g));
    return g;
}

static LsStatus open_masked(const char *path, int64_t memory, LsSource **source)
{
    LsTextUse use = {.as = (char *)(uintptr_t) "windows", .mask = (char *)(uintptr_t) "documents"};
    return ls_text_open_within(
        &(LsDataOpen){.path = path, .split = "held-out", .sequence = T, .seed = 1, .settings = &use}, memory, source);
}

/* Every window against what its bytes say; `separator` of two bytes may lie over a border of windows. */
static void check_positions(const char *path, const char *separator, const char *all, int64_t count, int64_t memory)
{
    LsSource *source = NULL;
    ASSERT_OK(open_masked(path, memory, &source));
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    CU_ASSERT_PTR_NOT_NULL(ls_field_find(&source->fields, "positions"));
    LsParams *params = ls_params_new();
    LsGraph *g = inputs_new(params, 3, T);
    const int32_t *positions = ls_graph_find(g, "positions")->data, *targets = ls_graph_find(g, "targets")->data;
    int64_t more = (int64_t)strlen(separator), borders = 0;
    for (int64_t window = 0; window < source->samples; window += 3) {
        int64_t rows = source->samples - window < 3 ? source->samples - window : 3;
        ASSERT_OK(source->fill(source, g, &(LsBatch){.first = window, .count = rows}));
        for (int64_t row = 0; row < 3; row++)
            for (int64_t t = 0, first = 0; t < T; t++) {
                int64_t at = (window + row) * T + t;
                bool there = row < rows && at + 1 < count;
                bool ends = there && at + 1 >= more && memcmp(all + at + 1 - more, separator, (size_t)more) == 0;
                CU_ASSERT_EQUAL(positions[row * T + t], there ? t - first : 0);
                CU_ASSERT_EQUAL(targets[row * T + t], there && !ends ? (unsigned char)all[at + 1] : LS_IGNORE);
                first = ends ? t + 1 : first;
                borders += ends;
            }
    }
    CU_ASSERT(borders >= 5);
    ls_graph_free(g);
    ls_params_free(params);
    ls_source_free(source);
}

static void test_data(void)
{
    char *sources[7], all[256] = "";
    for (int i = 0; i < 7; i++) {
        char name[16], text[32];
        snprintf(name, sizeof name, "%d.txt", i);
        snprintf(text, sizeof text, "text %d%.*s", i, i * 2, "abcdefghijklmnop");
        sources[i] = strdup(write_file(name, text, (int64_t)strlen(text)));
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "|;" : "", text);
    }
    LsTextSettings settings = {.tokens = {.tokenizer = (char *)(uintptr_t) "bytes"},
                               .separator = (char *)(uintptr_t) "|;"};
    const char *path = harness_path("documents.h5");
    ASSERT_OK(ls_text_prepare(&settings, 7, sources, path));
    check_positions(path, "|;", all, (int64_t)strlen(all), LS_TEXT_MEMORY);
    check_positions(path, "|;", all, (int64_t)strlen(all), 10); /* read from the file */
    /* nothing between the texts */
    LsSource *source = NULL;
    settings.separator = NULL;
    path = harness_path("joined.h5");
    ASSERT_OK(ls_text_prepare(&settings, 7, sources, path));
    ASSERT_FAILS(open_masked(path, LS_TEXT_MEMORY, &source), LS_USAGE, "--separator");
    CU_ASSERT_PTR_NULL(source);
    for (int i = 0; i < 7; i++)
        free(sources[i]);
}

int main(void)
{
    return harness_run("documents", (HarnessTest[]){{"attention against PyTorch's", test_pytorch},
                                                    {"hidden blocks are not read", test_hidden_blocks},
                                                    {"a window of documents against each alone", test_models},
                                                    {"in bfloat16", test_bfloat16},
                                                    {"models that are refused", test_refusals},
                                                    {"positions of a data set", test_data},
                                                    {0}});
}
