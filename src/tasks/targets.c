#include "tasks/targets.h"

#include "models/blocks.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

int64_t ls_count_targets(const LsGraph *g, const char *name, int64_t rows)
{
    const LsTensor *targets = ls_graph_find(g, name);
    int64_t count = 0, numbers = targets ? targets->count / targets->dim[0] * rows : 0;
    for (int64_t i = 0; i < numbers; i++)
        count += ((const int32_t *)targets->data)[i] != LS_IGNORE;
    return count;
}

LsTensor *ls_table_loss(LsGraph *g, LsTensor *x, LsTensor *table, LsTensor *bias, LsTensor *targets, double smoothing)
{
    if (targets && ls_graph_mode(g) == LS_TRAIN)
        return ls_head_cross_entropy(g, x, table, bias, targets, 0, smoothing);
    LsTensor *z = ls_linear(g, x, table, bias, LS_NO_ACTIVATION);
    ls_output(g, "output", z);
    return targets ? ls_cross_entropy(g, z, targets, smoothing) : NULL;
}

LsTensor *ls_pool_steps(LsGraph *g, const LsShape *shape, const char *pool, LsTensor *x)
{
    if (x->rank != 3)
        return x;
    LsPool kind = strcmp(pool, "mean") == 0    ? LS_POOL_MEAN
                  : strcmp(pool, "max") == 0   ? LS_POOL_MAX
                  : strcmp(pool, "first") == 0 ? LS_POOL_FIRST
                                               : LS_POOL_LAST;
    return ls_pool_global(g, x, ls_shape_field(shape, "length") ? ls_shape_input(g, shape, "length") : NULL, kind);
}

void ls_class_head(LsGraph *g, const LsShape *shape, LsTensor *x, const char *name, double smoothing)
{
    const LsField *field = ls_shape_field(shape, name);
    if (!field || field->classes < 1) {
        ls_graph_fail(g, LS_USAGE,
                      "this task needs samples with a field \"%s\" of so many classes: other data, or "
                      "another task.kind",
                      name);
        return;
    }
    LsTensor *z = ls_dense_uniform(g, "head", x, field->classes, LS_NO_ACTIVATION);
    if (shape->want == LS_WANT_LOSS)
        ls_output(g, "loss", ls_cross_entropy(g, z, ls_shape_input(g, shape, name), smoothing));
    if (shape->want != LS_WANT_LOSS || ls_graph_mode(g) == LS_EVAL)
        ls_output(g, "output", z);
}

/* A row at a time: logits of a vocabulary are too many to be copied all at once. */
LsStatus ls_predicted_classes(const LsGraph *g, int32_t **classes, int64_t *count)
{
    const LsTensor *z = ls_graph_find(g, "output");
    int64_t width = z->dim[z->rank - 1], rows = z->count / width;
    int32_t *best = ls_alloc_array(rows, sizeof *best);
    bool short_of_memory = !best;
#pragma omp parallel if (best != NULL)
    {
        float *value = ls_alloc_array(width, sizeof *value);
#pragma omp for schedule(static) reduction(|| : short_of_memory)
        for (int64_t i = 0; i < (best ? rows : 0); i++) {
            if (!value) {
                short_of_memory = true;
                continue;
            }
            ls_tensor_get_part(g, z, i * width, width, value);
            best[i] = 0;
            for (int32_t k = 1; k < width; k++)
                best[i] = value[k] > value[best[i]] ? k : best[i];
        }
        ls_free(value);
    }
    if (short_of_memory)
        ls_free(best);
    *classes = short_of_memory ? NULL : best;
    *count = rows;
    return short_of_memory ? LS_RESOURCE : LS_OK;
}

LsStatus ls_add_hits(const LsScored *scored, const char *name, int64_t count, double *sum)
{
    const int32_t *wanted = ls_graph_find(scored->g, name)->data;
    int32_t *predicted = NULL;
    int64_t all = 0;
    LS_TRY(ls_predicted_classes(scored->g, &predicted, &all));
    for (int64_t i = 0; i < count && i < all; i++)
        sum[0] += wanted[i] != LS_IGNORE && wanted[i] == predicted[i];
    ls_free(predicted);
    return LS_OK;
}

const char *ls_class_name(const struct json_t *info, int64_t k, char number[24])
{
    const json_t *names = info ? json_object_get(info, "classes") : NULL;
    const char *name = json_string_value(json_array_get(names, (size_t)k));
    snprintf(number, 24, "%lld", (long long)k);
    return name ? name : number;
}

void ls_class_text_head(const LsScored *scored, const char *columns, FILE *out)
{
    const LsTensor *z = ls_graph_find(scored->g, "output");
    fprintf(out, "sample\t%s", columns);
    for (int64_t k = 0; k < z->dim[z->rank - 1]; k++) {
        char number[24];
        fprintf(out, "\t%s", ls_class_name(scored->info, k, number));
    }
    fprintf(out, "\n");
}

LsStatus ls_class_text_row(const LsScored *scored, int64_t i, FILE *out)
{
    const LsTensor *z = ls_graph_find(scored->g, "output");
    int64_t classes = z->dim[z->rank - 1], best = 0;
    float *value = ls_alloc_array(classes, sizeof *value);
    if (!value)
        return LS_RESOURCE;
    ls_tensor_get_part(scored->g, z, i * classes, classes, value);
    for (int64_t k = 1; k < classes; k++)
        best = value[k] > value[best] ? k : best;
    double sum = 0;
    for (int64_t k = 0; k < classes; k++)
        sum += exp((double)(value[k] - value[best]));
    char number[24];
    fprintf(out, "%s", ls_class_name(scored->info, best, number));
    for (int64_t k = 0; k < classes; k++)
        fprintf(out, "\t%.6g", exp((double)(value[k] - value[best])) / sum);
    fprintf(out, "\n");
    ls_free(value);
    return LS_OK;
}
