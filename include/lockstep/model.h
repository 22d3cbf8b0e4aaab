/* For those who add a model: one file in src/models that fills in an LsModel, and one line in models.def. */
#ifndef LOCKSTEP_MODEL_H
#define LOCKSTEP_MODEL_H

#include "lockstep/field.h"
#include "lockstep/adapters.h"
#include "lockstep/ops.h"
#include "lockstep/settings.h"

/* The output that a graph of the model is built for. */
typedef enum LsWant {
    LS_WANT_LOSS,   /* output "loss" (1): summed over targets that are not ignored */
    LS_WANT_OUTPUT, /* output "output": the model's predictions, (B, T, V) logits for language models */
    LS_WANT_LAST    /* output "output" of the last position only: (B, 1, V) (generation) */
} LsWant;

/* The parts of a model that reads a source and then writes a target (translation). */
typedef enum LsPart {
    LS_PART_WHOLE,
    /* the source alone: outputs (B, ...) named as the decoder's inputs and states, which they are copied to */
    LS_PART_ENCODER,
    /* the target alone, step by step; an output "attention" (B, T, shape->memory), where there is one, holds the
     * weights that each step gives to the steps of the source */
    LS_PART_DECODER
} LsPart;

/* The shape a graph is built for. With mode LS_DECODE, models also have an input "position": (B) LS_I32, the number of
 * tokens each stream has seen before this run. They may leave it out where they do not need it. */
typedef struct LsShape {
    int64_t batch;    /* B: samples on this rank in one micro-batch */
    int64_t sequence; /* T: steps of a sample, of the fields that have steps */
    LsWant want;
    LsPart part;
    int64_t memory;  /* steps of the source where the part is the decoder */
    int64_t room;    /* with LS_DECODE: tokens that a stream will have seen at most; 0: as many as it can */
    int64_t at_once; /* with it: tokens of the longest run of graphs that share states; 0: as many as there is room */
    const LsFields *fields; /* what samples hold; NULL: those of a language model (ls_language_fields) */
    /* of training: the phase of a step that the graph is for (LsPhase.name); NULL: none, all parameters take part */
    const char *phase;
} LsShape;

/* The graph's input of this name, of the shape that the samples' field has: (B, field). Where there is none the graph
 * fails, with the fields there are. Asked for twice it is the same. ls_shape_field: NULL where there is none. */
LsTensor *ls_shape_input(LsGraph *g, const LsShape *shape, const char *name);
/* The same of the first name in "pixels|values" that the samples have. */
LsTensor *ls_shape_input_of(LsGraph *g, const LsShape *shape, const char *names);
const LsField *ls_shape_field(const LsShape *shape, const char *name);

/* Whether samples are several documents, one behind the other, that must not see each other: a loss of samples with the
 * field "positions", each token's in its document. A model that takes it gives this input to all its ops that mix
 * time; ls_task_build refuses others. Outputs are of one document. */
bool ls_shape_documents(const LsGraph *g, const LsShape *shape);

/* The result of a model without a head; the task puts its head on it. */
typedef struct LsBody {
    LsTensor *features; /* (B, T, C), or (B, C); NULL: the model has declared all outputs (an encoder alone) */
    LsTensor *steps;    /* (B, T, C): the steps that a model of one vector a sample pools; NULL: there are none */
    /* of two players, where features are samples that the model has made: logits (B, 1) of these, and of the data's
     * samples where the phase has them; else NULL */
    LsTensor *made_logits, *real_logits;
    LsTensor *table;      /* (V, C) weight of a head over the ids of the model; NULL: it is no language model */
    LsTensor *head_bias;  /* (V), of a model with a source: added to the head's logits; NULL: none */
    bool source;          /* reads a source and writes a target: has the parts LS_PART_ENCODER and LS_PART_DECODER */
    bool both_ways;       /* a step's features depend on later steps too: no model of the next token */
    int64_t loss_classes; /* rows of `table` that the loss normalises over; 0: all */
} LsBody;

enum {
    LS_BODY_STEPS = 1,      /* features (B, T, C) */
    LS_BODY_VECTOR = 2,     /* features (B, C) */
    LS_BODY_IDS = 4,        /* with a table of ids: a language model */
    LS_BODY_SOURCE = 8,     /* of a source that it has read: LsBody.source */
    LS_BODY_BOTH_WAYS = 16, /* of steps that see later ones: LsBody.both_ways */
    LS_BODY_PLAYERS = 32    /* of two players: LsBody.made_logits; its features may have any shape */
};

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
        LS_HF_MIDDLE_ONE,   /* theirs has an axis of 1 before the last: (C, 1, K) */
        LS_HF_LEADING_ONES, /* theirs is (1, 1, C), or (C) as ours */
        LS_HF_BY_HEAD       /* rows of theirs are (heads, parts, n), of ours (parts, heads, n): by `shares` */
    } layout;
    bool optional; /* their file may lack it: our parameter is filled with zeros then (biases switched off) */
    /* where the model has no parameter `ours` (NULL: never): the file may carry theirs as a copy of this parameter of
     * ours; one that differs from it is refused */
    const char *tied;
    const char *also; /* another name that files have in the place of theirs */
    /* "heads|kv_heads|kv_heads": our rows stand in parts of such sizes to each other, products of settings, and theirs
     * is number `part`; NULL: it is all of ours. With LS_HF_BY_HEAD theirs has all parts, each of so many heads */
    const char *shares;
    int part;
    const char *absent; /* where the model has no parameter `ours`: export writes zeros of this shape: "types|width" */
    const char *rotate; /* "expand*width", a product as in LsHfKey: theirs begins with so many of our last rows */
} LsHfTensor;

/* One key of config.json. Numbers, true and false carry over as they are, texts by `words`.
 *
 *     {"layers", "n_layer"},
 *     {"mlp_width", "n_inner", .words = "null=0"},                              // where 0 says 4 x width with us
 *     {"activation", "activation_function", .words = "gelu_new=gelu_tanh|relu=relu", .absent = "gelu_new"},
 *     {NULL, "intermediate_size", .product = "expand*width"}, // follows from settings: compared, not set
 *
 * A key "rope_scaling.factor" is the member `factor` of the object `rope_scaling`; what such objects hold is held to
 * the tables as all keys are.
 */
typedef struct LsHfKey {
    /* ours; several keys may carry the same one, and must agree then (dropouts); NULL with `product` */
    const char *setting;
    const char *key;
    const char *also; /* "type|kind": other names that files have in its place; all that are there must agree */
    /* "theirs=ours|...": values translated both ways; null, true and false are written as such. Texts not in it are
     * refused, numbers pass. Export takes the first entry that fits. */
    const char *words;
    const char *absent; /* their default, used where the key is missing; NULL: the key must be there */
    /* "expand*width/head_dim": product of settings and whole numbers, some of them divided by, that the value must
     * equal (a missing key is fine); export writes it */
    const char *product;
    const char *zero; /* such a product, "width/heads" too, which a 0 of ours stands for: export writes it */
    /* "scaling=linear|llama3": other values of that setting, which an entry before has set, leave the key alone */
    const char *when;
    const char *omit; /* the value of ours for which export leaves the key out */
    int element;      /* the value is a list and the setting its element of this number, from 1; 0: it is no list */
    /* "layers": the value is one number, or a list of so many, a setting's, and ours a text, "32,64", whose last number
     * goes for all that follow; NULL: neither */
    const char *each;
} LsHfKey;

/* One of the names that config.json may have under "architectures": the task that such a file is for, and its head's
 * parameters. In texts $NAME stands for a setting of the model, $labels for the number of classes. */
typedef struct LsHfArchitecture {
    const char *name; /* "BertForMaskedLM" */
    const char *task; /* task.kind */
    /* "task.epsilon=$epsilon": settings that follow; import sets them, export refuses another value; ended by NULL */
    const char *const *preset;
    const char *fields; /* data.fields: "ids T of $vocabulary, label of $labels"; NULL: as model and task have them */
    const char *labels; /* the field whose classes, or numbers, config.json names in id2label; NULL: none */
    /* "tie_word_embeddings=false": a key that the file must have so; of two entries of one name the first that fits is
     * taken. Export writes the key. A missing problem_type is "regression" where there is one label. NULL: any file */
    const char *when;
    const char *needs;         /* a tensor, by their name, that the file must have, likewise; NULL: none */
    bool bare;                 /* its files leave out LsHf.prefix */
    const LsHfTensor *tensors; /* besides the model's: its head's, ended by {0}; NULL: none */
} LsHfArchitecture;

/* For files of weights without a config.json: the value of one of its keys, taken from the shape of a tensor. */
typedef struct LsHfShape {
    const char *key;    /* of config.json */
    const char *tensor; /* its name in the file; where the file lacks it the key is left out */
    int axis; /* the value is the tensor's size along this axis; LS_HF_LAYERS: the number of layers that have it */
} LsHfShape;
#define LS_HF_LAYERS (-1)

typedef struct LsHf {
    const struct LsHf *next; /* another layout of the model; export takes the first that holds all settings */
    const char *model_type;  /* "gpt2" */
    /* ended by {0}; where there is one alone, config.json need not name it */
    const LsHfArchitecture *architectures;
    const char *prefix;        /* a beginning of their names that files may leave out: "transformer." */
    const LsHfTensor *tensors; /* ended by {0} */
    const LsHfKey *keys;       /* ended by {0} */
    /* JSON object: export writes these keys, import refuses another value where they are present */
    const char *fixed;
    /* JSON object: import refuses another value where they are present. Where the value here is a list theirs may be
     * one of its elements, or a list of some of them. Export does not write them */
    const char *only;
    /* JSON object: keys that export writes so, whatever import finds in them: they matter to training elsewhere only */
    const char *written;
    /* "use_cache|summary_*|...": keys that do not change the computation. Those of every model (bos_token_id,
     * transformers_version, ...) need not be named. All other keys are refused, by name. */
    const char *ignored;
    /* "setting=value" that the layout implies: import sets it, export refuses another value; ended by NULL */
    const char *const *preset;
    const char *const *import; /* the same, which import sets and export holds to nothing; ended by NULL */
    /* For files without a config.json: a tensor that only files of this model have, and the keys that follow from the
     * tensors' shapes, ended by {0}. NULL: such files are not read. */
    const char *recognised;
    const LsHfShape *shapes;
    const char *foreign, *foreign_model; /* a tensor that such a file has of another model, which is refused; or NULL */
} LsHf;

typedef struct LsTask LsTask;

typedef struct LsModel {
    const char *name, *summary, *paper;
    /* of the section `model:`, ended by {0}; every language model has `vocabulary` and `context` */
    const LsSetting *settings;
    size_t config_bytes;
    /* Settings that do not fit together: LS_USAGE with a message. NULL where any combination works. */
    LsStatus (*check)(const void *config);
    LsBody (*build)(LsGraph *g, const void *config, const LsShape *shape);
    /* The inputs it takes where no data set says what samples hold (a benchmark of made-up samples), in the grammar of
     * field.h; NULL: "ids T of V" of its vocabulary. The task adds its targets. */
    const char *fields;
    /* Settings that make it tiny, for the tests that walk the list: "layers=2 width=12"; after a bar the fields of its
     * inputs where those above are not to be used: "width=4 | pixels 8x8x3"; several variants with a semicolon between
     * them. */
    const char *small;
    const LsHf *hf; /* the first of its Hugging Face layouts; NULL: none */
    /* Whether a setting counts beside the values of the others; a job that sets one that does not is warned. NULL: all
     * do. */
    bool (*counts)(const void *config, const char *setting);
    /* Whether streams of a graph that decodes may go on beyond `context`: a model with an input "position" that keeps of
     * the tokens before what it needs. NULL: never. */
    bool (*endless)(const void *config);
    /* What it computes depends on where segments end, as a memory of the segment before does: nobody else may cut
     * them. */
    bool keeps_segments;
} LsModel;

/* Makes a model known that is in no list: of a program that is not ours. Call it before any configuration is read;
 * `model` must live on. LS_USAGE where the name is taken, or after LS_MAX_ADDED_MODELS. */
#define LS_MAX_ADDED_MODELS 32
LsStatus ls_model_add(const LsModel *model) LS_MUST_USE;

/* "ids T of V, targets T of V". */
LsFields ls_language_fields(int64_t vocabulary);

const LsModel *ls_model_find(const char *name);
const LsModel *const *ls_models(void); /* all, ended by NULL */

#endif
