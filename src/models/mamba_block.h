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

/* ---- Models of one kind of these blocks -------------------------------------------------------------------------- */

typedef struct LsMambaStack {
    int64_t vocabulary, loss_vocabulary, context, layers, width;
    bool tied;
} LsMambaStack;

/* The table of settings of such a model, whose structure S has an LsMambaStack as member `at`; further arguments: the
 * settings of the block. */
#define LS_MAMBA_STACK_SETTINGS(S, at, ...)                                                                            \
    LS_BLOCK_INT(S, at, "", vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),                    \
        LS_BLOCK_INT(                                                                                                  \
            S, at, "", loss_vocabulary, "0", 0, 1 << 24,                                                               \
            "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),      \
        LS_BLOCK_INT(S, at, "", context, "1024", 1, 1 << 30,                                                           \
                     "tokens a sequence in training by default; no limit in use"),                                     \
        LS_BLOCK_INT(S, at, "", layers, "24", 1, 1000, "blocks"),                                                      \
        LS_BLOCK_INT(S, at, "", width, "768", 1, 1 << 20, "channels of the residual stream"), __VA_ARGS__,             \
        LS_BLOCK_BOOL(S, at, "", tied, "true", "the head uses the token embedding")

/* The blocks' place in such a model. */
LsBlockPlace ls_mamba_stack_place(const LsMambaStack *stack);

/* head(norm(blocks(E[ids]))); block: builds one block with these settings. */
LsBody ls_mamba_stack(LsGraph *g, const LsShape *shape, const LsMambaStack *stack,
                      LsTensor *(*block)(LsGraph *, const void *, const LsBlockPlace *, LsTensor *),
                      const void *settings, double epsilon);

/* Rows of the tables of MambaForCausalLM and Mamba2ForCausalLM of transformers: parameters and keys. */
#define LS_MAMBA_HF_TENSORS                                                                                            \
    {"token_embedding", "backbone.embeddings.weight"}, {"layer.{i}.norm.scale", "backbone.layers.{i}.norm.weight"},    \
        {"layer.{i}.conv.weight", "backbone.layers.{i}.mixer.conv1d.weight", LS_HF_MIDDLE_ONE},                        \
        {"layer.{i}.conv.bias", "backbone.layers.{i}.mixer.conv1d.bias"},                                              \
        {"layer.{i}.A_log", "backbone.layers.{i}.mixer.A_log"}, {"layer.{i}.D", "backbone.layers.{i}.mixer.D"},        \
        {"layer.{i}.out_proj.weight", "backbone.layers.{i}.mixer.out_proj.weight"},                                    \
        {"layer.{i}.out_proj.bias", "backbone.layers.{i}.mixer.out_proj.bias"},                                        \
        {"norm.scale", "backbone.norm_f.weight"},                                                                      \
    {                                                                                                                  \
        "head", "lm_head.weight", .tied = "token_embedding"                                                            \
    }
#define LS_MAMBA_HF_KEYS                                                                                               \
    {"vocabulary", "vocab_size"}, {"width", "hidden_size"}, {"layers", "num_hidden_layers"},                           \
        {"expand", "expand", .absent = "2"}, {"conv", "conv_kernel", .absent = "4"},                                   \
        {"epsilon", "layer_norm_epsilon", .absent = "1e-5"}, {"delta_min", "time_step_min", .absent = "0.001"},        \
        {"delta_max", "time_step_max", .absent = "0.1"}, {"delta_floor", "time_step_floor", .absent = "1e-4"},         \
        {"conv_bias", "use_conv_bias", .absent = "true"},                                                              \
    {                                                                                                                  \
        "bias", "use_bias", .absent = "false"                                                                          \
    }

#endif
