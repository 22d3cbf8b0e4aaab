/* The configuration: sections model, task, data, train, lora, output, read from YAML, with key=value from the command
 * line over it. A section with a kind (model.kind, task.kind, data.kind, train.procedure) has that kind's settings too.
 *
 * Precedence: defaults, file, command line. All mistakes (unknown key, wrong type, out of range, bad choice) are listed
 * at once with line number and nearest name, LS_USAGE.
 */
#ifndef LS_CONFIG_CONFIG_H
#define LS_CONFIG_CONFIG_H

#include "lockstep/data.h"
#include "lockstep/model.h"
#include "lockstep/procedure.h"
#include "lockstep/task.h"

typedef struct LsDataSettings {
    char *path, *validation_path;
    char *fields; /* what samples hold (field.h); NULL: as the model says */
} LsDataSettings;

typedef struct LsTrainSettings {
    /* micro_batch 0: all of this rank's share at once; sequence 0: model.context */
    int64_t steps, batch, micro_batch, sequence;
    /* ranks that share a sequence (0 is 1); tokens a rank computes at once, 0: all of its share */
    int64_t sequence_ranks, segment;
    int64_t length_step; /* steps of a graph are a multiple of it, as many as its samples need; 0: sequence */
    int64_t memory;      /* bytes a rank may take; 0: what there is */
    char *precision, *optimizer, *schedule;
    char *wire; /* precision of gradients in messages */
    double learning_rate, min_learning_rate;
    int64_t warmup, cooldown; /* steps */
    int64_t drop_every;
    double drop_factor;
    double average;       /* decay of the average of weights; 0: none is kept */
    double skip_outliers; /* standard deviations; 0: no step is skipped */
    int64_t skip_window;
    double weight_decay, beta1, beta2, epsilon, momentum, clip;
    int64_t seed, evaluate_every, evaluate_batches, bucket_bytes;
    bool overlap;
    bool carry; /* states go on from step to step */
    char *init; /* run, checkpoint or folder whose parameters the training begins with; NULL: drawn from the seed */
    char *init_match;                    /* "strict" or "partial": what becomes of parameters of other shapes */
    char *no_decay, *freeze, *scale;     /* of parameters by name: lists of regular expressions, and a map to factors */
    int64_t sample_every, sample_tokens; /* samples of text during training; 0: none */
    char *sample_prompts;                /* a list */
    double sample_temperature;
} LsTrainSettings;

/* Low-rank adapters over a model that stays as it is (LsAdapters). */
typedef struct LsLoraSettings {
    int64_t rank; /* 0: none, everything learns */
    double alpha;
    char *targets; /* regular expression over the names of dense layers */
    char *digest;  /* of the model in train.init, once it was read */
    char *base;    /* where it was read, as an absolute path: train.init may be relative to another folder */
} LsLoraSettings;

typedef struct LsOutputSettings {
    char *path;
    int64_t save_every, keep, log_every;
    bool csv, tensorboard;
} LsOutputSettings;

/* The kinds' own settings are filled from their tables: model_config is model->config_bytes long, and so on. */
typedef struct LsConfig {
    char *name; /* of the file, for messages */
    const LsModel *model;
    void *model_config;
    const LsTask *task; /* NULL: the first of the list */
    void *task_config;
    const LsDataKind *data_kind;
    void *data_config;
    const LsProcedure *procedure; /* NULL: the task's, or the first of the list */
    void *procedure_config;
    LsLoraSettings lora;
    LsDataSettings data;
    LsTrainSettings train;
    LsOutputSettings output;
    /* steps of the longest sample that is read, once data were opened: graphs are no longer, whatever train.sequence
     * allows. 0: not known. No setting */
    int64_t longest;
    struct LsYamlEntries *said; /* what was said, in order, the last of a setting counts (config/yaml.h) */
} LsConfig;

/* From a file, and from text (a checkpoint's, in which the settings of a kind go where an override chooses another one;
 * `name` stands in messages). overrides: "train.steps=500", may be NULL with count 0; "train.steps=" takes out what the
 * file says. */
LsConfig *ls_config_load(const char *path, int overrides, char *const *override);
/* The same file over the lines `below`, of ls_config_model_yaml: what the job leaves out is as they say. NULL: none. */
LsConfig *ls_config_load_over(const char *path, const char *below, int overrides, char *const *override);
LsConfig *ls_config_parse(const char *name, const char *text, int overrides, char *const *override);
/* Reads one setting from the file, or from the command line over it, without reading the others: *value is the caller's
 * to free; NULL where it is not set. Mistakes are left to ls_config_load. */
LsStatus ls_config_said(const char *path, int overrides, char *const *override, const char *section, const char *key,
                        char **value) LS_MUST_USE;
/* From settings alone, "model.layers=2": those of a file in another format, whose name stands in messages. */
LsConfig *ls_config_of(const char *name, int settings, char *const *setting);
void ls_config_free(LsConfig *config);

/* The last that was said of a setting; NULL: nothing. And its line: 0 for the command line, -1 for none. */
const struct LsYamlEntry *ls_config_entry(const LsConfig *config, const char *section, const char *key);
int ls_config_line(const LsConfig *config, const char *section, const char *key);
/* What messages call it. */
static inline const char *ls_config_name(const LsConfig *config)
{
    return config->name ? config->name : "configuration";
}

/* The resolved configuration as YAML, every setting written out; the caller frees it. Parsing it gives the same
 * configuration. */
char *ls_config_yaml(const LsConfig *config);
/* The section `model` of it. */
char *ls_config_model_yaml(const LsConfig *config);

/* A part of a section: its table and what it describes. A section with a kind has two where it has settings of its own
 * as well. */
typedef struct LsSection {
    const char *name;          /* "data" */
    const char *kind;          /* name of the kind that the section has; NULL: it has none */
    const char *kind_key;      /* the setting that chooses it: "kind", "procedure"; NULL: none does */
    const LsSetting *table[2]; /* the section's own, the kind's; NULL: none */
    void *base[2];
} LsSection;
#define LS_SECTIONS 6

/* model, task, data, train, lora, output, in the order they are printed in. */
void ls_config_sections(const LsConfig *config, LsSection section[LS_SECTIONS]);

/* Integer settings of the model by name (vocabulary, context, layers, width, ...); false where it has none of that
 * name. */
bool ls_config_model_int(const LsConfig *config, const char *name, int64_t *value);
bool ls_config_set_model_int(LsConfig *config, const char *name, int64_t value);

/* The task: the first of the list where none is named. */
const LsTask *ls_config_task(const LsConfig *config);

/* The training procedure: the task's, or the first of the list, where none is named. */
const LsProcedure *ls_config_procedure(const LsConfig *config);

/* The fields of samples: data.fields, else those that model and task declare. ls_config_set_fields writes data.fields,
 * unless model and task declare the same. */
LsStatus ls_config_fields(const LsConfig *config, LsFields *fields) LS_MUST_USE;
LsStatus ls_config_set_fields(LsConfig *config, const LsFields *fields) LS_MUST_USE;

/* The most steps of a sequence: what the settings of the data decide (LsDataKind.steps), else train.sequence, else the
 * model's context; 0: none of them says. Samples that are longer are cut. */
int64_t ls_config_most_steps(const LsConfig *config);
/* And no more than config->longest: what graphs are built for. */
int64_t ls_config_sequence(const LsConfig *config);
/* The streams of samples whose states go on from one to the next (train.carry), in training and evaluation; 0: none. */
int64_t ls_config_streams(const LsConfig *config);

/* Builds the graph of the configuration's model and task: every graph of a run is built by this. Errors are the
 * graph's. */
void ls_config_build(const LsConfig *config, LsGraph *g, int64_t batch, int64_t sequence, LsWant want);
/* The same with the whole shape but its fields, which are the configuration's. */
void ls_config_build_shape(const LsConfig *config, LsGraph *g, const LsShape *shape);

/* Whether adapters learn, and the rest of the model comes from train.init (config.lora). */
static inline bool ls_config_adapts(const LsConfig *config) { return config->lora.rank > 0; }

/* Declares the parameters of a run in a store that is new, by building its smallest graph. */
LsStatus ls_config_declare(const LsConfig *config, LsParams *params) LS_MUST_USE;
/* The same for the model alone, without the task's head. */
LsStatus ls_config_declare_body(const LsConfig *config, LsParams *params) LS_MUST_USE;

/* Generic: fills the structure at `base` from a table with its defaults; sets one setting from text, with range and
 * choice checks. */
LsStatus ls_settings_defaults(const LsSetting *table, void *base) LS_MUST_USE;
LsStatus ls_settings_set(const LsSetting *table, void *base, const char *name, const char *text) LS_MUST_USE;
/* The same of a list, or else a map, that stands as JSON. */
LsStatus ls_settings_set_members(const LsSetting *table, void *base, const char *name, bool list,
                                 const char *json) LS_MUST_USE;
void ls_settings_free(const LsSetting *table, void *base);
/* One setting's value as YAML text; the caller frees it. */
char *ls_setting_text(const LsSetting *setting, const void *base);
/* A text as a YAML scalar in double quotes that reads back to the same bytes; "section.name=" and this sets any text.
 * The caller frees it. */
char *ls_setting_quote(const char *text);
/* A text as a YAML scalar, in quotes where it would be something else without. The caller frees it. */
char *ls_setting_scalar(const char *text);

/* Settings that are lists or maps (src/config/lists.c), NULL or JSON. How many members there are, and member i of a
 * list; name and value i of a map. Texts are those of `json`, which ls_members_read makes: json_decref. */
struct json_t *ls_members_read(const char *setting);
/* One more text at the end of a list. */
LsStatus ls_list_append(char **list, const char *text) LS_MUST_USE;
/* As YAML on one line, which reads back to the same. The caller frees it. */
char *ls_members_yaml(const char *setting);

/* The setting of this name; NULL: the table, which may be NULL, has none. */
const LsSetting *ls_settings_find(const LsSetting *table, const char *name);
/* Whether the setting of the structure at `base` has the value that its table gives it first; where there is no memory
 * to tell, it has. */
bool ls_setting_is_default(const LsSetting *setting, const void *base);

/* Tables of the sections' own settings, ended by {0}. */
extern const LsSetting ls_lora_settings[], ls_data_settings[], ls_train_settings[], ls_output_settings[];

#endif
