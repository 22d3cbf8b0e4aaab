/* A decoder of Transformer blocks, of which models of this family are settings: GPT-2, Llama and its relatives,
 * GPT-NeoX.
 *
 *     x = E[ids] (+ P[t])
 *     x = x + Attention(norm(x)) W_o;  x = x + MLP(norm(x))        for each layer
 *     x = x + Attention(norm(x)) W_o + MLP(norm'(x))               where these are parallel
 *     logits = norm(x) W_head^T
 */
#ifndef LS_MODELS_DECODER_H
#define LS_MODELS_DECODER_H

#include "models/positions.h"

typedef struct LsDecoder {
    int64_t vocabulary, loss_vocabulary, context, layers, width;
    int64_t heads, kv_heads, head_size; /* 0: as heads; 0: width / heads */
    int64_t hidden;                     /* 0: 4 times width */
    int64_t window;                     /* tokens that attention sees; 0: all before */
    double dropout, epsilon, init_std;
    const char *norm;       /* layer, rms */
    const char *activation; /* swiglu, or one of LS_DENSE_ACTIVATION_NAMES */
    const char *position;   /* with the next two as in LsPositions */
    int64_t max_distance;
    LsRotary rotary;
    bool norm_bias, qkv_bias, out_bias, mlp_bias;
    bool qk_norm;         /* RMS norms of each head's queries and keys */
    bool parallel;        /* attention and MLP of a block read the same x */
    bool tied;            /* the head uses the token embedding */
    const char *settings; /* how its settings' names begin, for messages; NULL: "model." */
} LsDecoder;

/* Settings that do not fit together: LS_USAGE with a message. */
LsStatus ls_decoder_check(const LsDecoder *m) LS_MUST_USE;

/* One of its blocks, of a model that has others too. x: (B, T, C) -> (B, T, C) */
LsTensor *ls_decoder_block(LsGraph *g, const LsDecoder *m, const LsShape *shape, LsTensor *x, LsTensor *position);

LsBody ls_decoder(LsGraph *g, const LsDecoder *m, const LsShape *shape);

#endif
