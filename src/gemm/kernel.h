/* The table of kernels: ways to do a product, one line each in kernels.def. Of those that the machine has and that
 * can do a product, the one that takes the fewest seconds by its own estimate does it; LOCKSTEP_GEMM names another,
 * for tests and comparisons. */
#ifndef LS_GEMM_KERNEL_H
#define LS_GEMM_KERNEL_H

#include "gemm/gemm.h"

/* Sizes are checked, none is 0, before a kernel is asked anything. */
typedef struct LsGemmKernel {
    const char *name;
    LsIsa isa; /* the lowest level that has it */
    bool (*usable)(const LsGemm *gemm);
    /* An estimate in picoseconds on two cores. It must not depend on the number of threads, as bits depend on the
     * kernel; only ratios to other kernels of the same level matter. */
    double (*picoseconds)(const LsGemm *gemm);
    LsStatus (*run)(const LsGemm *gemm);
    bool sums_rows; /* it can make row_sums, where A is transposed */
    /* Most bytes of work space that a product of this type takes whose n is `columns` and whose k is at most `depth`;
     * NULL: none to speak of. */
    int64_t (*workspace_most)(int64_t columns, int64_t depth, LsGemmType type);
    /* For split_k.h, NULL where the kernel takes no part: into how long ranges a sum may be cut (a multiple of the
     * kernel's own blocks), and one range on the calling thread in a space of so many bytes. */
    int64_t (*split_depth)(const LsGemm *gemm);
    int64_t (*alone_space)(const LsGemm *gemm);
    void (*alone)(const LsGemm *gemm, void *space);
} LsGemmKernel;

/* The best kernel for a product whose sizes are not 0; never NULL. */
const LsGemmKernel *ls_gemm_choose(const LsGemm *gemm);

/* The name in LOCKSTEP_GEMM; "" where there is none. */
const char *ls_gemm_forced(void);

/* The table, ended by NULL: all kernels that were built, whatever the machine. */
const LsGemmKernel *const *ls_gemm_kernels(void);

/* LS_ERROR where a size is negative, a stride shorter than a row, or types do not go together. */
LsStatus ls_gemm_check(const LsGemm *gemm) LS_MUST_USE;

/* An operand is made of runs: for kernels that take ordinary matrices alone. */
static inline bool ls_gemm_has_runs(const LsGemm *g) { return g->a_runs.offset || g->b_runs.offset; }

/* Run t of row `row`; NULL: zeros. */
static inline const void *ls_gemm_run(const LsGemmRuns *s, const void *data, int64_t bytes, int64_t row, int64_t t)
{
    int64_t at = s->first + row, offset = s->offset[t * s->rows + at % s->rows];
    return offset < 0 ? NULL : (const char *)data + (at / s->rows * s->stride + offset) * bytes;
}

/* C is float. */
static inline bool ls_gemm_c_float(const LsGemm *g)
{
    return g->type == LS_GEMM_FLOAT32 || (g->type == LS_GEMM_BFLOAT16 && g->c_float);
}

#endif
