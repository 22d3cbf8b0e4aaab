#include "graph/check_trial.h"

#include "base/bfloat16.h"

#include <math.h>

const LsRun ls_check_run = {.seed = 5, .step = 3, .sample = 2, .training = true};

void ls_trial_free(Trial *t)
{
    for (int i = 0; t->projection && i < t->g->tensors; i++)
        ls_free(t->projection[i]);
    ls_free(t->projection);
    ls_graph_free(t->g);
    ls_params_free(t->params);
    *t = (Trial){0};
}

/* ---- Cases ---- */

LsTensor *ls_case_range(LsGraph *g, LsTensor *x, double low, double high)
{
    if (x->id >= 0) {
        g->tensor_plan[x->id].low = low;
        g->tensor_plan[x->id].high = high;
    }
    return x;
}

LsTensor *ls_case_input(LsGraph *g, const char *name, LsDtype dtype, double low, double high, int rank,
                        const int64_t *dim)
{
    return ls_case_range(g, ls_input(g, name, dtype, rank, dim), low, high);
}

LsTensor *ls_case_param(LsGraph *g, const char *name, unsigned flags, double low, double high, int rank,
                        const int64_t *dim)
{
    return ls_param_flags(g, name, ls_init_uniform(low, high), flags, rank, dim);
}

LsTensor *ls_case_state(LsGraph *g, const char *name, LsDtype dtype, double low, double high, int rank,
                        const int64_t *dim)
{
    return ls_case_range(g, ls_state(g, name, dtype, rank, dim), low, high);
}

LsTensor *ls_case_carry(LsGraph *g, const char *name, LsDtype dtype, double low, double high, int rank,
                        const int64_t *dim)
{
    g->options.segmented = true;
    return ls_case_range(g, ls_carry(g, name, dtype, rank, dim), low, high);
}

LsTensor *ls_case_running(LsGraph *g, const char *name, double low, double high, int rank, const int64_t *dim)
{
    return ls_running(g, name, ls_init_uniform(low, high), rank, dim);
}

static bool build_case(LsGraph *g, const void *self)
{
    const LsOpCase *c = self;
    return c->op->cases(g, c->which);
}

bool ls_subject_of_case(const LsOp *op, int which, LsOpCase *self, LsSubject *subject)
{
    *self = (LsOpCase){.op = op, .which = which};
    snprintf(self->name, sizeof self->name, "%.40s, case %d", op->name, which);
    *subject = (LsSubject){.build = build_case, .self = self, .name = self->name};
    LsParams *params = ls_params_new();
    LsGraph *g =
        params
            ? ls_graph_new(params, &(LsGraphOptions){.mode = LS_DECODE, .precision = LS_FLOAT64, .int8_weights = true})
            : NULL;
    bool exists = g && op->cases && op->cases(g, which);
    ls_graph_free(g);
    ls_params_free(params);
    return exists;
}

/* ---- Values ---- */

static double round_input(const Trial *t, LsDtype dtype, double value)
{
    return t->options.bf16_inputs && dtype == LS_REAL
               ? (double)ls_bfloat16_to_float(ls_bfloat16_from_float((float)value))
               : value;
}

void ls_trial_fill(const Trial *trial)
{
    LsGraph *g = trial->g;
    for (int t = 0; t < g->tensors; t++) {
        LsTensor *x = g->tensor[t];
        const LsTensorPlan *plan = &g->tensor_plan[t];
        bool starts = x->role == LS_ROLE_STATE || (x->role == LS_ROLE_CARRY && x->end);
        if (x->role != LS_ROLE_INPUT && !starts)
            continue;
        uint64_t key = ls_key(7, x->name);
        for (int64_t i = 0; i < x->count; i++) {
            double value = plan->low + (plan->high - plan->low) * (double)ls_uniform_at(key, 0, (uint64_t)i);
            ls_set_element(g, x->data, x->dtype, i,
                           x->dtype == LS_I32 ? floor(value) : round_input(trial, x->dtype, (double)(float)value));
        }
    }
}

/* Backward starts from it: an output, or what a carry holds after the last step. */
static bool is_result(const LsGraph *g, int t)
{
    return g->tensor_plan[t].seed || (g->tensor[t]->role == LS_ROLE_CARRY && !g->tensor[t]->end);
}

static LsStatus draw_projection(Trial *trial)
{
    const LsGraph *g = trial->g;
    trial->projection = ls_alloc_array(g->tensors, sizeof *trial->projection);
    if (!trial->projection)
        return LS_RESOURCE;
    for (int t = 0; t < g->tensors; t++) {
        const LsTensor *x = g->tensor[t];
        double *r = trial->projection[t] = is_result(g, t) ? ls_alloc_array(x->count, sizeof *r) : NULL;
        if (is_result(g, t) && !r)
            return LS_RESOURCE;
        uint64_t key = ls_key(11, x->name);
        for (int64_t i = 0; r && i < x->count; i++)
            r[i] = round_input(trial, x->dtype, 2 * (double)ls_uniform_at(key, 1, (uint64_t)i) - 1);
    }
    return LS_OK;
}

bool ls_trial_is_leaf(const LsTensor *x)
{
    return x->role == LS_ROLE_PARAM || x->role == LS_ROLE_INPUT || x->role == LS_ROLE_RUNNING ||
           (x->role == LS_ROLE_CARRY && x->end);
}

LsStatus ls_trial_project(const Trial *trial, double *loss, double *size)
{
    LsGraph *g = trial->g;
    ls_trial_fill(trial);
    LS_TRY(ls_graph_forward(g, &ls_check_run));
    *loss = *size = 0;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t i = 0; trial->projection[t] && i < g->tensor[t]->count; i++) {
            double part = trial->projection[t][i] * ls_element(g, g->tensor[t]->data, g->tensor[t]->dtype, i);
            *loss += part;
            *size += fabs(part);
        }
    return LS_OK;
}

LsStatus ls_trial_backward(const Trial *trial, bool accumulate)
{
    LsGraph *g = trial->g;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t i = 0; trial->projection[t] && i < g->tensor[t]->count; i++)
            ls_set_element(g, g->tensor[t]->grad, g->tensor[t]->dtype, i, trial->projection[t][i]);
    return ls_graph_backward_seeded(g, &ls_check_run, accumulate, NULL);
}

/* ---- Building trials ---- */

static void keep_results(LsGraph *g)
{
    if (g->failed || g->nodes == 0 || ls_graph_find(g, "loss"))
        return;
    LsNode *last = g->node[g->nodes - 1];
    for (int i = 0; i < last->outputs; i++)
        if (last->out[i]->needs_grad || (i == 0 && g->options.mode != LS_TRAIN))
            ls_output(g, "loss", last->out[i]);
}

static void round_parameters(const Trial *t, LsStatus allocated)
{
    for (int p = 0; allocated == LS_OK && p < t->params->count; p++) {
        const LsParam *param = &t->params->list[p];
        float *value = t->params->value + param->offset;
        for (int64_t i = 0; i < param->count; i++)
            value[i] = (float)round_input(t, param->flags & LS_PRECISE ? LS_ACC : LS_REAL, (double)value[i]);
    }
}

static LsStatus build(const LsSubject *subject, TrialOptions options, Trial *t)
{
    *t = (Trial){.params = ls_params_new(), .options = options};
    t->g = t->params ? ls_graph_new(t->params, &(LsGraphOptions){.mode = options.mode,
                                                                 .precision = options.precision,
                                                                 .reference = options.reference,
                                                                 .grad_inputs = true,
                                                                 .poison = true,
                                                                 .segmented = subject->segmented,
                                                                 .int8_weights = options.mode == LS_DECODE})
                     : NULL;
    return t->g && subject->build(t->g, subject->self) ? LS_OK
                                                       : ls_fail_in(LS_ERROR, "%s: cannot be built", subject->name);
}

LsStatus ls_trial_modes(const LsSubject *subject, TrialModes *modes)
{
    Trial trains = {0}, decodes = {0};
    LsStatus status = build(subject, (TrialOptions){.mode = LS_TRAIN, .precision = LS_FLOAT64}, &trains);
    if (status == LS_OK)
        status = build(subject, (TrialOptions){.mode = LS_DECODE, .precision = LS_FLOAT64}, &decodes);
    if (status == LS_OK)
        *modes = (TrialModes){!trains.g->state_refused, ls_graph_states(decodes.g) > 0};
    ls_trial_free(&trains);
    ls_trial_free(&decodes);
    return status;
}

LsStatus ls_trial_new(const LsSubject *subject, TrialOptions options, Trial *t)
{
    LsStatus status = build(subject, options, t);
    if (status == LS_OK) {
        keep_results(t->g);
        status = ls_params_allocate(t->params, 9, true);
        round_parameters(t, status);
        if (status == LS_OK)
            status = ls_graph_plan(t->g);
        if (status == LS_OK)
            status = draw_projection(t);
        if (status != LS_OK)
            ls_fail_in(status, "%s", subject->name);
    }
    if (status != LS_OK)
        ls_trial_free(t);
    return status;
}
