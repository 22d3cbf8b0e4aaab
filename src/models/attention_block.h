/* The block of Transformer decoders (decoder.h), for models that mix it with others: x + attention(norm(x)), then x +
 * mlp(norm(x)). */
#ifndef LS_MODELS_ATTENTION_BLOCK_H
#define LS_MODELS_ATTENTION_BLOCK_H

#include "models/block.h"
#include "models/positions.h"

typedef struct LsAttentionBlock {
    int64_t heads, kv_heads, hidden, window, max_distance;
    double dropout, epsilon, rotary_base, init_std;
    char *norm, *activation, *position;
    bool bias;
} LsAttentionBlock;

#define LS_ATTENTION_BLOCK_SETTINGS(S, at, prefix)                                                                     \
    LS_BLOCK_INT(S, at, prefix, heads, "12", 1, 1024, "attention heads; must divide width"),                           \
        LS_BLOCK_INT(S, at, prefix, kv_heads, "0", 0, 1024,                                                            \
                     "heads of keys and values (grouped queries); must divide heads; 0: as heads"),                    \
        LS_BLOCK_INT(S, at, prefix, hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),             \
        LS_BLOCK_INT(S, at, prefix, window, "0", 0, 1 << 24, "tokens that a query sees, its own too; 0: all before"),  \
        LS_BLOCK_FLOAT(S, at, prefix, dropout, "0", 0, 0.99,                                                           \
                       "probability of zeroing in front of the residual additions"),                                   \
        LS_BLOCK_CHOICE(S, at, prefix, norm, "rms", "layer|rms", "normalisation in front of attention and MLP"),       \
        LS_BLOCK_FLOAT(S, at, prefix, epsilon, "1e-5", 0, 1, "added to the variance inside the norms"),                \
        LS_BLOCK_CHOICE(S, at, prefix, activation, "swiglu", "gelu_tanh|gelu|relu|silu|swiglu",                        \
                        "inside the MLP; swiglu has a gate of its own"),                                               \
        LS_BLOCK_CHOICE(S, at, prefix, position, "none", LS_POSITION_KINDS_INSIDE,                                     \
                        "how tokens know their position; blocks before that go on in order of time tell it too"),      \
        LS_BLOCK_INT(S, at, prefix, max_distance, "64", 1, 1 << 20, LS_MAX_DISTANCE_HELP),                             \
        LS_BLOCK_FLOAT(S, at, prefix, rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),                \
        LS_BLOCK_BOOL(S, at, prefix, bias, "false", "biases in linear layers and layer norms"),                        \
        LS_BLOCK_FLOAT(S, at, prefix, init_std, "0.02", 0, 10,                                                         \
                       "standard deviation of initial weights; residual projections: over sqrt(2 layers)")

LsStatus ls_attention_block_check(const void *block, const LsBlockPlace *place) LS_MUST_USE;
LsTensor *ls_attention_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x);

#endif
