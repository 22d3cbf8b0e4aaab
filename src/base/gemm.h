/* Dense matrix products: what every op calls, one function for each element type.
 *
 * C (m, n) = op(A) (m, k) op(B) (k, n), row-major; op is the identity or the transpose, as named. Then, in this order:
 * + C as it was, if accumulate; + bias (n) to every row. The same bits for any number of threads.
 *
 * Product of x: (T, C) with a weight w: (N, C), y = x w^T:
 *
 *     ls_gemm_float32(&(LsGemm){.m = T, .n = N, .k = C, .a = x, .lda = C, .b = w, .ldb = C, .transpose_b = true, .c = y, .ldc = N});
 */
#ifndef LS_BASE_GEMM_H
#define LS_BASE_GEMM_H

#include "lockstep/base.h"

typedef struct LsGemm {
    int64_t m, n, k;
    const void *a; /* (m, k), or (k, m) with transpose_a; lda elements from row to row */
    int64_t lda;
    bool transpose_a;
    const void *b; /* (k, n), or (n, k) with transpose_b */
    int64_t ldb;
    bool transpose_b;
    void *c; /* (m, n) */
    int64_t ldc;
    bool accumulate;
    bool c_float; /* C of a bfloat16 product is float; no meaning elsewhere */
    /* An error that is small beside the largest number of a row of op(A) is small enough, whatever the row's other
     * numbers are: the caller knows that those meet no far larger numbers of B. Lets a float product be quicker
     * (gemm_fixed.h). */
    bool a_by_largest;
    const void *bias; /* (n) or NULL */
    /* Not NULL: (m), = or, with add_row_sums, += the sum of each row of op(A), made while A is packed. Only for products
     * of which ls_gemm_float32_sums says so. */
    float *row_sums;
    bool add_row_sums;
    /* Not NULL: called once for every finished piece of C (all pieces together are C, none overlap), on the thread that
     * made it and while it is in that thread's cache. For epilogues. */
    void (*finish)(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns);
    void *self;
} LsGemm;

/* Called outside or inside an OpenMP parallel region (then it runs on the calling thread alone). */
LsStatus ls_gemm_float32(const LsGemm *gemm) LS_MUST_USE;
/* Two of them, neither of which needs what the other makes, in one go where that spares threads a wait for each other. */
LsStatus ls_gemm_float32_both(const LsGemm *first, const LsGemm *second) LS_MUST_USE;
/* The float product can make row_sums too. */
bool ls_gemm_float32_sums(const LsGemm *gemm);
/* A, B and bias are LsBfloat16; C too, or float with c_float. Products and sums are float, C is rounded once. */
LsStatus ls_gemm_bfloat16(const LsGemm *gemm) LS_MUST_USE;
/* B is (n, k) of int8_t, with transpose_b; its row j counts scale[j] times. A, bias and C are float, or LsBfloat16 with
 * `bfloat16` (C float with c_float). Products and sums are float. */
LsStatus ls_gemm_int8(const LsGemm *gemm, const float *scale, bool bfloat16) LS_MUST_USE;
LsStatus ls_gemm_float64(const LsGemm *gemm) LS_MUST_USE; /* plain blocked loops: for gradient checks */

/* About how many bytes of work space products keep whose results have up to so many columns. */
int64_t ls_gemm_space_most(int64_t columns, bool is_float);

#endif
