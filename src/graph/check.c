/* Gradients against central differences. */
#include "graph/check_trial.h"

#include <math.h>

static double largest_gradient(const LsGraph *g, const LsTensor *x)
{
    double largest = 0;
    for (int64_t i = 0; i < x->count; i++)
        largest = fmax(largest, fabs(ls_element(g, x->grad, x->dtype, i)));
    return largest;
}

/* A leaf's data must survive ls_trial_project(), which refills inputs: the perturbation is applied between filling and
 * running. */
static LsStatus perturbed_loss(const Trial *trial, LsTensor *x, int64_t i, double value, double *loss)
{
    LsGraph *g = trial->g;
    double keep = ls_element(g, x->data, x->dtype, i);
    ls_set_element(g, x->data, x->dtype, i, value);
    LsStatus status = ls_graph_forward(g, &ls_check_run);
    *loss = 0;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t j = 0; trial->projection[t] && j < g->tensor[t]->count; j++)
            *loss += trial->projection[t][j] * ls_element(g, g->tensor[t]->data, g->tensor[t]->dtype, j);
    ls_set_element(g, x->data, x->dtype, i, keep);
    return status;
}

static LsStatus check_leaf(const LsSubject *subject, const Trial *trial, LsTensor *x, const double *analytic,
                           int samples, double size)
{
    const LsGraph *g = trial->g;
    double largest = 0;
    for (int64_t i = 0; i < x->count; i++)
        largest = fmax(largest, fabs(analytic[i]));
    int64_t tries = x->count < samples ? x->count : samples;
    for (int64_t n = 0; n < tries; n++) {
        int64_t i = x->count <= samples ? n : ls_permute(ls_key(13, x->name), x->count, n);
        double at = ls_element(g, x->data, x->dtype, i), h = 1e-5 * fmax(1, fabs(at)), loss[4];
        const double steps[4] = {2 * h, h, -h, -2 * h};
        for (int k = 0; k < 4; k++)
            LS_TRY(perturbed_loss(trial, x, i, at + steps[k], &loss[k]));
        double numeric = (8 * (loss[1] - loss[2]) - (loss[0] - loss[3])) / (12 * h);
        /* Fourth-order central differences: what is left is the rounding of L, 2^-53 size / h, of which sums make a
         * few. */
        double allowed = 1e-7 * fmax(fabs(numeric), largest) + 20 * 0x1p-53 * size / h;
        if (!(fabs(numeric - analytic[i]) <= allowed))
            return ls_fail(LS_ERROR,
                           "%s: gradient of %s[%lld] is %.10g, central difference says %.10g (allowed difference %.2g)",
                           subject->name, x->name, (long long)i, analytic[i], numeric, allowed);
    }
    return LS_OK;
}

/* Every gradient starts from a number and must end at that number plus the gradient. */
static LsStatus check_adding(const LsSubject *subject, const Trial *trial, double *const *analytic, double start)
{
    LsGraph *g = trial->g;
    LsNodePlan *plan = &g->node_plan[g->nodes - 1];
    uint32_t keep = plan->add_more;
    if (g->nodes == 1)
        plan->add_more = g->node[0]->want;
    for (int t = 0; t < g->tensors; t++)
        if (analytic[t])
            for (int64_t i = 0; i < g->tensor[t]->count; i++)
                ls_set_element(g, g->tensor[t]->grad, g->tensor[t]->dtype, i, start);
    double loss, size;
    LS_TRY(ls_trial_project(trial, &loss, &size));
    LS_TRY(ls_trial_backward(trial, true));
    plan->add_more = keep;
    for (int t = 0; t < g->tensors; t++) {
        const LsTensor *x = g->tensor[t];
        bool stored = x->role == LS_ROLE_PARAM || x->role == LS_ROLE_RUNNING;
        if (!analytic[t] || (g->nodes > 1 && !stored) || x->role == LS_ROLE_CARRY)
            continue;
        double allowed = 1e-12 * (largest_gradient(g, x) + fabs(start));
        for (int64_t i = 0; i < x->count; i++)
            if (!(fabs(ls_element(g, x->grad, x->dtype, i) - (start + analytic[t][i])) <= allowed))
                return ls_fail(LS_ERROR,
                               "%s: told to add its gradient of %s[%lld] to %g it gave %.10g instead of %.10g",
                               subject->name, x->name, (long long)i, start, ls_element(g, x->grad, x->dtype, i),
                               start + analytic[t][i]);
    }
    return LS_OK;
}

static LsStatus gradients_of(LsGraph *g, double **analytic)
{
    for (int t = 0; t < g->tensors; t++) {
        const LsTensor *x = g->tensor[t];
        if (!x->needs_grad || !x->grad || !ls_trial_is_leaf(x) || !g->tensor_plan[t].active)
            continue;
        analytic[t] = ls_alloc_array(x->count, sizeof(double));
        if (!analytic[t])
            return LS_RESOURCE;
        for (int64_t i = 0; i < x->count; i++)
            analytic[t][i] = ls_element(g, x->grad, x->dtype, i);
    }
    return LS_OK;
}

LsStatus ls_check_gradient(const LsSubject *subject, int samples)
{
    Trial t = {0};
    TrialModes modes;
    double loss, size, **analytic = NULL;
    int tensors = 0;
    LsStatus status = LS_OK;
    LS_TRY(ls_trial_modes(subject, &modes));
    if (!modes.trains)
        return LS_OK;
    LS_TRY(ls_trial_new(subject, (TrialOptions){.mode = LS_TRAIN, .precision = LS_FLOAT64}, &t));
    if (t.g->nodes == 1 && t.g->node[0]->want == 0)
        goto cleanup;
    tensors = t.g->tensors;
    analytic = ls_alloc_array(tensors, sizeof *analytic);
    if (!analytic) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_trial_project(&t, &loss, &size));
    LS_TRY_CLEANUP(ls_trial_backward(&t, false));
    LS_TRY_CLEANUP(gradients_of(t.g, analytic));
    ls_trial_fill(&t);
    for (int i = 0; i < tensors; i++)
        if (analytic[i] && t.g->tensor[i]->role != LS_ROLE_RUNNING) /* no derivative of the results */
            LS_TRY_CLEANUP(check_leaf(subject, &t, t.g->tensor[i], analytic[i], samples, size));
    LS_TRY_CLEANUP(check_adding(subject, &t, analytic, 0.75));
cleanup:
    for (int i = 0; analytic && i < tensors; i++)
        ls_free(analytic[i]);
    ls_free(analytic);
    ls_trial_free(&t);
    return status;
}
