/* The list of training procedures, and what a job file says of them. */
#include "config/config.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

static bool has(const LsSetting *table, const char *name, LsSettingType *type)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, name) == 0) {
            *type = table->type;
            return true;
        }
    return false;
}

static void check_procedure(const LsProcedure *procedure)
{
    int phases = ls_procedure_phases(procedure);
    LsSettingType type;
    CU_ASSERT(procedure->name && procedure->summary);
    CU_ASSERT(phases >= 1 && phases <= LS_MAX_PHASES);
    for (const LsSetting *setting = procedure->settings; setting && setting->name; setting++)
        CU_ASSERT_FALSE(has(ls_train_settings, setting->name, &type));
    for (int i = 0; i < phases; i++) {
        const char *repeats = procedure->phases[i].repeats;
        CU_ASSERT(!repeats || (has(procedure->settings, repeats, &type) && type == LS_SETTING_TYPE_INT));
    }
    CU_ASSERT_PTR_EQUAL(ls_procedure_find(procedure->name), procedure);
    CU_ASSERT_NOT_EQUAL(ls_procedure_add(procedure), LS_OK);
}

static void test_list(void)
{
    int seen = 0;
    for (const LsProcedure *const *procedure = ls_procedures(); *procedure; procedure++, seen++)
        check_procedure(*procedure);
    CU_ASSERT(seen >= 2);
    CU_ASSERT_PTR_NULL(ls_procedure_find("no such procedure"));
    for (const LsTask *const *task = ls_tasks(); *task; task++)
        CU_ASSERT(!(*task)->procedure || ls_procedure_find((*task)->procedure));
}

static LsConfig *parse(const char *yaml) { return ls_config_parse("job", yaml, 0, NULL); }

static void refuse(const char *yaml, const char *message)
{
    CU_ASSERT_PTR_NULL(parse(yaml));
    if (!strstr(ls_message(), message))
        fprintf(stderr, "no '%s' in: %s\n", message, ls_message());
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), message));
}

/* The first of the list is the default, or the task's; its settings stand among those of the section. */
static void test_config(void)
{
    LsConfig *config = parse("model: {kind: mlp}\ntask: {kind: classification}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_STRING_EQUAL(ls_config_procedure(config)->name, "supervised");
    ls_config_free(config);

    config = parse("model: {kind: gan_mlp}\ntask: {kind: generation}\ntrain: {discriminator_repeats: 3}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_STRING_EQUAL(ls_config_procedure(config)->name, "adversarial");
    char *text = ls_config_yaml(config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  procedure: adversarial\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  discriminator_repeats: 3\n"));
    LsConfig *again = parse(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    char *same = ls_config_yaml(again);
    CU_ASSERT_STRING_EQUAL(text, same);
    ls_free(text);
    ls_free(same);
    ls_config_free(again);
    ls_config_free(config);

    refuse("model: {kind: mlp}\ntrain: {procedure: superwised}\n", "did you mean 'supervised'");
    refuse("model: {kind: mlp}\ntask: {kind: classification}\ntrain: {discriminator_repeats: 3}\n",
           "train.discriminator_repeats: procedure supervised has no such setting (those that have: adversarial)");
    refuse("model: {kind: gan_mlp}\ntask: {kind: generation}\ntrain: {procedure: supervised}\n", "take adversarial");
}

int main(void)
{
    return harness_run("procedures",
                       (HarnessTest[]){{"the list", test_list}, {"what a job file says", test_config}, {0}});
}
