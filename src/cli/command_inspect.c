/* lockstep inspect FILE: what a checkpoint, a run folder or a data set holds, and whether it is whole. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/run_folder.h"
#include "cli/checkpoint_arrays.h"
#include "config/config.h"
#include "data/data.h"
#include "io/file.h"
#include "store/below.h"
#include "store/checkpoint.h"
#include "store/model_folder.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Options {
    bool tensors, config, json;
} Options;

static const LsOption options[] = {
    {LS_SETTING_BOOL(Options, tensors, "false", "a row for each tensor of a checkpoint (of a run: its newest)")},
    {LS_SETTING_BOOL(Options, config, "false", "a checkpoint's whole configuration (of a run: its newest)")},
    {LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout, with tensors and configuration")},
    {{0}}};

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

typedef struct Totals {
    int64_t elements, moments, not_finite;
} Totals;

/* Root of the mean square over the finite values, and the number of those that are not. */
static json_t *tensor_json(const LsFileTensors *tensors, const LsFileTensor *tensor, Totals *totals)
{
    float *value = ls_file_tensor_read(tensors, tensor);
    if (!value)
        return NULL;
    double sum = 0, largest = 0;
    int64_t bad = 0;
    for (int64_t i = 0; i < tensor->count; i++) {
        double x = value[i];
        if (!isfinite(x)) {
            bad++;
            continue;
        }
        sum += x * x;
        largest = fabs(x) > largest ? fabs(x) : largest;
    }
    ls_free(value);
    bool parameter = strncmp(tensor->name, "parameters/", 11) == 0;
    *(parameter ? &totals->elements : &totals->moments) += tensor->count;
    totals->not_finite += bad;
    double rms = tensor->count > bad ? sqrt(sum / (double)(tensor->count - bad)) : 0;
    return json_pack("{s:s, s:s, s:I, s:f, s:f, s:I}", "name", tensor->name, "shape",
                     ls_dims_text(tensor->rank, tensor->dim), "count", (json_int_t)tensor->count, "rms", rms, "largest",
                     largest, "not_finite", (json_int_t)bad);
}

static LsStatus add_progress(const LsProgress *progress, json_t *object)
{
    json_object_set_new(object, "step", json_integer(progress->step));
    json_object_set_new(object, "samples", json_integer(progress->samples));
    json_object_set_new(object, "tokens", json_integer(progress->tokens));
    json_object_set_new(object, "seed", json_integer((json_int_t)progress->seed));
    json_object_set_new(object, "best_validation_loss", ls_json_number(progress->best_score));
    return json_object_set_new(object, "best_step",
                               progress->best_step < 0 ? json_null() : json_integer(progress->best_step))
               ? ls_fail(LS_RESOURCE, "out of memory for the description")
               : LS_OK;
}

/* Adds the checkpoint's attributes: progress, model, tokenizer, configuration. */
static LsStatus add_summary(const LsCheckpoint *checkpoint, json_t *object)
{
    LsStatus status = add_progress(&checkpoint->progress, object);
    LsConfig *config = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    json_t *description = checkpoint->tokenizer ? json_loads(checkpoint->tokenizer, 0, NULL) : NULL;
    const char *kind = json_string_value(json_object_get(description, "kind"));
    json_object_set_new(object, "model", config ? json_string(config->model->name) : json_null());
    json_object_set_new(object, "tokenizer",
                        checkpoint->tokenizer ? json_string(kind ? kind : "of an unknown kind") : json_null());
    json_object_set_new(object, "config", json_string(checkpoint->config));
    json_decref(description);
    ls_config_free(config); /* a configuration of another version is no damage: it is shown as it is */
    return status;
}

/* Describes and verifies a whole checkpoint: digest of the file, checksum of every array. */
static LsStatus describe_checkpoint(const char *path, json_t **object)
{
    LsFileTensors tensors = {0};
    Totals totals = {0};
    struct stat st;
    json_t *list = json_array(), *made = json_pack("{s:o, s:s}", "file", ls_json_text(path), "kind", "checkpoint");
    LsStatus status = list && made ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the description");
    if (status == LS_OK)
        status = ls_file_tensors_open(path, &tensors);
    if (status == LS_OK)
        status = ls_sealed_check_arrays(tensors.checkpoint->file);
    if (status == LS_OK)
        status = add_summary(tensors.checkpoint, made);
    for (int i = 0; i < tensors.count && status == LS_OK; i++) {
        json_t *one = tensor_json(&tensors, &tensors.list[i], &totals);
        status = one && json_array_append_new(list, one) == 0 ? LS_OK : ls_message_status();
    }
    if (status == LS_OK) {
        json_object_set_new(made, "parameters", json_integer(totals.elements));
        json_object_set_new(made, "moments", json_integer(totals.moments));
        json_object_set_new(made, "not_finite", json_integer(totals.not_finite));
        json_object_set_new(made, "bytes", json_integer(stat(path, &st) == 0 ? st.st_size : 0));
        json_object_set(made, "tensors", list);
        *object = json_incref(made);
    }
    ls_file_tensors_close(&tensors);
    json_decref(list);
    json_decref(made);
    return status;
}

static void print_tensors(const json_t *list)
{
    size_t i;
    const json_t *tensor;
    printf("\n%-52s %-20s %12s %12s\n", "tensor", "shape", "rms", "largest");
    json_array_foreach((json_t *)(uintptr_t)list, i, tensor)
    {
        json_int_t bad = json_integer_value(json_object_get(tensor, "not_finite"));
        printf("%-52s %-20s %12.5g %12.5g", json_string_value(json_object_get(tensor, "name")),
               json_string_value(json_object_get(tensor, "shape")), json_real_value(json_object_get(tensor, "rms")),
               json_real_value(json_object_get(tensor, "largest")));
        if (bad)
            printf("  %lld not finite", (long long)bad);
        putchar('\n');
    }
}

/* What the options ask for besides. */
static void print_more(const json_t *object, const Options *o)
{
    if (o->tensors)
        print_tensors(json_object_get(object, "tensors"));
    if (o->config)
        printf("\n%s", json_string_value(json_object_get(object, "config")));
}

static LsStatus inspect_checkpoint(const char *path, const Options *o)
{
    json_t *object = NULL;
    LS_TRY(describe_checkpoint(path, &object));
    if (o->json)
        return ls_print_json(object);
    json_t *brief = json_copy(object);
    json_object_del(brief, "config"); /* many lines: apart, if asked for */
    ls_print_fields(brief, 0);
    printf("every checksum is right\n");
    print_more(object, o);
    json_decref(brief);
    json_decref(object);
    return LS_OK;
}

/* ---- Run folders ------------------------------------------------------------------------------------------------- */

#define GOES_ON "lockstep train goes on from the newest checkpoint"

/* Who trains there, in words; the caller frees it. NULL where nobody does, or should. */
static char *owner_words(LsLockState state, const LsLockOwner *owner, bool running)
{
    char text[LS_LOCK_TEXT];
    const char *who = owner->pid > 0 ? ls_lock_owner_text(owner, text) : "a process that left no name";
    if (state == LS_LOCK_HELD)
        return ls_strdup(who);
    if (state == LS_LOCK_UNKNOWN)
        return ls_format("%s, if it still runs: that cannot be seen from here", who);
    if (state == LS_LOCK_STALE)
        return ls_format("none: it ended without a word (%s); %s", who,
                         running ? GOES_ON : "the next command that writes there removes its lock");
    return running ? ls_strdup("none: it ended without a word; " GOES_ON) : NULL;
}

/* The status, and whether anybody trains there. */
static void add_status(const char *run, json_t *object)
{
    char word[LS_STATUS_WORD];
    LsLockOwner owner;
    LsLockState state = ls_run_folder_owner(run, &owner);
    ls_run_folder_read_status(run, word);
    json_object_set_new(object, "status", word[0] ? ls_json_text(word) : json_null());
    json_object_set_new(object, "alive", state == LS_LOCK_UNKNOWN ? json_null() : json_boolean(state == LS_LOCK_HELD));
    char *words = owner_words(state, &owner, strcmp(word, "running") == 0);
    if (words)
        json_object_set_new(object, "owner", ls_json_text(words));
    ls_free(words);
}

/* Number of rows of metrics.jsonl and the last one. */
static void add_metrics(const char *run, json_t *object)
{
    char *path = ls_format("%s/metrics.jsonl", run), *line = NULL;
    FILE *file = path ? ls_stream_regular(path, LS_CHECKPOINT) : NULL;
    size_t room = 0;
    json_int_t rows = 0, unreadable = 0;
    ssize_t bytes;
    json_t *last = NULL;
    while (file && (bytes = getline(&line, &room, file)) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        if (!json_is_object(row)) {
            json_decref(row);
            unreadable += line[bytes - 1] == '\n'; /* without its end: the last line of a killed process */
            continue;
        }
        json_decref(last);
        last = row;
        rows++;
    }
    json_object_set_new(object, "rows_of_metrics", json_integer(rows));
    if (unreadable > 0)
        json_object_set_new(object, "unreadable_rows", json_integer(unreadable));
    if (last)
        json_object_set_new(object, "last_row", last);
    free(line);
    if (file)
        fclose(file);
    ls_free(path);
}

/* One checkpoint of a run as {file, step, whole, message}; *newest gets the whole description of the first that is
 * whole. Too little memory to read it is a failure: it may be whole. */
static LsStatus add_checkpoint(const char *path, int64_t step, json_t *list, json_t **newest, int *damaged)
{
    json_t *object = NULL;
    LsStatus status = describe_checkpoint(path, &object);
    bool whole = status == LS_OK;
    if (status == LS_RESOURCE)
        return ls_fail_in(status, "%s", path);
    json_t *one = json_pack("{s:o, s:I, s:b}", "file", ls_json_text(path), "step", (json_int_t)step, "whole", whole);
    if (whole) {
        json_object_set(one, "not_finite", json_object_get(object, "not_finite"));
        json_object_set(one, "bytes", json_object_get(object, "bytes"));
        *newest = *newest ? *newest : json_incref(object);
    } else
        json_object_set_new(one, "message", ls_json_text(ls_message()));
    *damaged += !whole;
    json_decref(object);
    return one && json_array_append_new(list, one) == 0 ? LS_OK
                                                        : ls_fail(LS_RESOURCE, "out of memory for the description");
}

static LsStatus add_checkpoints(const char *run, json_t *list, json_t **newest, int *damaged)
{
    int64_t *steps = NULL;
    int count = 0;
    LS_TRY(ls_checkpoint_steps(run, &steps, &count));
    LsStatus status = LS_OK;
    for (int i = count - 1; i >= 0 && status == LS_OK; i--) {
        char *path = ls_checkpoint_path(run, steps[i]);
        status = path ? add_checkpoint(path, steps[i], list, newest, damaged) : LS_RESOURCE;
        ls_free(path);
    }
    ls_free(steps);
    return status;
}

static void print_checkpoints(json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        printf("checkpoint          %s: ", json_string_value(json_object_get(one, "file")));
        if (json_is_true(json_object_get(one, "whole")))
            printf("whole, %lld bytes, %lld values not finite\n",
                   (long long)json_integer_value(json_object_get(one, "bytes")),
                   (long long)json_integer_value(json_object_get(one, "not_finite")));
        else
            printf("DAMAGED: %s\n", json_string_value(json_object_get(one, "message")));
    }
}

static LsStatus inspect_run(const char *path, const Options *o)
{
    int damaged = 0;
    json_t *list = json_array(), *object = json_pack("{s:o, s:s}", "folder", ls_json_text(path), "kind", "run");
    json_t *newest = NULL;
    LsStatus status = list && object ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the description");
    if (status == LS_OK)
        status = add_checkpoints(path, list, &newest, &damaged);
    if (status == LS_OK) {
        add_status(path, object);
        add_metrics(path, object);
        json_object_set(object, "checkpoints", list);
        if (newest && o->tensors)
            json_object_set(object, "tensors", json_object_get(newest, "tensors"));
        if (newest && o->config)
            json_object_set(object, "config", json_object_get(newest, "config"));
        if (json_array_size(list) == 0 && json_integer_value(json_object_get(object, "rows_of_metrics")) == 0)
            status = ls_fail(LS_CHECKPOINT, "%s: is no run folder: it has neither checkpoints nor metrics%s", path,
                             ls_is_model_folder(path) ? "; these are weights, of which 'lockstep import' makes a run"
                                                      : ls_models_below(path));
    }
    if (status == LS_OK && o->json)
        status = ls_print_json(json_incref(object));
    else if (status == LS_OK) {
        json_object_del(object, "config"); /* many lines: apart */
        ls_print_fields(object, 0);
        print_checkpoints(list);
        if (newest)
            print_more(newest, o);
    }
    if (status == LS_OK && damaged)
        status = ls_fail(LS_CHECKPOINT, "%s: %d of %zu checkpoints %s damaged", path, damaged, json_array_size(list),
                         damaged == 1 ? "is" : "are");
    json_decref(list);
    json_decref(object);
    json_decref(newest);
    return status;
}

/* ---- Which is it? ------------------------------------------------------------------------------------------------ */

/* A checkpoint by its first bytes, or where those are damaged by its name. */
static bool is_checkpoint(const char *path)
{
    LsSealedHead head;
    const char *name = strrchr(path, '/');
    if (strstr(path, "checkpoints/"))
        return true;
    return ls_sealed_head(path, &head) ? strcmp(head.kind, "checkpoint") == 0
                                       : strncmp(name ? name + 1 : path, "step-", 5) == 0;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    const char *path = call->operand[0];
    struct stat st;
    if (stat(path, &st) != 0)
        return ls_fail(is_checkpoint(path) ? LS_CHECKPOINT : LS_DATA, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return inspect_run(path, o);
    if (is_checkpoint(path))
        return inspect_checkpoint(path, o);
    json_t *object = NULL;
    LS_TRY(ls_data_inspect(path, &object));
    if (o->json)
        return ls_print_json(object);
    ls_print_fields(object, 0);
    printf("every checksum is right\n");
    json_decref(object);
    return LS_OK;
}

const LsCommand ls_command_inspect = {
    .name = "inspect",
    .summary = "says what a checkpoint, run folder or data set holds, and verifies every checksum",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .description = "Exit status 4 where a checkpoint (or one of a run) is damaged, 3 where a data set is.",
    .example = "lockstep inspect runs/shakespeare-gpt\n"
               "lockstep inspect runs/shakespeare-gpt --tensors\n"
               "lockstep inspect data/shakespeare.h5 --json",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
