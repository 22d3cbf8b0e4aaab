/* Attention over a window of keys, and with ALiBi's distances: against PyTorch's numbers, in pieces on a cache, and
 * without a look at keys that no query sees. */
#include "fixture_numbers.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"
#include "lockstep/window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND 5e-6

static const LsRun run = {.seed = 1, .training = true};

typedef struct Case {
    int64_t b, t, heads, kv_heads, size, window;
    bool alibi, both; /* both: tokens see those after them too */
} Case;

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
    LsTensor *x, *y;
} Setup;

/* context: rows of a cache; 0: none */
static Setup setup_new(const Case *c, LsMode mode, int64_t context, LsGraph *share)
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = mode, .grad_inputs = mode == LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    s.x = ls_input(s.g, "x", LS_REAL, 3, (int64_t[]){c->b, c->t, (c->heads + 2 * c->kv_heads) * c->size});
    LsAttention how = {.heads = c->heads, .kv_heads = c->kv_heads, .window = c->window};
    how.mask = c->both ? LS_MASK_NONE : LS_MASK_CAUSAL;
    how.alibi = c->alibi;
    if (context) {
        how.cache = ls_state(s.g, "cache", LS_REAL, 3, (int64_t[]){c->b, context, 2 * c->kv_heads * c->size});
        how.position = ls_input(s.g, "position", LS_I32, 1, &c->b);
    }
    s.y = ls_attention(s.g, s.x, &how);
    ls_output(s.g, "y", s.y);
    if (mode == LS_TRAIN)
        ls_output(s.g, "loss", ls_mul(s.g, s.y, ls_input(s.g, "r", LS_REAL, s.y->rank, s.y->dim)));
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    if (share)
        ASSERT_OK(ls_graph_share_states(s.g, share));
    ASSERT_OK(ls_graph_plan(s.g));
    return s;
}

static void setup_free(Setup *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
}

static void test_pytorch(void)
{
    static const Case cases[] = {
        {2, 70, 4, 2, 6, 9, false},      {1, 150, 2, 1, 17, 64, false},     {1, 140, 1, 1, 33, 66, false},
        {2, 40, 6, 3, 4, 0, true},       {1, 70, 8, 8, 5, 0, true},         {1, 90, 3, 1, 8, 21, true},
        {2, 40, 6, 3, 4, 0, true, true}, {1, 130, 3, 1, 17, 0, true, true}, {1, 90, 3, 1, 8, 21, true, true}};
    FILE *file = fopen(TESTS_FOLDER "/fixtures/attention_window.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        Setup s = setup_new(&cases[i], LS_TRAIN, 0, NULL);
        LsTensor *r = ls_graph_find(s.g, "r");
        fixture_fill(s.x->data, s.x->count, 1);
        fixture_fill(r->data, r->count, 2);
        ASSERT_OK(ls_graph_forward(s.g, &run));
        ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
        fixture_expect(file, s.y->data, s.y->count, BOUND, "y");
        fixture_expect(file, s.x->grad, s.x->count, BOUND, "dx");
        setup_free(&s);
    }
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
}

/* A window of the whole sequence gives the bits of none. */
static void test_wide_window(void)
{
    Case none = {2, 150, 2, 1, 12, 0, false}, wide = none;
    wide.window = 150;
    Setup a = setup_new(&none, LS_TRAIN, 0, NULL), b = setup_new(&wide, LS_TRAIN, 0, NULL);
    for (int i = 0; i < 2; i++) {
        Setup *s = i ? &b : &a;
        LsTensor *r = ls_graph_find(s->g, "r");
        fixture_fill(s->x->data, s->x->count, 1);
        fixture_fill(r->data, r->count, 2);
        ASSERT_OK(ls_graph_forward(s->g, &run));
        ASSERT_OK(ls_graph_backward(s->g, &run, 1, false, NULL));
    }
    CU_ASSERT_EQUAL(memcmp(a.y->data, b.y->data, (size_t)a.y->count * sizeof(float)), 0);
    CU_ASSERT_EQUAL(memcmp(a.x->grad, b.x->grad, (size_t)a.x->count * sizeof(float)), 0);
    setup_free(&a);
    setup_free(&b);
}

enum { LENGTH = 230, CONTEXT = 240 };

/* Tokens start..start + T - 1 of all. */
static void decode(Setup *s, const float *all, int64_t start, float *to)
{
    size_t row = (size_t)s->x->dim[2], out = (size_t)s->y->dim[2], tokens = (size_t)s->x->dim[1];
    memcpy(s->x->data, all + (size_t)start * row, tokens * row * sizeof(float));
    *(int32_t *)ls_graph_find(s->g, "position")->data = (int32_t)start;
    ASSERT_OK(ls_graph_forward(s->g, &run));
    memcpy(to + (size_t)start * out, s->y->data, tokens * out * sizeof(float));
}

/* In pieces, on a cache of so many rows, of which those that hold no token of the window are spoiled: a look at them
 * would show, since NaN times 0 is NaN. */
static void check_cache(const Case *c, const int *pieces, int64_t rows)
{
    Setup whole = setup_new(c, LS_EVAL, 0, NULL);
    fixture_fill(whole.x->data, whole.x->count, 5);
    ASSERT_OK(ls_graph_forward(whole.g, &run));
    Case one = *c;
    one.t = 1;
    Setup first = setup_new(&one, LS_DECODE, rows, NULL);
    float *y = calloc((size_t)whole.y->count, sizeof *y);
    int64_t start = 0, row = 2 * c->kv_heads * c->size;
    for (; *pieces; start += *pieces++) {
        Case part = *c;
        part.t = *pieces;
        Setup s = *pieces == 1 ? first : setup_new(&part, LS_DECODE, rows, first.g);
        float *cache = ls_graph_state(first.g, 0)->data;
        int64_t used = start - (c->window ? ls_window_first(c->window, start) : 0);
        for (int64_t i = used * row; i < rows * row; i++)
            cache[i] = NAN;
        decode(&s, whole.x->data, start, y);
        if (*pieces > 1)
            setup_free(&s);
    }
    CU_ASSERT_EQUAL(start, LENGTH);
    ASSERT_AT_MOST(fixture_difference(y, whole.y->data, whole.y->count), 3e-6);
    free(y);
    setup_free(&first);
    setup_free(&whole);
}

static void test_cache(void)
{
    static const Case cases[] = {{1, LENGTH, 4, 2, 6, 50, false},
                                 {1, LENGTH, 2, 2, 16, 33, false},
                                 {1, LENGTH, 3, 1, 20, 0, true},
                                 {1, LENGTH, 2, 1, 36, 70, true}};
    int singly[LENGTH + 1] = {0};
    for (int i = 0; i < LENGTH; i++)
        singly[i] = 1;
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const struct {
            const int *pieces;
            int64_t longest;
        } ways[] = {{singly, 1}, {(int[]){LENGTH, 0}, LENGTH}, {(int[]){100, 1, 1, 70, 3, 40, 15, 0}, 100}};
        for (size_t n = 0; n < LS_COUNT_OF(ways); n++) {
            check_cache(&cases[i], ways[n].pieces, CONTEXT);
            if (cases[i].window)
                check_cache(&cases[i], ways[n].pieces, ls_window_rows(cases[i].window, ways[n].longest));
        }
    }
}

/* Queries at the end of a long sequence, whose first keys are spoiled: forward and backward leave these alone. */
static void test_hidden_blocks(void)
{
    Case c = {1, 2000, 2, 1, 8, 100, false};
    Setup s = setup_new(&c, LS_TRAIN, 0, NULL);
    LsTensor *r = ls_graph_find(s.g, "r");
    float *x = s.x->data, *y = s.y->data, *grad = s.x->grad;
    int64_t row = s.x->dim[2], out = s.y->dim[2], queries = c.heads * c.size;
    fixture_fill(x, s.x->count, 1);
    fixture_fill(r->data, r->count, 2);
    for (int64_t t = 0; t < 64; t++)
        for (int64_t i = queries; i < row; i++)
            x[t * row + i] = NAN;
    ASSERT_OK(ls_graph_forward(s.g, &run));
    ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
    CU_ASSERT(isnan(y[0]) && isnan(grad[0]));
    int64_t spoiled = 0;
    for (int64_t t = 512; t < c.t; t++) { /* tasks of at most 256 queries share their blocks */
        for (int64_t i = 0; i < out; i++)
            spoiled += !isfinite(y[t * out + i]);
        for (int64_t i = 0; i < queries; i++)
            spoiled += !isfinite(grad[t * row + i]);
    }
    CU_ASSERT_EQUAL(spoiled, 0);
    setup_free(&s);
}

/* The angle by which pair i of a head of 8 turns at position 1. */
static double angle(const LsRotary *how, int64_t i)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 2, 8}), *y = ls_rotary(g, x, NULL, how);
    ls_output(g, "y", y);
    ASSERT_OK(ls_params_allocate(params, 1, false));
    ASSERT_OK(ls_graph_plan(g));
    memset(x->data, 0, (size_t)x->count * sizeof(float));
    ((float *)x->data)[8 + i] = 1; /* (1, 0) becomes (cos, sin) */
    ASSERT_OK(ls_graph_forward(g, &run));
    const float *out = (const float *)y->data + 8;
    double turned = atan2((double)out[4 + i], (double)out[i]);
    ls_graph_free(g);
    ls_params_free(params);
    return turned;
}

/* NTK leaves the highest frequency and divides the lowest by the factor; linear divides all. */
static void test_scaling(void)
{
    LsRotary plain = {1, 8, .base = 10000}, ntk = plain, linear = plain;
    ntk.scaling = LS_ROTARY_NTK;
    linear.scaling = LS_ROTARY_LINEAR;
    ntk.factor = linear.factor = 4;
    for (int64_t i = 0; i < 4; i++) {
        double frequency = pow(10000, -(double)i / 4);
        ASSERT_AT_MOST(fabs(angle(&plain, i) / frequency - 1), 1e-6);
        ASSERT_AT_MOST(fabs(angle(&linear, i) * 4 / frequency - 1), 1e-6);
        ASSERT_AT_MOST(fabs(angle(&ntk, i) * pow(4, (double)i / 3) / frequency - 1), 1e-6);
    }
}

static void test_refused(void)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 4, 12});
    ls_output(g, "y", ls_attention(g, x, &(LsAttention){.heads = 1, .window = 2, .globals = 1, .alibi = true}));
    ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, "ALiBi does not go with dilation or global tokens");
    ls_graph_free(g);
    g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 4, 4});
    LsTensor *kv = ls_input(g, "kv", LS_REAL, 3, (int64_t[]){1, 9, 8});
    ls_output(g, "y", ls_attention(g, x, &(LsAttention){.heads = 1, .kv = kv, .alibi = true}));
    ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, "queries of another sequence have no distance from the keys");
    ls_graph_free(g);
    g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 4, 4});
    kv = ls_input(g, "kv", LS_REAL, 3, (int64_t[]){1, 9, 8});
    ls_output(g, "y", ls_attention(g, x, &(LsAttention){.heads = 1, .kv = kv, .window = 3}));
    ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, "a window (3) is for packed qkv");
    ls_graph_free(g);
    ls_params_free(params);
}

int main(void)
{
    return harness_run("attention_window", (HarnessTest[]){{"PyTorch's numbers", test_pytorch},
                                                           {"a window as wide as the sequence", test_wide_window},
                                                           {"on a cache, in pieces", test_cache},
                                                           {"blocks out of sight", test_hidden_blocks},
                                                           {"rotary frequencies, scaled", test_scaling},
                                                           {"masks that do not go with it", test_refused},
                                                           {0}});
}
