#include "cli/eval_table.h"

#include "base/text.h"
#include "cli/eval_run.h"
#include "dist/dist.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Runs that are one row of the table. */
typedef struct Group {
    char *settings; /* NULL: a run alone */
    json_t *rows;   /* of its runs */
} Group;

typedef struct Table {
    int groups;
    Group *group;
} Table;

/* A run's row: its name as it was written, and what stands in a table. */
static json_t *row_of(const LsEval *e)
{
    json_t *row = json_pack("{s:o}", "run", ls_json_text(e->run)), *all = ls_eval_describe(e), *value;
    const char *key;
    json_object_foreach(all, key, value)
    {
        if (json_is_number(value) && strstr(key, "second") == NULL)
            json_object_set(row, key, value);
    }
    json_decref(all);
    return row;
}

/* The settings but for those that tell repetitions of one training apart. */
static char *settings_of(const LsEval *e)
{
    LsConfig *config = e->model.config;
    int64_t seed = config->train.seed;
    char *path = config->output.path;
    config->train.seed = 0;
    config->output.path = NULL;
    char *text = ls_config_yaml(config);
    config->train.seed = seed;
    config->output.path = path;
    return text;
}

static LsStatus add_run(const LsEval *e, Table *table)
{
    char *settings = e->options->seeds ? settings_of(e) : NULL;
    json_t *row = row_of(e);
    if (!row || (e->options->seeds && !settings)) {
        json_decref(row);
        ls_free(settings);
        return LS_RESOURCE;
    }
    int i = 0;
    while (i < table->groups && (!settings || strcmp(table->group[i].settings, settings) != 0))
        i++;
    Group *group = &table->group[i];
    if (i < table->groups) {
        ls_free(settings);
    } else {
        *group = (Group){settings, json_array()};
        table->groups++;
    }
    return json_array_append_new(group->rows, row) == 0 ? LS_OK : LS_RESOURCE;
}

/* ---- Means ------------------------------------------------------------------------------------------------------- */

/* *deviation: of the sample; NAN where there is one value. Values that are null or missing (not finite) make both
 * so. */
static double mean_of(const json_t *rows, const char *key, double *deviation)
{
    double sum = 0, squares = 0, count = (double)json_array_size(rows);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const json_t *value = json_object_get(row, key);
        sum += json_is_number(value) ? json_number_value(value) : NAN;
    }
    json_array_foreach(rows, i, row)
    {
        double from_mean = json_number_value(json_object_get(row, key)) - sum / count;
        squares += from_mean * from_mean;
    }
    *deviation = count > 1 ? sqrt(squares / (count - 1)) : NAN;
    return sum / count;
}

static bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

/* What the runs' names have in common, "runs/gpt-*": a number is all in it or not at all. The first one's name and how
 * many others there are, where that is nothing but slashes; NULL: out of memory. */
static char *name_of(const json_t *rows)
{
    const char *first = json_string_value(json_object_get(json_array_get(rows, 0), "run"));
    size_t count = json_array_size(rows), length = strlen(first), begin = length, end = length;
    for (size_t i = 1; i < count; i++) {
        const char *other = json_string_value(json_object_get(json_array_get(rows, i), "run"));
        size_t same = 0, others = strlen(other);
        while (same < begin && first[same] == other[same])
            same++;
        begin = same;
        same = 0;
        while (same < end && same < others && first[length - 1 - same] == other[others - 1 - same])
            same++;
        end = same;
        end = end > length - begin ? length - begin : end;
        end = begin + end > others ? others - begin : end;
    }
    while (count > 1 && begin > 0 && is_digit(first[begin - 1]))
        begin--;
    while (count > 1 && end > 0 && is_digit(first[length - end]))
        end--;
    if (count == 1)
        return ls_strdup(first);
    if (strspn(first, "./") >= begin && strspn(first + length - end, "./") >= end)
        return ls_format("%s and %zu more", first, count - 1);
    return ls_format("%.*s*%s", (int)begin, first, first + length - end);
}

/* The runs' name, how many there are, and a mean for each number; whole numbers that are the same stay so. */
static json_t *mean_row(const json_t *rows)
{
    json_t *first = json_array_get(rows, 0), *value;
    char *all = name_of(rows);
    json_t *row =
        json_pack("{s:o, s:I}", "run", all ? ls_json_text(all) : NULL, "runs", (json_int_t)json_array_size(rows));
    const char *key;
    int failed = !row;
    ls_free(all);
    json_object_foreach(first, key, value)
    {
        double deviation, mean = mean_of(rows, key, &deviation);
        char name[80];
        snprintf(name, sizeof name, "%s_sd", key);
        if (json_is_string(value))
            continue;
        if (json_is_integer(value) && !(deviation > 0))
            failed |= json_object_set(row, key, value);
        else
            failed |= json_object_set_new(row, key, ls_json_number(mean)) |
                      json_object_set_new(row, name, ls_json_number(deviation));
    }
    if (failed)
        json_decref(row);
    return failed ? NULL : row;
}

static LsStatus print(const Table *table, const LsEvalOptions *o)
{
    json_t *rows = json_array();
    LsStatus status = rows ? LS_OK : LS_RESOURCE;
    for (int i = 0; status == LS_OK && i < table->groups; i++) {
        json_t *row = o->seeds ? mean_row(table->group[i].rows) : json_incref(json_array_get(table->group[i].rows, 0));
        status = json_array_append_new(rows, row) == 0 ? LS_OK : LS_RESOURCE;
    }
    if (status == LS_OK)
        status = o->json ? ls_print_json(json_incref(rows)) : o->csv ? ls_print_csv(rows) : ls_print_table(rows);
    json_decref(rows);
    return status;
}

/* What the rows are of, which the table does not say. */
static void say_data(const LsEvalOptions *o)
{
    if (o->input.count == 0)
        ls_log("the %s part of each run's data, the %s checkpoint", o->split, o->best ? "best" : "newest");
    else
        ls_log("%s%s, the %s checkpoint", o->input.text[0], o->input.count > 1 ? " and others" : "",
               o->best ? "best" : "newest");
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

/* Operands are runs but for "section.name=value", unless there is a file of that name. */
static bool is_run(const char *operand) { return !strchr(operand, '=') || ls_file_exists(operand); }

LsStatus ls_eval_table(const LsCall *call, LsCorpus *corpus)
{
    char **override = ls_alloc_array(call->operands, sizeof *override);
    int overrides = 0;
    Table table = {0, ls_alloc_array(call->operands, sizeof *table.group)};
    LsStatus status = ls_dist_agree(call->comm, override && table.group ? LS_OK : LS_RESOURCE);
    for (int i = 0; status == LS_OK && i < call->operands; i++)
        if (!is_run(call->operand[i]))
            override[overrides++] = call->operand[i];
    if (status == LS_OK && overrides == call->operands)
        status = ls_fail(LS_USAGE, "eval --table: name a run, or several: settings alone are given (%s)", override[0]);
    for (int i = 0; status == LS_OK && i < call->operands; i++) {
        if (!is_run(call->operand[i]))
            continue;
        LsEval e = {.options = call->options, .comm = call->comm};
        status = ls_eval(&e, call->operand[i], overrides, override, corpus);
        if (status == LS_OK)
            status = ls_dist_agree(call->comm, add_run(&e, &table));
        ls_eval_close(&e);
    }
    if (status == LS_OK && call->comm->rank == 0)
        say_data(call->options);
    if (status == LS_OK)
        status = ls_dist_agree(call->comm, call->comm->rank == 0 ? print(&table, call->options) : LS_OK);
    for (int i = 0; i < table.groups; i++) {
        ls_free(table.group[i].settings);
        json_decref(table.group[i].rows);
    }
    ls_free(table.group);
    ls_free(override);
    return status;
}
