/* Every kind of positions in the models that have it, and Transformer-XL with its memory, against PyTorch
 * (tests/fixtures/positions.py): features and the gradients of all parameters. Lengths beyond those of training; pieces
 * on a cache; the memory as a carry. */
#include "harness.h"
#include "config/config.h"
#include "graph/check.h"
#include "graph/graph_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, VOCABULARY = 11, LONGEST_LINE = 1 << 17 };

typedef struct Case {
    LsConfig *config;
    LsParams *params;
    LsGraph *g;
    LsTensor *features;
    int64_t segment; /* of three; 0: one sequence of T */
    int checked;     /* parameters whose gradients the fixture has */
} Case;

/* settings: "kind=gpt width=8 ...", of the section `model:`. */
static LsConfig *config_of(const char *settings)
{
    char text[1024], copy[1024], *override[32];
    int count = 0;
    size_t used = 0;
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *rest = NULL, *word = strtok_r(copy, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        override[count++] = text + used;
        used += (size_t)snprintf(text + used, sizeof text - used, "model.%s", word) + 1;
    }
    LsConfig *config = ls_config_parse("fixture", "{}", count, override);
    if (!config)
        fprintf(stderr, "%s: %s\n", settings, ls_message());
    return config;
}

static LsFields fields_of(const LsConfig *config)
{
    LsFields fields;
    const char *name = config->model->name;
    ASSERT_OK(ls_fields_parse(strcmp(name, "bert") == 0          ? "ids T of 11, length int"
                              : strcmp(name, "transformer") == 0 ? "source T of 11, source_length int, ids T of 11"
                                                                 : "ids T of 11",
                              &fields));
    return fields;
}

static LsTensor *build(LsGraph *g, const LsConfig *config, int64_t sequence)
{
    LsFields fields = fields_of(config);
    LsShape shape = {.batch = B, .sequence = sequence, .want = LS_WANT_LOSS, .fields = &fields};
    ls_config_set_model_int((LsConfig *)config, "vocabulary", VOCABULARY);
    return config->model->build(g, config->model_config, &shape).features;
}

/* The values that fixtures/positions.py makes. */
static void fill(float *x, int64_t count, const char *name)
{
    int64_t s = 0;
    for (const char *at = name; *at; at++)
        s += (unsigned char)*at;
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)((double)((17 * i + 29 * s + (i % 1009) * (i % 1009)) % 101) / 100 - 0.5);
}

/* Tokens first..first+T'-1 of rows of `row` tokens. */
static void set_inputs(LsGraph *g, int64_t first, int64_t row)
{
    LsTensor *ids = ls_graph_find(g, "ids"), *length = ls_graph_find(g, "length"), *source = ls_graph_find(g, "source");
    int64_t tokens = ids->dim[1];
    for (int64_t i = 0; i < ids->count; i++) {
        int64_t at = i / tokens * row + first + i % tokens;
        ((int32_t *)ids->data)[i] = (int32_t)((7 * at + at * at) % VOCABULARY);
    }
    for (int64_t i = 0; source && i < T; i++) {
        ((int32_t *)source->data)[i] = (int32_t)((5 * i + i * i) % VOCABULARY);
        ((int32_t *)source->data)[T + i] = (int32_t)((3 * i + 2 * i * i) % VOCABULARY);
    }
    length = length ? length : ls_graph_find(g, "source_length");
    if (length)
        memcpy(length->data, (int32_t[]){9, 5}, sizeof(int32_t[B]));
}

static void expect(const char *name, const float *x, const char *numbers, int64_t count)
{
    double largest = 1e-30, worst = 0;
    char *end = NULL;
    for (int64_t i = 0; i < count; i++, numbers = end) {
        double expected = strtod(numbers, &end), d = fabs((double)x[i] - expected);
        CU_ASSERT_FATAL(end != numbers);
        largest = fmax(largest, fabs(expected));
        worst = d <= worst ? worst : d; /* NaN is taken over */
    }
    CU_ASSERT_EQUAL(strspn(numbers, " \n"), strlen(numbers));
    if (!(worst <= 1e-5 * fmax(largest, 1)))
        fprintf(stderr, "%s is off by %g, of at most %g\n", name, worst, largest);
    CU_ASSERT(worst <= 1e-5 * fmax(largest, 1));
}

static Case case_new(char *settings)
{
    Case c = {.params = ls_params_new()};
    char *bar = strchr(settings, '|');
    if (bar) {
        *bar = '\0';
        c.segment = atoi(bar + 1);
    }
    c.config = config_of(settings);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c.config);
    c.g = ls_graph_new(c.params, &(LsGraphOptions){.mode = LS_TRAIN, .segmented = c.segment > 0});
    c.features = build(c.g, c.config, c.segment ? c.segment : T);
    ls_output(c.g, "features", c.features);
    ls_output(c.g, "loss", ls_mul(c.g, c.features, ls_input(c.g, "r", LS_REAL, 3, c.features->dim)));
    ASSERT_OK(ls_params_allocate(c.params, 3, true));
    ASSERT_OK(ls_graph_plan(c.g));
    for (int i = 0; i < c.params->count; i++)
        fill(c.params->value + c.params->list[i].offset, c.params->list[i].count, c.params->list[i].name);
    ls_graph_refresh(c.g);
    return c;
}

static void case_free(Case *c)
{
    CU_ASSERT_EQUAL(c->checked, c->params->count);
    ls_graph_free(c->g);
    ls_params_free(c->params);
    ls_config_free(c->config);
}

/* Whether token i of (B, T) is padding, where samples have a length. */
static bool is_padding(LsGraph *g, int64_t i) { return ls_graph_find(g, "length") && i % T >= (i < T ? 9 : 5); }

/* All segments forward, the last one backward: (B, tokens, width) at *features. */
static int64_t run_case(Case *c, float features[B * 3 * T * 16])
{
    LsRun run = {.comm = ls_comm_self(), .training = true};
    int64_t segments = c->segment ? 3 : 1, width = c->features->dim[2], each = c->segment ? c->segment : T;
    float *r = ls_graph_find(c->g, "r")->data;
    ls_carries_reset(c->g);
    for (int64_t n = 0; n < segments; n++) {
        set_inputs(c->g, n * each, segments * each);
        fill(r, c->features->count, "r");
        for (int64_t i = 0; i < c->features->count; i++)
            r[i] = is_padding(c->g, i / width) ? 0 : r[i];
        ASSERT_OK(ls_graph_forward(c->g, &run));
        for (int64_t i = 0; i < c->features->count; i++)
            features[(i / (each * width) * segments + n) * each * width + i % (each * width)] =
                is_padding(c->g, i / width) ? 0 : ((const float *)c->features->data)[i];
        if (n + 1 < segments)
            ASSERT_OK(ls_carries_advance(c->g, &run));
    }
    ASSERT_OK(ls_graph_backward(c->g, &run, 1, false, NULL));
    return segments * c->features->count;
}

static LsStatus evaluate(const char *settings, LsParams *params, LsMode mode, int64_t piece, int64_t tokens,
                         float *features);

/* All but learned positions say the same of a sequence beyond model.context. numbers: the features */
static void expect_beyond(const Case *c, const char *settings, const char *numbers)
{
    enum { SHORT = T / 2 };
    char beyond[256], *context = strstr(settings, "context=");
    float features[B * T * 16];
    if (c->segment || strstr(settings, "position=learned"))
        return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(context);
    snprintf(beyond, sizeof beyond, "%.*scontext=%d%s", (int)(context - settings), settings, SHORT,
             context + strcspn(context, " "));
    ASSERT_OK(evaluate(beyond, c->params, LS_EVAL, T, T, features));
    int64_t width = c->features->dim[2];
    for (int64_t i = 0; i < B * T * width; i++)
        features[i] = is_padding(c->g, i / width) ? 0 : features[i];
    expect("features beyond the context", features, numbers, B * T * width);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/positions.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    char *line = malloc(LONGEST_LINE), label[256] = "";
    Case c = {0};
    int cases = 0;
    while (fgets(line, LONGEST_LINE, file)) {
        char *rest = strchr(line, ' ');
        CU_ASSERT_PTR_NOT_NULL_FATAL(rest);
        *rest++ = '\0';
        if (strcmp(line, "case") == 0) {
            if (c.g)
                case_free(&c);
            snprintf(label, sizeof label, "%.200s", rest);
            c = case_new(rest);
            cases++;
        } else if (strcmp(line, "features") == 0) {
            float features[B * 3 * T * 16];
            int64_t count = run_case(&c, features);
            expect(label, features, rest, count);
            expect_beyond(&c, label, rest);
        } else {
            int at = ls_params_find(c.params, line + 1);
            if (at < 0)
                fprintf(stderr, "%s has no parameter %s\n", label, line + 1);
            CU_ASSERT_FATAL(at >= 0);
            expect(line, c.params->grad + c.params->list[at].offset, rest, c.params->list[at].count);
            c.checked++;
        }
    }
    case_free(&c);
    CU_ASSERT(cases >= 17);
    free(line);
    fclose(file);
}

/* ---- Lengths ----------------------------------------------------------------------------------------------------- */

/* Features of `tokens` tokens of an evaluation in pieces of so many, (B, tokens, width) at *features. */
static LsStatus evaluate(const char *settings, LsParams *params, LsMode mode, int64_t piece, int64_t tokens,
                         float *features)
{
    LsConfig *config = config_of(settings);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = mode, .segmented = piece < tokens});
    LsTensor *x = ls_output(g, "features", build(g, config, piece));
    LsStatus status = params->sealed ? LS_OK : ls_params_allocate(params, 5, false);
    status = status == LS_OK ? ls_graph_plan(g) : status;
    for (int64_t first = 0; first < tokens && status == LS_OK; first += piece) {
        LsTensor *position = ls_graph_find(g, "position");
        set_inputs(g, first, tokens);
        for (int64_t b = 0; position && b < B; b++)
            ((int32_t *)position->data)[b] = (int32_t)first;
        status = ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()});
        int64_t each = piece * x->dim[2];
        for (int64_t b = 0; b < B; b++)
            memcpy(features + b * tokens * x->dim[2] + first * x->dim[2], (const float *)x->data + b * each,
                   (size_t)each * sizeof(float));
        if (status == LS_OK && mode == LS_EVAL)
            status = ls_carries_advance(g, &(LsRun){.comm = ls_comm_self()});
    }
    ls_graph_free(g);
    ls_config_free(config);
    return status;
}

static double difference(const float *x, const float *y, int64_t count)
{
    double worst = 0;
    for (int64_t i = 0; i < count; i++)
        worst = fabs((double)x[i] - (double)y[i]) <= worst ? worst : fabs((double)x[i] - (double)y[i]);
    return worst;
}

/* All but learned positions go on beyond model.context, and mean the same there. */
static void test_lengths(void)
{
    static const char *const models[] = {"gpt", "bert dropout=0", "transformer dropout=0"};
    static const char *const kinds[] = {"sinusoidal", "nezha", "xl", "rotary", "alibi", "learned"};
    for (size_t m = 0; m < LS_COUNT_OF(models); m++)
        for (size_t k = 0; k < LS_COUNT_OF(kinds); k++) {
            char small[256], large[260];
            float x[B * T * 8], y[B * T * 8];
            snprintf(large, sizeof large,
                     "kind=%s layers=1 width=8 heads=2 max_distance=3 position=%s context=", models[m], kinds[k]);
            snprintf(small, sizeof small, "%.240s4", large);
            strcat(large, "16");
            LsParams *params = ls_params_new();
            if (strcmp(kinds[k], "learned") == 0)
                ASSERT_FAILS(evaluate(small, params, LS_EVAL, T, T, x), LS_USAGE,
                             "9 tokens is longer than model.context 4, for which model.position learned");
            else {
                ASSERT_OK(evaluate(small, params, LS_EVAL, T, T, x));
                ASSERT_OK(evaluate(large, params, LS_EVAL, T, T, y));
                CU_ASSERT(memcmp(x, y, sizeof x) == 0);
            }
            ls_params_free(params);
        }
    CU_ASSERT_PTR_NULL(config_of("kind=gpt width=9 heads=3 position=xl"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "position xl needs an even model.width"));
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

#define XL "kind=transformer_xl layers=2 width=8 heads=2 dropout=0 "

/* Segments with a memory of all that was before say what the whole sequence says; a shorter memory does not. The
 * parameters do not depend on the memory's length. */
static void test_memory(void)
{
    enum { ALL = 24 };
    static float whole[B * ALL * 8], parts[B * ALL * 8];
    LsParams *params = ls_params_new();
    ASSERT_OK(evaluate(XL "memory=2", params, LS_EVAL, ALL, ALL, whole));
    ASSERT_OK(evaluate(XL "memory=20", params, LS_EVAL, 4, ALL, parts));
    ASSERT_AT_MOST(difference(whole, parts, B * ALL * 8), 1e-5);
    ASSERT_OK(evaluate(XL "memory=20", params, LS_EVAL, 8, ALL, parts));
    ASSERT_AT_MOST(difference(whole, parts, B * ALL * 8), 1e-5);
    ASSERT_OK(evaluate(XL "memory=2", params, LS_EVAL, 4, ALL, parts));
    ASSERT_AT_MOST(difference(whole, parts, 4 * 8), 1e-5);
    CU_ASSERT(difference(whole + 8 * 8, parts + 8 * 8, 8) > 1e-3);
    ls_params_free(params);
}

/* Token by token, without end, in a memory as long as the last token of a segment sees. */
static void test_endless(void)
{
    enum { ALL = 40 };
    static float segments[B * ALL * 8], tokens[B * ALL * 8];
    LsParams *params = ls_params_new();
    ASSERT_OK(evaluate(XL "norm=pre memory=6", params, LS_EVAL, 1, ALL, segments));
    ASSERT_OK(evaluate(XL "norm=pre memory=3 context=4", params, LS_DECODE, 1, ALL, tokens));
    ASSERT_AT_MOST(difference(segments, tokens, B * ALL * 8), 1e-5);
    ls_params_free(params);
}

/* A segment of the whole model with its memory before and after, as a subject. */
static bool build_segment(LsGraph *g, const void *self)
{
    LsConfig *config = config_of(self);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    if (ls_graph_mode(g) == LS_TRAIN) {
        LsTensor *x = build(g, config, 4);
        ls_output(g, "loss", x);
        ls_case_range(g, ls_graph_find(g, "ids"), 0, VOCABULARY);
    }
    ls_config_free(config);
    return true;
}

static void test_gradients(void)
{
    const char *settings[] = {XL "memory=5", XL "memory=3 norm=pre layers=1"};
    for (int i = 0; i < 2; i++)
        ASSERT_OK(ls_check_gradient(&(LsSubject){build_segment, settings[i], settings[i], .segmented = true}, 4));
}

int main(void)
{
    return harness_run("positions", (HarnessTest[]){{"PyTorch's numbers", test_pytorch},
                                                    {"lengths beyond training", test_lengths},
                                                    {"a memory of all says what the whole says", test_memory},
                                                    {"decoding without end", test_endless},
                                                    {"gradients with a memory", test_gradients},
                                                    {0}});
}
