/* lockstep datasets [NAME]: the recipes of datasets/, as their header lines describe them. */
#include "cli/cli.h"
#include "cli/signals.h"
#include "config/nearest.h"
#include "config/number.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_RECIPES 256

typedef struct Options {
    bool fetch, json;
    char *output;
} Options;

static const LsOption options[] = {
    {LS_SETTING_BOOL(Options, fetch, "false", "run the recipe of NAME: fetches, checks size and SHA-256")},
    {LS_SETTING_STRING(Options, output, "data", "with --fetch: folder to put it in"), "DIR", 'o', .with = "fetch"},
    {LS_SETTING_BOOL(Options, json, "false", "one JSON object on stdout")},
    {{0}}};

/* The recipes as JSON objects: the header lines "# name: ..." of each, and "recipe", its path. */
typedef struct Recipes {
    json_t *list[MOST_RECIPES];
    int count;
} Recipes;

/* Where the recipes are: beside the installed program, else in the folder that it was built from. */
static LsStatus recipes_folder(char folder[PATH_MAX])
{
    char program[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = length > 0 ? strrchr(program, '/') : NULL;
    if (slash) {
        *slash = '\0';
        int used = snprintf(folder, PATH_MAX, "%s/" LOCKSTEP_SHARE_FROM_PROGRAM "/datasets", program);
        if (used < PATH_MAX && ls_file_exists(folder))
            return LS_OK;
    }
    snprintf(folder, PATH_MAX, "%s", LOCKSTEP_SOURCE_FOLDER "/datasets");
    return ls_file_exists(folder) ? LS_OK
                                  : ls_fail(LS_DATA, "%s: the recipes are neither there nor beside the program",
                                            LOCKSTEP_SOURCE_FOLDER "/datasets");
}

/* Reads the header of one recipe; NULL where it has no name, or out of memory. */
static json_t *read_recipe(const char *path)
{
    char line[4096];
    FILE *file = fopen(path, "r");
    json_t *recipe = file ? json_object() : NULL;
    while (recipe && fgets(line, sizeof line, file) && line[0] == '#') {
        char *colon = strstr(line, ": ");
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "# ", 2) != 0 || !colon || strcspn(line + 2, " ") < (size_t)(colon - line - 2))
            continue; /* the #! line, or plain words */
        *colon = '\0';
        int64_t number = 0;
        bool whole = strcmp(line + 2, "bytes") == 0 && ls_number_int(colon + 2, &number);
        json_object_set_new(recipe, line + 2, whole ? json_integer(number) : json_string(colon + 2));
    }
    if (file)
        fclose(file);
    if (recipe && json_is_string(json_object_get(recipe, "name"))) {
        json_object_set_new(recipe, "recipe", json_string(path));
        return recipe;
    }
    json_decref(recipe);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "name")),
                  json_string_value(json_object_get(*(json_t *const *)b, "name")));
}

static LsStatus read_all(Recipes *recipes)
{
    char folder[PATH_MAX], path[PATH_MAX + 256];
    LS_TRY(recipes_folder(folder));
    DIR *entries = opendir(folder);
    if (!entries)
        return ls_fail(LS_DATA, "%s: %s", folder, strerror(errno));
    for (struct dirent *e = readdir(entries); e && recipes->count < MOST_RECIPES; e = readdir(entries)) {
        size_t length = strlen(e->d_name);
        if (length < 4 || strcmp(e->d_name + length - 3, ".sh") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        json_t *recipe = read_recipe(path);
        if (recipe)
            recipes->list[recipes->count++] = recipe;
    }
    closedir(entries);
    qsort(recipes->list, (size_t)recipes->count, sizeof recipes->list[0], by_name);
    return LS_OK;
}

static const char *text_of(const json_t *recipe, const char *key)
{
    const char *text = json_string_value(json_object_get(recipe, key));
    return text ? text : "";
}

/* Becomes the recipe; returns only where that fails. */
static LsStatus fetch(const json_t *recipe, const char *output)
{
    const char *path = text_of(recipe, "recipe");
    LS_TRY(ls_check_stdout());
    ls_signals_give_back();
    execlp("bash", "bash", path, "-o", output, (char *)NULL);
    return ls_fail(LS_ERROR, "bash %s: %s", path, strerror(errno));
}

static LsStatus print_list(const Recipes *recipes, bool json)
{
    json_t *list = json ? json_array() : NULL;
    for (int i = 0; i < recipes->count; i++) {
        const json_t *recipe = recipes->list[i];
        if (json)
            json_array_append(list, recipes->list[i]);
        else {
            printf("%-18s %12lld bytes  ", text_of(recipe, "name"),
                   (long long)json_integer_value(json_object_get(recipe, "bytes")));
            ls_print_wrapped(stdout, text_of(recipe, "what"), 39, 39);
        }
    }
    if (json)
        return ls_print_json(json_pack("{s:o}", "datasets", list));
    printf("\nlockstep datasets NAME says how to get one and what its licence is.\n");
    return LS_OK;
}

static LsStatus run_on(LsCall *call, Recipes *recipes)
{
    const Options *o = call->options;
    LS_TRY(read_all(recipes));
    if (!call->operands)
        return o->fetch ? ls_fail(LS_USAGE, "datasets: --fetch needs a NAME (lockstep datasets lists them)")
                        : print_list(recipes, o->json);
    LsNearest near = ls_nearest_to(call->operand[0]);
    json_t *found = NULL;
    for (int i = 0; i < recipes->count; i++) {
        const char *name = text_of(recipes->list[i], "name");
        ls_nearest_offer(&near, name);
        if (strcmp(name, call->operand[0]) == 0)
            found = recipes->list[i];
    }
    if (!found)
        return ls_fail(LS_USAGE, "there is no data set '%s'%s (lockstep datasets lists them)", call->operand[0],
                       ls_nearest_hint(&near));
    if (o->fetch)
        return fetch(found, o->output);
    if (o->json)
        return ls_print_json(json_incref(found));
    ls_print_fields(found, 0);
    printf("\nget it:             lockstep datasets %s --fetch -o data\n", text_of(found, "name"));
    printf("or, the same:       bash %s -o data [FILE or URL that you have it from]\n", text_of(found, "recipe"));
    return LS_OK;
}

static LsStatus run(LsCall *call)
{
    Recipes recipes = {0};
    LsStatus status = run_on(call, &recipes);
    for (int i = 0; i < recipes.count; i++)
        json_decref(recipes.list[i]);
    return status;
}

const LsCommand ls_command_datasets = {
    .name = "datasets",
    .summary = "lists the data sets there are recipes for, or fetches one",
    .operands = "[NAME]",
    .most = 1,
    .example = "lockstep datasets enwik8\nlockstep datasets tiny-shakespeare --fetch -o data",
    .options = options,
    .options_bytes = sizeof(Options),
    .run = run,
};
