#include "models/attention_block.h"
#include "models/decoder.h"

static LsDecoder decoder_of(const LsAttentionBlock *m, const LsBlockPlace *place)
{
    return (LsDecoder){.context = place->context,
                       .layers = place->layers,
                       .width = place->width,
                       .heads = m->heads,
                       .kv_heads = m->kv_heads,
                       .hidden = m->hidden,
                       .window = m->window,
                       .dropout = m->dropout,
                       .epsilon = m->epsilon,
                       .init_std = m->init_std,
                       .norm = m->norm,
                       .activation = m->activation,
                       .position = m->position,
                       .max_distance = m->max_distance,
                       .rotary.base = m->rotary_base,
                       .norm_bias = m->bias,
                       .qkv_bias = m->bias,
                       .out_bias = m->bias,
                       .mlp_bias = m->bias,
                       .settings = place->settings};
}

LsStatus ls_attention_block_check(const void *block, const LsBlockPlace *place)
{
    LsDecoder decoder = decoder_of(block, place);
    return ls_decoder_check(&decoder);
}

LsTensor *ls_attention_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x)
{
    LsDecoder decoder = decoder_of(block, place);
    return ls_decoder_block(g, &decoder, place->shape, x, place->position);
}
