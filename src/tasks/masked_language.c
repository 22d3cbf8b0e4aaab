/* The tokens hidden in a text (Devlin et al. 2019): of each sample a share of the tokens is chosen, of these 80 %
 * become the mask's id, 10 % any id, 10 % stay; L = sum over the chosen of -log softmax(h E^T + b)[token], with h =
 * norm(act(x W)) and E the model's table of ids, or one of the head's own. Which are chosen is a function of (seed,
 * sample): every epoch has others. Special tokens of the tokenizer are neither chosen nor drawn.
 *
 * Samples with a field "next" (two segments, of which the second follows, 0, or does not, 1) have a second loss: that
 * of two classes, from tanh of a dense layer over the first token's features. It counts once for each hidden token of
 * the sample, so that the loss a token is the mean of the one, plus the mean of the other by samples as long as they
 * are. */
#include "tasks/targets.h"

#include "models/blocks.h"

#include <math.h>

typedef struct Settings {
    double rate;
    int64_t mask;
    bool transform, tied;
    double epsilon;
    char *activation;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_FLOAT(Settings, rate, "0.15", 0, 1, "share of a sample's tokens that are to be said, at least one"),
    LS_SETTING_INT(Settings, mask, "-1", -1, 1 << 24,
                   "id that stands in the place of a hidden token; -1: the tokenizer's own, 0 where it has none"),
    LS_SETTING_BOOL(Settings, transform, "true",
                    "a dense layer with an activation and a norm in front of the table of ids"),
    LS_SETTING_BOOL(Settings, tied, "true", "the head uses the token embedding; false: a table of its own"),
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

/* The loss of the second segments; one target for each hidden token: (B, T), which `prepare` sets. */
static LsTensor *next_loss(LsGraph *g, const LsShape *shape, LsTensor *x)
{
    LsInit init = ls_init_normal(0.02);
    x = ls_tanh(g, ls_dense(g, "pooler", ls_pool_steps(g, shape, "first", x), x->dim[2], init, true, LS_NO_ACTIVATION));
    ls_push(g, "head");
    LsTensor *z = ls_dense(g, "next", x, 2, init, true, LS_NO_ACTIVATION); /* (B, 2) */
    ls_pop(g);
    LsTensor *next = ls_shape_input(g, shape, "next");
    if (!next)
        return NULL;
    if (ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "next_output", z);
    return ls_cross_entropy(g, z, ls_input(g, "next_targets", LS_I32, 2, (int64_t[]){z->dim[0], shape->sequence}), 0);
}

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    LsTensor *x = body->features;
    ls_push(g, "head");
    const Settings *s = config;
    if (s->transform)
        x = transform(g, s, x);
    LsTensor *table = s->tied ? body->table : ls_param(g, "table", ls_init_normal(0.02), 2, body->table->dim);
    LsTensor *bias = ls_param(g, "bias", ls_init_constant(0), 1, body->table->dim);
    ls_pop(g);
    LsTensor *targets = shape->want == LS_WANT_LOSS ? targets_input(g, shape, x) : NULL;
    LsTensor *loss = ls_table_loss(g, x, table, bias, targets, 0);
    if (loss && ls_shape_field(shape, "next")) {
        ls_output(g, "masked_loss", loss);
        loss = ls_add(g, loss, next_loss(g, shape, body->features));
    }
    if (loss)
        ls_output(g, "loss", loss);
}

/* ---- Hiding tokens ----------------------------------------------------------------------------------------------- */

/* The random key of hiding, and the tokens that may replace a hidden one. */
typedef struct Hiding {
    const Settings *settings;
    uint64_t key;
    int64_t classes;
    int32_t mask;
    const int32_t *special; /* special: (specials), ascending */
    int64_t specials;
} Hiding;

static Hiding hiding_of(const LsFilled *filled)
{
    Hiding h = {.settings = filled->settings,
                .key = ls_key(filled->seed, "masked_language"),
                .classes = ls_source_classes(filled->source, "ids")};
    int64_t own = ls_source_mask(filled->source);
    h.mask = (int32_t)(h.settings->mask >= 0 ? h.settings->mask : own >= 0 ? own : 0);
    h.specials = ls_source_special(filled->source, &h.special);
    return h;
}

static bool is_special(const Hiding *h, int32_t id)
{
    for (int64_t i = 0; i < h->specials; i++)
        if (h->special[i] == id)
            return true;
    return false;
}

/* Evenly any id that is not special. */
static int32_t other_id(const Hiding *h, float chance)
{
    int32_t id = (int32_t)((double)chance * (double)(h->classes - h->specials));
    for (int64_t i = 0; i < h->specials; i++)
        id += id >= h->special[i];
    return id;
}

/* ids, targets: of one sample, of which `length` tokens are text and special tokens. */
static void hide_tokens(const Hiding *h, uint64_t sample, int64_t length, int32_t *ids, int32_t *targets)
{
    int64_t texts = 0, chosen = 0;
    for (int64_t t = 0; t < length; t++)
        texts += !is_special(h, ids[t]);
    int64_t count = llround(h->settings->rate * (double)texts);
    count = count < 1 && texts > 0 ? 1 : count;
    for (int64_t i = 0; chosen < count; i++) {
        int64_t t = ls_permute(h->key + sample * 0x9e3779b97f4a7c15u, length, i);
        if (is_special(h, ids[t]))
            continue;
        float chance = ls_uniform_at(h->key, sample, 2 * (uint64_t)chosen),
              other = ls_uniform_at(h->key, sample, 2 * (uint64_t)chosen + 1);
        targets[t] = ids[t];
        if (chance < 0.8f)
            ids[t] = h->mask;
        else if (chance < 0.9f)
            ids[t] = other_id(h, other);
        chosen++;
    }
}

/* The sample's class, once for each hidden token. */
static void set_next_targets(const LsGraph *g, int64_t rows, const int32_t *target)
{
    LsTensor *next_targets = ls_graph_find(g, "next_targets");
    const LsTensor *next = ls_graph_find(g, "next");
    int64_t steps = next_targets ? next_targets->dim[1] : 0;
    for (int64_t i = 0; next_targets && i < next_targets->count; i++)
        ((int32_t *)next_targets->data)[i] =
            i / steps < rows && target[i] != LS_IGNORE ? ((const int32_t *)next->data)[i / steps] : LS_IGNORE;
}

static LsStatus prepare(const LsFilled *filled)
{
    LsTensor *ids = ls_graph_find(filled->g, "ids"), *targets = ls_graph_find(filled->g, "targets"),
             *length = ls_graph_find(filled->g, "length");
    if (!targets)
        return LS_OK;
    Hiding h = hiding_of(filled);
    int64_t steps = ids->dim[1];
    int32_t *target = targets->data;
    for (int64_t i = 0; i < targets->count; i++)
        target[i] = LS_IGNORE;
    for (int64_t b = 0; b < filled->batch.count; b++)
        hide_tokens(&h, (uint64_t)(filled->batch.first + b), length ? ((const int32_t *)length->data)[b] : steps,
                    (int32_t *)ids->data + b * steps, target + b * steps);
    set_next_targets(filled->g, filled->batch.count, target);
    return LS_OK;
}

/* ---- Metrics ----------------------------------------------------------------------------------------------------- */

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "targets", rows); }

static LsStatus add_hits(const LsScored *scored, double *sum)
{
    return ls_add_hits(scored, "targets", scored->rows * ls_graph_find(scored->g, "targets")->dim[1], sum);
}

static double accuracy(const LsScore *score) { return score->sum[0] / score->targets; }

static LsStatus add_masked_loss(const LsScored *scored, double *sum)
{
    const LsTensor *masked = ls_graph_find(scored->g, "masked_loss");
    float loss = 0;
    ls_tensor_get(scored->g, masked ? masked : ls_graph_find(scored->g, "loss"), &loss);
    sum[0] += (double)loss;
    return LS_OK;
}

/* sum: second segments that are told right, all. */
static LsStatus add_next(const LsScored *scored, double *sum)
{
    const LsTensor *z = ls_graph_find(scored->g, "next_output"), *next = ls_graph_find(scored->g, "next");
    for (int64_t b = 0; z && next && b < scored->rows; b++) {
        float value[2];
        ls_tensor_get_part(scored->g, z, 2 * b, 2, value);
        sum[0] += (value[1] > value[0]) == ((const int32_t *)next->data)[b];
        sum[1] += 1;
    }
    return LS_OK;
}

static double perplexity(const LsScore *score) { return exp(score->sum[0] / score->targets); }

static double next_accuracy(const LsScore *score) { return score->sum[1] > 0 ? score->sum[0] / score->sum[1] : NAN; }

static const LsMetric metrics[] = {{.name = "perplexity",
                                    .summary = "exp of the loss of the hidden tokens",
                                    .sums = 1,
                                    .add = add_masked_loss,
                                    .value = perplexity},
                                   {.name = "accuracy",
                                    .summary = "share of the hidden tokens that are the most probable",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_hits,
                                    .value = accuracy},
                                   {.name = "next_accuracy",
                                    .summary = "share of the second segments of which it is told whether they follow",
                                    .higher_is_better = true,
                                    .sums = 2,
                                    .add = add_next,
                                    .value = next_accuracy},
                                   {0}};

const LsTask ls_task_masked_language = {
    .name = "masked_language",
    .summary = "the hidden tokens of a text, from those on both sides; of two segments, whether they follow",
    .item = "token",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .takes = LS_BODY_STEPS | LS_BODY_IDS | LS_BODY_BOTH_WAYS,
    .head = head,
    .prepare = prepare,
    .targets = targets,
    .metrics = metrics,
};
