/* Blocks of RWKV 4 and 7, for these models and for those that mix them with others. */
#ifndef LS_MODELS_RWKV_BLOCK_H
#define LS_MODELS_RWKV_BLOCK_H

#include "models/block.h"

typedef struct LsRwkv4Block {
    int64_t hidden;
    double epsilon;
} LsRwkv4Block;

#define LS_RWKV4_BLOCK_SETTINGS(S, at, prefix)                                                                         \
    LS_BLOCK_INT(S, at, prefix, hidden, "0", 0, 1 << 24, "hidden channels of the channel mixing; 0: 4 x width"),       \
        LS_BLOCK_FLOAT(S, at, prefix, epsilon, "1e-5", 0, 1, "added to the variance inside the norms")

typedef struct LsRwkv7Block {
    int64_t head, hidden, decay_rank, rate_rank, value_rank, gate_rank;
    double epsilon, head_epsilon;
} LsRwkv7Block;

#define LS_RWKV7_BLOCK_SETTINGS(S, at, prefix)                                                                         \
    LS_BLOCK_INT(S, at, prefix, head, "64", 1, 256, "channels of a head"),                                             \
        LS_BLOCK_INT(S, at, prefix, hidden, "0", 0, 1 << 24, "hidden channels of the channel mixing; 0: 4 x width"),   \
        LS_BLOCK_INT(S, at, prefix, decay_rank, "0", 0, 1 << 20,                                                       \
                     "rank of what makes the decay; 0: 2.5 sqrt(width), by 32"),                                       \
        LS_BLOCK_INT(S, at, prefix, rate_rank, "0", 0, 1 << 20,                                                        \
                     "rank of what makes the rate a; 0: 2.5 sqrt(width), by 32"),                                      \
        LS_BLOCK_INT(S, at, prefix, value_rank, "0", 0, 1 << 20,                                                       \
                     "rank of what mixes in the first layer's values; 0: 1.7 sqrt(width), by 32"),                     \
        LS_BLOCK_INT(S, at, prefix, gate_rank, "0", 0, 1 << 20,                                                        \
                     "rank of what makes the gate; 0: 5 sqrt(width), by 32"),                                          \
        LS_BLOCK_FLOAT(S, at, prefix, epsilon, "1e-5", 0, 1, "added to the variance inside the layer norms"),          \
        LS_BLOCK_FLOAT(S, at, prefix, head_epsilon, "0", 0, 1,                                                         \
                       "added to the variance inside the heads' norms; 0: 64 times epsilon")

LsStatus ls_rwkv4_block_check(const void *block, const LsBlockPlace *place) LS_MUST_USE;
LsTensor *ls_rwkv4_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x);

/* The first block of a model leaves its values to the others. */
LsStatus ls_rwkv7_block_check(const void *block, const LsBlockPlace *place) LS_MUST_USE;
LsTensor *ls_rwkv7_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x);

#endif
