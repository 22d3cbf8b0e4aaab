/* The tokens hidden in a text (Devlin et al. 2019): of each sample a share of the tokens is chosen, of these 80 %
 * become the mask's id, 10 % any id, 10 % stay; L = sum over the chosen of -log softmax(h E^T + b)[token], with h =
 * norm(act(x W)) and E the model's table of ids. Which are chosen is a function of (seed, sample): every epoch has
 * others. */
#include "tasks/targets.h"

#include "models/blocks.h"

#include <math.h>

typedef struct Settings {
    double rate;
    int64_t mask;
    bool transform;
    double epsilon;
    char *activation;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_FLOAT(Settings, rate, "0.15", 0, 1, "share of a sample's tokens that are to be said, at least one"),
    LS_SETTING_INT(Settings, mask, "0", 0, 1 << 24, "id that stands in the place of a hidden token"),
    LS_SETTING_BOOL(Settings, transform, "true",
                    "a dense layer with an activation and a norm in front of the table of ids"),
    LS_SETTING_CHOICE(Settings, activation, "gelu", LS_DENSE_ACTIVATION_NAMES, "of that layer"),
    LS_SETTING_FLOAT(Settings, epsilon, "1e-12", 0, 1, "added to the variance inside that norm"),
    {0}};

/* ---- Head -------------------------------------------------------------------------------------------------------- */

static LsTensor *transform(LsGraph *g, const Settings *s, LsTensor *x)
{
    int64_t width = x->dim[2];
    x = ls_dense(g, "transform", x, width, ls_init_normal(0.02), true, ls_dense_activation(s->activation));
    ls_push(g, "norm");
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &width);
    LsTensor *bias = ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE | LS_NO_DECAY, 1, &width);
    x = ls_layer_norm(g, x, scale, bias, s->epsilon);
    ls_pop(g);
    return x;
}

/* Targets are the task's own: data need not have them. */
static LsTensor *targets_input(LsGraph *g, const LsShape *shape, const LsTensor *x)
{
    return ls_shape_field(shape, "targets") ? ls_shape_input(g, shape, "targets")
                                            : ls_input(g, "targets", LS_I32, 2, x->dim);
}

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    LsTensor *x = body->features;
    ls_push(g, "head");
    const Settings *s = config;
    if (s->transform)
        x = transform(g, s, x);
    LsTensor *bias = ls_param(g, "bias", ls_init_constant(0), 1, body->table->dim);
    LsTensor *z = ls_linear(g, x, body->table, bias, LS_NO_ACTIVATION); /* (B, T, V) */
    ls_pop(g);
    if (shape->want == LS_WANT_LOSS)
        ls_output(g, "loss", ls_cross_entropy(g, z, targets_input(g, shape, x), 0));
    if (shape->want != LS_WANT_LOSS || ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "output", z);
}

/* ---- Hiding tokens ----------------------------------------------------------------------------------------------- */

/* ids, targets: of one sample, of which `length` tokens are text. */
static void hide_tokens(const Settings *s, uint64_t key, uint64_t sample, int64_t classes, int64_t length, int32_t *ids,
                        int32_t *targets)
{
    int64_t count = llround(s->rate * (double)length);
    count = count < 1 && length > 0 ? 1 : count;
    for (int64_t i = 0; i < count; i++) {
        int64_t t = ls_permute(key + sample * 0x9e3779b97f4a7c15u, length, i);
        float chance = ls_uniform_at(key, sample, 2 * (uint64_t)i),
              other = ls_uniform_at(key, sample, 2 * (uint64_t)i + 1);
        targets[t] = ids[t];
        if (chance < 0.8f)
            ids[t] = (int32_t)s->mask;
        else if (chance < 0.9f)
            ids[t] = (int32_t)((double)other * (double)classes);
    }
}

static LsStatus prepare(const LsFilled *filled)
{
    LsTensor *ids = ls_graph_find(filled->g, "ids"), *targets = ls_graph_find(filled->g, "targets"),
             *length = ls_graph_find(filled->g, "length");
    if (!targets)
        return LS_OK;
    int64_t steps = ids->dim[1], classes = ls_source_classes(filled->source, "ids");
    uint64_t key = ls_key(filled->seed, "masked_language");
    int32_t *target = targets->data;
    for (int64_t i = 0; i < targets->count; i++)
        target[i] = LS_IGNORE;
    for (int64_t b = 0; b < filled->batch.count; b++)
        hide_tokens(filled->settings, key, (uint64_t)(filled->batch.first + b), classes,
                    length ? ((const int32_t *)length->data)[b] : steps, (int32_t *)ids->data + b * steps,
                    target + b * steps);
    return LS_OK;
}

/* ---- Metrics ----------------------------------------------------------------------------------------------------- */

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "targets", rows); }

static LsStatus add_hits(const LsScored *scored, double *sum)
{
    return ls_add_hits(scored, "targets", scored->rows * ls_graph_find(scored->g, "targets")->dim[1], sum);
}

static double accuracy(const LsScore *score) { return score->sum[0] / score->targets; }

static double perplexity(const LsScore *score) { return exp(score->loss); }

static const LsMetric metrics[] = {{.name = "perplexity", .summary = "exp of the loss", .value = perplexity},
                                   {.name = "accuracy",
                                    .summary = "share of the hidden tokens that are the most probable",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_hits,
                                    .value = accuracy},
                                   {0}};

const LsTask ls_task_masked_language = {
    .name = "masked_language",
    .summary = "the hidden tokens of a text, from those on both sides",
    .item = "token",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .takes = LS_BODY_STEPS | LS_BODY_IDS | LS_BODY_BOTH_WAYS,
    .head = head,
    .prepare = prepare,
    .targets = targets,
    .metrics = metrics,
};
