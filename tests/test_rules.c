/* Tasks made by rule: every one of the list, its answers worked out again from its questions; samples as a function of
 * (seed, split, number), in parts as at once, at any length; mistakes. */
#include "sample_files.h"

/* data: settings of a configuration. NULL with the message where it is refused. */
static LsSource *open_rule(const char *data, const char *split, uint64_t seed, LsConfig **config)
{
    char yaml[512];
    LsSource *source = NULL;
    snprintf(yaml, sizeof yaml,
             "model: {kind: rnn}\ntask: {kind: tagging}\ndata: {kind: generated, %s}\ntrain: {seed: %llu}\n", data,
             (unsigned long long)seed);
    *config = ls_config_parse("rule", yaml, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*config);
    if (ls_data_open_split(*config, split, ls_config_sequence(*config), 0, NULL, &source) != LS_OK)
        return NULL;
    CU_ASSERT_EQUAL(source->sequence, ls_config_sequence(*config) * (source->sequence > 0));
    return source;
}

/* One sample, from step `first` on, as many as the graph has. */
typedef struct Sample {
    int32_t ids[4096], tags[4096], label;
    float values[8192], target[64];
} Sample;

static void read_sample(LsSource *source, int64_t number, int64_t first, int64_t steps, Sample *s)
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    LsShape shape = {.batch = 2, .sequence = steps, .fields = &source->fields};
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    for (int i = 0; i < source->fields.count; i++)
        ls_shape_input(g, &shape, source->fields.list[i].name);
    ASSERT_OK(ls_params_allocate(params, 1, false));
    ASSERT_OK(ls_graph_plan(g));
    ASSERT_OK(source->fill(source, g, &(LsBatch){.first = number, .count = 1, .step = first}));
    LsTensor *x;
    if ((x = ls_graph_find(g, "ids")))
        memcpy(s->ids, x->data, (size_t)x->dim[1] * sizeof *s->ids);
    if ((x = ls_graph_find(g, "tags"))) {
        memcpy(s->tags, x->data, (size_t)x->dim[1] * sizeof *s->tags);
        CU_ASSERT_EQUAL(memcmp(x->data, ls_graph_find(g, "targets")->data, (size_t)x->count * sizeof *s->tags), 0);
        for (int64_t t = 0; t < x->dim[1]; t++) /* the second row is of no sample */
            CU_ASSERT_EQUAL(((const int32_t *)x->data)[x->dim[1] + t], LS_IGNORE);
    }
    if ((x = ls_graph_find(g, "label")))
        s->label = *(const int32_t *)x->data;
    if ((x = ls_graph_find(g, "values")))
        ls_tensor_get_part(g, x, 0, x->count / 2, s->values);
    if ((x = ls_graph_find(g, "target"))) {
        ls_tensor_get_part(g, x, 0, x->count / 2, s->target);
        float none;
        ls_tensor_get_part(g, x, x->count / 2, 1, &none);
        CU_ASSERT(isnan(none));
    }
    ls_graph_free(g);
    ls_params_free(params);
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* The right tag at step t of a sample, LS_IGNORE where nothing is asked: from the ids before it alone. */
typedef int32_t (*Answer)(const Sample *s, int64_t t, int64_t steps);

static int32_t copied(const Sample *s, int64_t t, int64_t steps)
{
    return t < steps - 3 ? LS_IGNORE : s->ids[t - (steps - 3)]; /* three items */
}

static int32_t copied_selectively(const Sample *s, int64_t t, int64_t steps)
{
    int64_t asked = t - (steps - 3);
    for (int64_t i = 0; asked >= 0 && i < steps - 3; i++)
        if (s->ids[i] < 5 && asked-- == 0)
            return s->ids[i];
    return LS_IGNORE;
}

static int32_t induced(const Sample *s, int64_t t, int64_t steps)
{
    for (int64_t i = 0; t == steps - 1 && i < t; i++)
        if (s->ids[i] == s->ids[t])
            return s->ids[i + 1];
    return LS_IGNORE;
}

static int32_t recalled(const Sample *s, int64_t t, int64_t steps)
{
    (void)steps;
    for (int64_t i = 0; t >= 6 && i < 6; i += 2)
        if (s->ids[i] == s->ids[t])
            return s->ids[i + 1];
    return LS_IGNORE;
}

static int32_t odd_so_far(const Sample *s, int64_t t, int64_t steps)
{
    (void)steps;
    int32_t odd = 0;
    for (int64_t i = 0; i <= t; i++)
        odd ^= s->ids[i];
    return odd;
}

static int32_t digit_of_sum(const Sample *s, int64_t t, int64_t steps)
{
    int64_t n = (steps - 2) / 3, a = 0, b = 0, sum;
    for (int64_t i = n - 1; i >= 0; i--) {
        a = 10 * a + s->ids[i];
        b = 10 * b + s->ids[n + 1 + i];
    }
    sum = a + b;
    for (int64_t i = 2 * n + 1; i < t; i++)
        sum /= 10;
    return t < 2 * n + 1 ? LS_IGNORE : (int32_t)(sum % 10);
}

static const struct {
    const char *rule, *settings; /* but for the length, first */
    Answer answer;
    int64_t length, steps, asked; /* asked: tags of a sample */
} rules[] = {{"copy", "items: 3, symbols: 5", copied, 9, 15, 3},
             {"selective_copy", "items: 3, symbols: 5", copied_selectively, 9, 12, 3},
             {"induction", "symbols: 6", induced, 12, 12, 1},
             {"recall", "items: 3, symbols: 8", recalled, 14, 14, 3},
             {"parity", "symbols: 0", odd_so_far, 10, 10, 10},
             {"addition", "symbols: 10", digit_of_sum, 5, 17, 6}};

static void test_answers(void)
{
    Sample s;
    for (size_t i = 0; i < LS_COUNT_OF(rules); i++) {
        char data[256];
        LsConfig *config;
        snprintf(data, sizeof data, "rule: %s, length: %lld, %s", rules[i].rule, (long long)rules[i].length,
                 rules[i].settings);
        LsSource *source = open_rule(data, "train", 1, &config);
        CU_ASSERT_PTR_NOT_NULL_FATAL(source);
        CU_ASSERT_EQUAL(source->sequence, rules[i].steps);
        int64_t classes = ls_source_classes(source, "ids"), seen[16] = {0};
        for (int64_t number = 0; number < 200; number++) {
            int64_t asked = 0;
            read_sample(source, number, 0, source->sequence, &s);
            for (int64_t t = 0; t < source->sequence; t++) {
                CU_ASSERT(s.ids[t] >= 0 && s.ids[t] < classes);
                int32_t answer = rules[i].answer(&s, t, source->sequence);
                if (s.tags[t] != LS_IGNORE || strcmp(rules[i].rule, "recall") != 0)
                    CU_ASSERT_EQUAL(s.tags[t], answer);
                asked += s.tags[t] != LS_IGNORE;
                if (s.tags[t] >= 0 && s.tags[t] < 16)
                    seen[s.tags[t]]++;
            }
            CU_ASSERT_EQUAL(asked, rules[i].asked);
            if (strcmp(rules[i].rule, "parity") == 0)
                CU_ASSERT_EQUAL(s.label, s.tags[source->sequence - 1]);
        }
        int different = 0;
        for (int k = 0; k < 16; k++)
            different += seen[k] > 0;
        CU_ASSERT(different >= (strcmp(rules[i].rule, "parity") == 0 ? 2 : 5));
        ls_source_free(source);
        ls_config_free(config);
    }
}

static void test_numbers(void)
{
    Sample s;
    LsConfig *config;
    double mean = 0, square = 0;
    LsSource *source = open_rule("rule: adding, length: 11", "train", 1, &config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    for (int64_t number = 0; number < 400; number++) {
        double sum = 0, marks[2] = {0};
        read_sample(source, number, 0, 11, &s);
        for (int64_t t = 0; t < 11; t++) {
            sum += (double)(s.values[2 * t] * s.values[2 * t + 1]);
            marks[t >= 5] += (double)s.values[2 * t + 1];
            CU_ASSERT(s.values[2 * t] >= 0 && s.values[2 * t] < 1);
        }
        CU_ASSERT(marks[0] == 1 && marks[1] == 1);
        CU_ASSERT_DOUBLE_EQUAL(sum, s.target[0], 1e-6);
        mean += (double)s.target[0] / 400;
        square += (double)(s.target[0] * s.target[0]) / 400;
    }
    CU_ASSERT_DOUBLE_EQUAL(mean, 1, 0.06);
    CU_ASSERT_DOUBLE_EQUAL(square - mean * mean, 1.0 / 6, 0.03);
    ls_source_free(source);
    ls_config_free(config);

    /* without noise every three values in a row say the period, and so the next */
    source = open_rule("rule: sine, length: 40, horizon: 3, noise: 0", "train", 1, &config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    for (int64_t number = 0; number < 20; number++) {
        read_sample(source, number, 0, 40, &s);
        double turn = (double)(s.values[0] + s.values[2]) / (double)s.values[1];
        CU_ASSERT(turn > 2 * cos(2 * M_PI / 16) - 1e-2 && turn < 2);
        CU_ASSERT_DOUBLE_EQUAL(s.target[0], turn * (double)s.values[39] - (double)s.values[38], 2e-3);
        CU_ASSERT_DOUBLE_EQUAL(s.target[2], turn * (double)s.target[1] - (double)s.target[0], 2e-3);
    }
    ls_source_free(source);
    ls_config_free(config);
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

static void test_function_of_seed(void)
{
    Sample a, b;
    LsConfig *config[4];
    const char *data = "rule: selective_copy, length: 70";
    LsSource *one = open_rule(data, "train", 1, &config[0]), *two = open_rule(data, "train", 1, &config[1]),
             *other = open_rule(data, "train", 2, &config[2]), *held = open_rule(data, "validation", 1, &config[3]);
    CU_ASSERT_FATAL(one && two && other && held);
    int64_t steps = one->sequence;
    CU_ASSERT_EQUAL(held->samples, 1000);
    read_sample(one, 123456789012, 0, steps, &a);
    read_sample(two, 5, 0, steps, &b);
    CU_ASSERT_NOT_EQUAL(memcmp(a.ids, b.ids, (size_t)steps * sizeof *a.ids), 0);
    read_sample(two, 123456789012, 0, steps, &b);
    CU_ASSERT_EQUAL(memcmp(a.ids, b.ids, (size_t)steps * sizeof *a.ids), 0);
    read_sample(other, 123456789012, 0, steps, &b);
    CU_ASSERT_NOT_EQUAL(memcmp(a.ids, b.ids, (size_t)steps * sizeof *a.ids), 0);
    read_sample(held, 123456789012, 0, steps, &b);
    CU_ASSERT_NOT_EQUAL(memcmp(a.ids, b.ids, (size_t)steps * sizeof *a.ids), 0);
    /* in segments, and past the end */
    read_sample(one, 3, 0, steps, &a);
    for (int64_t first = 0; first < steps; first += 32) {
        read_sample(one, 3, first, 32, &b);
        for (int64_t t = 0; t < 32; t++) {
            CU_ASSERT_EQUAL(b.ids[t], first + t < steps ? a.ids[first + t] : 0);
            CU_ASSERT_EQUAL(b.tags[t], first + t < steps ? a.tags[first + t] : LS_IGNORE);
        }
    }
    LsSource *all[] = {one, two, other, held};
    for (int i = 0; i < 4; i++) {
        ls_source_free(all[i]);
        ls_config_free(config[i]);
    }
}

/* The ring's points are those of before there were other rules: checkpoints of then are resumed. */
static void test_rings(void)
{
    Sample s;
    LsConfig *config;
    LsSource *source = open_rule("modes: 3", "train", 4, &config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    CU_ASSERT_EQUAL(source->sequence, 0);
    uint64_t key = ls_key(4, "data.generated.train");
    for (int64_t number = 0; number < 10; number++) {
        uint32_t block[4];
        read_sample(source, number, 0, 1, &s);
        ls_philox(key, (uint64_t)number, 0, block);
        double angle = 2 * M_PI * (double)((uint64_t)block[0] * 3 >> 32) / 3;
        CU_ASSERT_DOUBLE_EQUAL(s.values[0], 2 * cos(angle) + 0.02 * (double)ls_normal_at(key, (uint64_t)number, 4),
                               1e-6);
        CU_ASSERT_DOUBLE_EQUAL(s.values[1], 2 * sin(angle) + 0.02 * (double)ls_normal_at(key, (uint64_t)number, 5),
                               1e-6);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(source->info, "\"modes\""));
    ls_source_free(source);
    ls_config_free(config);
}

static void test_mistakes(void)
{
    static const struct {
        const char *data, *message;
    } wrong[] = {{"rule: selective_copy, length: 5, items: 6", "data.items"},
                 {"rule: recall, length: 8, items: 3", "data.length"},
                 {"rule: recall, items: 40, length: 200", "data.items"},
                 {"rule: induction, length: 2", "data.length"},
                 {"rule: adding, length: 1", "data.length"}};
    for (size_t i = 0; i < LS_COUNT_OF(wrong); i++) {
        LsConfig *config;
        CU_ASSERT_PTR_NULL(open_rule(wrong[i].data, "train", 1, &config));
        CU_ASSERT_EQUAL(ls_message_status(), LS_USAGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), wrong[i].message));
        ls_config_free(config);
    }
    CU_ASSERT_PTR_NULL(ls_config_parse("rule", "data: {kind: generated, rule: unruly}", 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "unruly"));
}

int main(void)
{
    return harness_run("rules", (HarnessTest[]){{"answers follow from questions", test_answers},
                                                {"numbers", test_numbers},
                                                {"a function of seed, split and number", test_function_of_seed},
                                                {"rings as before", test_rings},
                                                {"mistakes", test_mistakes},
                                                {0}});
}
