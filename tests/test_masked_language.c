/* The task masked_language: which tokens are hidden, and by what; and which models it takes. */
#include "harness.h"
#include "config/config.h"
#include "lockstep/task.h"

#include <string.h>

enum { B = 60, T = 50, CLASSES = 1000, MASK = 999 };

typedef struct Subject {
    LsConfig *config;
    LsParams *params;
    LsGraph *g;
    LsSource source;
} Subject;

static Subject subject_new(const char *fields)
{
    Subject s = {.params = ls_params_new(),
                 .config = ls_config_parse("masked",
                                           "model: {kind: bert, vocabulary: 1000, context: 50, layers: 1, heads: 1, "
                                           "width: 4}\ntask: {kind: masked_language, mask: 999}",
                                           0, NULL)};
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.config);
    ASSERT_OK(ls_fields_parse(fields, &s.source.fields));
    ASSERT_OK(ls_config_set_fields(s.config, &s.source.fields));
    s.g = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_TRAIN});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.g);
    ls_config_build(s.config, s.g, B, T, LS_WANT_LOSS);
    ASSERT_OK(ls_params_allocate(s.params, 3, true));
    ASSERT_OK(ls_graph_plan(s.g));
    return s;
}

static void subject_free(Subject *s)
{
    ls_graph_free(s->g);
    ls_params_free(s->params);
    ls_config_free(s->config);
}

/* Token t of sample n before anything is hidden; never the mask. */
static int32_t token(int64_t n, int64_t t) { return (int32_t)((7 * n + 13 * t) % 997); }

static void prepare(Subject *s, int64_t first, int64_t count, uint64_t seed)
{
    int32_t *ids = ls_graph_find(s->g, "ids")->data;
    for (int64_t i = 0; i < B * T; i++)
        ids[i] = token(first + i / T, i % T);
    const LsTask *task = ls_config_task(s->config);
    ASSERT_OK(task->prepare(&(LsFilled){s->g, s->config->task_config, &s->source, {first, count, 0}, seed}));
}

static void test_shares(void)
{
    Subject s = subject_new("ids T of 1000");
    prepare(&s, 40, B - 1, 5);
    const int32_t *ids = ls_graph_find(s.g, "ids")->data, *targets = ls_graph_find(s.g, "targets")->data;
    int masks = 0, others = 0, kept = 0;
    for (int64_t b = 0; b < B; b++) {
        int chosen = 0;
        for (int64_t t = 0; t < T; t++) {
            int32_t id = ids[b * T + t], target = targets[b * T + t], before = token(40 + b, t);
            CU_ASSERT(target == LS_IGNORE ? id == before : target == before);
            chosen += target != LS_IGNORE;
            masks += target != LS_IGNORE && id == MASK;
            kept += target != LS_IGNORE && id == before;
            others += target != LS_IGNORE && id != before && id != MASK;
            CU_ASSERT(id >= 0 && id < CLASSES);
        }
        CU_ASSERT_EQUAL(chosen, b < B - 1 ? 8 : 0); /* 0.15 of 50; the last row is no sample */
    }
    CU_ASSERT(masks > 0.74 * 8 * (B - 1) && masks < 0.86 * 8 * (B - 1));
    CU_ASSERT(others > 0.06 * 8 * (B - 1) && others < 0.14 * 8 * (B - 1));
    CU_ASSERT(kept > 0.06 * 8 * (B - 1) && kept < 0.14 * 8 * (B - 1));
    CU_ASSERT_EQUAL(ls_config_task(s.config)->targets(s.g, B), 8 * (B - 1));
    subject_free(&s);
}

/* A sample's hidden tokens depend on the seed and its number alone, not on the batch that it is in. */
static void test_function_of_sample(void)
{
    static int32_t first[B * T], later[B * T];
    Subject s = subject_new("ids T of 1000");
    LsTensor *ids = ls_graph_find(s.g, "ids");
    prepare(&s, 0, B, 5);
    memcpy(first, ids->data, sizeof first);
    prepare(&s, 10, B, 5);
    memcpy(later, ids->data, sizeof later);
    CU_ASSERT_EQUAL(memcmp(first + 10 * T, later, sizeof(int32_t) * (B - 10) * T), 0);
    prepare(&s, 0, B, 6);
    CU_ASSERT(memcmp(first, ids->data, sizeof first) != 0);
    int same = 0; /* places hidden in sample 0 and in sample 1 alike */
    for (int t = 0; t < T; t++)
        same += (first[t] != token(0, t)) && (first[T + t] != token(1, t));
    CU_ASSERT(same < 6);
    subject_free(&s);
}

/* Padding is never chosen; a text of one token has one to say. */
static void test_lengths(void)
{
    Subject s = subject_new("ids T of 1000, length int");
    int32_t *length = ls_graph_find(s.g, "length")->data;
    for (int b = 0; b < B; b++)
        length[b] = 1 + b % T;
    prepare(&s, 0, B, 1);
    const int32_t *targets = ls_graph_find(s.g, "targets")->data;
    for (int b = 0; b < B; b++) {
        int chosen = 0;
        for (int t = 0; t < T; t++) {
            chosen += targets[b * T + t] != LS_IGNORE;
            CU_ASSERT(t < length[b] || targets[b * T + t] == LS_IGNORE);
        }
        int expected = (int)(0.15 * length[b] + 0.5);
        CU_ASSERT_EQUAL(chosen, expected < 1 ? 1 : expected);
    }
    subject_free(&s);
}

/* Models of the next token do not say hidden ones, nor the other way round. */
static void test_models(void)
{
    static const struct {
        const char *yaml;
        bool fits;
    } list[] = {{"model: {kind: gpt, vocabulary: 9, width: 12, heads: 3}\ntask: {kind: masked_language}", false},
                {"model: {kind: bert, vocabulary: 9, width: 12, heads: 3}\ntask: {kind: language}", false},
                {"model: {kind: bert, vocabulary: 9, width: 12, heads: 3}\ntask: {kind: masked_language}", true}};
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        LsConfig *config = ls_config_parse("fits", list[i].yaml, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        LsParams *params = ls_params_new();
        LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN});
        ls_config_build(config, g, 2, 7, LS_WANT_LOSS);
        LsStatus status = ls_graph_plan_dry(g);
        CU_ASSERT_EQUAL(status == LS_OK, list[i].fits);
        ls_graph_free(g);
        ls_params_free(params);
        ls_config_free(config);
    }
}

int main(void)
{
    return harness_run("masked_language", (HarnessTest[]){{"shares of masks, other ids and the same", test_shares},
                                                          {"a function of seed and sample", test_function_of_sample},
                                                          {"lengths", test_lengths},
                                                          {"models", test_models},
                                                          {0}});
}
