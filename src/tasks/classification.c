/* One class of each sample: the features, pooled over time where there are steps, through a linear layer. */
#include "tasks/targets.h"

#include <math.h>

typedef struct Settings {
    double label_smoothing;
    char *pool;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_FLOAT(Settings, label_smoothing, "0", 0, 1, "share of a target's weight that all classes share"),
    LS_SETTING_CHOICE(Settings, pool, "last", LS_POOL_NAMES, LS_POOL_HELP),
    {0}};

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    const Settings *s = config;
    ls_class_head(g, shape, ls_pool_steps(g, shape, s->pool, body->features), "label", s->label_smoothing);
}

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "label", rows); }

static LsStatus add_hits(const LsScored *scored, double *sum)
{
    return ls_add_hits(scored, "label", scored->rows, sum);
}

static void text_head(const LsScored *scored, FILE *out) { ls_class_text_head(scored, "class", out); }

static LsStatus text_row(const LsScored *scored, int64_t b, int64_t sample, FILE *out)
{
    fprintf(out, "%lld\t", (long long)sample);
    return ls_class_text_row(scored, b, out);
}

static double accuracy(const LsScore *score) { return score->sum[0] / score->targets; }

static const LsMetric metrics[] = {{.name = "accuracy",
                                    .summary = "share of samples whose most probable class is theirs",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_hits,
                                    .value = accuracy},
                                   {0}};

const LsTask ls_task_classification = {
    .name = "classification",
    .summary = "one class of each sample",
    .item = "sample",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .fields = "label of 10",
    .takes = LS_BODY_STEPS | LS_BODY_VECTOR,
    .head = head,
    .targets = targets,
    .text_head = text_head,
    .text_row = text_row,
    .metrics = metrics,
    .best = "accuracy",
};
