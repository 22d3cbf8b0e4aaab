/* A target text for each source text (translation), with the target's own tokens before it known in training (teacher
 * forcing). L = sum of cross-entropies of the target's tokens. */
#include "tasks/targets.h"

#include <math.h>

typedef struct Settings {
    double label_smoothing;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_FLOAT(Settings, label_smoothing, "0", 0, 1, "share of a target's weight that all tokens share"), {0}};

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    double smoothing = ((const Settings *)config)->label_smoothing;
    LsTensor *x = shape->want == LS_WANT_LAST ? ls_last(g, body->features) : body->features;
    LsTensor *targets = shape->want == LS_WANT_LOSS ? ls_shape_input(g, shape, "targets") : NULL;
    LsTensor *loss = ls_table_loss(g, x, body->table, body->head_bias, targets, smoothing);
    if (loss)
        ls_output(g, "loss", loss);
}

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "targets", rows); }

static LsStatus add_hits(const LsScored *scored, double *sum)
{
    const LsTensor *targets = ls_graph_find(scored->g, "targets");
    return ls_add_hits(scored, "targets", scored->rows * targets->dim[1], sum);
}

static double accuracy(const LsScore *score) { return score->sum[0] / score->targets; }

static double perplexity(const LsScore *score) { return exp(score->loss); }

static const LsMetric metrics[] = {{.name = "perplexity", .summary = "exp of the loss", .value = perplexity},
                                   {.name = "accuracy",
                                    .summary = "share of the target's tokens that are the most probable",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_hits,
                                    .value = accuracy},
                                   {0}};

const LsTask ls_task_pairs = {
    .name = "pairs",
    .summary = "a target text for each source text: translation",
    .item = "token",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .fields = "targets T of 11",
    .takes = LS_BODY_STEPS | LS_BODY_IDS | LS_BODY_SOURCE,
    .translates = true,
    .head = head,
    .targets = targets,
    .metrics = metrics,
};
