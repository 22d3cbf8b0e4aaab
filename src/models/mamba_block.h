/* The blocks of Mamba and Mamba-2, for models of one kind alone and for those that mix them: x + mixer(norm(x)). */
#ifndef LS_MODELS_MAMBA_BLOCK_H
#define LS_MODELS_MAMBA_BLOCK_H

#include "models/block.h"

/* Mamba (Gu and Dao 2023). */
typedef struct LsMambaBlock {
    int64_t expand, state, conv, rank;
    double epsilon, delta_min, delta_max, delta_floor, delta_scale;
    bool conv_bias, bias;
} LsMambaBlock;

#define LS_MAMBA_BLOCK_SETTINGS(S, at, prefix)                                                                         \
    LS_BLOCK_INT(S, at, prefix, expand, "2", 1, 16, "inner channels over width (E)"),                                  \
        LS_BLOCK_INT(S, at, prefix, state, "16", 1, 1024, "state of each inner channel (N)"),                          \
        LS_BLOCK_INT(S, at, prefix, conv, "4", 1, 64, "taps of the causal convolution"),                               \
        LS_BLOCK_INT(S, at, prefix, rank, "0", 0, 1 << 20,                                                             \
                     "rank of the projection that makes delta; 0: width / 16, rounded up"),                            \
        LS_BLOCK_FLOAT(S, at, prefix, epsilon, "1e-5", 0, 1, "added to the mean square inside the norms"),             \
        LS_BLOCK_FLOAT(S, at, prefix, delta_min, "0.001", 1e-9, 1e3, "smallest initial step size"),                    \
        LS_BLOCK_FLOAT(S, at, prefix, delta_max, "0.1", 1e-9, 1e3, "largest initial step size"),                       \
        LS_BLOCK_FLOAT(S, at, prefix, delta_floor, "1e-4", 0, 1e3, "initial step sizes are at least this"),            \
        LS_BLOCK_FLOAT(S, at, prefix, delta_scale, "1", 0, 1e3, "scale of the initial weights that make delta"),       \
        LS_BLOCK_BOOL(S, at, prefix, conv_bias, "true", "bias of the convolution"),                                    \
        LS_BLOCK_BOOL(S, at, prefix, bias, "false", "biases of in_proj and out_proj")

LsStatus ls_mamba_block_check(const void *block, const LsBlockPlace *place) LS_MUST_USE;
LsTensor *ls_mamba_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x);

/* Mamba-2 (Dao and Gu 2024). */
typedef struct LsMamba2Block {
    int64_t expand, head_dim, groups, state, conv, norm_groups;
    double epsilon, delta_min, delta_max, delta_floor, limit_min, limit_max;
    bool conv_bias, bias;
} LsMamba2Block;

#define LS_MAMBA2_BLOCK_SETTINGS(S, at, prefix)                                                                        \
    LS_BLOCK_INT(S, at, prefix, expand, "2", 1, 16, "inner channels over width (E)"),                                  \
        LS_BLOCK_INT(S, at, prefix, head_dim, "64", 1, 1 << 20, "channels of a head; must divide E"),                  \
        LS_BLOCK_INT(S, at, prefix, groups, "1", 1, 1 << 20,                                                           \
                     "groups of heads that share B and C; must divide the heads"),                                     \
        LS_BLOCK_INT(S, at, prefix, state, "128", 1, 4096, "state of each inner channel (N)"),                         \
        LS_BLOCK_INT(S, at, prefix, conv, "4", 1, 64, "taps of the causal convolution"),                               \
        LS_BLOCK_INT(S, at, prefix, norm_groups, "1", 1, 1 << 20,                                                      \
                     "ranges of E that the gated norm brings to unit size each; must divide E"),                       \
        LS_BLOCK_FLOAT(S, at, prefix, epsilon, "1e-5", 0, 1, "added to the mean square inside the norms"),             \
        LS_BLOCK_FLOAT(S, at, prefix, delta_min, "0.001", 1e-9, 1e3, "smallest initial step size"),                    \
        LS_BLOCK_FLOAT(S, at, prefix, delta_max, "0.1", 1e-9, 1e3, "largest initial step size"),                       \
        LS_BLOCK_FLOAT(S, at, prefix, delta_floor, "1e-4", 0, 1e3, "initial step sizes are at least this"),            \
        LS_BLOCK_FLOAT(S, at, prefix, limit_min, "0", 0, 1e38, "step sizes are kept at or above this"),                \
        LS_BLOCK_FLOAT(S, at, prefix, limit_max, "1e38", 0, 1e38, "step sizes are kept at or below this"),             \
        LS_BLOCK_BOOL(S, at, prefix, conv_bias, "true", "bias of the convolution"),                                    \
        LS_BLOCK_BOOL(S, at, prefix, bias, "false", "biases of in_proj and out_proj")

LsStatus ls_mamba2_block_check(const void *block, const LsBlockPlace *place) LS_MUST_USE;
LsTensor *ls_mamba2_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x);

#endif
