/* RWKV-4 (Peng et al. 2023): no attention; what is past is a weighted mean for each channel.
 *
 *     x = norm(E[ids])
 *     x = x + time(norm(x));  x = x + channel(norm(x))        for each layer
 *     logits = norm(x) head^T
 *
 *     with x' the token before x, and mix_n(x) = x' + (x - x') m_n:
 *     time:    k, v, r = W_k mix_k(x), W_v mix_v(x), W_r mix_r(x);   W_o (sigmoid(r) wkv(k, v))
 *     channel: sigmoid(W_r mix_r(x)) (W_v max(W_k mix_k(x), 0)^2)
 *
 * Initial values are those of the author's trainer, but for matrices that are zero there, which are small here, and the
 * embedding. */
#include "models/rwkv_block.h"
#include "models/rwkv_parts.h"

#include <math.h>

typedef struct Rwkv4 {
    int64_t vocabulary, loss_vocabulary, context, layers, width;
    LsRwkv4Block block;
    bool tied;
} Rwkv4;

static const LsSetting settings[] = {
    LS_SETTING_INT(Rwkv4, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Rwkv4, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Rwkv4, context, "1024", 1, 1 << 30, "tokens a sequence in training by default; no limit in use"),
    LS_SETTING_INT(Rwkv4, layers, "12", 1, 1000, "blocks"),
    LS_SETTING_INT(Rwkv4, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_RWKV4_BLOCK_SETTINGS(Rwkv4, block, ""),
    LS_SETTING_BOOL(Rwkv4, tied, "false", "the head uses the token embedding"),
    {0}};

/* log 0.3 and a half more or less, channel by channel in turn. */
static void fill_first(float *value, int rank, const int64_t *dim, uint64_t key, double a, double b)
{
    (void)rank, (void)key, (void)a, (void)b;
    for (int64_t i = 0; i < dim[0]; i++)
        value[i] = (float)(log(0.3) + 0.5 * (double)((i + 1) % 3 - 1));
}

/* x: (B, T, C) -> (B, T, C) */
static LsTensor *mix_time(LsGraph *g, const LsBlockPlace *place, LsTensor *x)
{
    int64_t width = place->width;
    double last = ls_rwkv_to_last(place->layer, place->layers),
           from_first = ls_rwkv_from_first(place->layer, place->layers);
    ls_push(g, "time");
    LsTensor *before = ls_rwkv_shift(g, x);
    LsTensor *xk = ls_rwkv_mix(g, "mix_key", before, x, ls_rwkv_power_init(last, 0));
    LsTensor *xv = ls_rwkv_mix(g, "mix_value", before, x, ls_rwkv_power_init(last, 0.3 * from_first));
    LsTensor *xr = ls_rwkv_mix(g, "mix_receptance", before, x, ls_rwkv_power_init(0.5 * last, 0));
    LsTensor *k = ls_rwkv_dense(g, "key", xk, width, 0.05), *v = ls_rwkv_dense(g, "value", xv, width, 0.5);
    LsTensor *r = ls_sigmoid(g, ls_rwkv_dense(g, "receptance", xr, width, 0.5));
    LsTensor *decay = ls_rwkv_vector(g, "decay", width, ls_rwkv_decay_init(0.7 + 1.3 * from_first));
    LsTensor *first = ls_rwkv_vector(g, "first", width, (LsInit){fill_first, 0, 0});
    LsTensor *state = ls_carry(g, "state", LS_ACC, 3, (int64_t[]){x->dim[0], 3, width});
    LsTensor *y = ls_mul(g, r, ls_wkv(g, k, v, decay, first, state));
    y = ls_rwkv_dense(g, "out", y, width, 0.5 / sqrt(2.0 * (double)place->layers));
    ls_pop(g);
    return y;
}

LsStatus ls_rwkv4_block_check(const void *block, const LsBlockPlace *place)
{
    (void)block, (void)place;
    return LS_OK;
}

LsTensor *ls_rwkv4_block(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x)
{
    const LsRwkv4Block *m = block;
    int64_t hidden = m->hidden ? m->hidden : 4 * place->width;
    x = ls_add(g, x, mix_time(g, place, ls_layer_norm_block(g, "norm_1", x, m->epsilon)));
    return ls_add(
        g, x,
        ls_rwkv_channels(g, ls_layer_norm_block(g, "norm_2", x, m->epsilon), hidden, place->layer, place->layers));
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Rwkv4 *m = config;
    LsTensor *table, *x = ls_rwkv_embed(g, shape, m->vocabulary, m->width, m->block.epsilon, &table);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        LsBlockPlace place = {.width = m->width, .layers = m->layers, .layer = layer};
        ls_push(g, "layer.%lld", (long long)layer);
        x = ls_rwkv4_block(g, &m->block, &place, x);
        ls_pop(g);
    }
    return ls_rwkv_body(g, x, m->tied ? table : NULL, m->vocabulary, m->loss_vocabulary, m->block.epsilon);
}

/* RwkvForCausalLM of transformers; `also`: the author's own names. */
static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "rwkv.embeddings.weight", .also = "emb.weight"},
    {"embedding_norm.scale", "rwkv.blocks.0.pre_ln.weight", .also = "blocks.0.ln0.weight"},
    {"embedding_norm.bias", "rwkv.blocks.0.pre_ln.bias", .also = "blocks.0.ln0.bias"},
    {"layer.{i}.norm_1.scale", "rwkv.blocks.{i}.ln1.weight"},
    {"layer.{i}.norm_1.bias", "rwkv.blocks.{i}.ln1.bias"},
    {"layer.{i}.time.mix_key", "rwkv.blocks.{i}.attention.time_mix_key", LS_HF_LEADING_ONES,
     .also = "blocks.{i}.att.time_mix_k"},
    {"layer.{i}.time.mix_value", "rwkv.blocks.{i}.attention.time_mix_value", LS_HF_LEADING_ONES,
     .also = "blocks.{i}.att.time_mix_v"},
    {"layer.{i}.time.mix_receptance", "rwkv.blocks.{i}.attention.time_mix_receptance", LS_HF_LEADING_ONES,
     .also = "blocks.{i}.att.time_mix_r"},
    {"layer.{i}.time.key.weight", "rwkv.blocks.{i}.attention.key.weight", .also = "blocks.{i}.att.key.weight"},
    {"layer.{i}.time.value.weight", "rwkv.blocks.{i}.attention.value.weight", .also = "blocks.{i}.att.value.weight"},
    {"layer.{i}.time.receptance.weight", "rwkv.blocks.{i}.attention.receptance.weight",
     .also = "blocks.{i}.att.receptance.weight"},
    {"layer.{i}.time.decay", "rwkv.blocks.{i}.attention.time_decay", .also = "blocks.{i}.att.time_decay"},
    {"layer.{i}.time.first", "rwkv.blocks.{i}.attention.time_first", .also = "blocks.{i}.att.time_first"},
    {"layer.{i}.time.out.weight", "rwkv.blocks.{i}.attention.output.weight", .also = "blocks.{i}.att.output.weight"},
    {"layer.{i}.norm_2.scale", "rwkv.blocks.{i}.ln2.weight"},
    {"layer.{i}.norm_2.bias", "rwkv.blocks.{i}.ln2.bias"},
    {"layer.{i}.channel.mix_key", "rwkv.blocks.{i}.feed_forward.time_mix_key", LS_HF_LEADING_ONES,
     .also = "blocks.{i}.ffn.time_mix_k"},
    {"layer.{i}.channel.mix_receptance", "rwkv.blocks.{i}.feed_forward.time_mix_receptance", LS_HF_LEADING_ONES,
     .also = "blocks.{i}.ffn.time_mix_r"},
    {"layer.{i}.channel.key.weight", "rwkv.blocks.{i}.feed_forward.key.weight", .also = "blocks.{i}.ffn.key.weight"},
    {"layer.{i}.channel.value.weight", "rwkv.blocks.{i}.feed_forward.value.weight",
     .also = "blocks.{i}.ffn.value.weight"},
    {"layer.{i}.channel.receptance.weight", "rwkv.blocks.{i}.feed_forward.receptance.weight",
     .also = "blocks.{i}.ffn.receptance.weight"},
    {"norm.scale", "rwkv.ln_out.weight"},
    {"norm.bias", "rwkv.ln_out.bias"},
    {"head", "head.weight", .tied = "token_embedding"},
    {0}};

static const LsHfKey hf_keys[] = {
    {"vocabulary", "vocab_size"},
    {"context", "context_length", .absent = "1024"},
    {"width", "hidden_size"},
    {NULL, "attention_hidden_size", .product = "width"},
    {"layers", "num_hidden_layers"},
    {"hidden", "intermediate_size", .words = "null=0", .absent = "null", .zero = "4*width"},
    {"epsilon", "layer_norm_epsilon", .absent = "1e-5"},
    {"tied", "tie_word_embeddings", .absent = "false"},
    {0}};

static const LsHfArchitecture hf_architectures[] = {{.name = "RwkvForCausalLM", .task = "language"}, {0}};

static const LsHfShape hf_shapes[] = {{"vocab_size", "emb.weight", 0},
                                      {"hidden_size", "emb.weight", 1},
                                      {"num_hidden_layers", "blocks.{i}.ln1.weight", LS_HF_LAYERS},
                                      {"intermediate_size", "blocks.0.ffn.key.weight", 0},
                                      {0}};

static const LsHf hf = {
    .model_type = "rwkv",
    .architectures = hf_architectures,
    .prefix = "rwkv.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .recognised = "blocks.0.att.time_first",
    .foreign = "blocks.0.att.ln_x.weight",
    .foreign_model = "RWKV 5.0 or 5.1, with heads whose decay is one number",
    .shapes = hf_shapes,
    /* halves hidden states on the way, and weights as much, for float16's sake: the same function */
    .written = "{\"rescale_every\": 0}",
    .ignored = "use_cache",
};

const LsModel ls_model_rwkv4 = {
    .name = "rwkv4",
    .summary = "RWKV-4: a recurrent network that trains in parallel, a weighted mean of the past for each channel",
    .paper = "Peng et al. 2023, RWKV: reinventing RNNs for the Transformer era",
    .settings = settings,
    .config_bytes = sizeof(Rwkv4),
    .small = "context=16 layers=2 width=6; context=16 layers=1 width=5 hidden=7 tied=true",
    .build = build,
    .hf = &hf,
};
