/* For those who add a model: one file in src/models that fills in an LsModel, and one line in models.def. */
#ifndef LOCKSTEP_MODEL_H
#define LOCKSTEP_MODEL_H

#include "lockstep/graph.h"
#include "lockstep/ops.h"
#include "lockstep/settings.h"

/* What a graph of the model is to compute. */
typedef enum LsWant {
    LS_WANT_LOSS, /* outputs "loss" (1): summed over targets that are not ignored; inputs "ids", "targets" */
    /* output "output": everything the model says, (B, T, V) logits for language models; input "ids" */
    LS_WANT_OUTPUT,
    LS_WANT_LAST /* output "output": (B, 1, V), the last position only (generation) */
} LsWant;

/* The shape a graph is built for. With mode LS_DECODE, models also have an input "position": (B) LS_I32, the number of
 * tokens each stream has seen before this run. They may leave it out where they do not need it. */
typedef struct LsShape {
    int64_t batch;    /* B: sequences on this rank in one micro-batch */
    int64_t sequence; /* T: tokens a sequence */
    LsWant want;
} LsShape;

/* Target value that the loss skips. */
#define LS_IGNORE (-1)

/* ---- Hugging Face layout: how a model's settings and parameters stand in config.json and model.safetensors ------- */

/* One parameter. "{i}" stands for the layer's number in both names. Entries whose `ours` is not a parameter of the
 * model under its settings (an untied head, say) are passed over, so one table serves all settings.
 *
 *     {"embedding", "transformer.wte.weight"},
 *     {"layer.{i}.qkv.weight", "transformer.h.{i}.attn.c_attn.weight", LS_HF_TRANSPOSE},
 *     {"head", "lm_head.weight", LS_HF_SAME, .tied = "embedding"},
 *     {NULL, "transformer.h.{i}.attn.bias"},          // a mask some files carry: ignored
 *     {0}
 */
typedef struct LsHfTensor {
    const char *ours;   /* NULL: no parameter; import ignores theirs, export does not write it */
    const char *theirs; /* whole name, LsHf.prefix included */
    enum {
        LS_HF_SAME,
        LS_HF_TRANSPOSE,
        LS_HF_MIDDLE_ONE /* theirs has an axis of 1 before the last: (C, 1, K) */
    } layout;
    bool optional; /* their file may lack it: our parameter is filled with zeros then (biases switched off) */
    /* where the model has no parameter `ours`: the file may carry theirs as a copy of this parameter of ours; one
     * that differs from it is refused */
    const char *tied;
} LsHfTensor;

/* One key of config.json. Numbers, true and false carry over as they are, texts by `words`.
 *
 *     {"layers", "n_layer"},
 *     {"mlp_width", "n_inner", .words = "null=0"},                              // where 0 says 4 x width with us
 *     {"activation", "activation_function", .words = "gelu_new=gelu_tanh|relu=relu", .absent = "gelu_new"},
 *     {NULL, "intermediate_size", .product = "expand*width"},                   // follows from settings: compared, not set
 */
typedef struct LsHfKey {
    /* ours; several keys may carry the same one, and must agree then (dropouts); NULL with `product` */
    const char *setting;
    const char *key;
    /* "theirs=ours|...": values translated both ways; null is written null. Texts not in it are refused, numbers
     * pass. Export takes the first entry that fits. */
    const char *words;
    const char *absent; /* their default, used where the key is missing; NULL: the key must be there */
    /* "expand*width": product of settings and whole numbers that the value must equal (a missing key is fine);
     * export writes it */
    const char *product;
} LsHfKey;

typedef struct LsHf {
    const char *model_type, *architecture; /* "gpt2", "GPT2LMHeadModel" */
    const char *prefix;                    /* a beginning of their names that files may leave out: "transformer." */
    const LsHfTensor *tensors;             /* ended by {0} */
    const LsHfKey *keys;                   /* ended by {0} */
    /* JSON object: export writes these keys, import refuses another value where they are present */
    const char *fixed;
    /* JSON object: keys that export writes so, whatever import finds in them: they matter to training elsewhere only */
    const char *written;
    /* "use_cache|summary_*|...": keys that say nothing about what the model computes. Those of every model
     * (bos_token_id, transformers_version, ...) need not be named. All other keys are refused, by name. */
    const char *ignored;
    /* "setting=value" that the layout implies: import sets it, export refuses another value; ended by NULL */
    const char *const *preset;
} LsHf;

typedef struct LsModel {
    const char *name, *summary, *paper;
    /* of the section `model:`, ended by {0}; every language model has `vocabulary` and `context` */
    const LsSetting *settings;
    size_t config_bytes;
    /* Settings that do not fit together: LS_USAGE with a message. NULL where any combination works. */
    LsStatus (*check)(const void *config);
    void (*build)(LsGraph *g, const void *config, const LsShape *shape);
    const LsHf *hf; /* NULL: no Hugging Face layout */
} LsModel;

/* Makes a model known that is in no list: of a program that is not ours. Call it before any configuration is read;
 * `model` must live on. LS_USAGE where the name is taken, or after LS_MAX_ADDED_MODELS. */
#define LS_MAX_ADDED_MODELS 32
LsStatus ls_model_add(const LsModel *model) LS_MUST_USE;

const LsModel *ls_model_find(const char *name);
const LsModel *const *ls_models(void); /* all, ended by NULL */

#endif
