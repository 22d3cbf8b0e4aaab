/* The library for programs in other languages: opaque handles, plain C types, names instead of structures. The Python
 * package (python/) is made of these functions, of the sessions of lockstep/train.h and of ls_message.
 *
 *     LsTrained *model = NULL;
 *     LsForward *forward = NULL;
 *     LS_TRY(ls_trained_open("runs/shakespeare-gpt", false, 0, NULL, &model));
 *     LS_TRY(ls_forward_new(model, false, 1, 3, &forward));                    // one row of three steps
 *     LS_TRY(ls_forward_ints(forward, "ids", (int32_t[]){1, 2, 3}, 3));
 *     LS_TRY(ls_forward_run(forward));
 *     LS_TRY(ls_forward_read(forward, "output", logits, 3 * vocabulary));      // (1, 3, V)
 *     ls_forward_free(forward);
 *     ls_trained_close(model);
 *
 * Link with liblockstep.so (lockstep::shared, `pkg-config --libs lockstep-shared`) or with the static library. Every
 * LsStatus but LS_OK leaves a message for this thread: ls_message(). Nothing here starts MPI, takes signals or prints
 * results; warnings go to stderr. The first call that computes sets the threads of OpenMP as the program does (the
 * cores that the process may use), unless OMP_NUM_THREADS is set. A handle is used by one thread at a time. Texts are
 * UTF-8; memory that a function gives away is freed with ls_free.
 */
#ifndef LOCKSTEP_API_H
#define LOCKSTEP_API_H

#include "lockstep/base.h"

/* Of the library, "0.1.0". */
const char *ls_version(void);

/* ---- Trained models -------------------------------------------------------------------------------------------- */

typedef struct LsTrained LsTrained;

/* run: a run folder (its newest whole checkpoint; best: the best by validation) or a checkpoint. override: "key=value"
 * over its configuration; NULL with overrides 0. *trained is NULL on failure. LS_CHECKPOINT where there is none, or it
 * is damaged. */
LsStatus ls_trained_open(const char *run, bool best, int overrides, char *const *override,
                         LsTrained **trained) LS_MUST_USE;
void ls_trained_close(LsTrained *trained); /* after its LsForward; NULL is allowed */

/* Describes a loaded model: a JSON object, owned by the model, with
 *
 *     checkpoint, step       where it was read from, steps trained
 *     model, task, config    kinds, and the whole configuration as YAML
 *     steps                  the most of a sequence that the configuration knows; 0: none
 *     streams_ids            it goes on with a text: ls_trained_generate
 *     fields                 list of {name, type: "int32" or "float32", shape, classes} of a sample; -1 in a shape: the
 *                            steps; classes 0: any number
 *     inputs                 names of those fields that the output is made of; the others are targets
 *     parameters             list of {name, shape}
 *     info                   the meaning of the training data's numbers (names of classes, scaling); null: none
 */
const char *ls_trained_json(const LsTrained *trained);

/* A parameter's `count` values by its name. LS_USAGE where there is none of that name or it has another number. */
LsStatus ls_trained_parameter(const LsTrained *trained, const char *name, float *value, int64_t count) LS_MUST_USE;

/* Of the training data, the model's own; NULL where it has none. */
typedef struct LsTokenizer LsTokenizer;
const LsTokenizer *ls_trained_tokenizer(const LsTrained *trained);

/* ---- Predictions ------------------------------------------------------------------------------------------------- */

/* The model planned for one shape: rows samples of `steps` steps (0 where samples have none). loss: the task's loss
 * instead of its output. Keep it for further samples of the shape. */
typedef struct LsForward LsForward;
LsStatus ls_forward_new(LsTrained *trained, bool loss, int64_t rows, int64_t steps, LsForward **forward) LS_MUST_USE;
void ls_forward_free(LsForward *forward); /* NULL is allowed */

/* Fills the input that is named as a field of samples: (rows, field). LS_USAGE for another name, type or number of
 * values, and for ids, classes and lengths that do not exist. A target may be -1: it does not count. */
LsStatus ls_forward_ints(LsForward *forward, const char *name, const int32_t *value, int64_t count) LS_MUST_USE;
LsStatus ls_forward_floats(LsForward *forward, const char *name, const float *value, int64_t count) LS_MUST_USE;

LsStatus ls_forward_run(LsForward *forward) LS_MUST_USE;

/* After a run. Shape and values of an output: "output" of one without loss. dim has room for LS_FORWARD_RANK. */
#define LS_FORWARD_RANK 8
LsStatus ls_forward_shape(const LsForward *forward, const char *name, int *rank, int64_t *dim) LS_MUST_USE;
LsStatus ls_forward_read(const LsForward *forward, const char *name, float *value, int64_t count) LS_MUST_USE;

/* After a run of one with loss: the sum over the targets, and their number. */
LsStatus ls_forward_loss(const LsForward *forward, double *sum, int64_t *targets) LS_MUST_USE;

/* ---- Generation -------------------------------------------------------------------------------------------------- */

/* As the options of `lockstep generate`: the same seed gives the same tokens. */
typedef struct LsGenerate {
    int64_t tokens, streams;   /* to draw; continuations of the one prompt at once */
    double temperature, top_p; /* 1: as the model says; temperature 0: the likeliest token, top_p 1: among all */
    int64_t top_k;             /* among so many likeliest; 0: all */
    uint64_t seed;
    bool stop;             /* a stream ends with the tokenizer's end token, or one of them */
    const char *precision; /* "run" (NULL), "float", "bfloat16", "int8" */
} LsGenerate;

/* Calls `token` for each new token of each stream; it returns false to end. LS_USAGE where the model does not go on
 * with a text, or the prompt is empty or too long. */
typedef bool (*LsTokenFunction)(void *self, int64_t stream, int64_t index, int32_t token);
LsStatus ls_trained_generate(LsTrained *trained, const int32_t *prompt, int64_t count, const LsGenerate *how,
                             LsTokenFunction token, void *self) LS_MUST_USE;

/* The same of a text, which is `bytes` long: text[stream], the caller's to free, gets what stream goes on with,
 * text_bytes[stream] bytes and a NUL (all NULL on failure). A text ends where one of the stops comes, too. Left out are
 * the stop, and a character of which the last token is the beginning alone. token: as above, or NULL. */
LsStatus ls_trained_continue(LsTrained *trained, const char *prompt, int64_t bytes, const LsGenerate *how, int stops,
                             char *const *stop, LsTokenFunction token, void *self, char **text,
                             int64_t *text_bytes) LS_MUST_USE;

/* ---- Tokenizers -------------------------------------------------------------------------------------------------- */

/* Everything needed to make it again, as JSON text; stored in data sets and checkpoints. The caller frees the text. */
char *ls_tokenizer_to_json(const LsTokenizer *tokenizer);
LsTokenizer *ls_tokenizer_from_json(const char *json); /* NULL with a message */
void ls_tokenizer_free(LsTokenizer *tokenizer);

const char *ls_tokenizer_kind(const LsTokenizer *tokenizer);
int64_t ls_tokenizer_vocabulary(const LsTokenizer *tokenizer); /* one more than the largest id */
/* id that ends a text, -1 if it has none; encode gives it only where a published tokenizer finds its name in a text */
int64_t ls_tokenizer_end(const LsTokenizer *tokenizer);
/* whether this id ends a text: a published tokenizer may have several that do */
bool ls_tokenizer_ends(const LsTokenizer *tokenizer, int64_t id);
/* id that begins a text, -1 if it has none; as above */
int64_t ls_tokenizer_begin(const LsTokenizer *tokenizer);

/* *ids is the caller's to free. A character outside the vocabulary is LS_DATA, with its place. */
LsStatus ls_tokenizer_encode(const LsTokenizer *tokenizer, const char *text, int64_t bytes, int32_t **ids,
                             int64_t *count) LS_MUST_USE;

/* Bytes of the ids one after another (not always whole UTF-8 characters); *text is NUL-terminated and the caller's to
 * free. An id outside the vocabulary is LS_DATA. */
LsStatus ls_tokenizer_decode(const LsTokenizer *tokenizer, const int32_t *ids, int64_t count, char **text,
                             int64_t *bytes) LS_MUST_USE;

/* As ls_tokenizer_encode, after the ids that begin a text: a prompt that a model continues. */
LsStatus ls_tokenizer_encode_prompt(const LsTokenizer *tokenizer, const char *text, int64_t bytes, int32_t **ids,
                                    int64_t *count) LS_MUST_USE;
/* As ls_tokenizer_decode, for ids that continue others: a blank at their beginning is kept. */
LsStatus ls_tokenizer_decode_after(const LsTokenizer *tokenizer, const int32_t *ids, int64_t count, char **text,
                                   int64_t *bytes) LS_MUST_USE;

/* ---- Data sets --------------------------------------------------------------------------------------------------- */

/* `lockstep prepare KIND SOURCE... -o output`. setting: "validation=0.1", the options of the kind. */
LsStatus ls_data_prepare(const char *kind, int settings, char *const *setting, int sources, char *const *source,
                         const char *output) LS_MUST_USE;
/* The same; those of the sources that lie in this folder, a temporary one, are recorded as "memory". */
LsStatus ls_data_prepare_memory(const char *kind, int settings, char *const *setting, int sources, char *const *source,
                                const char *folder, const char *output) LS_MUST_USE;

/* Whether the kind's raw files are arrays of numbers (idx files); else they are text. LS_USAGE where there is no such
 * kind. */
LsStatus ls_data_reads_arrays(const char *kind, bool *arrays) LS_MUST_USE;

/* Verifies a data set and says what is in it, as `lockstep inspect --json`; the caller frees *json. */
LsStatus ls_data_describe(const char *path, char **json) LS_MUST_USE;

/* A file array by array: a data set as docs/data.md describes its kind. Nothing is at `path` before
 * ls_writer_commit, which reads all of it as training would (LS_DATA where that refuses it) and gives the file its name
 * then. */
typedef struct LsWriter LsWriter;
LsStatus ls_writer_new(const char *path, const char *kind, int version, LsWriter **writer) LS_MUST_USE;
/* type: "float32", "uint8", "uint16", "int32", "int64" or "uint64"; at most 5 dimensions; groups of a name with slashes
 * are made. */
LsStatus ls_writer_array(LsWriter *writer, const char *name, const char *type, int rank, const int64_t *dim,
                         const void *data) LS_MUST_USE;
/* Attributes of the file. */
LsStatus ls_writer_text(LsWriter *writer, const char *name, const char *text) LS_MUST_USE;
LsStatus ls_writer_int(LsWriter *writer, const char *name, int64_t value) LS_MUST_USE;
LsStatus ls_writer_double(LsWriter *writer, const char *name, double value) LS_MUST_USE;
LsStatus ls_writer_commit(LsWriter *writer) LS_MUST_USE; /* frees it, whatever happens */
void ls_writer_discard(LsWriter *writer);                /* instead; NULL is allowed */

/* Seals an HDF5 file that another program wrote or changed: computes the checksum of every array and the block in front
 * anew, has the reader of its kind check the file, and only then replaces it. kind: for a file without Lockstep's block
 * in front; NULL: the kind that the block names. On failure (LS_DATA, LS_CHECKPOINT, LS_USAGE) the file is as it
 * was. */
LsStatus ls_seal(const char *path, const char *kind) LS_MUST_USE;

#endif
