/* The native layout: every parameter of every model stands in docs/formats.md with as many axes as it has, and a store
 * of every model goes through a folder to the bit. */
#include "models_list.h"
#include "io/file.h"
#include "store/checkpoint.h"
#include "store/model_folder.h"
#include "store/native.h"

#include <ctype.h>
#include <math.h>

/* "layer.3.bias" -> "layer.{i}.bias", a second number {j}: parts of the name that are numbers alone. */
static void pattern_of(const char *name, char *pattern)
{
    static const char *const mark[] = {"{i}", "{j}", "{k}"};
    int marks = 0;
    for (const char *at = name; *at;) {
        size_t length = strcspn(at, "."), digits = strspn(at, "0123456789");
        if (digits == length && marks < 3)
            pattern += sprintf(pattern, "%s", mark[marks++]);
        else
            pattern += sprintf(pattern, "%.*s", (int)length, at);
        at += length;
        if (*at)
            *pattern++ = *at++;
    }
    *pattern = '\0';
}

/* The part of the page under the heading "## NAME". */
static const char *section(const char *page, const char *name, size_t *bytes)
{
    char heading[64];
    snprintf(heading, sizeof heading, "\n## %s\n", name);
    const char *at = strstr(page, heading), *end = at ? strstr(at + 1, "\n## ") : NULL;
    *bytes = !at ? 0 : end ? (size_t)(end - at) : strlen(at);
    return at;
}

/* Whether a line of the section has the name, and a shape of so many axes behind it; a name may have several lines. */
static bool described(const char *page, const char *heading, const char *pattern, int rank)
{
    char cell[160];
    size_t bytes = 0;
    const char *at = section(page, heading, &bytes);
    snprintf(cell, sizeof cell, "| `%s` | (", pattern);
    const char *found = at ? strstr(at, cell) : NULL;
    for (; found && found < at + bytes; found = strstr(found + 1, cell)) {
        int axes = 1;
        for (const char *c = found + strlen(cell); *c && *c != ')'; c++)
            axes += *c == ',';
        if (axes == rank)
            return true;
    }
    return false;
}

static void test_page(void)
{
    char *page = NULL;
    int64_t bytes = 0, seen = 0;
    Listed listed = {0};
    ASSERT_OK(ls_file_read(PROJECT_FOLDER "/docs/formats.md", LS_ERROR, &page, &bytes));
    while (listed_next(&listed, "")) {
        LsParams *params = ls_params_new();
        ASSERT_OK(ls_config_declare(listed.config, params));
        for (const LsParams *store = params; store; store = store->running)
            for (int i = 0; i < store->count; i++) {
                char pattern[256];
                const LsParam *p = &store->list[i];
                pattern_of(p->name, pattern);
                bool fine = described(page, listed.model->name, pattern, p->rank) ||
                            described(page, "Heads of tasks", pattern, p->rank);
                if (!fine)
                    fprintf(stderr, "%s: docs/formats.md has no `%s` of %d axes\n", listed.name, pattern, p->rank);
                CU_ASSERT(fine);
                /* one file holds both */
                CU_ASSERT(store == params || ls_params_find(params, p->name) < 0);
                seen++;
            }
        ls_params_free(params);
    }
    CU_ASSERT(seen > 500);
    ls_free(page);
}

/* Values that no initialiser gives, running values too. */
static void scramble(LsParams *params)
{
    for (LsParams *store = params; store; store = store->running)
        for (int i = 0; i < store->count; i++)
            for (int64_t k = 0; k < store->list[i].count; k++)
                store->value[store->list[i].offset + k] = (float)sin((double)(k + 1) * (i + 2) * 0.7);
}

static void compare(const LsParams *a, const LsParams *b)
{
    CU_ASSERT_EQUAL_FATAL(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        CU_ASSERT_STRING_EQUAL(a->list[i].name, b->list[i].name);
        CU_ASSERT_EQUAL(memcmp(a->value + a->list[i].offset, b->value + b->list[i].offset,
                               sizeof(float) * (size_t)a->list[i].count),
                        0);
    }
    CU_ASSERT_EQUAL(!a->running, !b->running);
    if (a->running)
        compare(a->running, b->running);
}

static void save(const LsConfig *config, const LsParams *params, const char *path)
{
    char *yaml = ls_config_yaml(config);
    LsSaved running = params->running ? ls_saved_running(params) : (LsSaved){0};
    LsProgress progress = {.step = 7, .best_score = HUGE_VAL, .best_step = -1};
    ASSERT_OK(ls_checkpoint_save(path, params, params->running != NULL, &running, &progress,
                                 &(LsSavedTexts){.config = yaml, .info = "{\"note\":  0.10000000000000001}"}));
    ls_free(yaml);
}

static void there_and_back(const Listed *listed, int number)
{
    char name[64];
    const char *model = listed->model->name;
    LsParams *params = NULL;
    LsStoredModel back = {0};
    ASSERT_OK(ls_model_params(listed->config, &params));
    scramble(params);
    snprintf(name, sizeof name, "run-%d.h5", number);
    char *run = ls_strdup(harness_path(name));
    snprintf(name, sizeof name, "folder-%d", number);
    char *folder = ls_strdup(harness_path(name));
    save(listed->config, params, run);
    ASSERT_OK(ls_model_export(run, 0, NULL, folder, LS_LAYOUT_NATIVE, NULL));
    ASSERT_OK(ls_stored_model_of_folder(folder, "elsewhere", &back));
    CU_ASSERT_STRING_EQUAL(back.config->model->name, model);
    CU_ASSERT_STRING_EQUAL(back.info, "{\"note\":  0.10000000000000001}");
    compare(params, back.params);
    /* all settings but where the run lies */
    ls_free(back.config->output.path);
    back.config->output.path = ls_strdup(listed->config->output.path);
    char *before = ls_config_yaml(listed->config), *after = ls_config_yaml(back.config);
    CU_ASSERT_STRING_EQUAL(before, after);
    ls_free(before);
    ls_free(after);
    ls_free(run);
    ls_free(folder);
    ls_stored_model_free(&back);
    ls_params_free(params);
}

static void test_every_model(void)
{
    Listed listed = {0};
    int number = 0;
    while (listed_next(&listed, "train: {learning_rate: 0.1, beta2: 0.98765432109876543}\n"))
        there_and_back(&listed, number++);
    CU_ASSERT(number > 10);
}

int main(void)
{
    return harness_run("formats",
                       (HarnessTest[]){{"docs/formats.md", test_page}, {"every model", test_every_model}, {0}});
}
