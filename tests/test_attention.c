/* Attention, rotary positions and norms as models use them: against PyTorch's numbers, with a key-value cache in one
 * piece, in several and token by token, over long sequences, and for any number of threads. */
#include "harness.h"
#include "graph/check.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const LsRun run = {.seed = 1, .training = true};

/* ---- A graph with one input x, and its output y projected on r: loss = sum r y ----------------------------------- */

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
    LsTensor *x;
} Setup;

static Setup setup_new(LsMode mode, bool reference, int rank, const int64_t *dim)
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params,
                       &(LsGraphOptions){.mode = mode, .reference = reference, .grad_inputs = mode == LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    s.x = ls_input(s.g, "x", LS_REAL, rank, dim);
    return s;
}

static void setup_plan(Setup *s, LsTensor *y)
{
    ls_output(s->g, "y", y);
    if (ls_graph_mode(s->g) == LS_TRAIN)
        ls_output(s->g, "loss", ls_mul(s->g, y, ls_input(s->g, "r", LS_REAL, y->rank, y->dim)));
    ASSERT_OK(ls_params_allocate(s->params, 3, true));
    ASSERT_OK(ls_graph_plan(s->g));
}

static void setup_free(Setup *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
}

/* The values that fixtures/attention.py makes. */
static void fill(float *x, int64_t count, int64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)((double)((17 * i + 29 * seed + (i % 1009) * (i % 1009)) % 101) / 50 - 1);
}

static LsTensor *named(const Setup *s, const char *name)
{
    LsTensor *x = ls_graph_find(s->g, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    return x;
}

static void forward_backward(Setup *s)
{
    LsTensor *r = named(s, "r");
    fill(r->data, r->count, 2);
    ASSERT_OK(ls_graph_forward(s->g, &run));
    ASSERT_OK(ls_graph_backward(s->g, &run, 1, false, NULL));
}

/* Greatest difference, relative to the greatest expected value. */
static double difference(const float *x, const float *expected, int64_t count)
{
    double largest = 1e-30, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)x[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        worst = d <= worst ? worst : d; /* NaN is taken over */
    }
    return worst / largest;
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

static void expect(FILE *file, const float *x, int64_t count)
{
    float *expected = malloc((size_t)count * sizeof *expected);
    CU_ASSERT_EQUAL_FATAL(fread(expected, sizeof *expected, (size_t)count, file), (size_t)count);
    ASSERT_AT_MOST(difference(x, expected, count), 5e-6); /* rounding in float, and of transformers' float angles */
    free(expected);
}

static void pytorch_attention(FILE *file, int64_t b, int64_t t, int64_t heads, int64_t kv, int64_t size, bool rotary)
{
    Setup s = setup_new(LS_TRAIN, false, 3, (int64_t[]){b, t, (heads + 2 * kv) * size});
    LsTensor *qkv = rotary ? ls_rotary(s.g, s.x, NULL, heads + kv, size, 10000) : s.x;
    setup_plan(&s, ls_attention(s.g, qkv, NULL, NULL, heads, kv));
    fill(s.x->data, s.x->count, 1);
    forward_backward(&s);
    expect(file, named(&s, "y")->data, named(&s, "y")->count);
    expect(file, s.x->grad, s.x->count);
    setup_free(&s);
}

static void pytorch_norm(FILE *file, int64_t columns, int64_t rows, bool centered)
{
    Setup s = setup_new(LS_TRAIN, false, 2, (int64_t[]){rows, columns});
    LsTensor *scale = ls_param_flags(s.g, "scale", ls_init_constant(0), LS_PRECISE, 1, &columns), *bias = NULL;
    if (centered)
        bias = ls_param_flags(s.g, "bias", ls_init_constant(0), LS_PRECISE, 1, &columns);
    setup_plan(&s, centered ? ls_layer_norm(s.g, s.x, scale, bias, 1e-5) : ls_rms_norm(s.g, s.x, scale, 1e-5));
    fill(s.x->data, s.x->count, 3);
    for (int i = 0; i < s.params->count; i++)
        fill(s.params->value + s.params->list[i].offset, columns, 4 + i);
    ls_graph_refresh(s.g);
    forward_backward(&s);
    expect(file, named(&s, "y")->data, rows * columns);
    expect(file, s.x->grad, rows * columns);
    for (int i = 0; i < s.params->count; i++)
        expect(file, s.params->grad + s.params->list[i].offset, columns);
    setup_free(&s);
}

static void test_pytorch(void)
{
    FILE *file = fopen(TESTS_FOLDER "/fixtures/attention.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    pytorch_attention(file, 2, 70, 4, 2, 8, false);
    pytorch_attention(file, 1, 40, 2, 1, 6, true);
    pytorch_norm(file, 37, 50, true);
    pytorch_norm(file, 37, 50, false);
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
}

/* ---- Cache ------------------------------------------------------------------------------------------------------- */

enum { STREAMS = 2, HEADS = 4, KV = 2, SIZE = 6, WIDTH = (HEADS + 2 * KV) * SIZE, CONTEXT = 150, LENGTH = 141 };

/* Rotary positions and attention over `tokens` new tokens of each stream, on a cache that the graphs of one test
 * share. */
static Setup decoder(int64_t tokens, LsGraph *share, bool reference)
{
    Setup s = setup_new(LS_DECODE, reference, 3, (int64_t[]){STREAMS, tokens, WIDTH});
    LsTensor *cache = ls_state(s.g, "cache", LS_REAL, 3, (int64_t[]){STREAMS, CONTEXT, 2 * KV * SIZE});
    LsTensor *position = ls_input(s.g, "position", LS_I32, 1, (int64_t[]){STREAMS});
    if (share)
        ASSERT_OK(ls_graph_share_states(s.g, share));
    setup_plan(&s,
               ls_attention(s.g, ls_rotary(s.g, s.x, position, HEADS + KV, SIZE, 10000), cache, position, HEADS, KV));
    return s;
}

static LsStatus decode(Setup *s, const float *all, const int *start, float *to)
{
    int64_t tokens = s->x->dim[1];
    for (int64_t b = 0; b < STREAMS; b++) {
        memcpy((float *)s->x->data + b * tokens * WIDTH, all + (b * LENGTH + start[b]) * WIDTH,
               (size_t)(tokens * WIDTH) * sizeof(float));
        ((int32_t *)named(s, "position")->data)[b] = start[b];
    }
    LS_TRY(ls_graph_forward(s->g, &run));
    const float *y = named(s, "y")->data;
    for (int64_t b = 0; b < STREAMS; b++)
        memcpy(to + (b * LENGTH + start[b]) * HEADS * SIZE, y + b * tokens * HEADS * SIZE,
               (size_t)(tokens * HEADS * SIZE) * sizeof(float));
    return LS_OK;
}

/* Streams advance in pieces of these lengths, the second stream always one token behind the first. */
static void check_pieces(const float *all, const float *expected, const int *pieces, bool reference)
{
    float *y = calloc((size_t)STREAMS * LENGTH * HEADS * SIZE, sizeof *y);
    Setup first = decoder(1, NULL, reference);
    int start[STREAMS] = {0, 0};
    ASSERT_OK(decode(&first, all, start, y));
    for (start[0] = 1; *pieces; start[0] += *pieces++, start[1] = start[0] - 1) {
        Setup s = decoder(*pieces, first.g, reference);
        ASSERT_OK(decode(&s, all, start, y));
        setup_free(&s);
    }
    CU_ASSERT_EQUAL(start[0], LENGTH);
    for (int64_t b = 0; b < STREAMS; b++)
        ASSERT_AT_MOST(difference(y + b * LENGTH * HEADS * SIZE, expected + b * LENGTH * HEADS * SIZE,
                                  (LENGTH - b) * HEADS * SIZE),
                       3e-6);
    setup_free(&first);
    free(y);
}

static void test_cache(void)
{
    Setup whole = setup_new(LS_EVAL, false, 3, (int64_t[]){STREAMS, LENGTH, WIDTH});
    setup_plan(&whole, ls_attention(whole.g, ls_rotary(whole.g, whole.x, NULL, HEADS + KV, SIZE, 10000), NULL, NULL,
                                    HEADS, KV));
    fill(whole.x->data, whole.x->count, 6);
    ASSERT_OK(ls_graph_forward(whole.g, &run));
    int singly[LENGTH] = {0};
    for (int i = 0; i < LENGTH - 1; i++)
        singly[i] = 1;
    const float *x = whole.x->data, *y = named(&whole, "y")->data;
    check_pieces(x, y, singly, false);
    check_pieces(x, y, (int[]){LENGTH - 1, 0}, false);
    check_pieces(x, y, (int[]){3, 64, 1, 1, 66, 5, 0}, false);
    check_pieces(x, y, (int[]){100, 1, 39, 0}, true);
    setup_free(&whole);
}

static void test_cache_errors(void)
{
    Setup s = decoder(4, NULL, false);
    int32_t *position = named(&s, "position")->data;
    memset(s.x->data, 0, (size_t)s.x->count * sizeof(float));
    position[0] = CONTEXT - 4;
    position[1] = 0;
    ASSERT_OK(ls_graph_forward(s.g, &run));
    position[1] = CONTEXT - 3;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_USAGE,
                 "stream 1 has seen 147 tokens and gets 4 more, but the context is 150");
    position[1] = -1;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_USAGE, "stream 1");
    setup_free(&s);
}

/* Builds attention with these arguments in a graph that must refuse it. */
static void refuse(LsMode mode, int64_t width, int64_t heads, int64_t kv_heads, int64_t cache_width, bool position,
                   const char *text)
{
    Setup s = setup_new(mode, false, 3, (int64_t[]){STREAMS, 3, width});
    LsTensor *cache = cache_width ? ls_state(s.g, "cache", LS_REAL, 3, (int64_t[]){STREAMS, 10, cache_width}) : NULL;
    LsTensor *at = position ? ls_input(s.g, "position", LS_I32, 1, (int64_t[]){STREAMS}) : NULL;
    ls_output(s.g, "loss", ls_attention(s.g, s.x, cache, at, heads, kv_heads));
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_FAILS(ls_graph_plan(s.g), LS_USAGE, text);
    setup_free(&s);
}

static void test_shapes(void)
{
    refuse(LS_TRAIN, 25, 4, 2, 0, false, "(2, 3, 25) must be (B, T, (H + 2 Hkv) D)");
    refuse(LS_TRAIN, 24, 3, 2, 0, false, "3 heads cannot share 2 key heads evenly");
    refuse(LS_EVAL, 24, 4, 2, 12, true, "mode LS_DECODE only");
    refuse(LS_TRAIN, 24, 4, 2, 12, true, "a training graph keeps no state");
    refuse(LS_DECODE, 24, 4, 2, 12, false, "go together");
    refuse(LS_DECODE, 24, 4, 2, 13, true, "cache (2, 10, 13) does not fit qkv (2, 3, 24)");
}

/* ---- Long sequences, threads ------------------------------------------------------------------------------------- */

static Setup plain_attention(bool reference, int64_t b, int64_t t, int64_t heads, int64_t kv, int64_t size)
{
    Setup s = setup_new(LS_TRAIN, reference, 3, (int64_t[]){b, t, (heads + 2 * kv) * size});
    setup_plan(&s, ls_attention(s.g, s.x, NULL, NULL, heads, kv));
    for (int64_t i = 0; i < s.x->count; i++)
        ((float *)s.x->data)[i] = ls_normal_at(8, 0, (uint64_t)i);
    return s;
}

static void test_long(void)
{
    Setup fast = plain_attention(false, 1, 2048, 1, 1, 8), plain = plain_attention(true, 1, 2048, 1, 1, 8);
    forward_backward(&fast);
    forward_backward(&plain);
    ASSERT_AT_MOST(difference(named(&fast, "y")->data, named(&plain, "y")->data, 2048 * 8), 2e-6);
    setup_free(&fast);
    setup_free(&plain);
}

/* Scores far apart: the running maximum moves in every block, and weights underflow. */
static void test_extreme(void)
{
    Setup fast = plain_attention(false, 1, 300, 2, 1, 4), plain = plain_attention(true, 1, 300, 2, 1, 4);
    Setup *both[] = {&fast, &plain};
    for (int i = 0; i < 2; i++) {
        for (int64_t j = 0; j < fast.x->count; j++)
            ((float *)both[i]->x->data)[j] *= 1 + 0.1f * (float)(j / 16);
        forward_backward(both[i]);
    }
    /* scores of 1e3 have errors of 1e-4 */
    ASSERT_AT_MOST(difference(named(&fast, "y")->data, named(&plain, "y")->data, 300 * 8), 1e-4);
    for (int64_t i = 0; i < fast.x->count; i++)
        CU_ASSERT(isfinite(((float *)fast.x->grad)[i]));
    setup_free(&fast);
    setup_free(&plain);
}

/* 700 queries are three query blocks and three parts of backward, the smallest number that is more than the threads of
 * any run here. */
static void test_threads(void)
{
    static const int64_t shapes[][4] = {{1, 700, 2, 1}, {3, 90, 6, 2}, {1, 1100, 1, 1}};
    int keep = ls_threads();
    for (size_t i = 0; i < LS_COUNT_OF(shapes); i++) {
        Setup one = {0};
        for (int threads = 1; threads <= 7; threads += 2) {
            ls_set_threads(threads);
            Setup s = plain_attention(false, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], 20);
            forward_backward(&s);
            if (threads == 1) {
                one = s;
                continue;
            }
            CU_ASSERT_EQUAL(
                memcmp(named(&s, "y")->data, named(&one, "y")->data, (size_t)named(&s, "y")->count * sizeof(float)), 0);
            CU_ASSERT_EQUAL(memcmp(s.x->grad, one.x->grad, (size_t)s.x->count * sizeof(float)), 0);
            setup_free(&s);
        }
        setup_free(&one);
    }
    ls_set_threads(keep);
}

/* Several query blocks and parts in double, against central differences. */
static bool build_long(LsGraph *g, const void *self)
{
    const int64_t *heads = self;
    ls_attention(g, ls_case_input(g, "qkv", LS_REAL, -1, 1, 3, (int64_t[]){1, 540, (heads[0] + 2) * 2}), NULL, NULL,
                 heads[0], 1);
    return true;
}

static void test_long_gradient(void)
{
    for (int64_t heads = 1; heads <= 3; heads += 2)
        ASSERT_OK(ls_check_gradient(&(LsSubject){.build = build_long, .self = &heads, .name = "long attention"}, 12));
}

int main(void)
{
    return harness_run("attention", (HarnessTest[]){{"PyTorch's results and gradients", test_pytorch},
                                                    {"pieces on a cache equal the whole", test_cache},
                                                    {"the end of the cache", test_cache_errors},
                                                    {"shapes that do not fit", test_shapes},
                                                    {"2,048 tokens against plain", test_long},
                                                    {"scores far apart", test_extreme},
                                                    {"the same bits for any number of threads", test_threads},
                                                    {"gradient over several blocks", test_long_gradient},
                                                    {0}});
}
