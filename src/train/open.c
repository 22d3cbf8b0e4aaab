/* The data of a run, and what they tell its configuration: one way for training, evaluation, benchmark and library. */
#include "train/train.h"

/* The model's ids, where it has any. */
static LsStatus set_vocabulary(LsConfig *config, const LsSource *source)
{
    int64_t asked = 0, needed = ls_source_classes(source, "ids");
    if (needed == 0 || !ls_config_model_int(config, "vocabulary", &asked))
        return LS_OK;
    if (asked != 0 && asked < needed)
        return ls_fail(LS_USAGE,
                       "model.vocabulary is %lld, but %s has %lld tokens: leave it out to take the data set's",
                       (long long)asked, config->data.path, (long long)needed);
    if (asked == 0)
        ls_config_set_model_int(config, "vocabulary", needed);
    return LS_OK;
}

/* Ids are the model's vocabulary, which may be padded above the data's. */
static LsStatus set_fields(LsConfig *config, const LsSource *source)
{
    LsFields fields = source->fields, own = {0};
    int64_t vocabulary = 0;
    ls_config_model_int(config, "vocabulary", &vocabulary);
    LS_TRY(ls_config_fields(config, &own));
    for (int i = 0; i < fields.count; i++) {
        const LsField *known = ls_field_find(&own, fields.list[i].name);
        if (known && known->classes == vocabulary && fields.list[i].classes < vocabulary)
            fields.list[i].classes = vocabulary;
    }
    return ls_config_set_fields(config, &fields);
}

LsStatus ls_train_open(LsConfig *config, int ranks, LsSource **training, LsSource **validation)
{
    LsTrainPlan plan;
    *training = *validation = NULL;
    LS_TRY(ls_train_shapes(config, ranks, &plan)); /* a batch that cannot be divided is refused before data is read */
    LS_TRY(ls_data_open(config, ls_config_sequence(config), ls_config_streams(config), NULL, training, validation));
    /* no sample is longer; that of a validation set of its own may be longer than those of the training */
    int64_t most = (*training)->sequence;
    if (most > 0 && *validation && (*validation)->sequence > most)
        most = (*validation)->sequence;
    if (config->train.length_step > 0 && !(*training)->longest)
        return ls_fail(LS_USAGE, "train.length_step: all samples of %s have as many steps; leave it out",
                       config->data.path ? config->data.path : config->data_kind->name);
    LS_TRY(set_vocabulary(config, *training));
    LS_TRY(set_fields(config, *training));
    if (config->train.sequence > 0 && config->data_kind->steps && (*training)->sequence > 0 &&
        config->train.sequence != (*training)->sequence)
        return ls_fail(LS_USAGE, "train.sequence: samples of data.kind %s have %lld steps: leave it out",
                       config->data_kind->name, (long long)(*training)->sequence);
    /* where samples differ in steps, and longer ones may come, what was asked for stays in the configuration */
    int64_t asked = ls_config_most_steps(config);
    if (most > 0 && (asked == 0 || (!(*training)->longest && most < asked)))
        config->train.sequence = most;
    if ((*training)->longest)
        config->longest = most;
    return ls_data_check_loss(config, *training);
}

LsStatus ls_train_open_synthetic(LsConfig *config, int64_t vocabulary, LsSource **training)
{
    LsFields fields;
    int64_t asked = 0;
    *training = NULL;
    if (ls_config_model_int(config, "vocabulary", &asked) && asked == 0)
        ls_config_set_model_int(config, "vocabulary", vocabulary);
    LS_TRY(ls_config_fields(config, &fields));
    int64_t sequence = ls_config_sequence(config);
    if (sequence == 0 && ls_fields_have_steps(&fields))
        return ls_fail(LS_USAGE, "train.sequence: must be set, since model %s has no context to take it from",
                       config->model->name);
    *training = ls_synthetic_source(&fields, sequence, (uint64_t)config->train.seed);
    return *training ? LS_OK : ls_message_status();
}
