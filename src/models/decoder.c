#include "models/decoder.h"

#include "lockstep/window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int64_t kv_heads_of(const LsDecoder *m) { return m->kv_heads ? m->kv_heads : m->heads; }

static int64_t size_of(const LsDecoder *m) { return m->head_size ? m->head_size : m->width / m->heads; }

static LsPositions positions_of(const LsDecoder *m)
{
    return (LsPositions){
        .kind = m->position, .max_distance = m->max_distance, .rotary = m->rotary, .init_std = m->init_std};
}

LsStatus ls_decoder_check(const LsDecoder *m)
{
    char heads[64], kv_heads[64];
    const char *at = m->settings ? m->settings : "model.";
    snprintf(heads, sizeof heads, "%sheads", at);
    snprintf(kv_heads, sizeof kv_heads, "%skv_heads", at);
    if (!m->head_size)
        LS_TRY(ls_check_multiple("model.width", m->width, heads, m->heads));
    if (m->kv_heads)
        LS_TRY(ls_check_multiple(heads, m->heads, kv_heads, m->kv_heads));
    LsPositions positions = positions_of(m);
    return ls_positions_check(&positions, at, m->heads * size_of(m), size_of(m));
}

static LsTensor *norm(LsGraph *g, const LsDecoder *m, const char *name, LsTensor *x)
{
    ls_push(g, "%s", name);
    LsTensor *y;
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &m->width);
    if (strcmp(m->norm, "rms") == 0) {
        y = ls_rms_norm(g, x, scale, m->epsilon);
    } else {
        LsTensor *bias = m->norm_bias
                             ? ls_param_flags(g, "bias", ls_init_constant(0), LS_PRECISE | LS_NO_DECAY, 1, &m->width)
                             : NULL;
        y = ls_layer_norm(g, x, scale, bias, m->epsilon);
    }
    ls_pop(g);
    return y;
}

static LsInit residual_init(const LsDecoder *m) { return ls_init_normal(m->init_std / sqrt(2.0 * (double)m->layers)); }

/* x: (B, T, heads D) -> the same: each head by its own root mean square, one scale for all. */
static LsTensor *head_norm(LsGraph *g, const LsDecoder *m, const char *name, LsTensor *x)
{
    int64_t size = size_of(m), tokens = x->dim[1], width = x->dim[2];
    ls_push(g, "%s", name);
    LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE | LS_NO_DECAY, 1, &size);
    x = ls_reshape(g, x, 4, (int64_t[]){x->dim[0], tokens, width / size, size});
    x = ls_rms_norm(g, x, scale, m->epsilon);
    ls_pop(g);
    return ls_reshape(g, x, 3, (int64_t[]){x->dim[0], tokens, width});
}

/* qkv: (B, T, (H + 2 Hkv) D): queries and keys of each head normalised (Henry et al. 2020, "Query-key
 * normalization"). */
static LsTensor *norm_heads(LsGraph *g, const LsDecoder *m, LsTensor *qkv)
{
    int64_t kv = kv_heads_of(m) * size_of(m);
    LsTensor *part[3] = {ls_split(g, qkv, 3, (int64_t[]){m->heads * size_of(m), kv, kv})};
    part[1] = ls_tensor_sibling(part[0], 1);
    part[2] = ls_tensor_sibling(part[0], 2);
    part[0] = head_norm(g, m, "norm_q", part[0]);
    part[1] = head_norm(g, m, "norm_k", part[1]);
    return ls_concat(g, 3, part);
}

/* Rows of a cache: of all tokens, or of those that a window needs where it is known how many come at once. */
static int64_t cache_rows(const LsDecoder *m, const LsShape *shape)
{
    int64_t most = m->window && shape->at_once ? ls_window_rows(m->window, shape->at_once) : m->context;
    return shape->room && shape->room < most ? shape->room : most;
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *attention(LsGraph *g, const LsDecoder *m, const LsShape *shape, LsTensor *x, LsTensor *position)
{
    int64_t size = size_of(m), kv_heads = kv_heads_of(m);
    ls_push(g, "attention");
    LsTensor *qkv = ls_dense(g, "qkv", x, (m->heads + 2 * kv_heads) * size, ls_init_normal(m->init_std), m->qkv_bias,
                             LS_NO_ACTIVATION);
    if (m->qk_norm)
        qkv = norm_heads(g, m, qkv);
    LsAttention how = {
        .heads = m->heads, .kv_heads = kv_heads, .mask = LS_MASK_CAUSAL, .position = position, .window = m->window};
    LsPositions positions = positions_of(m);
    if (ls_graph_mode(g) == LS_DECODE)
        how.cache = ls_state(g, "cache", LS_REAL, 3, (int64_t[]){x->dim[0], cache_rows(m, shape), 2 * kv_heads * size});
    LsTensor *y = ls_positions_attention(g, &positions, qkv, &how);
    y = ls_dense(g, "out", y, m->width, residual_init(m), m->out_bias, LS_NO_ACTIVATION);
    ls_pop(g);
    return y;
}

/* act(x W_in) W_out, or (silu(x W_gate) * x W_in) W_out (Shazeer 2020). */
static LsTensor *mlp(LsGraph *g, const LsDecoder *m, LsTensor *x)
{
    int64_t hidden = m->hidden ? m->hidden : 4 * m->width;
    LsInit init = ls_init_normal(m->init_std);
    ls_push(g, "mlp");
    LsTensor *h = ls_dense(g, "in", x, hidden, init, m->mlp_bias, ls_dense_activation(m->activation));
    if (strcmp(m->activation, "swiglu") == 0)
        h = ls_swiglu(g, ls_dense(g, "gate", x, hidden, init, m->mlp_bias, LS_NO_ACTIVATION), h);
    h = ls_dense(g, "out", h, m->width, residual_init(m), m->mlp_bias, LS_NO_ACTIVATION);
    ls_pop(g);
    return h;
}

LsTensor *ls_decoder_block(LsGraph *g, const LsDecoder *m, const LsShape *shape, LsTensor *x, LsTensor *position)
{
    LsTensor *y = ls_add(g, x, ls_drop(g, attention(g, m, shape, norm(g, m, "norm_1", x), position), m->dropout));
    return ls_add(g, y, ls_drop(g, mlp(g, m, norm(g, m, "norm_2", m->parallel ? x : y)), m->dropout));
}

LsBody ls_decoder(LsGraph *g, const LsDecoder *m, const LsShape *shape)
{
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsTensor *position = ls_stream_position(g, shape);
    LsPositions positions = positions_of(m);
    ls_positions_fit(g, &positions, shape->sequence, m->context);
    LsTensor *table =
        ls_param(g, "token_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_embedding(g, table, ids); /* x: (B, T, C) */
    x = ls_positions_embed(g, &positions, x, "position_embedding", ls_init_normal(m->init_std), m->context, position);
    x = ls_drop(g, x, m->dropout);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_decoder_block(g, m, shape, x, position);
        ls_pop(g);
    }
    x = norm(g, m, "norm", x);
    LsTensor *head =
        m->tied ? table : ls_param(g, "head", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
}
