/* Recomputation: the same bits as without, for every op, every model and random graphs, with NaN in
 * everything that must be written; limits are kept; what deep chains take. Likewise where no op does another's work. */
#include "harness.h"
#include "config/config.h"
#include "graph/check.h"
#include "graph/graph_internal.h"
#include "machine/memory_limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A graph with its own parameters; leaves filled by name. */
typedef struct Trial {
    LsParams *params;
    LsGraph *g;
    float *grads; /* (total) */
    float *loss;  /* (losses) */
    int64_t losses;
} Trial;

static void trial_free(Trial *t)
{
    ls_graph_free(t->g);
    ls_params_free(t->params);
    ls_free(t->grads);
    ls_free(t->loss);
    *t = (Trial){0};
}

static LsStatus trial_new(Trial *t, bool (*build)(LsGraph *g, const void *self), const void *self,
                          LsGraphOptions options)
{
    options.mode = LS_TRAIN;
    *t = (Trial){.params = ls_params_new()};
    t->g = ls_graph_new(t->params, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t->g);
    CU_ASSERT_FATAL(build(t->g, self));
    return ls_graph_plan_dry(t->g);
}

static void fill_leaves(LsGraph *g)
{
    for (int i = 0; i < g->tensors; i++) {
        LsTensor *x = g->tensor[i];
        const LsTensorPlan *plan = &g->tensor_plan[i];
        uint64_t key = ls_key(7, x->name);
        float *value = ls_alloc_array(x->count, sizeof *value);
        for (int64_t j = 0; j < x->count; j++) {
            value[j] = (float)(plan->low + (plan->high - plan->low) * (double)ls_uniform_at(key, 0, (uint64_t)j));
            if (x->role == LS_ROLE_INPUT && x->dtype == LS_I32)
                ((int32_t *)x->data)[j] = (int32_t)value[j];
        }
        if ((x->role == LS_ROLE_INPUT && x->dtype != LS_I32) || (x->role == LS_ROLE_CARRY && x->end))
            ls_tensor_set(g, x, value);
        ls_free(value);
    }
}

/* Two micro-batches, the second added to the first; then a new step, so that what a backward left behind would show. */
static void run_trial(Trial *t)
{
    ASSERT_OK(ls_params_allocate(t->params, 9, true));
    ASSERT_OK(ls_graph_bind(t->g));
    const LsTensor *loss = ls_graph_find(t->g, "loss");
    t->losses = loss->count;
    t->loss = ls_alloc_array(loss->count, sizeof *t->loss);
    for (int step = 0; step < 2; step++)
        for (int micro = 0; micro < 2; micro++) {
            LsRun run = {.seed = 5, .step = step, .sample = 8 * micro, .training = true};
            fill_leaves(t->g);
            ASSERT_OK(ls_graph_forward(t->g, &run));
            ls_tensor_get(t->g, loss, t->loss);
            ASSERT_OK(ls_graph_backward(t->g, &run, 0.5, micro > 0, NULL));
        }
    t->grads = ls_alloc_array(t->params->total, sizeof *t->grads);
    memcpy(t->grads, t->params->grad, sizeof *t->grads * (size_t)t->params->total);
}

/* Compares the amounts that running values are to move by. */
static bool same_moves(const Trial *a, const Trial *b)
{
    const LsParams *x = a->params->running, *y = b->params->running;
    return !x || memcmp(x->grad, y->grad, sizeof *x->grad * (size_t)x->total) == 0;
}

static bool same(const Trial *a, const Trial *b)
{
    return a->losses == b->losses && memcmp(a->loss, b->loss, sizeof *a->loss * (size_t)a->losses) == 0 &&
           a->params->total == b->params->total &&
           memcmp(a->grads, b->grads, sizeof *a->grads * (size_t)a->params->total) == 0 && same_moves(a, b);
}

/* The plain plan against dropping everything, and against limits from nearly all of it down to what can no longer be
 * kept to. Returns how many limits were kept to by making something again. */
static int compare(const char *name, bool (*build)(LsGraph *g, const void *self), const void *self)
{
    Trial plain, other;
    int kept = 0;
    ASSERT_OK(trial_new(&plain, build, self, (LsGraphOptions){.poison = true}));
    run_trial(&plain);
    ASSERT_OK(trial_new(&other, build, self, (LsGraphOptions){.poison = true, .recompute_all = true}));
    run_trial(&other);
    if (!same(&plain, &other))
        fprintf(stderr, "%s: other bits where everything is made again\n", name);
    CU_ASSERT(same(&plain, &other));
    trial_free(&other);
    ASSERT_OK(trial_new(&other, build, self, (LsGraphOptions){.poison = true, .no_fusion = true}));
    run_trial(&other);
    if (!same(&plain, &other))
        fprintf(stderr, "%s: other bits where no op does another's work\n", name);
    CU_ASSERT(same(&plain, &other));
    trial_free(&other);
    for (int64_t limit = plain.g->arena_bytes - LS_ALIGN; limit > 0; limit = limit * 7 / 8 - LS_ALIGN) {
        LsStatus status = trial_new(&other, build, self, (LsGraphOptions){.poison = true, .arena_limit = limit});
        if (status == LS_OK) {
            CU_ASSERT(other.g->arena_bytes <= limit && other.g->recomputes > 0);
            run_trial(&other);
            if (!same(&plain, &other))
                fprintf(stderr, "%s: other bits in %lld of %lld bytes\n", name, (long long)limit,
                        (long long)plain.g->arena_bytes);
            CU_ASSERT(same(&plain, &other));
            kept++;
        } else
            CU_ASSERT_EQUAL(status, LS_RESOURCE);
        trial_free(&other);
        if (status != LS_OK)
            break;
    }
    trial_free(&plain);
    return kept;
}

/* ---- Models ---- */

typedef struct Variant {
    const char *model;
    const char *settings[10]; /* "name=value" */
} Variant;

static const Variant variants[] = {
    {"gpt", {"layers=4", "width=16", "heads=2", "dropout=0.2"}},
    {"gpt",
     {"layers=3", "width=12", "heads=3", "norm=rms", "activation=swiglu", "position=rotary", "kv_heads=1", "bias=false",
      "dropout=0.1", "tied=false"}},
    {"mamba", {"layers=4", "width=8", "state=3", "rank=2"}},
    {"mamba2", {"layers=6", "width=64", "state=3", "head_dim=16"}}, /* beside it a scan's room is small */
    {"rwkv4", {"layers=4", "width=8"}},
    {"rwkv7",
     {"layers=3", "width=8", "head=4", "hidden=16", "decay_rank=2", "rate_rank=2", "value_rank=2", "gate_rank=2"}},
};

static bool build_model(LsGraph *g, const void *self)
{
    const Variant *variant = self;
    const LsModel *model = ls_model_find(variant->model);
    void *config = ls_alloc(model->config_bytes);
    const char *small[] = {"vocabulary=11", "context=16"};
    ASSERT_OK(ls_settings_defaults(model->settings, config));
    for (size_t i = 0; i < LS_COUNT_OF(small) + LS_COUNT_OF(variant->settings); i++) {
        char name[64];
        const char *assignment = i < LS_COUNT_OF(small) ? small[i] : variant->settings[i - LS_COUNT_OF(small)];
        if (!assignment)
            break;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(assignment, "="), assignment);
        ASSERT_OK(ls_settings_set(model->settings, config, name, strchr(assignment, '=') + 1));
    }
    ls_task_build(g, model, config, ls_task_find("language"), NULL, &(LsShape){4, 13, LS_WANT_LOSS});
    ls_case_range(g, ls_graph_find(g, "ids"), 0, 11);
    ls_case_range(g, ls_graph_find(g, "targets"), 0, 11);
    ls_settings_free(model->settings, config);
    ls_free(config);
    return true;
}

static void test_models(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(variants); i++)
        CU_ASSERT(compare(variants[i].model, build_model, &variants[i]) >= 4);
}

static void run_once(Trial *t)
{
    LsRun run = {.seed = 5, .training = true};
    ASSERT_OK(ls_params_allocate(t->params, 9, true));
    ASSERT_OK(ls_graph_bind(t->g));
    fill_leaves(t->g);
    ASSERT_OK(ls_graph_forward(t->g, &run));
    ASSERT_OK(ls_graph_backward(t->g, &run, 1, false, NULL));
}

/* Forward may leave its part of a gradient in the gradient itself: less memory, the same bits. */
static void test_single_pass(void)
{
    for (size_t i = 0; i < LS_COUNT_OF(variants); i++) {
        Trial plain, single;
        ASSERT_OK(trial_new(&plain, build_model, &variants[i], (LsGraphOptions){.poison = true}));
        ASSERT_OK(trial_new(&single, build_model, &variants[i], (LsGraphOptions){.poison = true, .single_pass = true}));
        int early = 0;
        for (int k = 0; k < single.g->tensors; k++)
            early += single.g->tensor_plan[k].aliases_grad_of != NULL;
        CU_ASSERT(early > 0 && single.g->arena_bytes <= plain.g->arena_bytes);
        run_once(&plain);
        run_once(&single);
        CU_ASSERT_EQUAL(memcmp(plain.params->grad, single.params->grad, sizeof(float) * (size_t)plain.params->total),
                        0);
        ASSERT_FAILS(ls_graph_backward(single.g, &(LsRun){.training = true}, 1, true, NULL), LS_ERROR, "single passes");
        trial_free(&plain);
        trial_free(&single);
    }
}

/* ---- Every case of every op ---- */

/* The node's result is read by an op that keeps it for backward, so that it must be recomputed. */
static bool build_case(LsGraph *g, const void *self)
{
    const LsSubject *subject = self;
    if (!subject->build(g, subject->self) || g->failed || g->nodes == 0)
        return false;
    LsNode *node = g->node[g->nodes - 1];
    for (int i = 0; i < node->outputs; i++)
        if (node->out[i]->needs_grad && node->out[i]->dtype == LS_REAL)
            ls_output(g, "loss", ls_silu(g, node->out[i]));
    if (g->outputs == 0)
        ls_output(g, "loss", node->out[0]); /* a loss itself is made once */
    return true;
}

static void test_ops(void)
{
    int cases = 0;
    for (const LsOp *const *op = ls_op_table(LS_FLOAT32, LS_ISA_BASELINE); *op; op++) {
        LsOpCase self;
        LsSubject subject;
        for (int which = 0; ls_subject_of_case(*op, which, &self, &subject); which++) {
            LsParams *params = ls_params_new();
            LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
            subject.build(g, subject.self);
            bool trains = !g->failed && params->count > 0; /* others have no gradient to compare */
            ls_graph_free(g);
            ls_params_free(params);
            if (trains)
                compare(subject.name, build_case, &subject);
            cases += trains;
        }
    }
    CU_ASSERT(cases > 20);
}

/* ---- Random graphs ---- */

#define B 2
#define T 5
#define C 8
#define MOST 40

static uint32_t draw(uint64_t seed, int at, uint32_t below)
{
    uint32_t block[4];
    ls_philox(seed, 0, (uint64_t)at, block);
    return block[0] % below;
}

static LsTensor *parameter(LsGraph *g, const char *name, int64_t rows, int64_t columns)
{
    int64_t dim[] = {rows, columns};
    return columns ? ls_param(g, name, ls_init_normal(0.4), 2, dim) : ls_param(g, name, ls_init_normal(0.4), 1, dim);
}

/* x, y: (B, T, C) made before -> another one */
static LsTensor *random_node(LsGraph *g, uint32_t kind, uint32_t option, LsTensor *x, LsTensor *y)
{
    switch (kind) {
    case 0:
        return ls_add(g, x, y);
    case 1:
        return ls_mul(g, x, y);
    case 2:
        return ls_linear(g, x, parameter(g, "w", C, C), option % 2 ? parameter(g, "b", C, 0) : NULL,
                         (LsActivation)(option % 5));
    case 3:
        return ls_layer_norm(g, x, ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE, 1, (int64_t[]){C}), NULL,
                             1e-5);
    case 4:
        return option % 2 ? ls_tanh(g, x) : ls_relu(g, x);
    case 5:
        return option % 2 ? ls_silu(g, x) : ls_sigmoid(g, x);
    case 6:
        return ls_dropout(g, x, 0.3);
    case 7:
        return ls_attention(g, ls_linear(g, x, parameter(g, "qkv", 3 * C, C), NULL, LS_NO_ACTIVATION),
                            &(LsAttention){.heads = 2, .mask = option % 2 ? LS_MASK_NONE : LS_MASK_CAUSAL});
    case 8:
        return ls_swiglu(g, x, y);
    default: {
        LsTensor *half =
            ls_split(g, ls_linear(g, x, parameter(g, "in", 2 * C, C), NULL, LS_SILU), 2, (int64_t[]){C, C});
        return ls_mul(g, half, ls_tensor_sibling(half, 1));
    }
    }
}

static bool build_random(LsGraph *g, const void *self)
{
    uint64_t seed = *(const uint64_t *)self;
    LsTensor *made[MOST + 1];
    int nodes = 5 + (int)draw(seed, 0, MOST - 5), at = 1;
    made[0] = ls_case_range(g, ls_input(g, "x", LS_REAL, 3, (int64_t[]){B, T, C}), -1, 1);
    LsTensor *targets = ls_case_range(g, ls_input(g, "targets", LS_I32, 2, (int64_t[]){B, T}), 0, C);
    made[0] = ls_linear(g, made[0], parameter(g, "first", C, C), NULL, LS_NO_ACTIVATION);
    for (int i = 1; i <= nodes; i++) {
        int back = i < 4 ? i : 4; /* mostly near, at times far: short and long lives */
        int x = i - 1 - (int)draw(seed, at++, (uint32_t)back), y = (int)draw(seed, at++, (uint32_t)i);
        ls_push(g, "node.%d", i);
        made[i] = random_node(g, draw(seed, at, 10), draw(seed, at + 1, 10), made[x], made[y]);
        at += 2;
        ls_pop(g);
    }
    LsTensor *sum = ls_add(g, made[nodes], made[nodes / 2]);
    ls_output(g, "loss", ls_head_cross_entropy(g, sum, parameter(g, "head", C, C), NULL, targets, 0, 0));
    return true;
}

static void test_random(void)
{
    const char *given = getenv("SEED");
    uint64_t first = given ? strtoull(given, NULL, 10) : 1, last = given ? first : harness_repeats() ? 20 : 60;
    int kept = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        char name[64];
        snprintf(name, sizeof name, "random graph, SEED=%llu", (unsigned long long)seed);
        kept += compare(name, build_random, &seed);
    }
    CU_ASSERT(given || kept > (int)last);
}

/* ---- Deep chains ---- */

static bool build_chain(LsGraph *g, const void *self)
{
    LsTensor *x = ls_input(g, "x", LS_REAL, 2, (int64_t[]){4, 1024});
    ls_case_range(g, x, -1, 1);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE, 1, (int64_t[]){1024});
    for (int i = 0; i < *(const int *)self; i++)
        x = ls_tanh(g, ls_rms_norm(g, x, scale, 1e-5));
    ls_output(g, "loss", x);
    return true;
}

/* The least limit that can be kept to, within 2 %; *share gets what is made again. */
static int64_t least(int depth, double *share)
{
    int64_t low = 0, high = 0;
    for (bool first = true; first || (double)high > 1.02 * (double)low; first = false) {
        Trial t;
        int64_t limit = (low + high) / 2;
        LsStatus status = trial_new(&t, build_chain, &depth, (LsGraphOptions){.arena_limit = limit});
        if (status == LS_OK) {
            high = t.g->arena_bytes;
            *share = ls_graph_recomputed(t.g).share;
        } else
            low = limit;
        trial_free(&t);
    }
    return high;
}

/* 16 times the depth takes about 4 times the memory, for one more forward at most. */
static void test_chain(void)
{
    double share;
    int64_t shallow = least(32, &share), deep = least(512, &share);
    CU_ASSERT(deep < 6 * shallow);
    CU_ASSERT(share > 0.5 && share <= 1);
    int depth = 48;
    CU_ASSERT(compare("chain", build_chain, &depth) >= 4);
}

static void test_refused(void)
{
    Trial t;
    int depth = 8;
    ASSERT_FAILS(trial_new(&t, build_chain, &depth, (LsGraphOptions){.arena_limit = LS_ALIGN}), LS_RESOURCE,
                 "MiB at least");
    trial_free(&t);
}

/* ---- What the machine allows ---- */

static void write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

/* The least of a group's and its parents' limits, in both versions; "max" and version 1's huge number are none. */
static void test_cgroup(void)
{
    char command[1200], path[512], membership[512];
    snprintf(command, sizeof command, "mkdir -p %s/a/b %s/memory/job", harness_folder(), harness_folder());
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    snprintf(membership, sizeof membership, "%s/membership", harness_folder());
    write(membership, "9:name=systemd:/x\n0::/a/b\n");
    CU_ASSERT_EQUAL(ls_cgroup_limit(membership, harness_folder()), 0);
    snprintf(path, sizeof path, "%s/a/b/memory.max", harness_folder());
    write(path, "max\n");
    CU_ASSERT_EQUAL(ls_cgroup_limit(membership, harness_folder()), 0);
    snprintf(path, sizeof path, "%s/a/memory.max", harness_folder());
    write(path, "3000000\n");
    CU_ASSERT_EQUAL(ls_cgroup_limit(membership, harness_folder()), 3000000);
    snprintf(path, sizeof path, "%s/memory/job/memory.limit_in_bytes", harness_folder());
    write(membership, "4:memory:/job\n");
    write(path, "9223372036854771712\n");
    CU_ASSERT_EQUAL(ls_cgroup_limit(membership, harness_folder()), 0);
    write(path, "2000000\n");
    CU_ASSERT_EQUAL(ls_cgroup_limit(membership, harness_folder()), 2000000);
    CU_ASSERT_EQUAL(ls_cgroup_limit("/nowhere", harness_folder()), 0);
    unsetenv("SLURM_MEM_PER_NODE");
    setenv("SLURM_MEM_PER_CPU", "512", 1);
    setenv("SLURM_CPUS_ON_NODE", "4", 1);
    CU_ASSERT_EQUAL(ls_slurm_limit(), (int64_t)2 << 30);
    setenv("SLURM_MEM_PER_NODE", "100", 1);
    CU_ASSERT_EQUAL(ls_slurm_limit(), (int64_t)100 << 20);
    CU_ASSERT(ls_memory_limit(0).bytes <= (int64_t)100 << 20);
    unsetenv("SLURM_MEM_PER_NODE");
    unsetenv("SLURM_MEM_PER_CPU");
    unsetenv("SLURM_CPUS_ON_NODE");
    CU_ASSERT_EQUAL(ls_slurm_limit(), 0);
    CU_ASSERT(ls_memory_limit(0).bytes > 0);
}

int main(void)
{
    return harness_run("recompute", (HarnessTest[]){{"models", test_models},
                                                    {"single passes", test_single_pass},
                                                    {"every case of every op", test_ops},
                                                    {"random graphs", test_random},
                                                    {harness_repeats() ? NULL : "deep chains", test_chain},
                                                    {"refused", test_refused},
                                                    {"control groups and SLURM", test_cgroup},
                                                    {0}});
}
