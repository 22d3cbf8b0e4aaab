/* What dense layers have in common, whatever their weights are stored in: shapes, the product, and the activation of each piece of it while
 * that is in the cache. */
#ifndef LS_OPS_LINEAR_H
#define LS_OPS_LINEAR_H

#include "ops/activation.h"
#include "ops/op_build.h"

LS_INLINE void activate_row(LsActivation kind, const real *h, real *y, int64_t count)
{
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES)
        ls_store(y + j, ls_activate(kind, ls_load(h + j)));
    if (j < count)
        ls_store_part(y + j, ls_activate(kind, ls_load_part(h + j, count - j)), count - j);
}

typedef struct Epilogue {
    LsActivation activation;
    const real *h; /* (M, N) */
    real *y;       /* (M, N), may be h */
    int64_t stride;
} Epilogue;

/* The activation of a piece of the product, while it is still in the cache. */
__attribute__((unused)) static void ls_finish_piece(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const Epilogue *e = self;
    for (int64_t i = row; i < row + rows; i++) {
        const real *h = e->h + i * e->stride + column;
        real *y = e->y + i * e->stride + column;
        switch (e->activation) { /* one loop for each, so that the choice is made outside it */
        case LS_GELU:
            activate_row(LS_GELU, h, y, columns);
            break;
        case LS_GELU_TANH:
            activate_row(LS_GELU_TANH, h, y, columns);
            break;
        case LS_SILU:
            activate_row(LS_SILU, h, y, columns);
            break;
        case LS_RELU:
            activate_row(LS_RELU, h, y, columns);
            break;
        case LS_NO_ACTIVATION:
            break;
        }
    }
}

typedef struct Linear {
    LsActivation activation;
} Linear;

/* Checks x: (..., K), w: (N, K) of elements of this type, bias: (N) or NULL; dim becomes (..., N), of x's rank. */
static LsStatus ls_linear_shape(const LsNode *node, LsDtype weights, int64_t dim[LS_MAX_RANK])
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    if (x->dtype != LS_REAL || w->dtype != weights || w->rank != 2 || x->rank < 1 || x->dim[x->rank - 1] != w->dim[1])
        return ls_node_fail(node, "linear: x %s does not fit w %s: x must be (..., K), w (N, K)", ls_shape_text(x), ls_shape_text(w));
    if (bias && (bias->rank != 1 || bias->dim[0] != w->dim[0] || bias->dtype != LS_REAL))
        return ls_node_fail(node, "linear: bias %s does not fit w %s: it must be (N)", ls_shape_text(bias), ls_shape_text(w));
    memcpy(dim, x->dim, LS_MAX_RANK * sizeof *dim);
    dim[x->rank - 1] = w->dim[0];
    return LS_OK;
}

/* The product h = x w^T + bias, (M, N), with the activation from h to out[0] as its epilogue, which must live as long. */
__attribute__((unused)) static LsGemm ls_linear_product(const LsNode *node, real *h, Epilogue *epilogue)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    const Linear *linear = node->attr;
    int64_t n = w->dim[0], k = w->dim[1];
    *epilogue = (Epilogue){linear->activation, h, node->out[0]->data, n};
    return (LsGemm){.m = x->count / k,
                    .n = n,
                    .k = k,
                    .a = x->data,
                    .lda = k,
                    .b = w->data,
                    .ldb = k,
                    .transpose_b = true,
                    .c = h,
                    .ldc = n,
                    .bias = bias ? bias->data : NULL,
                    .finish = linear->activation != LS_NO_ACTIVATION ? ls_finish_piece : NULL,
                    .self = epilogue};
}

__attribute__((unused)) static double ls_activation_of(LsActivation kind, double h)
{
    switch (kind) {
    case LS_GELU:
        return h * 0.5 * (1 + erf(h / sqrt(2)));
    case LS_GELU_TANH:
        return 0.5 * h * (1 + tanh(sqrt(2 / acos(-1)) * (h + 0.044715 * h * h * h)));
    case LS_SILU:
        return h / (1 + exp(-h));
    case LS_RELU:
        return h > 0 ? h : 0;
    case LS_NO_ACTIVATION:
        break;
    }
    return h;
}

#endif
