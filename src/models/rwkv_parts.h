/* Shared by the versions of RWKV. */
#ifndef LS_MODELS_RWKV_PARTS_H
#define LS_MODELS_RWKV_PARTS_H

#include "models/blocks.h"

/* Rows of the tables of versions 5 to 7: parameters in the author's files, and keys of a config.json. */
#define LS_RWKV_HF_TENSORS                                                                                             \
    {"token_embedding", "emb.weight"}, {"embedding_norm.scale", "blocks.0.ln0.weight"},                                \
        {"embedding_norm.bias", "blocks.0.ln0.bias"}, {"layer.{i}.norm_1.scale", "blocks.{i}.ln1.weight"},             \
        {"layer.{i}.norm_1.bias", "blocks.{i}.ln1.bias"}, {"layer.{i}.time.key.weight", "blocks.{i}.att.key.weight"},  \
        {"layer.{i}.time.value.weight", "blocks.{i}.att.value.weight"},                                                \
        {"layer.{i}.time.receptance.weight", "blocks.{i}.att.receptance.weight"},                                      \
        {"layer.{i}.time.norm.scale", "blocks.{i}.att.ln_x.weight"},                                                   \
        {"layer.{i}.time.norm.bias", "blocks.{i}.att.ln_x.bias"},                                                      \
        {"layer.{i}.time.out.weight", "blocks.{i}.att.output.weight"},                                                 \
        {"layer.{i}.norm_2.scale", "blocks.{i}.ln2.weight"}, {"layer.{i}.norm_2.bias", "blocks.{i}.ln2.bias"},         \
        {"layer.{i}.channel.key.weight", "blocks.{i}.ffn.key.weight"},                                                 \
        {"layer.{i}.channel.value.weight", "blocks.{i}.ffn.value.weight"}, {"norm.scale", "ln_out.weight"},            \
        {"norm.bias", "ln_out.bias"},                                                                                  \
    {                                                                                                                  \
        "head", "head.weight", .tied = "token_embedding"                                                               \
    }
#define LS_RWKV_HF_KEYS                                                                                                \
    {"vocabulary", "vocab_size"}, {"context", "context_length", .absent = "4096"}, {"width", "hidden_size"},           \
        {"layers", "num_hidden_layers"}, {"head", "head_size"}, {"epsilon", "layer_norm_epsilon", .absent = "1e-5"},   \
        {"head_epsilon", "head_epsilon", .absent = "0"},                                                               \
    {                                                                                                                  \
        "tied", "tie_word_embeddings", .absent = "false"                                                               \
    }

/* The token before each: (B, T, C) of x: (B, T, C); what comes before the first is carried as "shift". */
LsTensor *ls_rwkv_shift(LsGraph *g, LsTensor *x);

/* from + (to - from) w with a parameter w: (C) of this name. */
LsTensor *ls_rwkv_mix(LsGraph *g, const char *name, LsTensor *from, LsTensor *to, LsInit init);

/* A vector (C) that is neither decayed nor rounded. */
LsTensor *ls_rwkv_vector(LsGraph *g, const char *name, int64_t channels, LsInit init);

/* max(x W^T, 0)^2, W a parameter "NAME.weight": (outputs, C). */
LsTensor *ls_rwkv_squared_relu(LsGraph *g, const char *name, LsTensor *x, int64_t outputs);

/* A dense layer without bias that starts from U(-size/sqrt(C), size/sqrt(C)), C its inputs. */
LsTensor *ls_rwkv_dense(LsGraph *g, const char *name, LsTensor *x, int64_t outputs, double size);

/* sigmoid(xr W_r^T) (max(xk W_k^T, 0)^2 W_v^T), with parameters "receptance", "key" and "value": the channel mixing of
 * versions 4 to 6. xk, xr: (B, T, C) */
LsTensor *ls_rwkv_gated_channels(LsGraph *g, LsTensor *xk, LsTensor *xr, int64_t hidden, int64_t layers);

/* The channel mixing of versions 4 and 5, whole: xk and xr lie between each token and the one before. */
LsTensor *ls_rwkv_channels(LsGraph *g, LsTensor *x, int64_t hidden, int64_t layer, int64_t layers);

/* LS_USAGE where model.width is not so many heads of `head` channels. settings: how its name begins: "model." */
LsStatus ls_rwkv_check_heads(int64_t width, int64_t head, const char *settings) LS_MUST_USE;

/* The recurrence of versions 5 and 6 with what a token says of itself; carries "state", has a parameter "bonus". */
LsTensor *ls_rwkv_heads(LsGraph *g, LsTensor *r, LsTensor *w, LsTensor *k, LsTensor *v, int64_t heads);

/* Each head normalised, with parameters "norm.scale" and "norm.bias"; epsilon is added to the variances, where it is 0
 * 64 times that of the layers' norms. */
LsTensor *ls_rwkv_head_norm(LsGraph *g, LsTensor *y, int64_t heads, double epsilon, double of_layers);

/* x = norm(E[ids]): (B, T, C); *table: E. */
LsTensor *ls_rwkv_embed(LsGraph *g, const LsShape *shape, int64_t vocabulary, int64_t width, double epsilon,
                        LsTensor **table);

/* norm(x), for a head of its own, or for `table` where that is not NULL. */
LsBody ls_rwkv_body(LsGraph *g, LsTensor *x, LsTensor *table, int64_t vocabulary, int64_t classes, double epsilon);

/* Initial vectors, for channel i of C: (i/C)^power + more; 1 - (i/C)^power; -5 + 8 (i/(C-1))^power, the decay of
 * version 4, and -6 + 5 (i/(C-1))^power, that of versions 5 and 6. */
LsInit ls_rwkv_power_init(double power, double more);
LsInit ls_rwkv_rest_init(double power);
LsInit ls_rwkv_decay_init(double power);
LsInit ls_rwkv_heads_decay_init(double power);

/* Where a layer stands: 0 for the first to 1 for the last; 1 for the first to almost 0. */
double ls_rwkv_from_first(int64_t layer, int64_t layers);
double ls_rwkv_to_last(int64_t layer, int64_t layers);

#endif
