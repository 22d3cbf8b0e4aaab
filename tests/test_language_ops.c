/* Embedding, linear and the head with its loss, as a language model uses them: bad numbers and shapes, ignored targets,
 * large logits, a vocabulary whose logits take several blocks, and the same bits for any number of threads. */
#include "harness.h"
#include "lockstep/graph.h"
#include "lockstep/model.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const LsRun run = {.seed = 1, .training = true};

/* ids -> embedding -> linear with gelu -> head tied to the embedding -> loss. */
typedef struct Small {
    LsParams *params;
    LsGraph *g;
    int32_t *ids, *targets;
    int64_t count;
} Small;

static Small small_new(int64_t vocabulary, int64_t width, int64_t batch, int64_t length)
{
    Small s = {.params = ls_params_new(), .count = batch * length};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    LsTensor *ids = ls_input(s.g, "ids", LS_I32, 2, (int64_t[]){batch, length});
    LsTensor *targets = ls_input(s.g, "targets", LS_I32, 2, (int64_t[]){batch, length});
    LsTensor *table = ls_param(s.g, "table", ls_init_normal(0.5), 2, (int64_t[]){vocabulary, width});
    LsTensor *w = ls_param(s.g, "w", ls_init_normal(0.2), 2, (int64_t[]){width, width});
    LsTensor *bias = ls_param(s.g, "bias", ls_init_normal(0.2), 1, (int64_t[]){width});
    LsTensor *x = ls_linear(s.g, ls_embedding(s.g, table, ids), w, bias, LS_GELU_TANH);
    ls_output(s.g, "loss", ls_head_cross_entropy(s.g, x, table, NULL, targets, 0, 0));
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_OK(ls_graph_plan(s.g));
    s.ids = ls_graph_find(s.g, "ids")->data;
    s.targets = ls_graph_find(s.g, "targets")->data;
    for (int64_t i = 0; i < s.count; i++) {
        s.ids[i] = (int32_t)((7 * i * i + 3 * i) % vocabulary);
        s.targets[i] = i % 11 == 5 ? LS_IGNORE : (int32_t)((13 * i + i * i) % vocabulary);
    }
    return s;
}

static void small_free(Small *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
}

static double loss_of(const Small *s)
{
    float loss;
    ls_tensor_get(s->g, ls_graph_find(s->g, "loss"), &loss);
    return (double)loss;
}

static const float *gradient(const Small *s, const char *name, int64_t *count)
{
    int index = ls_params_find(s->params, name);
    CU_ASSERT_FATAL(index >= 0);
    if (count)
        *count = s->params->list[index].count;
    return s->params->grad + s->params->list[index].offset;
}

static void step(const Small *s, double scale)
{
    ASSERT_OK(ls_graph_forward(s->g, &run));
    ASSERT_OK(ls_graph_backward(s->g, &run, scale, false, NULL));
}

static void test_threads(void)
{
    Small s = small_new(531, 50, 3, 67);
    size_t bytes = (size_t)s.params->total * sizeof(float);
    float *first = ls_alloc(bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    double loss = 0;
    int before = ls_threads();
    for (int threads = 1; threads <= 5; threads++) {
        ls_set_threads(threads);
        step(&s, 1);
        if (threads == 1) {
            loss = loss_of(&s);
            memcpy(first, s.params->grad, bytes);
        }
        CU_ASSERT_EQUAL(loss_of(&s), loss);
        CU_ASSERT_EQUAL(memcmp(first, s.params->grad, bytes), 0);
    }
    CU_ASSERT(loss > 0);
    ls_set_threads(before);
    ls_free(first);
    small_free(&s);
}

static void test_bad_numbers(void)
{
    Small s = small_new(17, 8, 2, 5);
    s.ids[7] = 17;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "id 17 at position 7 of (2, 5) is outside the table's 0..16");
    s.ids[7] = -1;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "id -1 at position 7");
    s.ids[7] = 16;
    s.targets[3] = 17;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "target 17 at row 3 of (2, 5) is outside 0..16");
    s.targets[3] = -2;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "target -2 at row 3");
    s.targets[3] = 0;
    ASSERT_OK(ls_graph_forward(s.g, &run));
    small_free(&s);
}

/* A skipped row has no part in loss or gradients: the same as another token's being there, whatever its id. */
static void test_ignored(void)
{
    Small s = small_new(9, 6, 1, 4);
    int32_t targets[4] = {3, LS_IGNORE, 8, LS_IGNORE};
    memcpy(s.targets, targets, sizeof targets);
    for (int i = 0; i < 4; i++)
        s.ids[i] = i;
    step(&s, 1);
    double loss = loss_of(&s), sum = 0;
    for (int i = 0; i < 4; i++) { /* one at a time */
        for (int j = 0; j < 4; j++)
            s.targets[j] = j == i ? targets[i] : LS_IGNORE;
        step(&s, 1);
        CU_ASSERT_EQUAL(targets[i] == LS_IGNORE, loss_of(&s) == 0);
        sum += loss_of(&s);
    }
    ASSERT_AT_MOST(fabs(loss - sum), 1e-6 * sum);
    for (int i = 0; i < 4; i++)
        s.targets[i] = LS_IGNORE;
    step(&s, 1);
    CU_ASSERT_EQUAL(loss_of(&s), 0);
    int64_t count;
    const float *dw = gradient(&s, "w", &count);
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(dw[i], 0);
    small_free(&s);
}

/* The head alone: x (1, T, C) is an input. */
typedef struct Head {
    LsParams *params;
    LsGraph *g;
    LsTensor *x, *targets;
} Head;

static Head head_new(int64_t vocabulary, int64_t width, int64_t length)
{
    Head h = {.params = ls_params_new()};
    h.g = ls_graph_new(h.params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true});
    CU_ASSERT_PTR_NOT_NULL_FATAL(h.g);
    h.x = ls_input(h.g, "x", LS_REAL, 3, (int64_t[]){1, length, width});
    h.targets = ls_input(h.g, "targets", LS_I32, 2, (int64_t[]){1, length});
    LsTensor *w = ls_param(h.g, "w", ls_init_normal(1), 2, (int64_t[]){vocabulary, width});
    ls_output(h.g, "loss", ls_head_cross_entropy(h.g, h.x, w, NULL, h.targets, 0, 0));
    ASSERT_OK(ls_params_allocate(h.params, 3, true));
    ASSERT_OK(ls_graph_plan(h.g));
    return h;
}

static void head_free(Head *h)
{
    ls_graph_free(h->g);
    ls_params_free(h->params);
}

/* Rows `from` and on of one long text. */
static double head_step(Head *h, int64_t vocabulary, int64_t from, double scale)
{
    float *x = h->x->data, loss;
    for (int64_t i = 0; i < h->x->count; i++)
        x[i] = (float)sin(0.37 * (double)(i + from * h->x->dim[2]));
    for (int64_t i = 0; i < h->targets->count; i++)
        ((int32_t *)h->targets->data)[i] = (int32_t)((i + from) * 7919 % vocabulary);
    ASSERT_OK(ls_graph_forward(h->g, &run));
    ASSERT_OK(ls_graph_backward(h->g, &run, scale, false, NULL));
    ls_tensor_get(h->g, ls_graph_find(h->g, "loss"), &loss);
    return (double)loss;
}

/* 600 rows of 50,257 logits are 120 MB: more than one block. The parts of 150 rows are one block each. */
static void test_blocks(void)
{
    enum { VOCABULARY = 50257, WIDTH = 4, ROWS = 600, PARTS = 4 };
    Head whole = head_new(VOCABULARY, WIDTH, ROWS), part = head_new(VOCABULARY, WIDTH, ROWS / PARTS);
    double loss = head_step(&whole, VOCABULARY, 0, 0.5), sum = 0, worst = 0, largest = 0;
    float *dw = ls_alloc_array(VOCABULARY * WIDTH, sizeof *dw);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dw);
    for (int i = 0; i < PARTS; i++) {
        sum += head_step(&part, VOCABULARY, i * ROWS / PARTS, 0.5);
        for (int64_t j = 0; j < VOCABULARY * WIDTH; j++)
            dw[j] += part.params->grad[j];
        CU_ASSERT_EQUAL(
            memcmp((float *)whole.x->grad + i * part.x->count, part.x->grad, (size_t)part.x->count * sizeof(float)), 0);
    }
    ASSERT_AT_MOST(fabs(loss - sum), 1e-6 * sum);
    for (int64_t j = 0; j < VOCABULARY * WIDTH; j++) {
        double difference = fabs((double)whole.params->grad[j] - (double)dw[j]);
        if (!(difference <= worst)) /* a NaN, too; GCC 12 for aarch64 fails to compile the same with fmax */
            worst = difference;
        if (fabs((double)dw[j]) > largest)
            largest = fabs((double)dw[j]);
    }
    ASSERT_AT_MOST(worst, ROWS * 0x1p-24 * largest); /* the rounding of a sum of so many terms, in two orders */
    ls_free(dw);
    head_free(&whole);
    head_free(&part);
}

/* Logits of some thousands: the loss of a row is then the distance of its target's from the largest. */
static void test_large_logits(void)
{
    Head h = head_new(5, 1, 2);
    const float w[5] = {-3000, 0, 10, 2000, 5000};
    memcpy(h.params->value, w, sizeof w);
    ls_graph_refresh(h.g);
    ((float *)h.x->data)[0] = 1, ((float *)h.x->data)[1] = -1;
    ((int32_t *)h.targets->data)[0] = 3, ((int32_t *)h.targets->data)[1] = 0;
    ASSERT_OK(ls_graph_forward(h.g, &run));
    float loss;
    ls_tensor_get(h.g, ls_graph_find(h.g, "loss"), &loss);
    CU_ASSERT_EQUAL(loss, 3000); /* 5000 - 2000, and the second row is certain of its target */
    head_free(&h);
}

static LsStatus plan_of(void (*build)(LsGraph *g))
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
    build(g);
    LsStatus status = ls_graph_plan_dry(g);
    ls_graph_free(g);
    ls_params_free(params);
    return status;
}

static LsTensor *matrix(LsGraph *g, const char *name, int64_t rows, int64_t columns)
{
    return ls_param(g, name, ls_init_constant(0), 2, (int64_t[]){rows, columns});
}

static void wrong_linear(LsGraph *g)
{
    ls_linear(g, ls_input(g, "x", LS_REAL, 2, (int64_t[]){3, 4}), matrix(g, "w", 7, 5), NULL, LS_NO_ACTIVATION);
}

static void wrong_bias(LsGraph *g)
{
    LsTensor *bias = ls_param(g, "bias", ls_init_constant(0), 1, (int64_t[]){6});
    ls_linear(g, ls_input(g, "x", LS_REAL, 2, (int64_t[]){3, 4}), matrix(g, "w", 7, 4), bias, LS_NO_ACTIVATION);
}

static void wrong_ids(LsGraph *g)
{
    ls_embedding(g, matrix(g, "table", 7, 4), ls_input(g, "ids", LS_REAL, 2, (int64_t[]){2, 3}));
}

static void wrong_targets(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, 3, 4});
    ls_head_cross_entropy(g, x, matrix(g, "w", 9, 4), NULL, ls_input(g, "targets", LS_I32, 2, (int64_t[]){3, 2}), 0, 0);
}

static void wrong_head(LsGraph *g)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){2, 3, 4});
    ls_head_cross_entropy(g, x, matrix(g, "w", 9, 5), NULL, ls_input(g, "targets", LS_I32, 2, (int64_t[]){2, 3}), 0, 0);
}

static void test_shapes(void)
{
    ASSERT_FAILS(plan_of(wrong_linear), LS_USAGE, "x (3, 4) does not fit w (7, 5)");
    ASSERT_FAILS(plan_of(wrong_bias), LS_USAGE, "bias (6) does not fit w (7, 4)");
    ASSERT_FAILS(plan_of(wrong_ids), LS_USAGE, "ids must be 32-bit integers");
    ASSERT_FAILS(plan_of(wrong_targets), LS_USAGE, "targets (3, 2) do not fit x (2, 3, 4)");
    ASSERT_FAILS(plan_of(wrong_head), LS_USAGE, "x (2, 3, 4) does not fit w (9, 5)");
}

int main(void)
{
    return harness_run("language ops", (HarnessTest[]){{"same bits for any number of threads", test_threads},
                                                       {"ids and targets outside the vocabulary", test_bad_numbers},
                                                       {"ignored targets", test_ignored},
                                                       {"several blocks of logits", test_blocks},
                                                       {"large logits", test_large_logits},
                                                       {"wrong shapes", test_shapes},
                                                       {0}});
}
