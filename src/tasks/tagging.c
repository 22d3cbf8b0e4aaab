/* A class of each step: parts of speech, names in a text. Scored by tag, and by span where tags are B-X, I-X, O
 * (Ramshaw and Marcus 1995): a span is right where its borders and its kind are. */
#include "tasks/targets.h"

#include <math.h>

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    (void)config;
    ls_class_head(g, shape, body->features, "tags", 0);
}

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "tags", rows); }

static LsStatus add_hits(const LsScored *scored, double *sum)
{
    return ls_add_hits(scored, "tags", scored->rows * ls_graph_find(scored->g, "tags")->dim[1], sum);
}

static void text_head(const LsScored *scored, FILE *out) { ls_class_text_head(scored, "step\ttag", out); }

static LsStatus text_row(const LsScored *scored, int64_t b, int64_t sample, FILE *out)
{
    const LsTensor *z = ls_graph_find(scored->g, "output"), *length = ls_graph_find(scored->g, "length");
    int64_t steps = z->dim[1], there = length ? ((const int32_t *)length->data)[b] : steps;
    for (int64_t t = 0; t < there && t < steps; t++) {
        fprintf(out, "%lld\t%lld\t", (long long)sample, (long long)t);
        LS_TRY(ls_class_text_row(scored, b * steps + t, out));
    }
    return LS_OK;
}

static double accuracy(const LsScore *score) { return score->sum[0] / score->targets; }

static const LsMetric metrics[] = {{.name = "accuracy",
                                    .summary = "share of steps whose most probable tag is theirs",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_hits,
                                    .value = accuracy},
                                   {0}};

const LsTask ls_task_tagging = {
    .name = "tagging",
    .summary = "a class of each step of a sequence",
    .item = "tag",
    .fields = "tags T of 9",
    .takes = LS_BODY_STEPS,
    .head = head,
    .targets = targets,
    .text_head = text_head,
    .text_row = text_row,
    .metrics = metrics,
    .best = "accuracy",
};
