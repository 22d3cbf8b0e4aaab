/* The job files: every one is read without complaint, plans on a small number of ranks, and has the sizes it is named
 * after. */
#include "harness.h"
#include "config/config.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

/* Parameters of a job's model with this vocabulary; -1 and a message where it does not plan. */
static int64_t parameters(LsConfig *config, int64_t vocabulary)
{
    int64_t elements = -1;
    LsParams *params = ls_params_new();
    LsGraph *g = params ? ls_graph_new(params, &(LsGraphOptions){.mode = LS_TRAIN}) : NULL;
    ls_config_set_model_int(config, "vocabulary", vocabulary);
    if (g) { /* a job may take its sequence from the data */
        ls_config_build(config, g, 1, config->train.sequence ? config->train.sequence : 28, LS_WANT_LOSS);
        if (ls_graph_plan_dry(g) == LS_OK)
            elements = params->elements;
    }
    ls_graph_free(g);
    ls_params_free(params);
    return elements;
}

/* Each begins with the commands that run it. */
static void says_its_command(const char *path)
{
    char text[4096] = "", command[256];
    FILE *file = fopen(path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    snprintf(command, sizeof command, "lockstep train jobs/%s", strrchr(path, '/') + 1);
    if (!strstr(text, command))
        fprintf(stderr, "%s does not say: %s\n", path, command);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, command));
}

static void test_all_load(void)
{
    glob_t found;
    CU_ASSERT_EQUAL_FATAL(glob(PROJECT_FOLDER "/jobs/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        LsConfig *config = ls_config_load(found.gl_pathv[i], 0, NULL);
        if (!config)
            fprintf(stderr, "%s\n", ls_message());
        CU_ASSERT_PTR_NOT_NULL(config);
        if (!config)
            continue;
        int64_t count = parameters(config, 256);
        if (count <= 0)
            fprintf(stderr, "%s: %s\n", found.gl_pathv[i], ls_message());
        CU_ASSERT(count > 0);
        CU_ASSERT_EQUAL(config->train.batch % 2, 0); /* the README starts them on two ranks */
        CU_ASSERT(config->output.save_every <= config->train.steps);
        says_its_command(found.gl_pathv[i]);
        /* each writes to a folder named after itself, so that no two share one */
        const char *base = strrchr(found.gl_pathv[i], '/') + 1, *folder = strrchr(config->output.path, '/');
        CU_ASSERT(folder && strncmp(base, folder + 1, strlen(folder + 1)) == 0 &&
                  strcmp(base + strlen(folder + 1), ".yaml") == 0);
        ls_config_free(config);
    }
    CU_ASSERT(found.gl_pathc >= 6);
    globfree(&found);
}

/* Published sizes: GPT-2 small with its tied head; Mamba's smallest with a vocabulary of 50,280, Mamba-2's with
 * 50,288. */
static void test_sizes(void)
{
    static const struct {
        const char *path;
        int64_t vocabulary, parameters;
    } jobs[] = {{PROJECT_FOLDER "/jobs/gpt2-124m.yaml", 50257, 124439808},
                {PROJECT_FOLDER "/jobs/mamba-130m.yaml", 50280, 129135360},
                {PROJECT_FOLDER "/jobs/mamba2-130m.yaml", 50288, 128989632}};
    for (size_t i = 0; i < LS_COUNT_OF(jobs); i++) {
        LsConfig *config = ls_config_load(jobs[i].path, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(config);
        CU_ASSERT_EQUAL(parameters(config, jobs[i].vocabulary), jobs[i].parameters);
        ls_config_free(config);
    }
}

int main(void)
{
    return harness_run(
        "jobs",
        (HarnessTest[]){{"every job file loads and plans", test_all_load}, {"published sizes", test_sizes}, {0}});
}
