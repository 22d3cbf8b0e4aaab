/* A product: checked, given to the kernel that takes the least time. */
#include "gemm/gemm.h"
#include "base/pieces.h"
#include "gemm/epilogue.h"
#include "gemm/kernel.h"
#include "gemm/record.h"
#include "gemm/split_k.h"

#include <stdlib.h>
#include <string.h>

#define KERNEL(name) extern const LsGemmKernel ls_gemm_kernel_##name;
#include "gemm/kernels.def"
#undef KERNEL

static const LsGemmKernel *const kernels[] = {
#define KERNEL(name) &ls_gemm_kernel_##name,
#include "gemm/kernels.def"
#undef KERNEL
    NULL};

const LsGemmKernel *const *ls_gemm_kernels(void) { return kernels; }

LsStatus ls_gemm_check(const LsGemm *g)
{
    bool sizes = g->m >= 0 && g->n >= 0 && g->k >= 0,
         fits = sizes && g->ldc >= g->n && (g->a_runs.offset || g->lda >= (g->transpose_a ? g->m : g->k)) &&
                (g->b_runs.offset || g->ldb >= (g->transpose_b ? g->k : g->n));
    if (!fits)
        return ls_fail(LS_ERROR,
                       "matrix product of (%lld, %lld) and (%lld, %lld) with strides %lld, %lld, %lld: a stride is "
                       "shorter than a row",
                       (long long)g->m, (long long)g->k, (long long)g->k, (long long)g->n, (long long)g->lda,
                       (long long)g->ldb, (long long)g->ldc);
    if (g->b_scale && (!g->transpose_b || g->type == LS_GEMM_FLOAT64))
        return ls_fail(LS_ERROR, "a product with 8-bit weights wants them as (n, k), beside float or bfloat16");
    const LsGemmRuns *a = &g->a_runs, *b = &g->b_runs;
    if ((a->offset && a->runs * a->length != (g->transpose_a ? g->m : g->k)) ||
        (b->offset && (b->runs * b->length != g->n || g->transpose_b || g->b_scale)))
        return ls_fail(LS_ERROR,
                       "matrix product of (%lld, %lld) and (%lld, %lld): the runs of an operand make other rows, or B "
                       "is transposed or of 8 bits as well",
                       (long long)g->m, (long long)g->k, (long long)g->k, (long long)g->n);
    if (g->row_sums && !ls_gemm_sums_rows(g))
        return ls_fail(LS_ERROR, "matrix product (%lld, %lld, %lld): it cannot make the sums of A's rows",
                       (long long)g->m, (long long)g->n, (long long)g->k);
    return LS_OK;
}

/* ---- The choice -------------------------------------------------------------------------------------------------- */

/* Looked up once; a name that no kernel has is said once, and changes nothing. */
const char *ls_gemm_forced(void)
{
    static const char *_Atomic name;
    if (!name) {
        const char *given = getenv("LOCKSTEP_GEMM");
        name = given ? given : "";
        const LsGemmKernel *const *k = kernels;
        while (*k && strcmp((*k)->name, name) != 0)
            k++;
        if (*name && !*k)
            ls_warn("LOCKSTEP_GEMM=%s: no kernel has this name (src/gemm/kernels.def lists them); it is ignored", name);
    }
    return name;
}

const LsGemmKernel *ls_gemm_choose(const LsGemm *g)
{
    const LsIsa isa = ls_isa();
    const char *forced = ls_gemm_forced();
    const LsGemmKernel *best = NULL;
    double least = 0;
    for (const LsGemmKernel *const *k = kernels; *k; k++) {
        if ((*k)->isa > isa || !(*k)->usable(g))
            continue;
        if (*forced && strcmp((*k)->name, forced) == 0)
            return *k;
        double time = (*k)->picoseconds(g);
        if (!best || time < least) {
            best = *k;
            least = time;
        }
    }
    return best;
}

static bool has_sizes(const LsGemm *g) { return g->m > 0 && g->n > 0 && g->k > 0; }

bool ls_gemm_sums_rows(const LsGemm *g)
{
    return has_sizes(g) && g->transpose_a && !ls_gemm_has_runs(g) && ls_gemm_choose(g)->sums_rows;
}

const char *ls_gemm_kernel_name(const LsGemm *g) { return has_sizes(g) ? ls_gemm_choose(g)->name : "none"; }

/* ---- The product ------------------------------------------------------------------------------------------------- */

/* The sum is empty. */
static void run_empty(const LsGemm *g)
{
    size_t bytes = g->type == LS_GEMM_FLOAT64 ? sizeof(double)
                   : ls_gemm_c_float(g)       ? sizeof(float)
                                              : sizeof(LsBfloat16);
    for (int64_t i = 0; i < g->m; i++) {
        if (!g->accumulate)
            memset((char *)g->c + (size_t)(i * g->ldc) * bytes, 0, (size_t)g->n * bytes);
        ls_gemm_finish(g, i, 0, 1, g->n);
    }
}

LsStatus ls_gemm(const LsGemm *g)
{
    ls_gemm_record(g);
    LS_TRY(ls_gemm_check(g));
    if (g->m == 0 || g->n == 0)
        return LS_OK;
    if (g->k == 0) {
        run_empty(g);
        return LS_OK;
    }
    return ls_gemm_choose(g)->run(g);
}

LsStatus ls_gemm_both(const LsGemm *first, const LsGemm *second)
{
    if (has_sizes(first) && has_sizes(second) && ls_split_joins(first, second)) {
        LS_TRY(ls_gemm_check(first));
        LS_TRY(ls_gemm_check(second));
        ls_gemm_record(first);
        ls_gemm_record(second);
        return ls_split_gemm(ls_gemm_choose(first), first, second);
    }
    LS_TRY(ls_gemm(first));
    return ls_gemm(second);
}

int64_t ls_gemm_workspace_most(int64_t columns, int64_t depth, LsGemmType type)
{
    int64_t most = 0;
    for (const LsGemmKernel *const *k = kernels; *k; k++) {
        int64_t bytes = (*k)->isa <= ls_isa() && (*k)->workspace_most ? (*k)->workspace_most(columns, depth, type) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}
