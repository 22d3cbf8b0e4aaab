/* Builds of the ops against each other: fast and plain, every precision and instruction set, any number of threads. */
#include "graph/check_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Largest relative error of rounding to bfloat16: half a unit of its 8 binary digits. */
#define STORED 0x1p-8

static double largest_value(const LsGraph *g, const void *data, LsDtype dtype, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(ls_element(g, data, dtype, i)));
    return largest;
}

/* Allowed difference of a result: `own` times its magnitude and `shared` times the largest of its tensor. */
typedef struct Allowance {
    double own, shared;
} Allowance;

static LsStatus compare(const char *name, const char *what, const LsTensor *x, const LsGraph *g, const void *data,
                        const LsGraph *double_graph, const void *expected, LsDtype dtype, Allowance a)
{
    double shared = a.shared * (largest_value(double_graph, expected, dtype, x->count) + 1e-30);
    for (int64_t i = 0; i < x->count; i++) {
        double have = ls_element(g, data, dtype, i), want = ls_element(double_graph, expected, dtype, i);
        double allowed = shared + (ls_graph_element_bytes(g, dtype) == 2 ? a.own * fabs(want) : 0);
        if (!(fabs(have - want) <= allowed))
            return ls_fail(LS_ERROR, "%s: %s%s[%lld] is %.9g, should be %.9g (allowed difference %.2g, largest %.3g)",
                           name, what, x->name, (long long)i, have, want, allowed,
                           largest_value(double_graph, expected, dtype, x->count));
    }
    return LS_OK;
}

static bool compared(const LsGraph *g, int t)
{
    return g->tensor_plan[t].kept || g->tensor[t]->role == LS_ROLE_STATE ||
           (g->tensor[t]->role == LS_ROLE_CARRY && !g->tensor[t]->end);
}

static LsStatus compare_all(const LsSubject *subject, const Trial *t, const Trial *expected, Allowance a,
                            bool gradients)
{
    for (int i = 0; i < t->g->tensors; i++) {
        const LsTensor *x = t->g->tensor[i], *y = expected->g->tensor[i];
        if (compared(t->g, i))
            LS_TRY(compare(subject->name, "", x, t->g, x->data, expected->g, y->data, x->dtype, a));
        if (gradients && x->grad && ls_trial_is_leaf(x) && t->g->tensor_plan[i].active)
            LS_TRY(compare(subject->name, "gradient of ", x, t->g, x->grad, expected->g, y->grad, ls_grad_dtype(x), a));
    }
    return LS_OK;
}

static LsStatus run_trial(const Trial *t)
{
    double loss, size;
    LS_TRY(ls_trial_project(t, &loss, &size));
    return t->options.mode == LS_TRAIN ? ls_trial_backward(t, false) : LS_OK;
}

static LsStatus check_reference_in(const LsSubject *subject, LsMode mode)
{
    Trial plain = {0}, fast = {0};
    double loss, size;
    LsStatus status = LS_OK;
    TrialOptions options = {.mode = mode, .precision = LS_FLOAT64};
    LS_TRY_CLEANUP(ls_trial_new(subject, options, &fast));
    options.reference = true;
    LS_TRY_CLEANUP(ls_trial_new(subject, options, &plain));
    LS_TRY_CLEANUP(ls_trial_project(&plain, &loss, &size));
    LS_TRY_CLEANUP(ls_trial_project(&fast, &loss, &size));
    LS_TRY_CLEANUP(compare_all(subject, &fast, &plain, (Allowance){.shared = 1e-12}, false));
cleanup:
    ls_trial_free(&plain);
    ls_trial_free(&fast);
    return status;
}

LsStatus ls_check_reference(const LsSubject *subject)
{
    TrialModes modes;
    LS_TRY(ls_trial_modes(subject, &modes));
    if (modes.trains)
        LS_TRY(check_reference_in(subject, LS_TRAIN));
    return modes.decodes ? check_reference_in(subject, LS_DECODE) : LS_OK;
}

/* The bytes of everything compared, one after another, as a digest that is compared exactly: here simply a copy. */
static LsStatus snapshot(const LsGraph *g, char **bytes, int64_t *count)
{
    *count = 0;
    for (int pass = 0; pass < 2; pass++) {
        int64_t at = 0;
        for (int i = 0; i < g->tensors; i++) {
            const LsTensor *x = g->tensor[i];
            bool leaf = x->grad && ls_trial_is_leaf(x) && g->tensor_plan[i].active;
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

static LsStatus check_threads(const LsSubject *subject, Trial *t)
{
    char *first = NULL, *other = NULL;
    int64_t count, other_count;
    int keep = ls_threads();
    LsStatus status = LS_OK;
    for (int threads = 1; threads <= 3 && status == LS_OK; threads++) {
        ls_set_threads(threads);
        status = run_trial(t);
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

/* The build for one instruction set beside what double says. */
static LsStatus check_build(const LsSubject *subject, TrialOptions options, const Trial *expected, Allowance a)
{
    Trial t = {0};
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_trial_new(subject, options, &t));
    LS_TRY_CLEANUP(check_threads(subject, &t));
    LS_TRY_CLEANUP(compare_all(subject, &t, expected, a, options.mode == LS_TRAIN));
cleanup:
    ls_trial_free(&t);
    return status;
}

/* Double is built for one instruction set, and says the same at all of them. */
static LsStatus check_builds_in(const LsSubject *subject, LsMode mode, LsPrecision precision, LsIsa most, Allowance a)
{
    Trial expected = {0};
    LsStatus status = LS_OK;
    TrialOptions options = {.mode = mode, .precision = LS_FLOAT64, .bf16_inputs = precision == LS_BFLOAT16};
    LS_TRY_CLEANUP(ls_trial_new(subject, options, &expected));
    LS_TRY_CLEANUP(run_trial(&expected));
    options.precision = precision;
    for (int isa = 0; isa <= (int)most; isa++) {
        char *forced = ls_check_force_isa((LsIsa)isa);
        status = check_build(subject, options, &expected, a);
        ls_check_restore_isa(forced);
        if (status != LS_OK) {
            ls_fail_in(status, "%s, %s", precision == LS_BFLOAT16 ? "bfloat16" : "float", ls_isa_name((LsIsa)isa));
            goto cleanup;
        }
    }
cleanup:
    ls_trial_free(&expected);
    return status;
}

LsStatus ls_check_builds(const LsSubject *subject, LsPrecision precision, LsIsa most, double tolerance,
                         double bf16_ulps)
{
    bool rounds = precision == LS_BFLOAT16;
    Allowance a = {.own = rounds ? STORED : 0, .shared = tolerance * 0x1p-24 + (rounds ? bf16_ulps * STORED : 0)};
    TrialModes modes;
    LS_TRY(ls_trial_modes(subject, &modes));
    if (modes.trains)
        LS_TRY(check_builds_in(subject, LS_TRAIN, precision, most, a));
    return modes.decodes ? check_builds_in(subject, LS_DECODE, precision, most, a) : LS_OK;
}
