/* Sums over a long k with a small result: both operands are many times as large as C. A thread multiplies a range of k
 * of both, from packing to its sums, so that it needs nothing of what others read or packed; on few threads the sums of
 * the ranges cost less than that. For float results, by any kernel that has `alone`. */
#ifndef LS_GEMM_SPLIT_K_H
#define LS_GEMM_SPLIT_K_H

#include "gemm/kernel.h"

/* A product can be cut into ranges of k: operands of runs have their k from row to row. */
static inline bool ls_split_can(const LsGemm *g) { return !g->b_runs.offset && (g->transpose_a || !g->a_runs.offset); }

/* Such a product, which its kernel can do by ranges. */
bool ls_split_is_deep(const LsGemm *gemm);

/* ls_split_gemm may do `next` in the same go: the kernel of both is the one of 8-bit tiles. */
bool ls_split_joins(const LsGemm *gemm, const LsGemm *next);

/* The product by a kernel's ranges. `next`: another product that ls_split_joins it, and needs nothing of this, or NULL:
 * done in the same go, so that threads wait for each other half as often. */
LsStatus ls_split_gemm(const LsGemmKernel *kernel, const LsGemm *gemm, const LsGemm *next) LS_MUST_USE;

/* About how many bytes of sums it takes for a result of so many columns, summed over up to `depth`. */
int64_t ls_split_sums_most(int64_t columns, int64_t depth);

#endif
