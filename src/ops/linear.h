/* Shared by dense layers of all storages of weights: shapes and the product. */
#ifndef LS_OPS_LINEAR_H
#define LS_OPS_LINEAR_H

#include "ops/activation_rows.h"

typedef struct Linear {
    LsActivation activation;
} Linear;

/* Checks x: (..., K), w: (N, K) of elements of this type, bias: (N) or NULL; dim becomes (..., N), of x's rank. */
static LsStatus ls_linear_shape(const LsNode *node, LsDtype weights, int64_t dim[LS_MAX_RANK])
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    if (x->dtype != LS_REAL || w->dtype != weights || w->rank != 2 || x->rank < 1 || x->dim[x->rank - 1] != w->dim[1])
        return ls_node_fail(node, "linear: x %s does not fit w %s: x must be (..., K), w (N, K)", ls_shape_text(x),
                            ls_shape_text(w));
    if (bias && (bias->rank != 1 || bias->dim[0] != w->dim[0] || bias->dtype != LS_REAL))
        return ls_node_fail(node, "linear: bias %s does not fit w %s: it must be (N)", ls_shape_text(bias),
                            ls_shape_text(w));
    memcpy(dim, x->dim, LS_MAX_RANK * sizeof *dim);
    dim[x->rank - 1] = w->dim[0];
    return LS_OK;
}

/* The product h = x w^T + bias, (M, N), with the activation from h to out[0] as its epilogue, which must live as long;
 * it leaves act'(h) in h where that is another array. */
__attribute__((unused)) static LsGemm ls_linear_product(const LsNode *node, real *h, Epilogue *epilogue)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *bias = node->in[2];
    const Linear *linear = node->attr;
    int64_t n = w->dim[0], k = w->dim[1];
    *epilogue = (Epilogue){linear->activation, h, node->out[0]->data, h != node->out[0]->data, n};
    return (LsGemm){.type = LS_GEMM_REAL,
                    .m = x->count / k,
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

#endif
