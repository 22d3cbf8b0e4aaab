/* What the products of all types have in common. */
#ifndef LS_BASE_GEMM_CHECK_H
#define LS_BASE_GEMM_CHECK_H

#include "base/gemm.h"

/* LS_ERROR where a size is negative or a stride shorter than a row. */
LsStatus ls_gemm_check(const LsGemm *gemm) LS_MUST_USE;

#endif
