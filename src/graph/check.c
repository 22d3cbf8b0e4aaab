#include "graph/check.h"
#include "graph/graph_internal.h"

#include "base/bfloat16.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const LsRun run = {.seed = 5, .step = 3, .sample = 2, .training = true};

/* A graph of the subject with its parameters, inputs and seeds filled. */
typedef struct Trial {
    LsParams *params;
    LsGraph *g;
    bool coarse; /* all that comes from outside as LS_REAL is a bfloat16 number, in this trial's precision too */
} Trial;

static void trial_free(Trial *t)
{
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
    g->options.parts = true;
    return g->options.mode == LS_DECODE ? NULL : ls_case_range(g, ls_carry(g, name, dtype, rank, dim), low, high);
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

static double coarsen(const Trial *t, LsDtype dtype, double value)
{
    return t->coarse && dtype == LS_REAL ? (double)ls_bfloat16_to_float(ls_bfloat16_from_float((float)value)) : value;
}

/* Inputs and states: the same floats in every precision, so that builds can be compared. */
static void fill_leaves(const Trial *trial)
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
                           x->dtype == LS_I32 ? floor(value) : coarsen(trial, x->dtype, (double)(float)value));
        }
    }
}

static double projection(const LsTensor *x, int64_t i)
{
    return 2 * (double)ls_uniform_at(ls_key(11, x->name), 1, (uint64_t)i) - 1;
}

/* Backward starts from it: an output, or what a carry holds after the last step. */
static bool is_result(const LsGraph *g, int t)
{
    return g->tensor_plan[t].seed || (g->tensor[t]->role == LS_ROLE_CARRY && !g->tensor[t]->end);
}

/* A leaf with a gradient: an input, a parameter, or what a carry holds before the first step. */
static bool is_leaf(const LsTensor *x)
{
    return x->role == LS_ROLE_PARAM || x->role == LS_ROLE_INPUT || (x->role == LS_ROLE_CARRY && x->end);
}

/* L = sum r y over all results that backward starts from; *size gets sum |r y|, the scale of its rounding error. */
static LsStatus project(const Trial *trial, double *loss, double *size)
{
    LsGraph *g = trial->g;
    fill_leaves(trial);
    LS_TRY(ls_graph_forward(g, &run));
    *loss = *size = 0;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t i = 0; is_result(g, t) && i < g->tensor[t]->count; i++) {
            double part = coarsen(trial, g->tensor[t]->dtype, projection(g->tensor[t], i)) *
                          ls_element(g, g->tensor[t]->data, g->tensor[t]->dtype, i);
            *loss += part;
            *size += fabs(part);
        }
    return LS_OK;
}

static LsStatus backward(const Trial *trial, bool accumulate)
{
    LsGraph *g = trial->g;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t i = 0; is_result(g, t) && i < g->tensor[t]->count; i++)
            ls_set_element(g, g->tensor[t]->grad, g->tensor[t]->dtype, i,
                           coarsen(trial, g->tensor[t]->dtype, projection(g->tensor[t], i)));
    return ls_graph_backward_seeded(g, &run, accumulate, NULL);
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

static void coarsen_parameters(const Trial *t, LsStatus allocated)
{
    for (int p = 0; allocated == LS_OK && p < t->params->count; p++) {
        const LsParam *param = &t->params->list[p];
        float *value = t->params->value + param->offset;
        for (int64_t i = 0; i < param->count; i++)
            value[i] = (float)coarsen(t, param->flags & LS_PRECISE ? LS_ACC : LS_REAL, (double)value[i]);
    }
}

/* LS_TRAIN unless the subject has states; *decodes tells. */
static LsStatus trial_new(const LsSubject *subject, LsPrecision precision, bool reference, bool coarse, Trial *t,
                          bool *decodes)
{
    *decodes = false;
    for (int attempt = 0; attempt < 2; attempt++) {
        LsMode mode = attempt == 0 ? LS_DECODE : LS_TRAIN;
        *t = (Trial){.params = ls_params_new(), .coarse = coarse};
        t->g = t->params ? ls_graph_new(t->params, &(LsGraphOptions){.mode = mode,
                                                                     .precision = precision,
                                                                     .reference = reference,
                                                                     .grad_inputs = true,
                                                                     .poison = true,
                                                                     .int8_weights = mode == LS_DECODE})
                         : NULL;
        if (!t->g || !subject->build(t->g, subject->self)) {
            trial_free(t);
            return ls_fail_in(LS_ERROR, "%s: cannot be built", subject->name);
        }
        *decodes = ls_graph_states(t->g) > 0;
        if (attempt == 1 || *decodes)
            break;
        trial_free(t);
    }
    keep_results(t->g);
    LsStatus status = ls_params_allocate(t->params, 9, true);
    coarsen_parameters(t, status);
    if (status == LS_OK)
        status = ls_graph_plan(t->g);
    if (status != LS_OK) {
        trial_free(t);
        return ls_fail_in(status, "%s", subject->name);
    }
    return LS_OK;
}

/* ---- Gradient check ---- */

static double largest_gradient(const LsGraph *g, const LsTensor *x)
{
    double largest = 0;
    for (int64_t i = 0; i < x->count; i++)
        largest = fmax(largest, fabs(ls_element(g, x->grad, x->dtype, i)));
    return largest;
}

/* A leaf's data must survive project(), which refills inputs: the perturbation is applied between filling and
 * running. */
static LsStatus perturbed_loss(LsGraph *g, LsTensor *x, int64_t i, double value, double *loss)
{
    double keep = ls_element(g, x->data, x->dtype, i);
    ls_set_element(g, x->data, x->dtype, i, value);
    LsStatus status = ls_graph_forward(g, &run);
    *loss = 0;
    for (int t = 0; t < g->tensors; t++)
        for (int64_t j = 0; is_result(g, t) && j < g->tensor[t]->count; j++)
            *loss += projection(g->tensor[t], j) * ls_element(g, g->tensor[t]->data, g->tensor[t]->dtype, j);
    ls_set_element(g, x->data, x->dtype, i, keep);
    return status;
}

static LsStatus check_leaf(const LsSubject *subject, LsGraph *g, LsTensor *x, const double *analytic, int samples,
                           double size)
{
    double largest = 0;
    for (int64_t i = 0; i < x->count; i++)
        largest = fmax(largest, fabs(analytic[i]));
    int64_t tries = x->count < samples ? x->count : samples;
    for (int64_t n = 0; n < tries; n++) {
        int64_t i = x->count <= samples ? n : ls_permute(ls_key(13, x->name), x->count, n);
        double at = ls_element(g, x->data, x->dtype, i), h = 1e-5 * fmax(1, fabs(at)), loss[4];
        const double steps[4] = {2 * h, h, -h, -2 * h};
        for (int k = 0; k < 4; k++)
            LS_TRY(perturbed_loss(g, x, i, at + steps[k], &loss[k]));
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
    LS_TRY(project(trial, &loss, &size));
    LS_TRY(backward(trial, true));
    plan->add_more = keep;
    for (int t = 0; t < g->tensors; t++) {
        const LsTensor *x = g->tensor[t];
        if (!analytic[t] || (g->nodes > 1 && x->role != LS_ROLE_PARAM) || x->role == LS_ROLE_CARRY)
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
        if (!x->needs_grad || !x->grad || !is_leaf(x) || !g->tensor_plan[t].active)
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
    bool decodes;
    double loss, size, **analytic = NULL;
    int tensors = 0;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(trial_new(subject, LS_FLOAT64, false, false, &t, &decodes));
    bool any_op_without = t.g->node[t.g->nodes - 1]->want == 0;
    if (decodes || (t.g->nodes == 1 && any_op_without))
        goto cleanup;
    tensors = t.g->tensors;
    analytic = ls_alloc_array(tensors, sizeof *analytic);
    if (!analytic) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    LS_TRY_CLEANUP(project(&t, &loss, &size));
    LS_TRY_CLEANUP(backward(&t, false));
    LS_TRY_CLEANUP(gradients_of(t.g, analytic));
    fill_leaves(&t);
    for (int i = 0; i < tensors; i++)
        if (analytic[i])
            LS_TRY_CLEANUP(check_leaf(subject, t.g, t.g->tensor[i], analytic[i], samples, size));
    LS_TRY_CLEANUP(check_adding(subject, &t, analytic, 0.75));
cleanup:
    for (int i = 0; analytic && i < tensors; i++)
        ls_free(analytic[i]);
    ls_free(analytic);
    trial_free(&t);
    return status;
}

/* ---- Builds against each other ---- */

/* What rounding to bfloat16 may change, relative: half a unit of its 8 binary digits. */
#define STORED 0x1p-8

static double largest_value(const LsGraph *g, const void *data, LsDtype dtype, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(ls_element(g, data, dtype, i)));
    return largest;
}

/* What a result may differ by: `own` times its magnitude and `shared` times the largest of its tensor. */
typedef struct Allowance {
    double own, shared;
} Allowance;

static LsStatus compare(const char *name, const char *what, const LsTensor *x, const LsGraph *g, const void *data,
                        const LsGraph *judge, const void *expected, LsDtype dtype, Allowance a)
{
    double shared = a.shared * (largest_value(judge, expected, dtype, x->count) + 1e-30);
    for (int64_t i = 0; i < x->count; i++) {
        double have = ls_element(g, data, dtype, i), want = ls_element(judge, expected, dtype, i);
        double allowed = shared + (ls_graph_element_bytes(g, dtype) == 2 ? a.own * fabs(want) : 0);
        if (!(fabs(have - want) <= allowed))
            return ls_fail(LS_ERROR, "%s: %s%s[%lld] is %.9g, should be %.9g (allowed difference %.2g, largest %.3g)",
                           name, what, x->name, (long long)i, have, want, allowed,
                           largest_value(judge, expected, dtype, x->count));
    }
    return LS_OK;
}

static bool compared(const LsGraph *g, int t)
{
    return g->tensor_plan[t].kept || g->tensor[t]->role == LS_ROLE_STATE ||
           (g->tensor[t]->role == LS_ROLE_CARRY && !g->tensor[t]->end);
}

static LsStatus compare_all(const LsSubject *subject, const Trial *t, const Trial *judge, Allowance a, bool gradients)
{
    for (int i = 0; i < t->g->tensors; i++) {
        const LsTensor *x = t->g->tensor[i], *y = judge->g->tensor[i];
        if (compared(t->g, i))
            LS_TRY(compare(subject->name, "", x, t->g, x->data, judge->g, y->data, x->dtype, a));
        if (gradients && x->grad && is_leaf(x) && t->g->tensor_plan[i].active)
            LS_TRY(compare(subject->name, "gradient of ", x, t->g, x->grad, judge->g, y->grad, ls_grad_dtype(x), a));
    }
    return LS_OK;
}

static LsStatus run_trial(const Trial *t, bool decodes)
{
    double loss, size;
    LS_TRY(project(t, &loss, &size));
    return decodes ? LS_OK : backward(t, false);
}

LsStatus ls_check_reference(const LsSubject *subject)
{
    Trial plain = {0}, fast = {0};
    bool decodes;
    double loss, size;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(trial_new(subject, LS_FLOAT64, true, false, &plain, &decodes));
    LS_TRY_CLEANUP(trial_new(subject, LS_FLOAT64, false, false, &fast, &decodes));
    LS_TRY_CLEANUP(project(&plain, &loss, &size));
    LS_TRY_CLEANUP(project(&fast, &loss, &size));
    LS_TRY_CLEANUP(compare_all(subject, &fast, &plain, (Allowance){.shared = 1e-12}, false));
cleanup:
    trial_free(&plain);
    trial_free(&fast);
    return status;
}

/* The bytes of everything compared, one after another, as a digest that is compared exactly: here simply a copy. */
static LsStatus snapshot(const LsGraph *g, char **bytes, int64_t *count)
{
    *count = 0;
    for (int pass = 0; pass < 2; pass++) {
        int64_t at = 0;
        for (int i = 0; i < g->tensors; i++) {
            const LsTensor *x = g->tensor[i];
            bool leaf = x->grad && is_leaf(x) && g->tensor_plan[i].active;
            int64_t size = ls_tensor_bytes(g, x), grad_size = ls_grad_bytes(g, x);
            if (pass && compared(g, i))
                memcpy(*bytes + at, x->data, (size_t)size);
            at += compared(g, i) ? size : 0;
            if (pass && leaf)
                memcpy(*bytes + at, x->grad, (size_t)grad_size);
            at += leaf ? grad_size : 0;
        }
        *count = at;
        if (!pass && !(*bytes = ls_alloc((size_t)at)))
            return LS_RESOURCE;
    }
    return LS_OK;
}

static LsStatus check_threads(const LsSubject *subject, Trial *t, bool decodes)
{
    char *first = NULL, *other = NULL;
    int64_t count, other_count;
    int keep = ls_threads();
    LsStatus status = LS_OK;
    for (int threads = 1; threads <= 3 && status == LS_OK; threads++) {
        ls_set_threads(threads);
        status = run_trial(t, decodes);
        if (status == LS_OK)
            status = threads == 1 ? snapshot(t->g, &first, &count) : snapshot(t->g, &other, &other_count);
        if (status == LS_OK && threads > 1 && memcmp(first, other, (size_t)count) != 0)
            status = ls_fail(LS_ERROR, "%s: %d threads give other bits than one", subject->name, threads);
        ls_free(other);
        other = NULL;
    }
    ls_set_threads(keep);
    ls_free(first);
    return status;
}

/* Has the change taken note of. */
static void choose_again(void)
{
    LsIsa isa;
    bool known = ls_isa_choose(&isa) == LS_OK;
    (void)known; /* a wrong name is told where the next graph is made */
}

char *ls_check_force_isa(LsIsa isa)
{
    char *forced = getenv("LOCKSTEP_ISA") ? ls_strdup(getenv("LOCKSTEP_ISA")) : NULL;
    setenv("LOCKSTEP_ISA", ls_isa_name(isa), 1);
    choose_again();
    return forced;
}

void ls_check_restore_isa(char *forced)
{
    if (forced)
        setenv("LOCKSTEP_ISA", forced, 1);
    else
        unsetenv("LOCKSTEP_ISA");
    choose_again();
    ls_free(forced);
}

LsStatus ls_check_build(const LsSubject *subject, LsPrecision precision, LsIsa isa, double tolerance, double roundings)
{
    Trial judge = {0}, t = {0};
    bool decodes, coarse = precision == LS_BFLOAT16;
    Allowance a = {.own = coarse ? STORED : 0, .shared = tolerance * 0x1p-24 + (coarse ? roundings * STORED : 0)};
    LsStatus status = LS_OK;
    char *forced = ls_check_force_isa(isa);
    LS_TRY_CLEANUP(trial_new(subject, LS_FLOAT64, false, coarse, &judge, &decodes));
    LS_TRY_CLEANUP(trial_new(subject, precision, false, coarse, &t, &decodes));
    LS_TRY_CLEANUP(run_trial(&judge, decodes));
    LS_TRY_CLEANUP(check_threads(subject, &t, decodes));
    LS_TRY_CLEANUP(compare_all(subject, &t, &judge, a, !decodes));
cleanup:
    ls_check_restore_isa(forced);
    trial_free(&judge);
    trial_free(&t);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s, %s", coarse ? "bfloat16" : "float", ls_isa_name(isa));
}
