/* The list of kinds of data sets, and opening what a configuration asks for. */
#include "data/data.h"
#include "data/utf8.h"

#include <stdio.h>
#include <string.h>

#define DATA_KIND(name) extern const LsDataKind ls_data_kind_##name;
#include "config/data_kinds.def"
#undef DATA_KIND

static const LsDataKind *const kinds[] = {
#define DATA_KIND(name) &ls_data_kind_##name,
#include "config/data_kinds.def"
#undef DATA_KIND
    NULL};

const LsDataKind *const *ls_data_kinds(void) { return kinds; }

const LsDataKind *ls_data_kind(const char *name)
{
    char names[256] = "";
    for (const LsDataKind *const *kind = kinds; *kind; kind++) {
        if (strcmp((*kind)->name, name) == 0)
            return *kind;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", (*kind)->name);
    }
    ls_fail(LS_USAGE, "there is no kind of data '%s'; there are: %s", name, names);
    return NULL;
}

LsStatus ls_source_check(const LsGraph *g, int64_t count, int64_t sequence, int64_t *length)
{
    const LsTensor *ids = ls_graph_find(g, "ids"), *wanted = ls_graph_find(g, "targets");
    if (!ids || ids->rank != 2 || ids->dim[1] > sequence || ids->dim[0] < count ||
        (wanted && wanted->count != ids->count))
        return ls_fail(
            LS_ERROR,
            "this graph has no input \"ids\" of %lld rows of at most %lld tokens, as the data set was opened for",
            (long long)count, (long long)sequence);
    *length = ids->dim[1];
    return LS_OK;
}

void ls_source_free(LsSource *source)
{
    if (source)
        source->free(source);
}

/* Two sources of one training must number the same things alike. */
static LsStatus check_alike(const LsDataSettings *data, const LsSource *training, const LsSource *validation)
{
    if (training->tokenizer && validation->tokenizer) {
        char *cure = ls_format("prepare it with --like %s", data->path);
        LsStatus status = cure ? ls_tokenizer_check_same(data->validation_path, validation->tokenizer, data->path,
                                                         training->tokenizer, cure)
                               : LS_RESOURCE;
        ls_free(cure);
        return status;
    }
    if (training->vocabulary != validation->vocabulary || training->tokenizer || validation->tokenizer)
        return ls_fail(LS_DATA, "%s and %s have different vocabularies; prepare the second with --like %s", data->path,
                       data->validation_path, data->path);
    return LS_OK;
}

LsStatus ls_data_check_model(const char *path, const LsSource *source, const char *model, const LsTokenizer *tokenizer,
                             int64_t vocabulary)
{
    if (vocabulary > 0 && source->vocabulary > vocabulary)
        return ls_fail(LS_DATA, "%s has %lld tokens, but %s was made for %lld; prepare it with the model's tokenizer",
                       path, (long long)source->vocabulary, model, (long long)vocabulary);
    if (source->tokenizer && tokenizer)
        return ls_tokenizer_check_same(
            path, source->tokenizer, model, tokenizer,
            "prepare the data with the model's tokenizer: --like the data set it was trained on, or "
            "--vocabulary the folder it was imported from");
    if (source->tokenizer)
        ls_warn("%s has no tokenizer: whether the ids of %s mean the same to it cannot be checked", model, path);
    return LS_OK;
}

LsStatus ls_data_check_loss(const LsConfig *config, const LsSource *source)
{
    int64_t normalised = 0, vocabulary = source->vocabulary;
    ls_config_model_int(config, "vocabulary", &vocabulary);
    if (!ls_config_model_int(config, "loss_vocabulary", &normalised) || normalised == 0)
        return LS_OK;
    if (normalised >= source->vocabulary && normalised <= vocabulary)
        return LS_OK;
    return ls_fail(LS_USAGE,
                   "model.loss_vocabulary is %lld: at least the data set's %lld tokens, and at most model.vocabulary, "
                   "%lld, are asked for",
                   (long long)normalised, (long long)source->vocabulary, (long long)vocabulary);
}

LsStatus ls_data_open(const LsDataSettings *data, int64_t sequence, uint64_t seed, LsSource **training,
                      LsSource **validation)
{
    *training = *validation = NULL;
    const LsDataKind *kind = ls_data_kind(data->kind);
    if (!kind)
        return LS_USAGE;
    if (!data->path)
        return ls_fail(LS_USAGE, "data.path is not set; 'lockstep prepare %s' makes a data set", kind->name);
    bool apart = data->validation_path != NULL;
    LsStatus status = kind->open(data->path, "train", sequence, seed, training);
    if (status == LS_OK && !*training)
        status = ls_fail(LS_DATA, "%s: has nothing to train on", data->path);
    if (status == LS_OK)
        status = kind->open(apart ? data->validation_path : data->path, apart ? "held-out" : "validation", sequence,
                            seed, validation);
    if (status == LS_OK && apart)
        status = check_alike(data, *training, *validation);
    if (status != LS_OK) {
        ls_source_free(*training);
        ls_source_free(*validation);
        *training = *validation = NULL;
    }
    return status;
}

LsStatus ls_data_inspect(const char *path, json_t **object)
{
    *object = NULL;
    LsSealed *file = ls_sealed_open(path, NULL, LS_DATA, NULL);
    if (!file)
        return ls_message_status();
    LsStatus status = LS_OK;
    const LsDataKind *kind = ls_data_kind(ls_sealed_kind(file));
    char *name = ls_utf8_repair(path);
    json_t *made = name ? json_pack("{s:s, s:s, s:i}", "file", name, "kind", ls_sealed_kind(file), "version",
                                    ls_sealed_version(file))
                        : NULL;
    ls_free(name);
    if (!kind)
        status = ls_fail_in(LS_DATA, "%s", path);
    else if (!made)
        status = ls_fail(LS_RESOURCE, "out of memory while describing %s", path);
    else
        status = kind->inspect(file, made);
    ls_sealed_close(file);
    if (status == LS_OK)
        *object = made;
    else
        json_decref(made);
    return status;
}
