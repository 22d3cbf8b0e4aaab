/* For those who add a model: one file in src/models that fills in an LsModel, and one line in models.def. */
#ifndef LOCKSTEP_MODEL_H
#define LOCKSTEP_MODEL_H

#include "lockstep/graph.h"
#include "lockstep/ops.h"
#include "lockstep/settings.h"

/* What a graph of the model is to compute. */
typedef enum LsWant {
    LS_WANT_LOSS,   /* outputs "loss" (1): summed over targets that are not ignored; inputs "ids", "targets" */
    LS_WANT_OUTPUT, /* output "output": everything the model says, (B, T, V) logits for language models; input "ids" */
    LS_WANT_LAST    /* output "output": (B, 1, V), the last position only (generation) */
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

/* One parameter's name in a Hugging Face model.safetensors. "{i}" stands for the layer's number in both names. */
typedef struct LsHfTensor {
    const char *ours, *theirs;
    enum { LS_HF_SAME, LS_HF_TRANSPOSE, LS_HF_MIDDLE_ONE /* theirs has an axis of 1 before the last: (C, 1, K) */ } layout;
    bool optional; /* their file may lack it (tied weights, biases switched off) */
} LsHfTensor;

/* One key of config.json and the setting it carries. */
typedef struct LsHfKey {
    const char *setting, *key;
} LsHfKey;

typedef struct LsHf {
    const char *model_type, *architecture; /* "gpt2", "GPT2LMHeadModel" */
    const char *prefix;                    /* of all their names, also accepted when missing: "transformer." */
    const LsHfTensor *tensors;             /* ended by a NULL name */
    const LsHfKey *keys;                   /* ended by a NULL name */
    const char *fixed;                     /* JSON object: keys that export always writes and import insists on where present */
    const char *const *preset;             /* "setting=value" that import adds, ended by NULL */
} LsHf;

typedef struct LsModel {
    const char *name, *summary, *paper;
    const LsSetting *settings; /* of the section `model:`, ended by {0}; every language model has `vocabulary` and `context` */
    size_t config_bytes;
    /* Settings that do not fit together: LS_USAGE with a message. NULL where any combination works. */
    LsStatus (*check)(const void *config);
    void (*build)(LsGraph *g, const void *config, const LsShape *shape);
    const LsHf *hf; /* NULL: no Hugging Face layout */
} LsModel;

const LsModel *ls_model_find(const char *name);
const LsModel *const *ls_models(void); /* all, ended by NULL */

#endif
