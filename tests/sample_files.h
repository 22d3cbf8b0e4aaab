/* Shared by the tests of data sets of samples: files made for them, preparing by options as on the command line, and a
 * graph whose inputs are a source's fields. */
#ifndef SAMPLE_FILES_H
#define SAMPLE_FILES_H

#include "config/config.h"
#include "data/data.h"
#include "data/samples.h"
#include "harness.h"
#include "io/file.h"
#include "lockstep/data.h"
#include "lockstep/model.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SOURCES 8

/* A path in the test's folder, kept to the end. */
static inline char *path_of(const char *name)
{
    static char *kept[512];
    static int count;
    CU_ASSERT_FATAL(count < (int)LS_COUNT_OF(kept));
    kept[count] = ls_format("%s/%s", harness_folder(), name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kept[count]);
    return kept[count++];
}

static inline char *write_bytes(const char *name, const void *bytes, int64_t count)
{
    char *path = path_of(name);
    ASSERT_OK(ls_file_replace(path, bytes, count));
    return path;
}

static inline char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, (int64_t)strlen(text));
}

/* As `lockstep prepare KIND SOURCE... --option value ...`; options: "name=value;name=value", sources ended by NULL. */
static inline LsStatus prepare_kind(const char *name, const char *options, char *const *source, const char *output)
{
    const LsDataKind *kind = ls_data_kind(name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kind);
    void *settings = ls_alloc(kind->settings_bytes);
    char *copy = ls_strdup(options), *rest = NULL;
    LsStatus status = ls_settings_defaults(kind->settings, settings);
    for (char *one = strtok_r(copy, ";", &rest); one && status == LS_OK; one = strtok_r(NULL, ";", &rest)) {
        char *value = strchr(one, '=');
        *value++ = '\0';
        status = ls_settings_set(kind->settings, settings, one, value);
    }
    int sources = 0;
    while (source[sources])
        sources++;
    if (status == LS_OK)
        status = kind->prepare(settings, sources, source, output);
    ls_settings_free(kind->settings, settings);
    ls_free(settings);
    ls_free(copy);
    return status;
}

#define SOURCES(...) ((char *const[]){__VA_ARGS__, NULL})

/* Asserts that a data set cannot be made, what is said, and that nothing of it is left. */
#define ASSERT_REFUSED(kind, options, sources, expected, text)                                                         \
    do {                                                                                                               \
        const char *refused_ = harness_path("refused.h5");                                                             \
        ASSERT_FAILS(prepare_kind(kind, options, sources, refused_), expected, text);                                  \
        assert_nothing_left("refused.h5");                                                                             \
    } while (0)

static inline void assert_nothing_left(const char *name)
{
    DIR *entries = opendir(harness_folder());
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        CU_ASSERT_PTR_NULL(strstr(entry->d_name, name));
    closedir(entries);
}

/* The object that inspect prints; the caller's to json_decref. */
static inline json_t *described(const char *path)
{
    json_t *object = NULL;
    ASSERT_OK(ls_data_inspect(path, &object));
    return object;
}

static inline int64_t number_in(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    CU_ASSERT(json_is_number(value));
    return (int64_t)json_number_value(value);
}

/* One number of what inspect says. */
static inline int64_t described_number(const char *path, const char *key)
{
    json_t *object = described(path);
    int64_t number = number_in(object, key);
    json_decref(object);
    return number;
}

/* ---- Sources ----------------------------------------------------------------------------------------------------- */

/* NULL where there is no such split. use: "name=value;..." of the section `data:`, NULL: none. */
static inline LsStatus open_kind(const char *name, const char *path, const char *split, int64_t sequence, uint64_t seed,
                                 const char *use, LsSource **source)
{
    const LsDataKind *kind = ls_data_kind(name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kind);
    void *settings = kind->use_settings ? ls_alloc(kind->use_settings_bytes) : NULL;
    char *copy = ls_strdup(use ? use : ""), *rest = NULL;
    LsStatus status = settings ? ls_settings_defaults(kind->use_settings, settings) : LS_OK;
    for (char *one = strtok_r(copy, ";", &rest); one && status == LS_OK; one = strtok_r(NULL, ";", &rest)) {
        char *value = strchr(one, '=');
        *value++ = '\0';
        status = ls_settings_set(kind->use_settings, settings, one, value);
    }
    LsDataOpen open = {.path = path, .split = split, .sequence = sequence, .seed = seed, .settings = settings};
    *source = NULL;
    if (status == LS_OK)
        status = kind->open(&open, source);
    if (settings)
        ls_settings_free(kind->use_settings, settings);
    ls_free(settings);
    ls_free(copy);
    return status;
}

/* A graph of inputs alone. */
typedef struct Inputs {
    LsParams *params;
    LsGraph *g;
} Inputs;

static inline Inputs inputs_new(const LsSource *source, int64_t batch, int64_t sequence)
{
    Inputs inputs = {.params = ls_params_new()};
    LsShape shape = {.batch = batch, .sequence = sequence, .fields = &source->fields};
    inputs.g = ls_graph_new(inputs.params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(inputs.g);
    for (int i = 0; i < source->fields.count; i++)
        ls_shape_input(inputs.g, &shape, source->fields.list[i].name);
    ASSERT_OK(ls_params_allocate(inputs.params, 1, false));
    ASSERT_OK(ls_graph_plan(inputs.g));
    return inputs;
}

static inline void inputs_free(Inputs *inputs)
{
    ls_graph_free(inputs->g);
    ls_params_free(inputs->params);
}

static inline const int32_t *ints_of(const Inputs *inputs, const char *name)
{
    const LsTensor *x = ls_graph_find(inputs->g, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    return x->data;
}

/* The caller's to ls_free. */
static inline float *reals_of(const Inputs *inputs, const char *name)
{
    const LsTensor *x = ls_graph_find(inputs->g, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    float *value = ls_alloc_array(x->count, sizeof *value);
    ls_tensor_get(inputs->g, x, value);
    return value;
}

/* Asserts that filling allocates nothing. */
static inline void fill_inputs(LsSource *source, const Inputs *inputs, int64_t first, int64_t count)
{
    int64_t allocations = ls_alloc_count();
    ASSERT_OK(source->fill(source, inputs->g, &(LsBatch){first, count, 0}));
    CU_ASSERT_EQUAL(ls_alloc_count(), allocations);
}

#endif
