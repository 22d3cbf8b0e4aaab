/* lockstep diff RUN RUN: from which step on two runs differ, and by how much. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/checkpoint_arrays.h"
#include "cli/diff_settings.h"
#include "io/file.h"
#include "store/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Options {
    double tolerance;
    bool all, config, json;
} Options;

static const LsOption options[] = {
    {LS_SETTING_FLOAT(Options, tolerance, "0", 0, 1,
                      "relative difference that counts as equal; 0: every bit (losses: every digit)"),
     "X", .without = "config"},
    {LS_SETTING_BOOL(Options, all, "false", "every tensor that differs, not only the ten that differ most"),
     .without = "config"},
    {LS_SETTING_BOOL(Options, config, "false",
                     "the settings in which two or more runs differ, a column each, and nothing else")},
    {LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
    {{0}}};

typedef struct Diff {
    const Options *options;
    const char *run[2];
    json_t *result;
    bool different, compared;
} Diff;

/* |a - b| over the larger of |a|, |b|; infinite where just one is finite, 0 where both are the same. */
static double relative(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    if (!isfinite(a) || !isfinite(b))
        return HUGE_VAL;
    return fabs(a - b) / fmax(fabs(a), fabs(b));
}

/* ---- Metrics ----------------------------------------------------------------------------------------------------- */

typedef struct Row {
    int64_t step;
    double value[4]; /* NAN: not in the row */
} Row;

static const char *const columns[4] = {"loss", "grad_norm", "learning_rate", "validation_loss"};

typedef struct Rows {
    Row *list;
    int64_t count;
} Rows;

static LsStatus read_rows(const char *run, Rows *rows)
{
    char *path = ls_format("%s/metrics.jsonl", run), *line = NULL;
    FILE *file = path ? ls_stream_regular(path, LS_CHECKPOINT) : NULL;
    size_t room = 0;
    int64_t slots = 0;
    LsStatus status = path ? LS_OK : LS_RESOURCE;
    while (file && status == LS_OK && getline(&line, &room, file) > 0) {
        json_t *object = json_loads(line, 0, NULL);
        if (!json_is_integer(json_object_get(object, "step"))) {
            json_decref(object); /* the half-written last line of a killed process */
            continue;
        }
        if (rows->count == slots) {
            slots = slots ? 2 * slots : 1024;
            Row *list = ls_alloc_array(slots, sizeof *list);
            if (list && rows->count)
                memcpy(list, rows->list, (size_t)rows->count * sizeof *list);
            ls_free(rows->list);
            rows->list = list;
            if (!list)
                status = LS_RESOURCE;
        }
        if (status == LS_OK) {
            Row *row = &rows->list[rows->count++];
            row->step = json_integer_value(json_object_get(object, "step"));
            for (int i = 0; i < 4; i++) {
                const json_t *value = json_object_get(object, columns[i]);
                row->value[i] = json_is_number(value) ? json_number_value(value) : NAN;
            }
        }
        json_decref(object);
    }
    free(line);
    if (file)
        fclose(file);
    ls_free(path);
    return status;
}

/* The steps at which two runs both have a column, and the differences there. */
typedef struct Common {
    int64_t steps, only[2]; /* steps of both that only one has evaluated, measured */
    int64_t first;          /* that differs; -1: none */
    double value[2];        /* there */
    double largest;         /* relative */
} Common;

/* Only a loss is in every row: where one run lacks it, it was not finite. */
static Common compare_column(const Rows rows[2], int column, double tolerance)
{
    Common c = {.first = -1};
    for (int64_t i = 0, j = 0; i < rows[0].count && j < rows[1].count;) {
        const Row *x = &rows[0].list[i], *y = &rows[1].list[j];
        i += x->step <= y->step;
        j += y->step <= x->step;
        double a = x->value[column], b = y->value[column];
        if (x->step != y->step || (isnan(a) && isnan(b)))
            continue;
        if (column > 0 && (isnan(a) || isnan(b))) {
            c.only[isnan(a)]++;
            continue;
        }
        c.steps++;
        double difference = relative(a, b);
        c.largest = difference > c.largest ? difference : c.largest;
        if (c.first < 0 && difference > tolerance) {
            c.first = x->step;
            c.value[0] = a;
            c.value[1] = b;
        }
    }
    return c;
}

static void print_column(const char *name, const Common *c)
{
    static const char *const which[] = {"first", "second"};
    if (c->steps == 0)
        printf("%-16s at no common step", name);
    else if (c->first < 0)
        printf("%-16s equal at %s %lld common step%s%s", name, c->steps == 1 ? "the" : "all", (long long)c->steps,
               c->steps == 1 ? "" : "s", c->largest > 0 ? " within the tolerance" : "");
    else
        printf("%-16s differs first at step %lld: %.9g and %.9g; by at most %.3g relative over %lld common step%s",
               name, (long long)c->first, c->value[0], c->value[1], c->largest, (long long)c->steps,
               c->steps == 1 ? "" : "s");
    for (int r = 0; r < 2; r++)
        if (c->only[r] > 0)
            printf("; only the %s run has it at %lld other%s", which[r], (long long)c->only[r],
                   c->only[r] == 1 ? "" : "s");
    printf("\n");
}

static void tell_column(Diff *d, const char *name, const Common *c)
{
    if (c->steps + c->only[0] + c->only[1] == 0)
        return;
    d->compared = d->compared || c->steps > 0;
    d->different = d->different || c->first >= 0;
    json_t *one = json_pack("{s:I, s:[I, I], s:o, s:o}", "common_steps", (json_int_t)c->steps, "steps_of_one_run",
                            (json_int_t)c->only[0], (json_int_t)c->only[1], "first_different_step",
                            c->first < 0 ? json_null() : json_integer(c->first), "largest_relative",
                            isfinite(c->largest) ? json_real(c->largest) : json_string("infinite"));
    json_object_set_new(d->result, name, one);
    if (!d->options->json)
        print_column(name, c);
    else if (c->first >= 0)
        json_object_set_new(one, "values",
                            json_pack("[o, o]", ls_json_number(c->value[0]), ls_json_number(c->value[1])));
}

static LsStatus compare_metrics(Diff *d)
{
    Rows rows[2] = {{0}};
    LsStatus status = read_rows(d->run[0], &rows[0]);
    if (status == LS_OK)
        status = read_rows(d->run[1], &rows[1]);
    for (int column = 0; column < 4 && status == LS_OK; column++) {
        Common common = compare_column(rows, column, d->options->tolerance);
        tell_column(d, columns[column], &common);
    }
    ls_free(rows[0].list);
    ls_free(rows[1].list);
    return status;
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

/* How one tensor differs: relative is the largest difference over the largest value of either. */
typedef struct Difference {
    char name[256];
    char what[96]; /* "" or why it cannot be compared */
    double absolute, relative;
    int64_t elements; /* with other bits */
} Difference;

static void compare_values(const float *a, const float *b, int64_t count, Difference *difference)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double x = a[i], y = b[i];
        if (isfinite(x) && isfinite(y))
            largest = fmax(largest, fmax(fabs(x), fabs(y)));
        if (memcmp(&a[i], &b[i], sizeof a[i]) == 0)
            continue;
        difference->elements++;
        double gap = isfinite(x) && isfinite(y) ? fabs(x - y) : HUGE_VAL;
        difference->absolute = fmax(difference->absolute, gap);
    }
    difference->relative = difference->absolute > 0 ? difference->absolute / fmax(largest, 1e-300) : 0;
}

static LsStatus compare_tensor(const LsFileTensors file[2], const LsFileTensor *x, Difference *difference)
{
    const LsFileTensor *y = ls_file_tensor(&file[1], x->name);
    *difference = (Difference){0};
    snprintf(difference->name, sizeof difference->name, "%s", x->name);
    if (!y) {
        snprintf(difference->what, sizeof difference->what, "only in the first");
        return LS_OK;
    }
    if (x->rank != y->rank || memcmp(x->dim, y->dim, (size_t)x->rank * sizeof x->dim[0]) != 0) {
        snprintf(difference->what, sizeof difference->what, "shapes %.40s and %.40s", ls_dims_text(x->rank, x->dim),
                 ls_dims_text(y->rank, y->dim));
        return LS_OK;
    }
    float *a = ls_file_tensor_read(&file[0], x), *b = a ? ls_file_tensor_read(&file[1], y) : NULL;
    if (b)
        compare_values(a, b, x->count, difference);
    ls_free(a);
    ls_free(b);
    return b ? LS_OK : ls_message_status();
}

static bool counts(const Difference *difference, double tolerance)
{
    return difference->what[0] || (tolerance > 0 ? !(difference->relative <= tolerance) : difference->elements > 0);
}

/* Largest relative difference first; what cannot be compared before all. */
static int by_size(const void *a, const void *b)
{
    const Difference *x = a, *y = b;
    if (!x->what[0] != !y->what[0])
        return x->what[0] ? -1 : 1;
    if (x->relative != y->relative)
        return x->relative > y->relative ? -1 : 1;
    return strcmp(x->name, y->name);
}

static json_t *difference_json(const Difference *one)
{
    if (one->what[0])
        return json_pack("{s:s, s:s}", "tensor", one->name, "difference", one->what);
    return json_pack("{s:s, s:o, s:o, s:I}", "tensor", one->name, "absolute", ls_json_number(one->absolute), "relative",
                     ls_json_number(one->relative), "elements", (json_int_t)one->elements);
}

static void report(Diff *d, const char *what, Difference *list, int count, int tensors)
{
    qsort(list, (size_t)count, sizeof *list, by_size);
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, difference_json(&list[i]));
    json_array_append_new(
        json_object_get(d->result, "checkpoints"),
        json_pack("{s:s, s:i, s:i, s:o}", "what", what, "tensors", tensors, "different", count, "differences", array));
    if (d->options->json)
        return;
    if (count == 0) {
        printf("%s: all %d tensor%s equal%s\n", what, tensors, tensors == 1 ? " is" : "s are",
               d->options->tolerance > 0 ? " within the tolerance" : "");
        return;
    }
    printf("%s: %d of %d tensors differ\n", what, count, tensors);
    printf("  %-50s %12s %12s %12s\n", "tensor", "absolute", "relative", "elements");
    for (int i = 0; i < count && (d->options->all || i < 10); i++)
        if (list[i].what[0])
            printf("  %-50s %s\n", list[i].name, list[i].what);
        else
            printf("  %-50s %12.4g %12.4g %12lld\n", list[i].name, list[i].absolute, list[i].relative,
                   (long long)list[i].elements);
    if (!d->options->all && count > 10)
        printf("  and %d more (--all)\n", count - 10);
}

static LsStatus compare_checkpoints(Diff *d, const char *what, const char *first, const char *second)
{
    LsFileTensors file[2] = {{0}};
    Difference *list = NULL;
    int count = 0;
    LsStatus status = LS_OK;
    LS_TRY_CLEANUP(ls_file_tensors_open(first, &file[0]));
    LS_TRY_CLEANUP(ls_file_tensors_open(second, &file[1]));
    list = ls_alloc_array(file[0].count + file[1].count + 1, sizeof *list);
    if (!list) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    for (int i = 0; i < file[0].count; i++) {
        LS_TRY_CLEANUP(compare_tensor(file, &file[0].list[i], &list[count]));
        count += counts(&list[count], d->options->tolerance);
    }
    for (int i = 0; i < file[1].count; i++)
        if (!ls_file_tensor(&file[0], file[1].list[i].name)) {
            list[count] = (Difference){.what = "only in the second"};
            snprintf(list[count].name, sizeof list[count].name, "%s", file[1].list[i].name);
            count++;
        }
    d->compared = true;
    d->different = d->different || count > 0;
    report(d, what, list, count, file[0].count > file[1].count ? file[0].count : file[1].count);
cleanup:
    ls_free(list);
    ls_file_tensors_close(&file[0]);
    ls_file_tensors_close(&file[1]);
    return status;
}

/* All checkpoints that both runs have, from the earliest. */
static LsStatus compare_steps(Diff *d)
{
    int64_t *steps[2] = {NULL, NULL};
    int count[2] = {0, 0};
    LsStatus status = LS_OK;
    for (int r = 0; r < 2; r++)
        LS_TRY_CLEANUP(ls_checkpoint_steps(d->run[r], &steps[r], &count[r]));
    for (int i = count[0] - 1; i >= 0; i--)
        for (int j = 0; j < count[1]; j++) {
            if (steps[0][i] != steps[1][j])
                continue;
            char what[64], *first = ls_checkpoint_path(d->run[0], steps[0][i]),
                           *second = ls_checkpoint_path(d->run[1], steps[0][i]);
            snprintf(what, sizeof what, "checkpoints of step %lld", (long long)steps[0][i]);
            status = first && second ? compare_checkpoints(d, what, first, second) : LS_RESOURCE;
            ls_free(first);
            ls_free(second);
            if (status != LS_OK)
                goto cleanup;
        }
cleanup:
    ls_free(steps[0]);
    ls_free(steps[1]);
    return status;
}

static LsStatus compare(Diff *d)
{
    bool folder[2];
    for (int r = 0; r < 2; r++) {
        struct stat st;
        if (stat(d->run[r], &st) != 0)
            return ls_fail(LS_CHECKPOINT, "%s: %s; a run folder or a checkpoint is asked for", d->run[r],
                           strerror(errno));
        folder[r] = S_ISDIR(st.st_mode);
    }
    if (folder[0] != folder[1])
        return ls_fail(LS_USAGE, "%s is a run folder and %s a file: name two run folders or two checkpoints",
                       d->run[!folder[0]], d->run[folder[0]]);
    if (!folder[0])
        return compare_checkpoints(d, "checkpoints", d->run[0], d->run[1]);
    LS_TRY(compare_metrics(d));
    LS_TRY(compare_steps(d));
    if (!d->compared)
        return ls_fail(LS_CHECKPOINT,
                       "%s and %s have no step of their metrics and no checkpoint in common: nothing can be compared",
                       d->run[0], d->run[1]);
    return LS_OK;
}

static LsStatus run_settings(LsCall *call)
{
    const Options *o = call->options;
    bool different = false;
    LS_TRY(ls_diff_settings(call->operands, call->operand, o->json, &different));
    call->told = different;
    return different ? ls_fail(LS_ERROR, "the settings differ") : LS_OK;
}

static LsStatus run(LsCall *call)
{
    const Options *o = call->options;
    if (o->config)
        return run_settings(call);
    if (call->operands > 2)
        return ls_fail(LS_USAGE, "diff: two runs are compared, not %d; --config lists the settings of any number",
                       call->operands);
    Diff d = {.options = call->options, .run = {call->operand[0], call->operand[1]}};
    d.result = json_pack("{s:[o, o], s:[]}", "runs", ls_json_text(d.run[0]), ls_json_text(d.run[1]), "checkpoints");
    if (!d.result)
        return ls_fail(LS_RESOURCE, "out of memory for the comparison");
    LsStatus status = compare(&d);
    if (status == LS_OK) {
        json_object_set_new(d.result, "equal", json_boolean(!d.different));
        if (d.options->json)
            status = ls_print_json(json_incref(d.result));
        else if (!d.different)
            printf("equal\n");
    }
    json_decref(d.result);
    if (status == LS_OK && d.different) {
        call->told = true;
        return ls_fail(LS_ERROR, "the runs differ");
    }
    return status;
}

const LsCommand ls_command_diff = {
    .name = "diff",
    .summary = "finds the first step at which two runs differ, and which tensors by how much",
    .operands = "RUN RUN [RUN ...]",
    .least = 2,
    .most = -1,
    .description =
        "Compares the metrics of common steps and the checkpoints of equal steps, parameters and moments, "
        "to the bit; or two checkpoint "
        "files. Exit status 0: equal, 1: different. \"relative\" is the largest difference of a tensor's "
        "elements over its largest "
        "value. Runs of different numbers of ranks part by rounding, most in parameters that the loss hardly "
        "depends on, as the biases of keys. --config lists the settings that differ instead, output.path left out.",
    .example = "lockstep diff runs/resumed runs/undisturbed\n"
               "lockstep diff runs/one-rank runs/two-ranks --tolerance 1e-2\n"
               "lockstep diff --config runs/warmup-0 runs/warmup-100 runs/warmup-200",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
