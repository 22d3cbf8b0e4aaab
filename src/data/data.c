/* Opening what a configuration asks for. */
#include "data/data.h"
#include "data/file_parts.h"
#include "data/shell_words.h"
#include "data/utf8.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t ls_source_mask(const LsSource *source) { return source->tokenizer ? ls_tokenizer_mask(source->tokenizer) : -1; }

int64_t ls_source_special(const LsSource *source, const int32_t **special)
{
    *special = NULL;
    return source->tokenizer ? ls_tokenizer_special(source->tokenizer, special) : 0;
}

int64_t ls_source_classes(const LsSource *source, const char *field)
{
    const LsField *found = ls_field_find(&source->fields, field);
    return found ? found->classes : 0;
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
        LS_TRY(status);
    }
    char *one = ls_fields_text(&training->fields), *other = ls_fields_text(&validation->fields);
    LsStatus status = one && other ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && (strcmp(one, other) != 0 || !training->tokenizer != !validation->tokenizer))
        status = ls_fail(LS_DATA, "%s holds %s, but %s holds %s; prepare the second with --like %s", data->path, one,
                         data->validation_path, other, data->path);
    ls_free(one);
    ls_free(other);
    return status;
}

LsStatus ls_data_check_fields(const char *path, const LsSource *source, const char *model, const LsFields *fields)
{
    bool fits = true;
    for (int i = 0; i < fields->count; i++) {
        const LsField *wanted = &fields->list[i], *there = ls_field_find(&source->fields, wanted->name);
        fits = fits && there && there->dtype == wanted->dtype && there->rank == wanted->rank &&
               memcmp(there->dim, wanted->dim, sizeof *there->dim * (size_t)there->rank) == 0 &&
               there->classes <= wanted->classes;
    }
    if (fits)
        return LS_OK;
    char *holds = ls_fields_text(&source->fields), *takes = ls_fields_text(fields);
    LsStatus status = holds && takes
                          ? ls_fail(LS_DATA, "%s holds %s, but %s was made for %s", path, holds, model, takes)
                          : LS_RESOURCE;
    ls_free(holds);
    ls_free(takes);
    return status;
}

LsStatus ls_data_check_classes(const char *path, const LsSource *source, const char *model, const json_t *info)
{
    LsStatus status = LS_OK;
    json_t *own = source->info ? json_loads(source->info, 0, NULL) : NULL;
    const json_t *here = json_object_get(own, "classes"), *learnt = info ? json_object_get(info, "classes") : NULL;
    if (here && learnt && !json_equal(here, learnt)) {
        char *a = json_dumps(here, JSON_COMPACT), *b = json_dumps(learnt, JSON_COMPACT);
        status = ls_fail(LS_DATA,
                         "%s has the classes %.300s, but %s learnt %.300s: prepare it with the same classes, in "
                         "the same order",
                         path, a ? a : "?", model, b ? b : "?");
        free(a);
        free(b);
    }
    json_decref(own);
    return status;
}

LsStatus ls_data_check_model(const char *path, const LsSource *source, const char *model, const LsTokenizer *tokenizer,
                             int64_t vocabulary)
{
    if (vocabulary > 0 && ls_source_classes(source, "ids") > vocabulary)
        return ls_fail(LS_DATA, "%s has %lld tokens, but %s was made for %lld; prepare it with the model's tokenizer",
                       path, (long long)ls_source_classes(source, "ids"), model, (long long)vocabulary);
    if (source->tokenizer && tokenizer)
        return ls_tokenizer_check_same(path, source->tokenizer, model, tokenizer,
                                       "prepare the data with the model's tokenizer: --like a run of it or its data "
                                       "set, or --tokenizer the folder "
                                       "that it comes from");
    if (source->tokenizer)
        ls_warn("%s has no tokenizer: whether the ids of %s mean the same to it cannot be checked", model, path);
    return LS_OK;
}

LsStatus ls_data_check_loss(const LsConfig *config, const LsSource *source)
{
    int64_t normalised = 0, vocabulary = ls_source_classes(source, "ids");
    ls_config_model_int(config, "vocabulary", &vocabulary);
    if (!ls_config_model_int(config, "loss_vocabulary", &normalised) || normalised == 0)
        return LS_OK;
    if (normalised >= ls_source_classes(source, "ids") && normalised <= vocabulary)
        return LS_OK;
    return ls_fail(LS_USAGE,
                   "model.loss_vocabulary is %lld: at least the data set's %lld tokens, and at most model.vocabulary, "
                   "%lld, are asked for",
                   (long long)normalised, (long long)ls_source_classes(source, "ids"), (long long)vocabulary);
}

/* ---- Sources in memory ------------------------------------------------------------------------------------------- */

static _Thread_local const char *memory;

void ls_sources_in_memory(const char *folder) { memory = folder; }

const char *ls_source_recorded(const char *path)
{
    size_t length = memory ? strlen(memory) : 0;
    return length > 0 && strncmp(path, memory, length) == 0 && path[length] == '/' ? "memory" : path;
}

/* ---- Paths that name no data set --------------------------------------------------------------------------------- */

bool ls_data_is_raw(const char *path)
{
    struct stat st;
    char begin[8] = "";
    const char *dot = strrchr(path, '.');
    if (stat(path, &st) != 0 || (dot && strcmp(dot, ".h5") == 0)) /* one whose first bytes are damaged is told so */
        return false;
    if (S_ISDIR(st.st_mode))
        return true;
    int file = S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t bytes = file >= 0 ? pread(file, begin, sizeof begin, 0) : 0;
    if (file >= 0)
        close(file);
    return bytes > 0 && memcmp(begin, "LOCKSTEP", sizeof begin) != 0 && memcmp(begin, "\x89HDF", 4) != 0;
}

const LsDataKind *ls_data_kind_of_file(const char *path)
{
    LsSealedHead head;
    const LsDataKind *const *kind = ls_data_kinds();
    if (!ls_sealed_head(path, &head))
        return NULL;
    while (*kind && strcmp((*kind)->name, head.kind) != 0)
        kind++;
    return *kind;
}

const LsDataKind *ls_data_kind_overridden(int overrides, char *const *override)
{
    static const char name[] = "data.path=";
    const char *path = NULL;
    for (int i = 0; i < overrides; i++) {
        if (strncmp(override[i], "data.kind=", strlen("data.kind=")) == 0)
            return NULL;
        if (strncmp(override[i], name, strlen(name)) == 0)
            path = override[i] + strlen(name);
    }
    return path ? ls_data_kind_of_file(path) : NULL;
}

LsStatus ls_data_check_raw(const LsDataKind *kind, const char *path, const char *option)
{
    if (!kind->prepare || !ls_data_is_raw(path))
        return LS_OK;
    size_t length = ls_path_length(path);
    const char *slash = memrchr(path, '/', length), *name = slash ? slash + 1 : path;
    const char *dot = memrchr(name, '.', length - (size_t)(name - path)),
               *end = dot && dot > name ? dot : path + length;
    bool records = kind->open_texts && strstr(name, ".jsonl");
    char *set = ls_format("%.*s.h5", (int)(end - path), path), *source = ls_shell_word(path),
         *output = set ? ls_shell_word(set) : NULL;
    LsStatus status =
        source && output
            ? ls_fail(LS_DATA, "%s: is no data set: make one by 'lockstep prepare %s %s -o %s%s', and %s%s", path,
                      kind->name, source, output, records ? " --field text" : "", option, output)
            : LS_RESOURCE;
    ls_free(set);
    ls_free(source);
    ls_free(output);
    return status;
}

/* What people name in the place of a data set. setting: "path" or "validation_path". */
static LsStatus check_path(const LsDataKind *kind, const char *setting, const char *path)
{
    char here[PATH_MAX] = "";
    if (path && access(path, F_OK) != 0 && errno == ENOENT && path[0] != '/' && getcwd(here, sizeof here))
        return ls_fail(LS_DATA, "%s: No such file or directory (data.%s, seen from the folder of this call, %s)", path,
                       setting, here);
    return path ? ls_data_check_raw(kind, path, "set data.path=") : LS_OK;
}

LsStatus ls_data_open_split(const LsConfig *config, const char *split, int64_t sequence, int64_t streams,
                            const json_t *like, LsSource **source)
{
    const LsDataSettings *data = &config->data;
    const LsDataKind *kind = config->data_kind;
    LsDataOpen open = {.path = data->path,
                       .split = split,
                       .sequence = sequence,
                       .seed = (uint64_t)config->train.seed,
                       .streams = streams,
                       .alike = config->train.length_step > 0 ? config->train.batch : 0,
                       .settings = config->data_config,
                       .like = like};
    *source = NULL;
    if (!data->path && kind->prepare)
        return ls_fail(LS_USAGE, "data.path is not set; 'lockstep prepare %s' makes a data set", kind->name);
    if (data->validation_path && strcmp(split, "validation") == 0) {
        open.path = data->validation_path;
        open.split = "held-out";
    }
    LS_TRY(check_path(kind, open.path == data->path ? "path" : "validation_path", open.path));
    const LsDataKind *there = open.path && kind->prepare ? ls_data_kind_of_file(open.path) : NULL;
    if (there && there != kind)
        return ls_fail(LS_DATA, "%s: this is a data set of kind %s, and data.kind is %s: data.kind=%s reads it",
                       open.path, there->name, kind->name, there->name);
    return kind->open(&open, source);
}

LsStatus ls_data_open(const LsConfig *config, int64_t sequence, int64_t streams, const json_t *like,
                      LsSource **training, LsSource **validation)
{
    const LsDataSettings *data = &config->data;
    *training = *validation = NULL;
    LsStatus status = ls_data_open_split(config, "train", sequence, streams, like, training);
    if (status == LS_OK && !*training)
        status = ls_fail(LS_DATA, "%s: has nothing to train on", data->path);
    json_t *learnt = status == LS_OK && (*training)->info ? json_loads((*training)->info, 0, NULL) : NULL;
    if (status == LS_OK)
        status = ls_data_open_split(config, "validation", sequence, streams, learnt, validation);
    json_decref(learnt);
    if (status == LS_OK && data->validation_path)
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
    else if (!kind->inspect)
        status = ls_fail(LS_DATA, "%s: data of the kind %s stand in no file", path, kind->name);
    else
        status = ls_file_parts_check(file, kind);
    if (status == LS_OK)
        status = kind->inspect(file, made);
    ls_sealed_close(file);
    if (status == LS_OK)
        *object = made;
    else
        json_decref(made);
    return status;
}
