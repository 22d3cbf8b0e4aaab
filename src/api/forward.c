/* A trained model's graph for one shape, its inputs and outputs by name. */
#include "api/trained.h"

#include "train/train.h"

#include <string.h>

struct LsForward {
    const LsTrained *trained;
    LsGraph *g;
    bool loss;
    int64_t rows, steps;
};

LsStatus ls_forward_new(LsTrained *trained, bool loss, int64_t rows, int64_t steps, LsForward **forward)
{
    const LsConfig *config = trained->model.config;
    *forward = NULL;
    if (rows < 1 || steps < 0 || (steps == 0 && ls_fields_have_steps(&trained->fields)))
        return ls_fail(LS_USAGE,
                       "%s: %lld rows of %lld steps: at least one row is asked for, and one step where "
                       "samples have steps",
                       trained->model.path, (long long)rows, (long long)steps);
    LsForward *f = ls_alloc(sizeof *f);
    if (!f)
        return LS_RESOURCE;
    *f = (LsForward){.trained = trained, .loss = loss, .rows = rows, .steps = steps > 0 ? steps : 1};
    f->g = ls_graph_new(trained->model.params,
                        &(LsGraphOptions){.mode = LS_EVAL, .precision = ls_train_precision(config)});
    LsStatus status = f->g ? LS_OK : ls_message_status();
    if (status == LS_OK) {
        ls_config_build(config, f->g, rows, f->steps, loss ? LS_WANT_LOSS : LS_WANT_OUTPUT);
        status = ls_graph_plan(f->g);
    }
    if (status == LS_OK)
        *forward = f;
    else
        ls_forward_free(f);
    return status;
}

void ls_forward_free(LsForward *forward)
{
    if (!forward)
        return;
    ls_graph_free(forward->g);
    ls_free(forward);
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

static LsStatus find_input(const LsForward *f, const char *name, int64_t count, bool ints, LsTensor **x)
{
    const LsField *field = ls_field_find(&f->trained->fields, name);
    *x = field ? ls_graph_find(f->g, name) : NULL;
    if (!*x) {
        char *fields = ls_fields_text(&f->trained->fields);
        LsStatus status =
            fields ? ls_fail(LS_USAGE, "%s: has no input '%s'; samples are: %s", f->trained->model.path, name, fields)
                   : LS_RESOURCE;
        ls_free(fields);
        return status;
    }
    if (((*x)->dtype == LS_I32) != ints)
        return ls_fail(LS_USAGE, "%s: the input %s is made of %s", f->trained->model.path, name,
                       ints ? "floats, not whole numbers" : "whole numbers, not floats");
    if ((*x)->count != count)
        return ls_fail(LS_USAGE, "%s: the input %s takes %lld numbers, not %lld", f->trained->model.path, name,
                       (long long)(*x)->count, (long long)count);
    return LS_OK;
}

/* Classes as the field says; numbers without classes are lengths, of at most all steps. A target may be LS_IGNORE. */
LsStatus ls_forward_ints(LsForward *forward, const char *name, const int32_t *value, int64_t count)
{
    LsTensor *x = NULL;
    LS_TRY(find_input(forward, name, count, true, &x));
    const LsFields *fields = &forward->trained->fields;
    const LsField *field = ls_field_find(fields, name);
    bool target = !(forward->trained->inputs >> (field - fields->list) & 1);
    int64_t low = target ? LS_IGNORE : 0, high = field->classes > 0 ? field->classes - 1 : forward->steps;
    for (int64_t i = 0; i < count; i++)
        if (value[i] < low || value[i] > high)
            return ls_fail(LS_USAGE, "%s: %s[%lld] is %d, outside %lld to %lld", forward->trained->model.path, name,
                           (long long)i, (int)value[i], (long long)low, (long long)high);
    memcpy(x->data, value, (size_t)count * sizeof *value);
    return LS_OK;
}

LsStatus ls_forward_floats(LsForward *forward, const char *name, const float *value, int64_t count)
{
    LsTensor *x = NULL;
    LS_TRY(find_input(forward, name, count, false, &x));
    ls_tensor_set(forward->g, x, value);
    return LS_OK;
}

/* ---- Outputs ----------------------------------------------------------------------------------------------------- */

LsStatus ls_forward_run(LsForward *forward) { return ls_graph_forward(forward->g, &(LsRun){.comm = ls_comm_self()}); }

static LsStatus find_output(const LsForward *f, const char *name, const LsTensor **x)
{
    const char *found = NULL;
    for (int i = 0; (*x = ls_graph_output(f->g, i, &found)); i++)
        if (strcmp(found, name) == 0 && (*x)->dtype != LS_I32)
            return LS_OK;
    return ls_fail(LS_USAGE, "%s: has no output '%s' of floats", f->trained->model.path, name);
}

LsStatus ls_forward_shape(const LsForward *forward, const char *name, int *rank, int64_t *dim)
{
    const LsTensor *x = NULL;
    LS_TRY(find_output(forward, name, &x));
    *rank = x->rank;
    memcpy(dim, x->dim, sizeof *dim * (size_t)x->rank);
    return LS_OK;
}

LsStatus ls_forward_read(const LsForward *forward, const char *name, float *value, int64_t count)
{
    const LsTensor *x = NULL;
    LS_TRY(find_output(forward, name, &x));
    if (x->count != count)
        return ls_fail(LS_USAGE, "%s: the output %s has %lld numbers, not %lld", forward->trained->model.path, name,
                       (long long)x->count, (long long)count);
    ls_tensor_get(forward->g, x, value);
    return LS_OK;
}

LsStatus ls_forward_loss(const LsForward *forward, double *sum, int64_t *targets)
{
    const LsTensor *x = NULL;
    float value = 0;
    if (!forward->loss)
        return ls_fail(LS_USAGE, "%s: this was made for the output, not for the loss", forward->trained->model.path);
    LS_TRY(find_output(forward, "loss", &x));
    if (x->count == 1)
        ls_tensor_get(forward->g, x, &value);
    *sum = value;
    *targets = ls_config_task(forward->trained->model.config)->targets(forward->g, forward->rows);
    return LS_OK;
}
