#include "cli/resume.h"

#include "base/text.h"
#include "io/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD 512 /* the plain text in front of a sealed file */

/* ---- Data sets by their digest -------------------------------------------------------------------------------------- */

/* Copies the digest in the head of a sealed file; "" where it has none. */
static void digest_of(const char *path, char digest[64])
{
    char head[HEAD + 1] = "";
    digest[0] = '\0';
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    ssize_t bytes = read(file, head, HEAD);
    close(file);
    const char *line = bytes > 0 ? strstr(head, "\nxxh3-128 ") : NULL;
    if (line)
        sscanf(line, "\nxxh3-128 %63s", digest);
}

char *ls_resume_text(const LsConfig *config)
{
    char training[64], validation[64];
    char *yaml = ls_config_yaml(config);
    if (!yaml)
        return NULL;
    digest_of(config->data.path, training);
    digest_of(config->data.validation_path, validation);
    char *text = ls_format("%s# digest of data.path: %s\n# digest of data.validation_path: %s\n", yaml, training, validation);
    ls_free(yaml);
    return text;
}

/* The lines that ls_resume_text adds; "" where there are none. */
static const char *digests_in(const char *text)
{
    const char *at = strstr(text, "# digest of data.path: ");
    return at ? at : "";
}

/* ---- Differences ----------------------------------------------------------------------------------------------------- */

/* Names listed, separated by spaces? */
static bool listed(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += length)
        if ((at == names || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

/* Settings of a section that differ: those named in `strict` (NULL: all) to *refused, the others to *changed. */
static void compare(const char *section, const LsSetting *table, const void *old, const void *new, const char *strict, LsNotes *refused,
                    LsNotes *changed)
{
    for (const LsSetting *setting = table; setting->name; setting++) {
        char *before = ls_setting_text(setting, old), *after = ls_setting_text(setting, new);
        if (before && after && strcmp(before, after) != 0)
            ls_note(!strict || listed(strict, setting->name) ? refused : changed, "%s.%s: %s in the checkpoint, %s now", section,
                    setting->name, before, after);
        ls_free(before);
        ls_free(after);
    }
}

static LsStatus check_same(const char *path, const LsConfig *config, const char *text)
{
    LsProgress progress;
    char *old_text = NULL, *tokenizer = NULL;
    LS_TRY(ls_checkpoint_peek(path, &progress, &old_text, &tokenizer));
    ls_free(tokenizer);
    bool trained = progress.step > 0; /* an imported model has no training to differ from */
    LsConfig *old = ls_config_parse(path, old_text, 0, NULL);
    if (!old) {
        ls_free(old_text);
        return LS_CHECKPOINT;
    }
    LsNotes refused = {0}, changed = {0};
    if (old->model != config->model)
        ls_note(&refused, "model.kind: %s in the checkpoint, %s now", old->model->name, config->model->name);
    else
        compare("model", config->model->settings, old->model_config, config->model_config, NULL, &refused, &changed);
    bool known = digests_in(old_text)[0] && digests_in(text)[0];
    if (trained)
        compare("data", ls_data_settings, &old->data, &config->data, known ? "kind" : NULL, &refused, &changed);
    if (trained && known && strcmp(digests_in(old_text), digests_in(text)) != 0)
        ls_note(&refused, "data: the content is another one (its digest differs)");
    if (trained)
        compare("train", ls_train_settings, &old->train, &config->train, "sequence seed optimizer", &refused, &changed);
    LsStatus status = LS_OK;
    if (refused.count > 0)
        status = ls_fail(LS_USAGE, "%s cannot be gone on from, for this is another training:%s%s\nSet these as they were, or start anew "
                         "with another output.path",
                         path, ls_notes_text(&refused), ls_notes_text(&changed));
    else if (changed.count > 0)
        ls_log("changed since the checkpoint:%s", ls_notes_text(&changed));
    ls_config_free(old);
    ls_free(old_text);
    return status;
}

/* ---- Choice ---------------------------------------------------------------------------------------------------------- */

LsStatus ls_resume_choose(const LsRunFolder *run, const char *mode, const LsConfig *config, const char *text, char **path)
{
    *path = NULL;
    if (strcmp(mode, "never") == 0) {
        if (ls_run_folder_empty(run))
            return LS_OK;
        return ls_fail(LS_USAGE, "%s holds a run already: go on from it with --resume auto, or set another output.path", run->path);
    }
    bool automatic = strcmp(mode, "auto") == 0;
    LS_TRY(ls_checkpoint_newest(automatic ? run->path : mode, path));
    if (!*path && !automatic)
        return ls_fail(LS_CHECKPOINT, "--resume %s: there is no checkpoint", mode);
    LsStatus status = *path ? check_same(*path, config, text) : LS_OK;
    if (status != LS_OK) {
        ls_free(*path);
        *path = NULL;
    }
    return status;
}
