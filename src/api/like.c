#include "api/like.h"

#include "store/checkpoint.h"
#include "store/model_folder.h"

#include <string.h>
#include <sys/stat.h>

const char *ls_like_of(const LsDataKind *kind, const void *settings)
{
    for (const LsSetting *each = kind->settings; each && each->name; each++)
        if (strcmp(each->name, "like") == 0 && each->type == LS_SETTING_TYPE_STRING)
            return *(char *const *)((const char *)settings + each->offset);
    return NULL;
}

LsStatus ls_like_resolve(const LsDataKind *kind, void *settings)
{
    struct stat st;
    LsCheckpoint *checkpoint = NULL;
    const char *like = ls_like_of(kind, settings);
    if (!like || stat(like, &st) != 0 || !S_ISDIR(st.st_mode))
        return LS_OK;
    LS_TRY(ls_checkpoint_newest(like, &checkpoint));
    if (checkpoint) {
        LsStatus status = ls_settings_set(kind->settings, settings, "like", checkpoint->path);
        ls_checkpoint_close(checkpoint);
        return status;
    }
    if (ls_is_model_folder(like))
        return ls_fail(LS_USAGE, "--like %s: is a folder of weights, not a run: --tokenizer %s takes its tokenizer",
                       like, like);
    return ls_fail(LS_USAGE, "--like %s: there is no checkpoint in it; a data set, a run or a checkpoint is asked for",
                   like);
}
