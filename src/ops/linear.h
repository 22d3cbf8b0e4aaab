/* What dense layers have in common, whatever their weights are stored in: shapes, the product, and the activation of
 * each piece of it while that is in the cache. */
#ifndef LS_OPS_LINEAR_H
#define LS_OPS_LINEAR_H

#include "ops/activation.h"
#include "ops/op_build.h"

/* y = act(h), slope = act'(h) (NULL: not wanted); slope or y may be h. All: (count) */
LS_INLINE void activate_row(LsActivation kind, const real *h, real *y, real *slope, int64_t count)
{
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES) {
        vacc x = ls_load(h + j);
        ls_store(y + j, ls_activate(kind, x));
        if (slope)
            ls_store(slope + j, ls_activate_slope(kind, x));
    }
    if (j < count) {
        vacc x = ls_load_part(h + j, count - j);
        ls_store_part(y + j, ls_activate(kind, x), count - j);
        if (slope)
            ls_store_part(slope + j, ls_activate_slope(kind, x), count - j);
    }
}

/* A row of each activation, with its slope and without, and both in the library's functions, by LsActivation. */
#define ROW(kind, name)                                                                                                \
    static void name##_row(const real *h, real *y, real *slope, int64_t count)                                         \
    {                                                                                                                  \
        if (slope)                                                                                                     \
            activate_row(kind, h, y, slope, count);                                                                    \
        else                                                                                                           \
            activate_row(kind, h, y, NULL, count);                                                                     \
    }
LS_ACTIVATIONS(ROW)
#undef ROW

#define ENTRY(kind, name) [kind] = {name##_row, act_##name##_plain, act_##name##_slope_plain},
static const struct {
    void (*row)(const real *h, real *y, real *slope, int64_t count);
    double (*plain)(double x);
    double (*slope)(double x);
} ls_activations[] = {LS_ACTIVATIONS(ENTRY)};
#undef ENTRY

typedef struct Epilogue {
    LsActivation activation;
    real *h;     /* (M, N) */
    real *y;     /* (M, N), may be h */
    bool slopes; /* where h was is act'(h) then */
    int64_t stride;
} Epilogue;

/* The activation of a piece of the product, while it is still in the cache. */
__attribute__((unused)) static void ls_finish_piece(void *self, int64_t row, int64_t column, int64_t rows,
                                                    int64_t columns)
{
    const Epilogue *e = self;
    for (int64_t i = row; i < row + rows; i++) {
        real *h = e->h + i * e->stride + column;
        ls_activations[e->activation].row(h, e->y + i * e->stride + column, e->slopes ? h : NULL, columns);
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
