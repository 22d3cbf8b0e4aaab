/* Encoders and decoders against PyTorch's modules (tests/fixtures/translation.py): logits, the loss with label
 * smoothing and the gradient of every parameter, for sources and targets of different lengths. Recurrent ones without
 * attention and with both kinds of it; the Transformer with norms after and in front of each part. Parameters are given
 * by name, as weights that were trained elsewhere come. */
#include "harness.h"
#include "config/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 3, T = 5, LONGEST_LINE = 1 << 16 };

static const struct {
    const char *name;
    int count;
    int32_t value[B * T];
} inputs[] = {{"source", B *T, {3, 5, 4, 1, 2, 4, 2, 0, 0, 0, 1, 3, 5, 2, 0}},
              {"source_length", B, {5, 2, 4}},
              {"ids", B *T, {1, 3, 4, 5, 3, 1, 5, 0, 0, 0, 1, 4, 4, 3, 0}},
              {"length", B, {5, 2, 4}},
              {"targets", B *T, {3, 4, 5, 3, 2, 5, 2, -1, -1, -1, 4, 4, 3, 2, -1}}};

typedef struct Case {
    LsConfig *config;
    LsParams *params;
    LsGraph *train, *eval;
    int given, checked; /* parameters that the fixture has values, and gradients, of */
} Case;

/* settings: "kind=seq2seq width=4 task.label_smoothing=0" of the section `model:` where no other is named. */
static LsConfig *config_of(char *settings)
{
    char text[1024], *override[32];
    int count = 0;
    size_t used = 0;
    for (char *rest = NULL, *word = strtok_r(settings, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        override[count++] = text + used;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", strchr(word, '.') ? "" : "model.", word) + 1;
    }
    LsConfig *config = ls_config_parse("fixture",
                                       "task: {kind: pairs}\n"
                                       "data: {fields: \"source T of 6, source_length int, ids T of 6, length int, "
                                       "targets T of 6\"}\n",
                                       count, override);
    if (!config)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

static LsGraph *graph_of(Case *c, LsMode mode)
{
    LsGraph *g = ls_graph_new(c->params, &(LsGraphOptions){.mode = mode});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    ls_config_build(c->config, g, B, T, LS_WANT_LOSS);
    return g;
}

static Case case_new(char *settings)
{
    Case c = {.config = config_of(settings), .params = ls_params_new()};
    c.train = graph_of(&c, LS_TRAIN);
    c.eval = graph_of(&c, LS_EVAL);
    ASSERT_OK(ls_params_allocate(c.params, 3, true));
    ASSERT_OK(ls_graph_plan(c.train));
    ASSERT_OK(ls_graph_plan(c.eval));
    LsGraph *graphs[] = {c.train, c.eval};
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < LS_COUNT_OF(inputs); k++) {
            LsTensor *x = ls_graph_find(graphs[i], inputs[k].name);
            if (x) {
                CU_ASSERT_EQUAL_FATAL(x->count, inputs[k].count);
                memcpy(x->data, inputs[k].value, (size_t)x->count * sizeof(int32_t));
            }
        }
    return c;
}

static void case_free(Case *c)
{
    CU_ASSERT_EQUAL(c->given, c->params->count);
    CU_ASSERT_EQUAL(c->checked, c->params->count);
    ls_graph_free(c->train);
    ls_graph_free(c->eval);
    ls_params_free(c->params);
    ls_config_free(c->config);
}

static void read_numbers(const char *text, float *x, int64_t count)
{
    char *end = NULL;
    for (int64_t i = 0; i < count; i++, text = end) {
        x[i] = strtof(text, &end);
        CU_ASSERT_FATAL(end != text);
    }
    CU_ASSERT_EQUAL(strspn(text, " \n"), strlen(text));
}

static void expect(const char *name, const float *x, const char *numbers, int64_t count)
{
    float *expected = ls_alloc_array(count, sizeof *expected);
    double largest = 1e-30, worst = 0;
    read_numbers(numbers, expected, count);
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)x[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        worst = d <= worst ? worst : d; /* NaN is taken over */
    }
    if (!(worst <= 1e-5 * fmax(largest, 1)))
        fprintf(stderr, "%s is off by %g, of at most %g\n", name, worst, largest);
    CU_ASSERT(worst <= 1e-5 * fmax(largest, 1));
    ls_free(expected);
}

static void run_graphs(Case *c)
{
    ls_graph_refresh(c->train);
    ls_graph_refresh(c->eval);
    ASSERT_OK(ls_graph_forward(c->eval, &(LsRun){.comm = ls_comm_self()}));
    LsRun run = {.comm = ls_comm_self(), .training = true};
    ASSERT_OK(ls_graph_forward(c->train, &run));
    ASSERT_OK(ls_graph_backward(c->train, &run, 1, false, NULL));
}

/* One line of a case: a name and numbers. */
static void use_line(Case *c, const char *name, const char *numbers)
{
    int at = ls_params_find(c->params, name), slope = ls_params_find(c->params, name + 1);
    if (at >= 0) {
        read_numbers(numbers, c->params->value + c->params->list[at].offset, c->params->list[at].count);
        c->given++;
    } else if (name[0] == 'd' && slope >= 0) {
        expect(name, c->params->grad + c->params->list[slope].offset, numbers, c->params->list[slope].count);
        c->checked++;
    } else {
        if (strcmp(name, "output") == 0)
            run_graphs(c);
        const LsTensor *x = ls_graph_find(c->eval, name);
        if (!x)
            fprintf(stderr, "there is no %s\n", name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(x);
        expect(name, x->data, numbers, x->count);
    }
}

static void test_pytorch(void)
{
    static char line[LONGEST_LINE];
    FILE *file = fopen(TESTS_FOLDER "/fixtures/translation.txt", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    Case c = {NULL};
    int cases = 0;
    while (fgets(line, sizeof line, file)) {
        char *numbers = line + strcspn(line, " \n");
        if (*numbers)
            *numbers++ = '\0';
        if (strcmp(line, "case") == 0)
            c = case_new(numbers);
        else if (strcmp(line, "end") == 0) {
            case_free(&c);
            cases++;
        } else
            use_line(&c, line, numbers);
    }
    CU_ASSERT_EQUAL(cases, 8);
    fclose(file);
}

/* Values that are unit vectors, a key's own, make attention's result its weights. */
static void test_weights(void)
{
    enum { HEADS = 2, KEYS = 4, QUERIES = 3, ROW = 2 * HEADS * KEYS };
    static const int32_t length[] = {4, 2};
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    LsTensor *q = ls_input(g, "q", LS_REAL, 3, (int64_t[]){2, QUERIES, HEADS * KEYS});
    LsAttention how = {.heads = HEADS,
                       .kv = ls_input(g, "kv", LS_REAL, 3, (int64_t[]){2, KEYS, ROW}),
                       .lengths = ls_input(g, "lengths", LS_I32, 1, (int64_t[]){2})};
    LsTensor *y = ls_output(g, "y", ls_attention(g, q, &how));
    LsTensor *weights = ls_output(g, "weights", ls_attention_weights(g, q, &how));
    ASSERT_OK(ls_params_allocate(params, 1, false));
    ASSERT_OK(ls_graph_plan(g));
    memcpy(how.lengths->data, length, sizeof length);
    for (int64_t i = 0; i < q->count; i++)
        ((float *)q->data)[i] = 4 * ls_uniform_at(ls_key(1, "q"), 0, (uint64_t)i) - 2;
    for (int64_t i = 0; i < how.kv->count; i++) {
        int64_t key = i / ROW % KEYS, column = i % ROW;
        ((float *)how.kv->data)[i] = column < HEADS * KEYS ? 4 * ls_uniform_at(ls_key(1, "k"), 0, (uint64_t)i) - 2
                                                           : (float)(column % KEYS == key);
    }
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    for (int64_t row = 0; row < 2 * QUERIES; row++)
        for (int64_t j = 0; j < KEYS; j++) {
            const float *head = (const float *)y->data + row * HEADS * KEYS;
            CU_ASSERT_DOUBLE_EQUAL(((const float *)weights->data)[row * KEYS + j], (head[j] + head[KEYS + j]) / 2,
                                   1e-6);
        }
    ls_graph_free(g);
    ls_params_free(params);
}

int main(void)
{
    return harness_run(
        "translation",
        (HarnessTest[]){{"PyTorch's numbers", test_pytorch}, {"weights for pictures", test_weights}, {0}});
}
