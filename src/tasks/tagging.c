/* A class of each step: parts of speech, names in a text. Scored by tag, and by span where tags are B-X, I-X, O
 * (Ramshaw and Marcus 1995): a span is right where its borders and its kind are. */
#include "tasks/targets.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static void head(LsGraph *g, const void *config, const LsShape *shape, const LsBody *body)
{
    (void)config;
    /* which tokens a word begins with: the others have no tag, and are no lines of predictions */
    if (ls_shape_field(shape, "tags"))
        ls_shape_input(g, shape, "tags");
    ls_class_head(g, shape, body->features, "tags", 0);
}

static int64_t targets(const LsGraph *g, int64_t rows) { return ls_count_targets(g, "tags", rows); }

static LsStatus add_hits(const LsScored *scored, double *sum)
{
    return ls_add_hits(scored, "tags", scored->rows * ls_graph_find(scored->g, "tags")->dim[1], sum);
}

/* ---- Spans ------------------------------------------------------------------------------------------------------- */

/* The kind of span that a tag names, "PER" of "B-PER"; NULL: none. *begins: it opens one. */
static const char *kind_of(const struct json_t *info, int32_t tag, bool *begins)
{
    const char *name =
        tag < 0 ? NULL : json_string_value(json_array_get(json_object_get(info, "classes"), (size_t)tag));
    bool named = name && (name[0] == 'B' || name[0] == 'I') && name[1] == '-';
    *begins = named && name[0] == 'B';
    return named ? name + 2 : NULL;
}

/* Whether step t begins a span, and one past its last step: I-X goes on after B-X or I-X, and begins one elsewhere. */
static bool span_at(const struct json_t *info, const int32_t *tag, int64_t t, int64_t steps, int64_t *end)
{
    bool begins, other;
    const char *kind = kind_of(info, tag[t], &begins), *before = t > 0 ? kind_of(info, tag[t - 1], &other) : NULL;
    if (!kind || (!begins && before && strcmp(kind, before) == 0))
        return false;
    for (*end = t + 1; *end < steps; ++*end) {
        const char *next = kind_of(info, tag[*end], &other);
        if (!next || other || strcmp(next, kind) != 0)
            break;
    }
    return true;
}

/* sum: right spans, said spans, true spans of one sample. */
static void count_spans(const struct json_t *info, const int32_t *said, const int32_t *wanted, int64_t steps,
                        double *sum)
{
    for (int64_t t = 0; t < steps; t++) {
        int64_t said_end = 0, wanted_end = 0;
        bool a = span_at(info, said, t, steps, &said_end), b = span_at(info, wanted, t, steps, &wanted_end), begins;
        sum[1] += a;
        sum[2] += b;
        sum[0] += a && b && said_end == wanted_end &&
                  strcmp(kind_of(info, said[t], &begins), kind_of(info, wanted[t], &begins)) == 0;
    }
}

/* Leaves out the steps that have no tag: of a word of several tokens the first has it. Returns how many have one. */
static int64_t keep_words(const int32_t *wanted, int64_t steps, const int32_t *said, int32_t *wanted_words,
                          int32_t *said_words)
{
    int64_t words = 0;
    for (int64_t t = 0; t < steps; t++)
        if (wanted[t] != LS_IGNORE) {
            wanted_words[words] = wanted[t];
            said_words[words++] = said[t];
        }
    return words;
}

static LsStatus add_spans(const LsScored *scored, double *sum)
{
    const LsTensor *tags = ls_graph_find(scored->g, "tags"); /* (B, T) */
    const int32_t *wanted = tags->data;
    int32_t *said = NULL;
    int64_t count = 0, steps = tags->dim[1];
    LS_TRY(ls_predicted_classes(scored->g, &said, &count));
    int32_t *words = ls_alloc_array(2 * steps, sizeof *words);
    for (int64_t b = 0; words && b < scored->rows; b++) {
        int64_t there = keep_words(wanted + b * steps, steps, said + b * steps, words, words + steps);
        count_spans(scored->info, words + steps, words, there, sum);
    }
    ls_free(said);
    ls_free(words);
    return words ? LS_OK : LS_RESOURCE;
}

/* Classes that name no spans have none: NAN. */
static double precision(const LsScore *score) { return score->sum[1] > 0 ? score->sum[0] / score->sum[1] : NAN; }

static double recall(const LsScore *score) { return score->sum[2] > 0 ? score->sum[0] / score->sum[2] : NAN; }

static double f1(const LsScore *score)
{
    double all = score->sum[1] + score->sum[2];
    return score->sum[2] > 0 ? 2 * score->sum[0] / all : NAN;
}

static void text_head(const LsScored *scored, FILE *out) { ls_class_text_head(scored, "step\ttag", out); }

static LsStatus text_row(const LsScored *scored, int64_t b, int64_t sample, FILE *out)
{
    const LsTensor *z = ls_graph_find(scored->g, "output"), *length = ls_graph_find(scored->g, "length");
    const LsTensor *tags = ls_graph_find(scored->g, "tags");
    int64_t steps = z->dim[1], there = length ? ((const int32_t *)length->data)[b] : steps, word = 0;
    for (int64_t t = 0; t < there && t < steps; t++) {
        if (tags && ((const int32_t *)tags->data)[b * steps + t] == LS_IGNORE)
            continue;
        fprintf(out, "%lld\t%lld\t", (long long)sample, (long long)word++);
        LS_TRY(ls_class_text_row(scored, b * steps + t, out));
    }
    return LS_OK;
}

/* Of tasks made by rule, which say so in the info: as accuracy, by the name that it has there. */
static LsStatus add_matches(const LsScored *scored, double *sum)
{
    if (!scored->info || !json_object_get(scored->info, "rule"))
        return LS_OK;
    sum[1] += (double)scored->rows;
    return add_hits(scored, sum);
}

static double exact_match(const LsScore *score) { return score->sum[1] > 0 ? score->sum[0] / score->targets : NAN; }

static double accuracy(const LsScore *score) { return score->sum[0] / score->targets; }

static const LsMetric metrics[] = {{.name = "accuracy",
                                    .summary = "share of steps whose most probable tag is theirs",
                                    .higher_is_better = true,
                                    .sums = 1,
                                    .add = add_hits,
                                    .value = accuracy},
                                   {.name = "f1",
                                    .summary = "harmonic mean of precision and recall of spans (tags B-X, I-X, O)",
                                    .higher_is_better = true,
                                    .sums = 3,
                                    .add = add_spans,
                                    .value = f1},
                                   {.name = "precision",
                                    .summary = "share of the spans said that are right, borders and kind",
                                    .higher_is_better = true,
                                    .sums = 3,
                                    .add = add_spans,
                                    .value = precision},
                                   {.name = "recall",
                                    .summary = "share of the true spans that are said",
                                    .higher_is_better = true,
                                    .sums = 3,
                                    .add = add_spans,
                                    .value = recall},
                                   {.name = "exact_match",
                                    .summary = "tasks made by rule: share of the positions asked for that are right",
                                    .higher_is_better = true,
                                    .sums = 2,
                                    .add = add_matches,
                                    .value = exact_match},
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
    .best = "f1",
};
