/* What dense layers do with a piece of their product while it is in the cache: the activation. */
#ifndef LS_OPS_EPILOGUE_H
#define LS_OPS_EPILOGUE_H

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
