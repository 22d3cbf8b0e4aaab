/* Deep float products by tiles: both operands are many times as large as the result, which is small. A thread multiplies
 * a part of both, a range of k, from packing to its sums, so that it needs nothing of what others read or packed; on few
 * threads the sums of the parts cost less than that. */
#ifndef LS_BASE_GEMM_DEEP_H
#define LS_BASE_GEMM_DEEP_H

#include "base/gemm.h"

/* Such a product, if tiles are to do it. */
bool ls_gemm_is_deep(const LsGemm *gemm);

/* The product. `next`: another one, which ls_fixed_gemm would do (n and k > 0) and which needs nothing of this, or NULL:
 * done in the same go, so that threads wait for each other half as often. */
LsStatus ls_deep_gemm(const LsGemm *gemm, const LsGemm *next) LS_MUST_USE;

/* About how many bytes of work space it takes whose result has up to so many columns, `next` aside. */
int64_t ls_deep_space(int64_t columns);

#endif
