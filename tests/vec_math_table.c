#include "vec_math_table.h"
#include "ops/op_build.h"
#include "ops/vec_math.h"

#define APPLY(function)                                                                                                \
    static void apply_##function(const void *x, void *y, int64_t count)                                                \
    {                                                                                                                  \
        for (int64_t i = 0; i < count; i += LS_LANES)                                                                  \
            ls_store_acc((acc *)y + i, ls_##function(ls_load_acc((const acc *)x + i)));                                \
    }
APPLY(exp)
APPLY(decay)
APPLY(vlog)
APPLY(vlog1p)
APPLY(vtanh)
APPLY(verf)
APPLY(vsigmoid)
APPLY(vsoftplus)
APPLY(log1p_unit)
LS_INLINE vacc ls_decay_near(vacc x) { return ls_decay_of(x, ls_splat(1), false); }
APPLY(decay_near)

static const VecMathRow rows[] = {
    {"exp", apply_exp},
    {"decay", apply_decay},
    {"log", apply_vlog},
    {"log1p", apply_vlog1p},
    {"tanh", apply_vtanh},
    {"erf", apply_verf},
    {"sigmoid", apply_vsigmoid},
    {"softplus", apply_vsoftplus},
    {"log1p to 1", apply_log1p_unit},
    {"decay, near", apply_decay_near},
    {NULL, NULL},
};

static void store(const float *x, float *y, float *one_by_one, int64_t count)
{
    real kept[64], single[64];
    for (int64_t i = 0; i < count; i += LS_LANES) {
        vacc v = {0};
        for (int64_t j = 0; j < LS_LANES && i + j < count; j++)
            v[j] = (acc)x[i + j];
        ls_store_upto(kept + i, v, count - i);
    }
    for (int64_t i = 0; i < count; i++)
        ls_store1(single + i, (acc)x[i]);
    for (int64_t i = 0; i < count; i += LS_LANES) {
        vacc v = ls_load_upto(kept + i, count - i);
        for (int64_t j = 0; j < LS_LANES && i + j < count; j++)
            y[i + j] = (float)v[j];
    }
    for (int64_t i = 0; i < count; i++)
        one_by_one[i] = (float)(i % 2 ? ls_load1(single + i) : ls_load_splat(single + i)[LS_LANES - 1]);
}

extern const VecMathTable LS_PASTE(vec_math, LS_OP_BUILD);
const VecMathTable LS_PASTE(vec_math, LS_OP_BUILD) = {(int)LS_LANES, rows, store};
