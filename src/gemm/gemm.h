/* Dense matrix products: what every op calls.
 *
 * C (m, n) = op(A) (m, k) op(B) (k, n), row-major; op is the identity or the transpose, as named. Then, in this
 * order: + C as it was, if accumulate; + bias (n) to every row. Products and sums are float (double for
 * LS_GEMM_FLOAT64), C is rounded once. The same bits for any number of threads; which kernel does it depends on the
 * product and the instruction set alone.
 *
 * Product of x: (T, C) with a weight w: (N, C), y = x w^T:
 *
 *     ls_gemm(&(LsGemm){.m = T, .n = N, .k = C, .a = x, .lda = C, .b = w, .ldb = C, .transpose_b = true, .c = y, .ldc = N});
 */
#ifndef LS_GEMM_H
#define LS_GEMM_H

#include "lockstep/base.h"

typedef enum LsGemmType { LS_GEMM_FLOAT32, LS_GEMM_BFLOAT16, LS_GEMM_FLOAT64 } LsGemmType;

/* A matrix (rows, runs * length) whose rows are runs of numbers that lie anywhere in memory, such as the windows of
 * pictures: packed from where they lie, or multiplied there. Rows come in groups (of one picture). Row r of group q has
 * its run t at element offset[t * rows + r] + q * stride of the operand, or is zero there where that offset is
 * negative. */
typedef struct LsGemmRuns {
    const int32_t *offset; /* (runs, rows); NULL: the operand is an ordinary matrix */
    int64_t runs, length;  /* of a row; elements of a run */
    int64_t rows, stride;  /* of a group; elements from group to group */
    int64_t first;         /* row that is the operand's first */
} LsGemmRuns;

typedef struct LsGemm {
    LsGemmType type; /* of A, B, bias and C */
    int64_t m, n, k;
    const void *a; /* (m, k), or (k, m) with transpose_a; lda elements from row to row */
    int64_t lda;
    bool transpose_a;
    const void *b; /* (k, n), or (n, k) with transpose_b */
    int64_t ldb;
    bool transpose_b;
    /* With an offset: `a`, (k, m) with transpose_a, else (m, k), is made of these runs and lda means nothing; `b`,
     * (k, n), likewise. Not with row_sums, b_scale or transpose_b of such a B. */
    LsGemmRuns a_runs, b_runs;
    /* Not NULL: B is (n, k) of int8_t, with transpose_b, and its row j counts b_scale[j] times. */
    const float *b_scale;
    void *c; /* (m, n) */
    int64_t ldc;
    bool accumulate;
    bool c_float; /* C of a bfloat16 product is float; no meaning elsewhere */
    /* An error that is small beside the largest number of a row of op(A) is small enough, whatever the row's other
     * numbers are: the caller knows that those meet no far larger numbers of B. Lets a float product be quicker
     * (int8x3.h). Likewise of a column of op(B). */
    bool a_rowwise_error, b_columnwise_error;
    const void *bias; /* (n) or NULL */
    /* Not NULL: (m), = or, with add_row_sums, += the sum of each row of op(A), made while A is packed. Only for
     * products of which ls_gemm_sums_rows says so. */
    float *row_sums;
    bool add_row_sums;
    /* Not NULL: called once for every finished piece of C (all pieces together are C, none overlap), on the thread that
     * made it and while it is in that thread's cache. For epilogues. */
    void (*finish)(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns);
    void *self;
} LsGemm;

/* Called outside or inside an OpenMP parallel region (then it runs on the calling thread alone). */
LsStatus ls_gemm(const LsGemm *gemm) LS_MUST_USE;
/* Two of them, neither of which needs what the other makes, in one go where that spares threads a wait for each
 * other. */
LsStatus ls_gemm_both(const LsGemm *first, const LsGemm *second) LS_MUST_USE;
/* The product can make row_sums too. */
bool ls_gemm_sums_rows(const LsGemm *gemm);

/* The kernel that would do the product ("simd_f32_v3"); "none" where sizes are zero or wrong. */
const char *ls_gemm_kernel_name(const LsGemm *gemm);

/* About how many bytes of work space products keep whose right operand has up to so many columns, summed over up to
 * `depth` rows of it. */
int64_t ls_gemm_workspace_most(int64_t columns, int64_t depth, LsGemmType type);

#endif
