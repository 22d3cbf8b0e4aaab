/* The next token of a text: L = sum of -log softmax(x E^T)[next], E the model's table of ids. */
#include "tasks/targets.h"

#include <math.h>

static void head(LsGraph *g, const void *settings, const LsShape *shape, const LsBody *body)
{
    (void)settings;
    LsTensor *x = body->features; /* (B, T, C) */
    if (shape->want == LS_WANT_LOSS) {
        LsTensor *targets = ls_shape_input(g, shape, "targets");
        ls_output(g, "loss", ls_head_cross_entropy(g, x, body->table, NULL, targets, body->loss_classes, 0));
        return;
    }
    if (shape->want == LS_WANT_LAST)
        x = ls_last(g, x);
    ls_output(g, "output", ls_linear(g, x, body->table, NULL, LS_NO_ACTIVATION));
}

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "targets", rows); }

static double perplexity(const LsScore *score) { return exp(score->loss); }

static double bits_per_token(const LsScore *score) { return score->loss / M_LN2; }

static double bits_per_byte(const LsScore *score)
{
    return score->bytes_per_token > 0 ? score->loss / M_LN2 / score->bytes_per_token : NAN;
}

static const LsMetric metrics[] = {
    {.name = "perplexity", .summary = "exp of the loss", .value = perplexity},
    {.name = "bits_per_token", .summary = "loss in bits", .value = bits_per_token},
    {.name = "bits_per_byte", .summary = "bits a byte of the raw text, whatever the tokenizer", .value = bits_per_byte},
    {0}};

const LsTask ls_task_language = {
    .name = "language",
    .summary = "the next token of a text",
    .item = "token",
    .takes = LS_BODY_STEPS | LS_BODY_IDS,
    .streams_ids = true,
    .head = head,
    .targets = targets,
    .metrics = metrics,
};
