/* Encoders of texts as BERT is one: post-norm Transformer blocks, of which models choose how tokens see each other.
 *
 *     x = norm(E[ids] + P[t] + S[types])                                  P or other positions: positions.h
 *     x = norm(x + attend(x) W_o);  x = norm(x + act(x W_1) W_2)      for each layer
 *
 * Samples that have a field "length" hold padding from there on, which no token sees; a field "types" tells the first
 * text of a sample from the second. */
#ifndef LS_MODELS_ENCODER_H
#define LS_MODELS_ENCODER_H

#include "models/block.h"
#include "models/positions.h"

typedef struct LsEncoder {
    int64_t vocabulary, context, types, layers, heads, width, hidden, max_distance;
    double dropout, epsilon, init_std, rotary_base;
    char *pool, *activation, *position;
    bool first_type;
} LsEncoder;

/* at: the member of the model's structure S; positions: kinds of them that go with how its tokens see each other */
#define LS_ENCODER_SETTINGS(S, at, longest, positions)                                                                 \
    LS_BLOCK_INT(S, at, "", vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),                    \
        LS_BLOCK_INT(S, at, "", context, longest, 1, 1 << 24, "longest sequence, in tokens"),                          \
        LS_BLOCK_INT(S, at, "", types, "2", 1, 1 << 20, "kinds of tokens that a field \"types\" tells apart"),         \
        LS_BLOCK_INT(S, at, "", layers, "12", 1, 1000, "blocks"),                                                      \
        LS_BLOCK_INT(S, at, "", heads, "12", 1, 1024, "attention heads; must divide width"),                           \
        LS_BLOCK_INT(S, at, "", width, "768", 1, 1 << 20, "channels of the residual stream"),                          \
        LS_BLOCK_INT(S, at, "", hidden, "0", 0, 1 << 22, "channels inside the MLP; 0: 4 times width"),                 \
        LS_BLOCK_FLOAT(S, at, "", dropout, "0.1", 0, 0.99,                                                             \
                       "probability of zeroing, after the embedding and in front of every residual addition"),         \
        LS_BLOCK_FLOAT(S, at, "", epsilon, "1e-12", 0, 1, "added to the variance inside the norms"),                   \
        LS_BLOCK_FLOAT(S, at, "", init_std, "0.02", 0, 10, "standard deviation of initial weights"),                   \
        LS_BLOCK_CHOICE(S, at, "", position, "learned", positions, "how tokens know their position"),                  \
        LS_BLOCK_CHOICE(S, at, "", pool, "none", "none|first",                                                         \
                        "first: one vector a sample, tanh of a dense layer over the first token; none: one a token"),  \
        LS_BLOCK_CHOICE(S, at, "", activation, "gelu", LS_DENSE_ACTIVATION_NAMES, "inside the MLP"),                   \
        LS_BLOCK_BOOL(S, at, "", first_type, "false",                                                                  \
                      "tokens of samples without a field \"types\" are of the first kind, as published weights have "  \
                      "it; false: of none")

/* How tokens see each other: x: (B, T, C) -> (B, T, C), before the dense layer "out"; inside the scope "attention" of
 * the layer. lengths: (B), or NULL; self: the model's own. */
typedef LsTensor *(*LsAttend)(LsGraph *g, const LsEncoder *m, const void *self, int64_t layer, LsTensor *x,
                              LsTensor *lengths);

LsStatus ls_encoder_check(const LsEncoder *m) LS_MUST_USE;

LsPositions ls_encoder_positions(const LsEncoder *m);

/* A dense layer as all of an encoder's start. */
LsTensor *ls_encoder_dense(LsGraph *g, const LsEncoder *m, const char *name, LsTensor *x, int64_t outputs,
                           LsActivation act);

LsBody ls_encoder(LsGraph *g, const LsEncoder *m, const LsShape *shape, LsAttend attend, const void *self);

#endif
