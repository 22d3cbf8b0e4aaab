#include "train/resume.h"

#include "base/text.h"
#include "io/sealed.h"

#include <string.h>

/* ---- Data sets by their digest ----------------------------------------------------------------------------------- */

char *ls_resume_text(const LsConfig *config)
{
    LsSealedHead training = {.version = 0}, validation = training;
    char *yaml = ls_config_yaml(config);
    if (!yaml)
        return NULL;
    bool one = config->data.path && ls_sealed_head(config->data.path, &training);
    bool other = config->data.validation_path && ls_sealed_head(config->data.validation_path, &validation);
    char *text = ls_format("%s# digest of data.path: %s\n# digest of data.validation_path: %s\n", yaml,
                           one ? training.digest : "", other ? validation.digest : "");
    ls_free(yaml);
    return text;
}

/* The lines of digests that ls_resume_text adds; "" where there are none. */
static const char *find_digests(const char *text)
{
    const char *at = strstr(text, "# digest of data.path: ");
    return at ? at : "";
}

/* ---- Differences ------------------------------------------------------------------------------------------------- */

/* Names listed, separated by spaces? */
static bool is_listed(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += length)
        if ((at == names || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

/* Settings of a section that differ: those named in `strict` (NULL: all) to *refused, the others to *changed. */
static void compare_settings(const char *section, const LsSetting *table, const void *old, const void *new,
                             const char *strict, LsNotes *refused, LsNotes *changed)
{
    for (const LsSetting *setting = table; setting->name; setting++) {
        char *before = ls_setting_text(setting, old), *after = ls_setting_text(setting, new);
        if (before && after && strcmp(before, after) != 0)
            ls_note(!strict || is_listed(strict, setting->name) ? refused : changed,
                    "%s.%s: %s in the checkpoint, %s now", section, setting->name, before, after);
        ls_free(before);
        ls_free(after);
    }
}

/* The kinds of the sections named, and those kinds' own settings. */
static void compare_kinds(const LsConfig *old, const LsConfig *config, const char *sections, LsNotes *refused,
                          LsNotes *changed)
{
    LsSection before[LS_SECTIONS], now[LS_SECTIONS];
    ls_config_sections(old, before);
    ls_config_sections(config, now);
    for (int i = 0; i < LS_SECTIONS; i++) {
        if (!now[i].kind || !is_listed(sections, now[i].name))
            continue;
        if (strcmp(before[i].kind, now[i].kind) != 0)
            ls_note(refused, "%s.%s: %s in the checkpoint, %s now", now[i].name, now[i].kind_key, before[i].kind,
                    now[i].kind);
        else if (now[i].table[1])
            compare_settings(now[i].name, now[i].table[1], before[i].base[1], now[i].base[1], NULL, refused, changed);
    }
}

/* Of `train:`, what a training cannot change; nor whether there is an average, which checkpoints hold. */
#define STRICT "sequence length_step seed optimizer carry freeze"

LsStatus ls_resume_check(const LsCheckpoint *checkpoint, const LsConfig *config, const char *text)
{
    bool trained = checkpoint->progress.step > 0; /* an imported model has no training to differ from */
    LsConfig *old = ls_config_parse(checkpoint->path, checkpoint->config, 0, NULL);
    if (!old)
        return ls_message_status() == LS_RESOURCE ? LS_RESOURCE : LS_CHECKPOINT;
    /* both read whole samples, or cut them alike: the same training, whatever limit is written */
    old->longest = config->longest;
    if (ls_config_sequence(old) == ls_config_sequence(config))
        old->train.sequence = config->train.sequence;
    LsNotes refused = {0}, changed = {0};
    compare_kinds(old, config, trained ? "model task data train" : "model", &refused, &changed);
    bool known = find_digests(checkpoint->config)[0] && find_digests(text)[0];
    if (trained)
        compare_settings("data", ls_data_settings, &old->data, &config->data, known ? "fields" : NULL, &refused,
                         &changed);
    if (trained && known && strcmp(find_digests(checkpoint->config), find_digests(text)) != 0)
        ls_note(&refused, "data: the content is another one (its digest differs)");
    compare_settings("lora", ls_lora_settings, &old->lora, &config->lora, "rank alpha targets digest", &refused,
                     &changed);
    if (trained)
        compare_settings("train", ls_train_settings, &old->train, &config->train,
                         (old->train.average > 0) == (config->train.average > 0) ? STRICT : STRICT " average", &refused,
                         &changed);
    LsStatus status = LS_OK;
    if (refused.count > 0)
        status = ls_fail(
            LS_USAGE,
            "%s cannot be gone on from, for this is another training:%s\nSet %s as before, or start anew with another "
            "output.path%s%s",
            checkpoint->path, ls_notes_text(&refused), refused.count == 1 ? "this" : "these",
            changed.count > 0 ? "\nNot in the way:" : "", ls_notes_text(&changed));
    else if (changed.count > 0)
        ls_log("changed since the checkpoint:%s", ls_notes_text(&changed));
    ls_config_free(old);
    return status;
}

LsStatus ls_resume_check_tokenizer(const LsCheckpoint *checkpoint, const LsConfig *config, const LsSource *data)
{
    LsTokenizer *tokenizer = checkpoint->tokenizer ? ls_tokenizer_from_json(checkpoint->tokenizer) : NULL;
    if (checkpoint->tokenizer && !tokenizer)
        return ls_fail_in(LS_CHECKPOINT, "%s: its tokenizer", checkpoint->path);
    int64_t vocabulary = 0;
    ls_config_model_int(config, "vocabulary", &vocabulary);
    LsStatus status = ls_data_check_model(config->data.path, data, checkpoint->path, tokenizer, vocabulary);
    ls_tokenizer_free(tokenizer);
    return status;
}
