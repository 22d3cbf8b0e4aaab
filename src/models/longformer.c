/* Longformer (Beltagy et al. 2020): an encoder of long texts. A token sees a window around it, with gaps in some heads
 * where that is wanted, and the global tokens; a global token sees all, through maps of its own:
 *
 *     attend(x)_t = softmax over the window of t and the global tokens of q_t . k_j / sqrt(D), times v_j
 *     attend(x)_t = softmax over all j of q'_t . k'_j / sqrt(D), times v'_j, for the global t
 *
 * The rest is in encoder.h. Global tokens are those that a field "global" names, or each sample's first. */
#include "models/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Longformer {
    LsEncoder encoder;
    int64_t global_tokens, dilated_heads;
    char *window, *dilation;
} Longformer;

static const LsSetting settings[] = {
    LS_ENCODER_SETTINGS(Longformer, encoder, "4096", LS_POSITION_KINDS_ADDED),
    LS_SETTING_STRING(Longformer, window, "512",
                      "tokens that a token sees around it, half of them on each side; several numbers, 32,64: of the "
                      "layers in turn, the last of all further ones"),
    LS_SETTING_STRING(Longformer, dilation, "1",
                      "of every so many tokens the dilated heads see one, as far as that leads; by layer as window"),
    LS_SETTING_INT(Longformer, dilated_heads, "0", 0, 1024, "heads of each layer whose window has gaps"),
    LS_SETTING_INT(Longformer, global_tokens, "1", 0, 1 << 20,
                   "so many first tokens of a sample see all and are seen by all; a field \"global\" of the samples "
                   "names others instead"),
    {0}};

/* Of a layer, in "32,64,128"; -1: that is no such list. */
static int64_t number_of_layer(const char *list, int64_t layer)
{
    long long number = -1;
    for (const char *at = list;; at++) {
        char *end;
        number = *at >= '0' && *at <= '9' ? strtoll(at, &end, 10) : -1;
        if (number < 0 || number > 1 << 24 || (*end && *end != ','))
            return -1;
        at = end;
        if (layer-- == 0 || !*at)
            return number;
    }
}

static LsStatus check(const void *config)
{
    const Longformer *m = config;
    LS_TRY(ls_encoder_check(&m->encoder));
    for (int64_t layer = 0; layer < m->encoder.layers; layer++) {
        int64_t window = number_of_layer(m->window, layer);
        if (window < 2 || window % 2)
            return ls_fail(LS_USAGE, "model.window %s: even numbers from 2 on, as 512 or 32,64,128", m->window);
        if (number_of_layer(m->dilation, layer) < 1)
            return ls_fail(LS_USAGE, "model.dilation %s: numbers from 1 on, as 1 or 1,1,2", m->dilation);
    }
    if (m->dilated_heads > m->encoder.heads)
        return ls_fail(LS_USAGE, "model.dilated_heads %lld are more than model.heads %lld", (long long)m->dilated_heads,
                       (long long)m->encoder.heads);
    return LS_OK;
}

/* Global tokens: given, (B, G), or the first `count`. */
typedef struct Globals {
    LsTensor *given;
    int64_t count;
} Globals;

typedef struct Place {
    const Longformer *model;
    Globals globals;
} Place;

/* What global tokens see: y with their rows in the place of those that the windows made. */
static LsTensor *attend_globals(LsGraph *g, const LsEncoder *m, const Globals *globals, LsTensor *x, LsTensor *y,
                                LsTensor *lengths)
{
    LsTensor *rows = ls_gather_rows(g, x, globals->given, globals->count); /* (B, G, C) */
    LsTensor *q = ls_encoder_dense(g, m, "global_query", rows, m->width, LS_NO_ACTIVATION);
    LsTensor *kv = ls_encoder_dense(g, m, "global_key_value", x, 2 * m->width, LS_NO_ACTIVATION);
    LsTensor *seen = ls_attention(g, q, &(LsAttention){.heads = m->heads, .kv = kv, .lengths = lengths});
    return ls_replace_rows(g, y, seen, globals->given);
}

static LsTensor *attend(LsGraph *g, const LsEncoder *m, const void *self, int64_t layer, LsTensor *x, LsTensor *lengths)
{
    const Place *place = self;
    const Longformer *longformer = place->model;
    LsAttention how = {.heads = m->heads,
                       .lengths = lengths,
                       .window = number_of_layer(longformer->window, layer) / 2 + 1,
                       .dilation = number_of_layer(longformer->dilation, layer),
                       .dilated_heads = longformer->dilated_heads,
                       .global = place->globals.given,
                       .globals = place->globals.count};
    LsTensor *y = ls_attention(g, ls_encoder_dense(g, m, "qkv", x, 3 * m->width, LS_NO_ACTIVATION), &how);
    return place->globals.given || place->globals.count ? attend_globals(g, m, &place->globals, x, y, lengths) : y;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Longformer *m = config;
    Place place = {.model = m};
    if (ls_shape_field(shape, "global"))
        place.globals.given = ls_shape_input(g, shape, "global");
    else
        place.globals.count = m->global_tokens < shape->sequence ? m->global_tokens : shape->sequence;
    return ls_encoder(g, &m->encoder, shape, attend, &place);
}

/* ---- The layout of transformers' Longformer ---------------------------------------------------------------------- */

#define LAYER "longformer.encoder.layer.{i}."
#define THIRD(number, name)                                                                                            \
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self." name ".weight", .part = number, .shares = "1|1|1"},     \
    {                                                                                                                  \
        "layer.{i}.attention.qkv.bias", LAYER "attention.self." name ".bias", .part = number, .shares = "1|1|1"        \
    }
#define HALF(number, name)                                                                                             \
    {"layer.{i}.attention.global_key_value.weight", LAYER "attention.self." name ".weight", .part = number,            \
     .shares = "1|1"},                                                                                                 \
    {                                                                                                                  \
        "layer.{i}.attention.global_key_value.bias", LAYER "attention.self." name ".bias", .part = number,             \
                                                                                           .shares = "1|1"             \
    }
#define WHOLE(ours, name)                                                                                              \
    {"layer.{i}." ours ".weight", LAYER name ".weight"}, { "layer.{i}." ours ".bias", LAYER name ".bias" }
#define NORM(ours, name)                                                                                               \
    {"layer.{i}." ours ".scale", LAYER name ".weight"}, { "layer.{i}." ours ".bias", LAYER name ".bias" }

static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "longformer.embeddings.word_embeddings.weight"},
    /* the first two rows are of padding and of none; texts begin at the third */
    {"position_embedding", "longformer.embeddings.position_embeddings.weight", .rotate = "2"},
    {"type_embedding", "longformer.embeddings.token_type_embeddings.weight", .absent = "types|width"},
    {"norm.scale", "longformer.embeddings.LayerNorm.weight"},
    {"norm.bias", "longformer.embeddings.LayerNorm.bias"},
    THIRD(0, "query"),
    THIRD(1, "key"),
    THIRD(2, "value"),
    WHOLE("attention.global_query", "attention.self.query_global"),
    HALF(0, "key_global"),
    HALF(1, "value_global"),
    WHOLE("attention.out", "attention.output.dense"),
    NORM("norm_1", "attention.output.LayerNorm"),
    WHOLE("mlp.in", "intermediate.dense"),
    WHOLE("mlp.out", "output.dense"),
    NORM("norm_2", "output.LayerNorm"),
    {NULL, "longformer.embeddings.position_ids"}, /* 0, 1, 2, ..., which older files carry */
    {0}};

#define NO_POOLER                                                                                                      \
    {NULL, "longformer.pooler.dense.weight"}, { NULL, "longformer.pooler.dense.bias" }

static const LsHfTensor hf_masked[] = {{"head.transform.weight", "lm_head.dense.weight"},
                                       {"head.transform.bias", "lm_head.dense.bias"},
                                       {"head.norm.scale", "lm_head.layer_norm.weight"},
                                       {"head.norm.bias", "lm_head.layer_norm.bias"},
                                       {"head.bias", "lm_head.bias"},
                                       {NULL, "lm_head.decoder.weight", .tied = "token_embedding"},
                                       {NULL, "lm_head.decoder.bias", .tied = "head.bias"},
                                       NO_POOLER,
                                       {0}};

static const LsHfTensor hf_classes[] = {{"pooler.weight", "classifier.dense.weight"},
                                        {"pooler.bias", "classifier.dense.bias"},
                                        {"head.weight", "classifier.out_proj.weight"},
                                        {"head.bias", "classifier.out_proj.bias"},
                                        NO_POOLER,
                                        {0}};

static const LsHfTensor hf_tags[] = {
    {"head.weight", "classifier.weight"}, {"head.bias", "classifier.bias"}, NO_POOLER, {0}};

static const LsHfTensor hf_pooled[] = {
    {"pooler.weight", "longformer.pooler.dense.weight"}, {"pooler.bias", "longformer.pooler.dense.bias"}, {0}};

static const LsHfArchitecture hf_architectures[] = {
    {.name = "LongformerForMaskedLM",
     .task = "masked_language",
     .preset = (const char *const[]){"model.pool=none", "task.transform=true", "task.epsilon=$epsilon",
                                     "task.activation=gelu", NULL},
     .tensors = hf_masked},
    {.name = "LongformerForSequenceClassification",
     .task = "classification",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = "ids T of $vocabulary, length int, label of $labels",
     .labels = "label",
     .tensors = hf_classes},
    {.name = "LongformerForTokenClassification",
     .task = "tagging",
     .preset = (const char *const[]){"model.pool=none", NULL},
     .fields = "ids T of $vocabulary, length int, tags T of $labels",
     .labels = "tags",
     .tensors = hf_tags},
    {.name = "LongformerModel",
     .task = "embedding",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = "ids T of $vocabulary, length int",
     .needs = "longformer.pooler.dense.weight",
     .bare = true,
     .tensors = hf_pooled},
    {.name = "LongformerModel",
     .task = "embedding",
     .preset = (const char *const[]){"model.pool=none", NULL},
     .fields = "ids T of $vocabulary, length int",
     .bare = true},
    {0}};

static const LsHfKey hf_keys[] = {
    {"vocabulary", "vocab_size"},
    {"context", "max_position_embeddings"},
    {"types", "type_vocab_size", .absent = "2"},
    {"width", "hidden_size"},
    {"layers", "num_hidden_layers"},
    {"heads", "num_attention_heads"},
    {"hidden", "intermediate_size", .zero = "4*width"},
    {"window", "attention_window", .absent = "512", .each = "layers"},
    {"activation", "hidden_act",
     .words = "gelu=gelu|gelu_new=gelu_tanh|gelu_pytorch_tanh=gelu_tanh|gelu_fast=gelu_tanh|relu=relu|silu=silu|"
              "swish=silu",
     .absent = "gelu"},
    {"dropout", "hidden_dropout_prob", .absent = "0.1"},
    {"epsilon", "layer_norm_eps", .absent = "1e-12"},
    {"init_std", "initializer_range", .absent = "0.02"},
    {0}};

static const LsHf hf = {
    .model_type = "longformer",
    .architectures = hf_architectures,
    .prefix = "longformer.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .fixed = "{\"pad_token_id\": 1, \"is_decoder\": false, \"add_cross_attention\": false, "
             "\"tie_word_embeddings\": true}",
    .written = "{\"attention_probs_dropout_prob\": 0.0}",
    .ignored = "attention_mode|classifier_dropout|gradient_checkpointing|ignore_attention_mask|onnx_export|"
               "position_embedding_type|sep_token_id",
    .preset = (const char *const[]){"dilated_heads=0", "position=learned", NULL},
    /* which tokens are global is said there with each text; the first is what its classifiers take */
    .import = (const char *const[]){"first_type=true", "global_tokens=1", NULL},
};

const LsModel ls_model_longformer = {
    .name = "longformer",
    .summary = "Transformer encoder of long texts: windows, some of them with gaps, and global tokens",
    .paper = "Beltagy et al. 2020, Longformer: the long-document Transformer",
    .settings = settings,
    .config_bytes = sizeof(Longformer),
    .small =
        "context=16 layers=2 width=12 heads=3 window=4,2 dilation=1,2 dilated_heads=1 dropout=0 epsilon=1e-5;"
        "context=7 layers=1 width=8 heads=2 hidden=5 pool=first window=2 global_tokens=2 dropout=0.2 epsilon=1e-5;"
        "context=16 layers=1 width=8 heads=2 window=4 global_tokens=0 dropout=0 epsilon=1e-5 position=sinusoidal;"
        "context=16 layers=1 width=6 heads=2 window=2 dropout=0 epsilon=1e-5 | ids T of 11, length int, global 2 of 4",
    .check = check,
    .build = build,
    .hf = &hf,
};
