/* Longformer against transformers' and against dense masks in PyTorch (tests/fixtures/longformer.py); windows as wide
 * as the sequence; and that its memory grows with the length alone. */
#include "encoder_fixture.h"
#include "linear_memory.h"
#include "lockstep/relative.h"

enum { B = 3, T = 14, MOST_GLOBAL = 3 };

static const LsRun run = {.seed = 1, .training = true};

/* ---- The op ------------------------------------------------------------------------------------------------------ */

typedef struct Case {
    int64_t b, t, heads, size, side, dilation, dilated, globals;
    bool given; /* the global tokens are those of `global`; else the first */
    int32_t global[2 * MOST_GLOBAL];
} Case;

typedef struct Setup {
    LsParams *params;
    LsGraph *g;
    LsTensor *x, *y;
} Setup;

/* side: tokens on each side; -1: full attention */
static Setup setup_new(const Case *c)
{
    Setup s = {.params = ls_params_new()};
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN, .grad_inputs = true});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    s.x = ls_input(s.g, "x", LS_REAL, 3, (int64_t[]){c->b, c->t, 3 * c->heads * c->size});
    LsAttention how = {.heads = c->heads, .window = c->side + 1, .dilation = c->dilation, .dilated_heads = c->dilated};
    if (c->given)
        how.global = ls_input(s.g, "global", LS_I32, 2, (int64_t[]){c->b, c->globals});
    else
        how.globals = c->globals;
    s.y = ls_attention(s.g, s.x, &how);
    ls_output(s.g, "y", s.y);
    ls_output(s.g, "loss", ls_mul(s.g, s.y, ls_input(s.g, "r", LS_REAL, 3, s.y->dim)));
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_OK(ls_graph_plan(s.g));
    LsTensor *r = ls_graph_find(s.g, "r");
    fixture_fill(s.x->data, s.x->count, 1);
    fixture_fill(r->data, r->count, 2);
    if (c->given)
        memcpy(how.global->data, c->global, sizeof(int32_t) * (size_t)(c->b * c->globals));
    ASSERT_OK(ls_graph_forward(s.g, &run));
    ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
    return s;
}

static void setup_free(Setup *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
}

/* ---- The model --------------------------------------------------------------------------------------------------- */

static const int32_t lengths[B] = {14, 9, 1}, places[2 * B] = {0, 11, 3, -1, 0, 0};

static Encoder longformer_new(const char *fields)
{
    Encoder e = encoder_new("model: {kind: longformer, vocabulary: 11, context: 16, layers: 2, heads: 3, width: 12, "
                            "hidden: 20, dropout: 0, epsilon: 1e-5, window: '4,8'}",
                            fields, B, T, lengths);
    LsTensor *global = ls_graph_find(e.g, "global");
    if (global)
        memcpy(global->data, places, sizeof places);
    return e;
}

static void test_others(void)
{
    static const char *const first[] = {"token_embedding", "position_embedding", "type_embedding",
                                        "norm.scale",      "norm.bias",          NULL};
    static const char *const each[] = {"attention.qkv.weight",
                                       "attention.qkv.bias",
                                       "attention.global_query.weight",
                                       "attention.global_query.bias",
                                       "attention.global_key_value.weight",
                                       "attention.global_key_value.bias",
                                       "attention.out.weight",
                                       "attention.out.bias",
                                       "norm_1.scale",
                                       "norm_1.bias",
                                       "mlp.in.weight",
                                       "mlp.in.bias",
                                       "mlp.out.weight",
                                       "mlp.out.bias",
                                       "norm_2.scale",
                                       "norm_2.bias",
                                       NULL};
    static const Case cases[] = {{2, 70, 2, 6, 9, 1, 0, 0},
                                 {1, 150, 4, 17, 5, 3, 2, 0},
                                 {2, 90, 3, 8, 4, 2, 1, 3},
                                 {2, 75, 4, 5, 3, 4, 3, 3, true, {70, -1, 7, 31, 31, -2}}};
    FILE *file = fopen(TESTS_FOLDER "/fixtures/longformer.bin", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        char name[32];
        snprintf(name, sizeof name, "case %zu", i);
        Setup s = setup_new(&cases[i]);
        fixture_expect(file, s.y->data, s.y->count, 5e-6, name);
        fixture_expect(file, s.x->grad, s.x->count, 5e-6, name);
        setup_free(&s);
    }
    Encoder e = longformer_new("ids T of 11, length int, types T of 2, global 2 of 14");
    encoder_compare(&e, &(EncoderNames){first, each}, file, 1e-4);
    encoder_free(&e);
    CU_ASSERT_EQUAL(fgetc(file), EOF);
    fclose(file);
}

static void test_padding(void)
{
    Encoder one = longformer_new("ids T of 11, length int"), other = longformer_new("ids T of 11, length int");
    encoder_check_padding(&one, &other);
}

/* ---- What follows from the definition ---------------------------------------------------------------------------- */

static double difference(const float *x, const float *y, int64_t count)
{
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)x[i] - (double)y[i]);
        largest = fmax(largest, fabs((double)y[i]));
        worst = d <= worst ? worst : d;
    }
    return worst / largest;
}

/* A window as wide as the sequence is full attention, whatever tokens are global besides. */
static void test_wide_window(void)
{
    static const Case full = {2, 150, 2, 12, -1, 0, 0, 0};
    Case wide[] = {full, full, full};
    wide[0].side = wide[1].side = full.t - 1;
    wide[1].globals = 5;
    wide[2].globals = full.t; /* all are global */
    wide[2].side = 3;
    Setup a = setup_new(&full);
    for (size_t i = 0; i < LS_COUNT_OF(wide); i++) {
        Setup b = setup_new(&wide[i]);
        ASSERT_AT_MOST(difference(b.y->data, a.y->data, a.y->count), 2e-6);
        ASSERT_AT_MOST(difference(b.x->grad, a.x->grad, a.x->count), 2e-6);
        setup_free(&b);
    }
    setup_free(&a);
}

/* Keys out of everybody's window are not looked at: NaN there would show. With global tokens among them it does. */
static void test_hidden_blocks(void)
{
    Case c = {1, 2000, 2, 8, 100, 1, 0, 0};
    for (int global = 0; global < 2; global++) {
        c.globals = global;
        Setup s = setup_new(&c);
        float *x = s.x->data, *y = s.y->data;
        int64_t row = s.x->dim[2], out = s.y->dim[2], spoiled = 0;
        for (int64_t i = out; i < row; i++)
            x[i] = NAN;
        ASSERT_OK(ls_graph_forward(s.g, &run));
        ASSERT_OK(ls_graph_backward(s.g, &run, 1, false, NULL));
        CU_ASSERT(isnan(y[0]));
        for (int64_t t = 512; t < c.t; t++)
            for (int64_t i = 0; i < out; i++)
                spoiled += !isfinite(y[t * out + i]) + !isfinite(((float *)s.x->grad)[t * row + i]);
        CU_ASSERT_EQUAL(spoiled, global ? 2 * (c.t - 512) * out : 0);
        setup_free(&s);
    }
}

/* Gaps, global tokens, several ranges of queries: sums are added in one order. */
static void test_threads(void)
{
    static const Case cases[] = {{1, 700, 2, 8, 20, 1, 0, 0},
                                 {1, 1500, 2, 8, 20, 3, 1, 70},
                                 {2, 300, 3, 5, 7, 2, 2, 3, true, {250, -1, 7, 31, 31, 299}}};
    int keep = ls_threads();
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        ls_set_threads(1);
        Setup one = setup_new(&cases[i]);
        for (int threads = 2; threads <= 5; threads += 3) {
            ls_set_threads(threads);
            Setup s = setup_new(&cases[i]);
            CU_ASSERT_EQUAL(memcmp(s.y->data, one.y->data, (size_t)s.y->count * sizeof(float)), 0);
            CU_ASSERT_EQUAL(memcmp(s.x->grad, one.x->grad, (size_t)s.x->count * sizeof(float)), 0);
            setup_free(&s);
        }
        setup_free(&one);
    }
    ls_set_threads(keep);
}

static void test_memory(void)
{
    check_linear_memory("kind: longformer, window: 128");
    check_linear_memory("kind: longformer, window: 64, dilation: 3, dilated_heads: 1, global_tokens: 8");
}

/* A table of distances counts tokens one by one, and has no row for what lies anywhere. */
static void refuse_relative(LsAttention how)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    LsRelative relative = {.table = ls_input(g, "table", LS_REAL, 2, (int64_t[]){3, 2}), .first = -1};
    LsTensor *x = ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 4, 12});
    ls_output(g, "y", ls_relative_attention(g, x, &how, &relative));
    ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, "relative positions do not go with dilation or global tokens");
    ls_graph_free(g);
    ls_params_free(params);
}

static void test_refused(void)
{
    refuse_relative((LsAttention){.heads = 2, .window = 2, .dilation = 2, .dilated_heads = 1});
    refuse_relative((LsAttention){.heads = 2, .window = 2, .globals = 1});
    static const struct {
        LsAttention how;
        const char *message;
    } wrong[] = {{{.heads = 2, .dilation = 2, .dilated_heads = 1}, "for a window without a mask"},
                 {{.heads = 2, .globals = 1}, "for a window without a mask"},
                 {{.heads = 2, .window = 2, .mask = LS_MASK_CAUSAL, .globals = 1}, "for a window without a mask"},
                 {{.heads = 2, .window = 2, .dilation = 2, .dilated_heads = 3}, "3 of 2 heads"},
                 {{.heads = 2, .window = 2, .globals = 5}, "5 of 4 tokens cannot be global"}};
    for (size_t i = 0; i < LS_COUNT_OF(wrong); i++) {
        LsParams *params = ls_params_new();
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
        ls_output(g, "y", ls_attention(g, ls_input(g, "x", LS_REAL, 3, (int64_t[]){1, 4, 12}), &wrong[i].how));
        ASSERT_FAILS(ls_graph_plan(g), LS_USAGE, wrong[i].message);
        ls_graph_free(g);
        ls_params_free(params);
    }
    static const char *const settings[][2] = {{"window: 5", "model.window 5: even numbers"},
                                              {"window: '4,x'", "model.window 4,x"},
                                              {"window: '4,,4'", "model.window 4,,4"},
                                              {"dilation: 0", "model.dilation 0"},
                                              {"dilated_heads: 3", "model.dilated_heads 3 are more than model.heads 2"},
                                              {"position: nezha", "'nezha' is none of learned|sinusoidal|none"}};
    for (size_t i = 0; i < LS_COUNT_OF(settings); i++) {
        char yaml[160];
        snprintf(yaml, sizeof yaml, "model: {kind: longformer, layers: 3, width: 8, heads: 2, %s}", settings[i][0]);
        CU_ASSERT_PTR_NULL(ls_config_parse("wrong", yaml, 0, NULL));
        if (!strstr(ls_message(), settings[i][1]))
            fprintf(stderr, "%s: %s\n", settings[i][0], ls_message());
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), settings[i][1]));
    }
}

/* A token that is not there is said by name. */
static void test_no_such_token(void)
{
    Case c = {1, 20, 1, 4, 2, 1, 0, 1, true, {3}};
    Setup s = setup_new(&c);
    *(int32_t *)ls_graph_find(s.g, "global")->data = 20;
    ASSERT_FAILS(ls_graph_forward(s.g, &run), LS_DATA, "global token 20 of stream 0");
    setup_free(&s);
}

int main(void)
{
    return harness_run("longformer", (HarnessTest[]){{"numbers of transformers and of dense masks", test_others},
                                                     {"padding is not seen", test_padding},
                                                     {"a window as wide as the sequence", test_wide_window},
                                                     {"keys out of sight", test_hidden_blocks},
                                                     {"the same bits for any number of threads", test_threads},
                                                     {"memory grows with the length", test_memory},
                                                     {"settings that do not go together", test_refused},
                                                     {"a global token that is not there", test_no_such_token},
                                                     {0}});
}
