/* The configuration: sections model, data, train, output, read from YAML, with key=value from the command line over it.
 *
 * Precedence: defaults, file, command line. All mistakes (unknown key, wrong type, out of range, bad choice) are listed
 * at once with line number and nearest name, LS_USAGE.
 */
#ifndef LS_CONFIG_CONFIG_H
#define LS_CONFIG_CONFIG_H

#include "lockstep/model.h"

typedef struct LsDataSettings {
    char *kind; /* of data set: "text"; a name in the list of data kinds */
    char *path, *validation_path;
} LsDataSettings;

typedef struct LsTrainSettings {
    /* micro_batch 0: all of this rank's share at once; sequence 0: model.context */
    int64_t steps, batch, micro_batch, sequence;
    /* ranks that share a sequence (0 is 1); tokens a rank computes at once, 0: all of its share */
    int64_t sequence_ranks, segment;
    int64_t memory; /* bytes a rank may take; 0: what there is */
    char *precision, *optimizer, *schedule;
    char *wire; /* precision of gradients in messages */
    double learning_rate, min_learning_rate;
    int64_t warmup;
    double weight_decay, beta1, beta2, epsilon, momentum, clip;
    int64_t seed, evaluate_every, evaluate_batches, bucket_bytes;
    bool overlap;
} LsTrainSettings;

typedef struct LsOutputSettings {
    char *path;
    int64_t save_every, keep, log_every;
} LsOutputSettings;

typedef struct LsConfig {
    const LsModel *model;
    void *model_config; /* model->config_bytes, filled from its settings */
    LsDataSettings data;
    LsTrainSettings train;
    LsOutputSettings output;
} LsConfig;

/* From a file, and from text (a checkpoint's; `name` stands in messages). overrides: "train.steps=500", may be NULL
 * with count 0. */
LsConfig *ls_config_load(const char *path, int overrides, char *const *override);
LsConfig *ls_config_parse(const char *name, const char *text, int overrides, char *const *override);
void ls_config_free(LsConfig *config);

/* The resolved configuration as YAML, every setting written out; the caller frees it. Parsing it gives the same
 * configuration. */
char *ls_config_yaml(const LsConfig *config);

/* Integer settings of the model by name (vocabulary, context, layers, width, ...); false where it has none of that
 * name. */
bool ls_config_model_int(const LsConfig *config, const char *name, int64_t *value);
bool ls_config_set_model_int(LsConfig *config, const char *name, int64_t value);

/* Generic: fills the structure at `base` from a table with its defaults; sets one setting from text, with range and
 * choice checks. */
LsStatus ls_settings_defaults(const LsSetting *table, void *base) LS_MUST_USE;
LsStatus ls_settings_set(const LsSetting *table, void *base, const char *name, const char *text) LS_MUST_USE;
void ls_settings_free(const LsSetting *table, void *base);
/* One setting's value as YAML text; the caller frees it. */
char *ls_setting_text(const LsSetting *setting, const void *base);
/* A text as a YAML scalar in double quotes that reads back to the same bytes; "section.name=" and this sets any text.
 * The caller frees it. */
char *ls_setting_quote(const char *text);
/* The nearest name by edit distance, NULL if none is near. */
const char *ls_settings_nearest(const LsSetting *table, const char *name);

/* Tables of the fixed sections, ended by {0}. */
extern const LsSetting ls_data_settings[], ls_train_settings[], ls_output_settings[];

#endif
