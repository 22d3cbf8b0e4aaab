/* BERT (Devlin et al. 2019): an encoder of post-norm Transformer blocks in which every token sees all others.
 * The rest is in encoder.h. */
#include "models/encoder.h"

typedef struct Bert {
    LsEncoder encoder;
} Bert;

static const LsSetting settings[] = {
    LS_ENCODER_SETTINGS(Bert, encoder, "512", LS_POSITION_KINDS),
    LS_BLOCK_INT(Bert, encoder, "", max_distance, "64", 1, 1 << 20, LS_MAX_DISTANCE_HELP),
    LS_BLOCK_FLOAT(Bert, encoder, "", rotary_base, "10000", 1, 1e12, "base of the rotary frequencies"),
    {0}};

static LsStatus check(const void *config) { return ls_encoder_check(&((const Bert *)config)->encoder); }

static LsTensor *attend(LsGraph *g, const LsEncoder *m, const void *self, int64_t layer, LsTensor *x, LsTensor *lengths)
{
    (void)self, (void)layer;
    LsAttention how = {.heads = m->heads, .mask = LS_MASK_NONE, .lengths = lengths};
    LsPositions positions = ls_encoder_positions(m);
    LsTensor *qkv = ls_encoder_dense(g, m, "qkv", x, 3 * m->width, LS_NO_ACTIVATION);
    return ls_positions_attention(g, &positions, qkv, &how);
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Bert *m = config;
    return ls_encoder(g, &m->encoder, shape, attend, m);
}

/* ---- The layout of transformers' BERT ---------------------------------------------------------------------------- */

#define LAYER "bert.encoder.layer.{i}."

static const LsHfTensor hf_tensors[] = {
    {"token_embedding", "bert.embeddings.word_embeddings.weight"},
    {"position_embedding", "bert.embeddings.position_embeddings.weight"},
    {"type_embedding", "bert.embeddings.token_type_embeddings.weight", .absent = "types|width"},
    {"norm.scale", "bert.embeddings.LayerNorm.weight", .also = "bert.embeddings.LayerNorm.gamma"},
    {"norm.bias", "bert.embeddings.LayerNorm.bias", .also = "bert.embeddings.LayerNorm.beta"},
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self.query.weight", .part = 0, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.bias", LAYER "attention.self.query.bias", .part = 0, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self.key.weight", .part = 1, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.bias", LAYER "attention.self.key.bias", .part = 1, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.weight", LAYER "attention.self.value.weight", .part = 2, .shares = "1|1|1"},
    {"layer.{i}.attention.qkv.bias", LAYER "attention.self.value.bias", .part = 2, .shares = "1|1|1"},
    {"layer.{i}.attention.out.weight", LAYER "attention.output.dense.weight"},
    {"layer.{i}.attention.out.bias", LAYER "attention.output.dense.bias"},
    {"layer.{i}.norm_1.scale", LAYER "attention.output.LayerNorm.weight",
     .also = LAYER "attention.output.LayerNorm.gamma"},
    {"layer.{i}.norm_1.bias", LAYER "attention.output.LayerNorm.bias", .also = LAYER "attention.output.LayerNorm.beta"},
    {"layer.{i}.mlp.in.weight", LAYER "intermediate.dense.weight"},
    {"layer.{i}.mlp.in.bias", LAYER "intermediate.dense.bias"},
    {"layer.{i}.mlp.out.weight", LAYER "output.dense.weight"},
    {"layer.{i}.mlp.out.bias", LAYER "output.dense.bias"},
    {"layer.{i}.norm_2.scale", LAYER "output.LayerNorm.weight", .also = LAYER "output.LayerNorm.gamma"},
    {"layer.{i}.norm_2.bias", LAYER "output.LayerNorm.bias", .also = LAYER "output.LayerNorm.beta"},
    {"pooler.weight", "bert.pooler.dense.weight"},
    {"pooler.bias", "bert.pooler.dense.bias"},
    {NULL, "bert.embeddings.position_ids"}, /* 0, 1, 2, ..., which older files carry */
    {0}};

/* Published files have what another head needs besides. */
#define NO_POOLER                                                                                                      \
    {NULL, "bert.pooler.dense.weight"}, { NULL, "bert.pooler.dense.bias" }

static const LsHfTensor hf_masked[] = {
    {"head.transform.weight", "cls.predictions.transform.dense.weight"},
    {"head.transform.bias", "cls.predictions.transform.dense.bias"},
    {"head.norm.scale", "cls.predictions.transform.LayerNorm.weight",
     .also = "cls.predictions.transform.LayerNorm.gamma"},
    {"head.norm.bias", "cls.predictions.transform.LayerNorm.bias", .also = "cls.predictions.transform.LayerNorm.beta"},
    {"head.bias", "cls.predictions.bias"},
    {"head.table", "cls.predictions.decoder.weight", .tied = "token_embedding"},
    {NULL, "cls.predictions.decoder.bias", .tied = "head.bias"},
    {NULL, "cls.seq_relationship.weight"},
    {NULL, "cls.seq_relationship.bias"},
    NO_POOLER,
    {0}};

static const LsHfTensor hf_classes[] = {{"head.weight", "classifier.weight"}, {"head.bias", "classifier.bias"}, {0}};

static const LsHfTensor hf_tags[] = {
    {"head.weight", "classifier.weight"}, {"head.bias", "classifier.bias"}, NO_POOLER, {0}};

#define MASKED_PRESETS "model.pool=none", "task.transform=true", "task.epsilon=$epsilon", "task.activation=$activation"

/* Their tokenizers give the kind of each token, of single texts too. */
#define TEXT_FIELDS "ids T of $vocabulary, length int, types T of $types"

static const LsHfArchitecture hf_architectures[] = {
    {.name = "BertForMaskedLM",
     .task = "masked_language",
     .when = "tie_word_embeddings=false",
     .preset = (const char *const[]){MASKED_PRESETS, "task.tied=false", NULL},
     .tensors = hf_masked},
    {.name = "BertForMaskedLM",
     .task = "masked_language",
     .preset = (const char *const[]){MASKED_PRESETS, "task.tied=true", NULL},
     .tensors = hf_masked},
    {.name = "BertForSequenceClassification",
     .task = "regression",
     .when = "problem_type=regression",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = TEXT_FIELDS ", target $labels",
     .labels = "target",
     .tensors = hf_classes},
    {.name = "BertForSequenceClassification",
     .task = "classification",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = TEXT_FIELDS ", label of $labels",
     .labels = "label",
     .tensors = hf_classes},
    {.name = "BertForTokenClassification",
     .task = "tagging",
     .preset = (const char *const[]){"model.pool=none", NULL},
     .fields = TEXT_FIELDS ", tags T of $labels",
     .labels = "tags",
     .tensors = hf_tags},
    {.name = "BertModel",
     .task = "embedding",
     .preset = (const char *const[]){"model.pool=first", NULL},
     .fields = TEXT_FIELDS,
     .needs = "bert.pooler.dense.weight",
     .bare = true},
    {.name = "BertModel",
     .task = "embedding",
     .preset = (const char *const[]){"model.pool=none", NULL},
     .fields = TEXT_FIELDS,
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
    {"activation", "hidden_act",
     .words = "gelu=gelu|gelu_new=gelu_tanh|gelu_pytorch_tanh=gelu_tanh|gelu_fast=gelu_tanh|relu=relu|silu=silu|"
              "swish=silu",
     .absent = "gelu"},
    {"dropout", "hidden_dropout_prob", .absent = "0.1"},
    {"epsilon", "layer_norm_eps", .absent = "1e-12"},
    {"init_std", "initializer_range", .absent = "0.02"},
    {0}};

static const LsHf hf = {
    .model_type = "bert",
    .architectures = hf_architectures,
    .prefix = "bert.",
    .tensors = hf_tensors,
    .keys = hf_keys,
    .fixed = "{\"position_embedding_type\": \"absolute\", \"is_decoder\": false, \"add_cross_attention\": false}",
    .only = "{\"problem_type\": [\"single_label_classification\", \"regression\"]}",
    .written = "{\"attention_probs_dropout_prob\": 0.0, \"tie_word_embeddings\": true}",
    .ignored = "classifier_dropout|directionality|pooler_*|output_past",
    /* export may write zeros for what a model without it adds nothing of */
    .preset = (const char *const[]){"position=learned", NULL},
    .import = (const char *const[]){"first_type=true", NULL},
};

const LsModel ls_model_bert = {
    .name = "bert",
    .summary = "Transformer encoder of texts, each token of which sees all others",
    .paper = "Devlin et al. 2019, BERT: pre-training of deep bidirectional Transformers for language understanding",
    .settings = settings,
    .config_bytes = sizeof(Bert),
    .small = "context=16 layers=2 width=12 heads=3 dropout=0 epsilon=1e-5;"
             "context=7 layers=1 width=8 heads=2 hidden=5 pool=first dropout=0.2 epsilon=1e-5 activation=gelu_tanh "
             "first_type=true position=nezha max_distance=2;"
             "context=16 layers=1 width=6 heads=3 dropout=0 epsilon=1e-5 position=alibi",
    .check = check,
    .build = build,
    .hf = &hf,
};
