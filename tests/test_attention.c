/* Attention, rotary positions and norms as models use them: against PyTorch's numbers, with a key-value cache in one
 * piece, in several and token by token, over long sequences, and for any number of threads. */
#include "fixture_numbers.h"
#include "graph/check.h"
#include "lockstep/graph.h"
#include "lockstep/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND 5e-6 /* rounding in float, and of transformers' float angles */

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

static LsTensor *causal(LsGraph *g, LsTensor *qkv, LsTensor *cache, LsTensor *position, int64_t heads, int64_t kv_heads)
{
    return ls_attention(
        g, qkv,
        &(LsAttention){
            .heads = heads, .kv_heads = kv_heads, .mask = LS_MASK_CAUSAL, .cache = cache, .position = position});
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

static LsTensor *named(const Setup *s, const char *name)
{
    LsTensor *x = ls_graph_find(s->g, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    return x;
}

static void forward_backward(Setup *s)
{
    LsTensor *r = named(s, "r");
    fixture_fill(r->data, r->count, 2);
    ASSERT_OK(ls_graph_forward(s->g, &run));
    ASSERT_OK(ls_graph_backward(s->g, &run, 1, false, NULL));
}

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

static void pytorch_attention(FILE *file, int64_t b, int64_t t, int64_t heads, int64_t kv, int64_t size, bool rotary)
{
    Setup s = setup_new(LS_TRAIN, false, 3, (int64_t[]){b, t, (heads + 2 * kv) * size});
    LsTensor *qkv = rotary ? ls_rotary(s.g, s.x, NULL, &(LsRotary){heads + kv, size, .base = 10000}) : s.x;
    setup_plan(&s, causal(s.g, qkv, NULL, NULL, heads, kv));
    fixture_fill(s.x->data, s.x->count, 1);
    forward_backward(&s);
    fixture_expect(file, named(&s, "y")->data, named(&s, "y")->count, BOUND, "y");
    fixture_expect(file, s.x->grad, s.x->count, BOUND, "dx");
    setup_free(&s);
}

static void pytorch_norm(FILE *file, int64_t columns, int64_t rows, bool centered)
{
    Setup s = setup_new(LS_TRAIN, false, 2, (int64_t[]){rows, columns});
    LsTensor *scale = ls_param_flags(s.g, "scale", ls_init_constant(0), LS_PRECISE, 1, &columns), *bias = NULL;
    if (centered)
        bias = ls_param_flags(s.g, "bias", ls_init_constant(0), LS_PRECISE, 1, &columns);
    setup_plan(&s, centered ? ls_layer_norm(s.g, s.x, scale, bias, 1e-5) : ls_rms_norm(s.g, s.x, scale, 1e-5));
    fixture_fill(s.x->data, s.x->count, 3);
    for (int i = 0; i < s.params->count; i++)
        fixture_fill(s.params->value + s.params->list[i].offset, columns, 4 + i);
    ls_graph_refresh(s.g);
    forward_backward(&s);
    fixture_expect(file, named(&s, "y")->data, rows * columns, BOUND, "y");
    fixture_expect(file, s.x->grad, rows * columns, BOUND, "dx");
    for (int i = 0; i < s.params->count; i++)
        fixture_expect(file, s.params->grad + s.params->list[i].offset, columns, BOUND, s.params->list[i].name);
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

/* ---- Masks, lengths, cross-attention ----------------------------------------------------------------------------- */

/* Attention in a training graph: of x alone where keys = 0, else of x and the input "kv". lengths: (B) or NULL. */
typedef struct Masked {
    int64_t b, t, keys, heads, kv, size;
    LsMask mask;
    const int32_t *lengths;
} Masked;

static Setup masked_setup(LsMode mode, const Masked *m)
{
    int64_t width = (m->heads + (m->keys ? 0 : 2 * m->kv)) * m->size;
    Setup s = setup_new(mode, false, 3, (int64_t[]){m->b, m->t, width});
    LsAttention how = {.heads = m->heads, .kv_heads = m->kv, .mask = m->mask};
    if (m->keys)
        how.kv = ls_input(s.g, "kv", LS_REAL, 3, (int64_t[]){m->b, m->keys, 2 * m->kv * m->size});
    if (m->lengths)
        how.lengths = ls_input(s.g, "lengths", LS_I32, 1, &m->b);
    setup_plan(&s, ls_attention(s.g, s.x, &how));
    fixture_fill(s.x->data, s.x->count, 1);
    if (m->keys)
        fixture_fill(how.kv->data, how.kv->count, 3);
    if (m->lengths)
        memcpy(how.lengths->data, m->lengths, (size_t)m->b * sizeof(int32_t));
    return s;
}

static void test_masks_pytorch(void)
{
    const Masked list[] = {{2, 70, 0, 4, 2, 8, LS_MASK_NONE, NULL},
                           {3, 70, 0, 2, 2, 6, LS_MASK_NONE, (int32_t[]){1, 33, 70}},
                           {2, 130, 0, 2, 1, 20, LS_MASK_NONE, (int32_t[]){129, 64}},
                           {2, 40, 0, 2, 1, 6, LS_MASK_CAUSAL, (int32_t[]){5, 40}},
                           {2, 9, 37, 4, 2, 6, LS_MASK_NONE, NULL},
                           {3, 30, 70, 2, 2, 8, LS_MASK_NONE, (int32_t[]){1, 20, 70}}};
    FILE *file = fopen(TESTS_FOLDER "/fixtures/attention_masks.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        Setup s = masked_setup(LS_TRAIN, &list[i]);
        forward_backward(&s);
        fixture_expect(file, named(&s, "y")->data, named(&s, "y")->count, BOUND, "y");
        fixture_expect(file, s.x->grad, s.x->count, BOUND, "dx");
        if (list[i].keys)
            fixture_expect(file, named(&s, "kv")->grad, named(&s, "kv")->count, BOUND, "dkv");
        setup_free(&s);
    }
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
}

/* Rows first..end-1 of stream b. */
static void fill_rows(LsTensor *x, int64_t b, int64_t first, int64_t end, float value)
{
    int64_t width = x->dim[2];
    for (int64_t i = (b * x->dim[1] + first) * width; i < (b * x->dim[1] + end) * width; i++)
        ((float *)x->data)[i] = value;
}

static void expect_zero_rows(const float *x, const int64_t *dim, int64_t b, int64_t first)
{
    for (int64_t i = (b * dim[1] + first) * dim[2]; i < (b + 1) * dim[1] * dim[2]; i++)
        CU_ASSERT_FATAL(x[i] == 0);
}

/* Tokens past the lengths may be anything: NaN there changes no bit elsewhere, and their results and gradients are 0;
 * so are those of a stream of length 0. */
static void test_padding_is_unread(void)
{
    static const int32_t lengths[] = {0, 1, 45, 139, 140};
    for (int cross = 0; cross < 2; cross++)
        for (int64_t size = 6; size <= 32; size += 26) {
            Masked m = {5, 140, cross ? 140 : 0, 2, 1, size, LS_MASK_NONE, lengths};
            Setup clean = masked_setup(LS_TRAIN, &m), dirty = masked_setup(LS_TRAIN, &m);
            LsTensor *kv = cross ? named(&dirty, "kv") : dirty.x;
            for (int64_t b = 0; b < m.b; b++)
                fill_rows(kv, b, lengths[b], m.t, NAN);
            forward_backward(&clean);
            forward_backward(&dirty);
            for (int k = 0; k < 2 + cross; k++) {
                const LsTensor *a = k == 0 ? named(&clean, "y") : k == 1 ? clean.x : named(&clean, "kv");
                const LsTensor *z = k == 0 ? named(&dirty, "y") : k == 1 ? dirty.x : named(&dirty, "kv");
                const float *right = k ? a->grad : a->data, *here = k ? z->grad : z->data;
                CU_ASSERT_EQUAL(memcmp(right, here, (size_t)a->count * sizeof(float)), 0);
                for (int64_t b = 0; b < m.b; b++)
                    if (!cross || k == 2 || lengths[b] == 0)
                        expect_zero_rows(here, z->dim, b, lengths[b]);
                CU_ASSERT(fixture_difference(here, here, a->count) == 0); /* finite */
            }
            setup_free(&clean);
            setup_free(&dirty);
        }
}

/* A stream of full length has the bits that it has without lengths. */
static void test_full_lengths(void)
{
    Masked m = {2, 150, 0, 4, 2, 18, LS_MASK_CAUSAL, NULL};
    for (int mask = 0; mask < 2; mask++) {
        m.mask = mask ? LS_MASK_CAUSAL : LS_MASK_NONE;
        m.lengths = NULL;
        Setup without = masked_setup(LS_TRAIN, &m);
        m.lengths = (int32_t[]){150, 150};
        Setup with = masked_setup(LS_TRAIN, &m);
        forward_backward(&without);
        forward_backward(&with);
        CU_ASSERT_EQUAL(memcmp(named(&with, "y")->data, named(&without, "y")->data,
                               (size_t)named(&with, "y")->count * sizeof(float)),
                        0);
        CU_ASSERT_EQUAL(memcmp(with.x->grad, without.x->grad, (size_t)with.x->count * sizeof(float)), 0);
        setup_free(&with);
        setup_free(&without);
    }
}

static void test_lengths_errors(void)
{
    Masked m = {2, 10, 0, 2, 1, 4, LS_MASK_NONE, (int32_t[]){10, 11}};
    Setup s = masked_setup(LS_TRAIN, &m);
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "length 11 of stream 1 is not within 0 and the 10 keys");
    ((int32_t *)named(&s, "lengths")->data)[1] = -1;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "length -1 of stream 1");
    setup_free(&s);
}

/* While decoding, one query or several read an encoder's keys, an input here: what a whole sequence gives. */
static void test_cross_decoding(void)
{
    static const int32_t lengths[] = {70, 0, 33};
    Masked m = {3, 5, 70, 4, 2, 20, LS_MASK_NONE, NULL};
    for (int i = 0; i < 2; i++) {
        m.t = 5;
        m.lengths = i ? lengths : NULL;
        Setup whole = masked_setup(LS_EVAL, &m);
        ASSERT_OK(ls_graph_forward(whole.g, &run));
        m.t = 1;
        Setup one = masked_setup(LS_DECODE, &m);
        for (int64_t t = 0; t < 5; t++) {
            int64_t width = m.heads * m.size;
            for (int64_t b = 0; b < m.b; b++)
                memcpy((float *)one.x->data + b * width, (float *)whole.x->data + (b * 5 + t) * width,
                       (size_t)width * sizeof(float));
            ASSERT_OK(ls_graph_forward(one.g, &run));
            for (int64_t b = 0; b < m.b; b++)
                ASSERT_AT_MOST(fixture_difference((float *)named(&one, "y")->data + b * width,
                                                  (float *)named(&whole, "y")->data + (b * 5 + t) * width, width),
                               3e-6);
        }
        setup_free(&one);
        setup_free(&whole);
    }
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
    setup_plan(&s, causal(s.g, ls_rotary(s.g, s.x, position, &(LsRotary){HEADS + KV, SIZE, .base = 10000}), cache,
                          position, HEADS, KV));
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
        ASSERT_AT_MOST(fixture_difference(y + b * LENGTH * HEADS * SIZE, expected + b * LENGTH * HEADS * SIZE,
                                          (LENGTH - b) * HEADS * SIZE),
                       3e-6);
    setup_free(&first);
    free(y);
}

static void test_cache(void)
{
    Setup whole = setup_new(LS_EVAL, false, 3, (int64_t[]){STREAMS, LENGTH, WIDTH});
    setup_plan(&whole, causal(whole.g, ls_rotary(whole.g, whole.x, NULL, &(LsRotary){HEADS + KV, SIZE, .base = 10000}),
                              NULL, NULL, HEADS, KV));
    fixture_fill(whole.x->data, whole.x->count, 6);
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
    ls_output(s.g, "loss", causal(s.g, s.x, cache, at, heads, kv_heads));
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_FAILS(ls_graph_plan(s.g), LS_USAGE, text);
    setup_free(&s);
}

static void test_shapes(void)
{
    refuse(LS_TRAIN, 25, 4, 2, 0, false, "(2, 3, 25) must be (B, T, (H + 2 Hkv) D)");
    refuse(LS_TRAIN, 24, 3, 2, 0, false, "3 heads cannot share 2 key heads evenly");
    refuse(LS_EVAL, 24, 4, 2, 12, true, "mode LS_DECODE only");
    refuse(LS_DECODE, 24, 4, 2, 12, false, "go together");
    refuse(LS_DECODE, 24, 4, 2, 13, true, "cache (2, 10, 13) does not fit qkv (2, 3, 24)");
}

/* Builds attention of x with `how` in a graph that must refuse it. */
static void refuse_how(LsMode mode, LsAttention how, const int64_t *kv, const int64_t *lengths, bool cache,
                       const char *text)
{
    Setup s = setup_new(mode, false, 3, (int64_t[]){2, 3, 24});
    how.kv = kv ? ls_input(s.g, "kv", LS_REAL, 3, kv) : NULL;
    how.lengths = lengths ? ls_input(s.g, "lengths", LS_I32, 1, lengths) : NULL;
    if (cache) {
        how.cache = ls_state(s.g, "cache", LS_REAL, 3, (int64_t[]){2, 10, 12});
        how.position = ls_input(s.g, "position", LS_I32, 1, (int64_t[]){2});
    }
    ls_output(s.g, "loss", ls_attention(s.g, s.x, &how));
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_FAILS(ls_graph_plan(s.g), LS_USAGE, text);
    setup_free(&s);
}

static void test_combinations(void)
{
    LsAttention self = {.heads = 4, .kv_heads = 1, .mask = LS_MASK_NONE}, causal = self;
    causal.mask = LS_MASK_CAUSAL;
    LsAttention all = {.heads = 2, .kv_heads = 1, .mask = LS_MASK_CAUSAL};
    refuse_how(LS_TRAIN, all, (int64_t[]){2, 2, 24}, NULL, false, "are the newest of the tokens of kv (2, 2, 24)");
    refuse_how(LS_TRAIN, all, (int64_t[]){2, 5, 24}, (int64_t[]){2}, false, "without lengths");
    refuse_how(LS_TRAIN, self, (int64_t[]){2, 5, 13}, NULL, false, "q (2, 3, 24) and kv (2, 5, 13) must be");
    refuse_how(LS_TRAIN, self, (int64_t[]){3, 5, 12}, NULL, false, "q (2, 3, 24) and kv (3, 5, 12) must be");
    refuse_how(LS_TRAIN, self, NULL, (int64_t[]){3}, false, "lengths (3) must be (2) of LS_I32");
    refuse_how(LS_DECODE, self, NULL, NULL, true, "a cache is for a causal mask");
    refuse_how(LS_DECODE, causal, NULL, (int64_t[]){2}, true, "no lengths");
}

/* ---- Long sequences, threads ------------------------------------------------------------------------------------- */

static Setup plain_attention(bool reference, int64_t b, int64_t t, int64_t heads, int64_t kv, int64_t size)
{
    Setup s = setup_new(LS_TRAIN, reference, 3, (int64_t[]){b, t, (heads + 2 * kv) * size});
    setup_plan(&s, causal(s.g, s.x, NULL, NULL, heads, kv));
    for (int64_t i = 0; i < s.x->count; i++)
        ((float *)s.x->data)[i] = ls_normal_at(8, 0, (uint64_t)i);
    return s;
}

static void test_long(void)
{
    Setup fast = plain_attention(false, 1, 2048, 1, 1, 8), plain = plain_attention(true, 1, 2048, 1, 1, 8);
    forward_backward(&fast);
    forward_backward(&plain);
    ASSERT_AT_MOST(fixture_difference(named(&fast, "y")->data, named(&plain, "y")->data, 2048 * 8), 2e-6);
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
    ASSERT_AT_MOST(fixture_difference(named(&fast, "y")->data, named(&plain, "y")->data, 300 * 8), 1e-4);
    for (int64_t i = 0; i < fast.x->count; i++)
        CU_ASSERT(isfinite(((float *)fast.x->grad)[i]));
    setup_free(&fast);
    setup_free(&plain);
}

/* 700 queries are three query blocks and three ranges of backward, the smallest number that is more than the threads of
 * any run here. */
static void test_threads(void)
{
    const Masked shapes[] = {{1, 700, 0, 2, 1, 20, LS_MASK_CAUSAL, NULL},
                             {3, 90, 0, 6, 2, 20, LS_MASK_CAUSAL, NULL},
                             {1, 1100, 0, 1, 1, 20, LS_MASK_CAUSAL, NULL},
                             {1, 700, 0, 2, 1, 20, LS_MASK_NONE, NULL},
                             {2, 700, 0, 1, 1, 8, LS_MASK_NONE, (int32_t[]){690, 300}},
                             {1, 700, 200, 2, 1, 20, LS_MASK_NONE, (int32_t[]){170}}};
    int keep = ls_threads();
    for (size_t i = 0; i < LS_COUNT_OF(shapes); i++) {
        Setup one = {0};
        for (int threads = 1; threads <= 7; threads += 2) {
            ls_set_threads(threads);
            Setup s = masked_setup(LS_TRAIN, &shapes[i]);
            forward_backward(&s);
            if (threads == 1) {
                one = s;
                continue;
            }
            CU_ASSERT_EQUAL(
                memcmp(named(&s, "y")->data, named(&one, "y")->data, (size_t)named(&s, "y")->count * sizeof(float)), 0);
            CU_ASSERT_EQUAL(memcmp(s.x->grad, one.x->grad, (size_t)s.x->count * sizeof(float)), 0);
            if (shapes[i].keys)
                CU_ASSERT_EQUAL(memcmp(named(&s, "kv")->grad, named(&one, "kv")->grad,
                                       (size_t)named(&s, "kv")->count * sizeof(float)),
                                0);
            setup_free(&s);
        }
        setup_free(&one);
    }
    ls_set_threads(keep);
}

/* Several query blocks and parts in double, against central differences. */
static bool build_long(LsGraph *g, const void *self)
{
    const LsAttention *how = self;
    LsTensor *qkv = ls_case_input(g, "qkv", LS_REAL, -1, 1, 3, (int64_t[]){1, 540, (how->heads + 2) * 2});
    ls_attention(g, qkv, how);
    return true;
}

static void test_long_gradient(void)
{
    for (int which = 0; which < 4; which++) {
        LsAttention how = {
            .heads = which & 1 ? 3 : 1, .kv_heads = 1, .mask = which & 2 ? LS_MASK_CAUSAL : LS_MASK_NONE};
        ASSERT_OK(ls_check_gradient(&(LsSubject){.build = build_long, .self = &how, .name = "long attention"}, 12));
    }
}

int main(void)
{
    return harness_run("attention", (HarnessTest[]){{"PyTorch's results and gradients", test_pytorch},
                                                    {"PyTorch's masks, lengths, cross-attention", test_masks_pytorch},
                                                    {"tokens past the lengths are not read", test_padding_is_unread},
                                                    {"full lengths are no lengths", test_full_lengths},
                                                    {"lengths that cannot be", test_lengths_errors},
                                                    {"an encoder's keys while decoding", test_cross_decoding},
                                                    {"pieces on a cache equal the whole", test_cache},
                                                    {"the end of the cache", test_cache_errors},
                                                    {"shapes that do not fit", test_shapes},
                                                    {"options that do not go together", test_combinations},
                                                    {"2,048 tokens against plain", test_long},
                                                    {"scores far apart", test_extreme},
                                                    {"the same bits for any number of threads", test_threads},
                                                    {"gradient over several blocks", test_long_gradient},
                                                    {0}});
}
