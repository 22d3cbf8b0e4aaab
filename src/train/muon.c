/* Muon (Jordan 2024, "Muon: an optimizer for hidden layers in neural networks"). With G the scaled gradient of a dense
 * layer's matrix, (N, K):
 *
 *   M <- momentum M + (1 - momentum) G
 *   U  = momentum M + (1 - momentum) G                    (Nesterov's)
 *   O  = U made nearly orthogonal: X_0 = U / |U|, X <- a X + (b A + c A^2) X with A = X X^T, five times
 *   P <- (1 - lr decay) P - lr 0.2 sqrt(max(N, K)) O
 *
 * The factor (Liu et al. 2025, "Muon is scalable for LLM training", equation 4) makes steps as large as AdamW's, which
 * learns all other parameters (embeddings, heads, biases, gains) at the same learning rate. What becomes of an element
 * depends on the whole matrix.
 */
#include "base/pieces.h"
#include "gemm/gemm.h"
#include "lockstep/adapters.h"
#include "train/adamw.h"

#include <math.h>

#define ROUNDS 5
#define SMALLEST_NORM 1e-7
static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;

static bool is_matrix(const LsParam *p) { return (p->flags & LS_MATRIX) && p->rank == 2; }

/* Of the mean of squared gradients: what AdamW learns has one. */
static bool shape_of_squares(const LsParam *p, int *rank, int64_t *dim)
{
    (void)rank, (void)dim;
    return !is_matrix(p);
}

static int64_t shorter_side(const LsParam *p) { return p->dim[0] < p->dim[1] ? p->dim[0] : p->dim[1]; }

/* Floats in whole cache lines. */
static int64_t padded(int64_t count) { return ls_ceil_div(count, LS_ALIGN / 4) * (LS_ALIGN / 4); }

/* X twice, A, and the polynomial of it. */
static int64_t work_floats(const LsParams *params)
{
    int64_t most = 0;
    for (int i = 0; i < params->count; i++) {
        const LsParam *p = &params->list[i];
        int64_t side = is_matrix(p) ? shorter_side(p) : 0;
        int64_t floats = side > 0 ? 2 * padded(p->count) + 2 * padded(side * side) : 0;
        most = floats > most ? floats : most;
    }
    return most;
}

/* The momentum, and U / |U| into x. */
static void begin_matrix(const LsUpdate *u, const LsParam *p, float *restrict m, float *restrict x)
{
    const float *restrict grad = u->params->grad + p->offset;
    const float scale = (float)u->scale, momentum = (float)u->settings->momentum;
    const float rest = (float)(1 - u->settings->momentum);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < p->count; i++) {
        float g = grad[i] * scale;
        m[i] = momentum * m[i] + rest * g;
        x[i] = momentum * m[i] + rest * g;
    }
    double norm = sqrt(ls_sum_of_squares(x, p->count));
    float inverse = (float)(1 / (norm > SMALLEST_NORM ? norm : SMALLEST_NORM));
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < p->count; i++)
        x[i] *= inverse;
}

/* y = (a I + b A + c A^2) x, x: (rows, columns), with A = x x^T; or, where rows are more than columns, from the right
 * with A = x^T x. */
static LsStatus iterate_once(const float *x, float *y, float *gram, float *poly, int64_t rows, int64_t columns)
{
    bool tall = rows > columns;
    int64_t side = tall ? columns : rows, length = tall ? rows : columns;
    LS_TRY(ls_gemm(&(LsGemm){.m = side,
                             .n = side,
                             .k = length,
                             .a = x,
                             .lda = columns,
                             .transpose_a = tall,
                             .b = x,
                             .ldb = columns,
                             .transpose_b = !tall,
                             .c = gram,
                             .ldc = side}));
    LS_TRY(ls_gemm(&(LsGemm){
        .m = side, .n = side, .k = side, .a = gram, .lda = side, .b = gram, .ldb = side, .c = poly, .ldc = side}));
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < side; i++) {
        for (int64_t j = 0; j < side; j++)
            poly[i * side + j] = b * gram[i * side + j] + c * poly[i * side + j];
        poly[i * side + i] += a;
    }
    return ls_gemm(&(LsGemm){.m = rows,
                             .n = columns,
                             .k = side,
                             .a = tall ? x : poly,
                             .lda = side,
                             .b = tall ? poly : x,
                             .ldb = columns,
                             .c = y,
                             .ldc = columns});
}

static LsStatus update_matrix(const LsUpdate *u, int param)
{
    const LsParam *p = &u->params->list[param];
    int64_t side = shorter_side(p);
    float *x = u->work, *y = x + padded(p->count), *gram = y + padded(p->count), *poly = gram + padded(side * side);
    begin_matrix(u, p, ls_moment_at(&u->moment[0], u->params, param, p->offset), x);
    for (int i = 0; i < ROUNDS; i++) {
        LS_TRY(iterate_once(x, y, gram, poly, p->dim[0], p->dim[1]));
        float *other = x;
        x = y;
        y = other;
    }
    float keep = (float)(1 - u->learning_rate * (double)ls_optimizer_decay(u->settings, p));
    float rate = (float)(u->learning_rate * 0.2 * sqrt((double)(p->count / side)));
    float *restrict value = u->params->value + p->offset;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < p->count; i++)
        value[i] = keep * value[i] - rate * x[i];
    return LS_OK;
}

static LsStatus update_params(const LsUpdate *u)
{
    ls_adamw_update(u, &u->moment[0], &u->moment[1], is_matrix);
    return ls_optimizer_each_whole(u, is_matrix, update_matrix);
}

extern const LsOptimizer ls_optimizer_muon;
const LsOptimizer ls_optimizer_muon = {.name = "muon",
                                       .takes = "momentum|beta1|beta2|epsilon",
                                       .moments = 2,
                                       .moment = {{"optimizer/m"}, {"optimizer/v", shape_of_squares}},
                                       .whole = is_matrix,
                                       .work = work_floats,
                                       .update = update_params};
