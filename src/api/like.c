#include "api/like.h"

#include "config/config.h"
#include "store/checkpoint.h"
#include "store/model_folder.h"

#include <sys/stat.h>

const char *ls_like_of(const LsDataKind *kind, const void *settings)
{
    const LsSetting *like = ls_settings_find(kind->settings, "like");
    return like ? *(char *const *)((const char *)settings + like->offset) : NULL;
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
