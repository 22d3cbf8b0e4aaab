#include "cli/resume.h"

#include "train/resume.h"

#include <string.h>

LsStatus ls_resume_choose(const LsRunFolder *run, const char *mode, const LsConfig *config, const char *text,
                          const LsSource *data, LsCheckpoint **checkpoint)
{
    *checkpoint = NULL;
    if (strcmp(mode, "never") == 0) {
        if (ls_run_folder_empty(run))
            return LS_OK;
        return ls_fail(LS_USAGE, "%s holds a run already: go on from it with --resume auto, or set another output.path",
                       run->path);
    }
    bool automatic = strcmp(mode, "auto") == 0;
    LS_TRY(ls_checkpoint_newest(automatic ? run->path : mode, checkpoint));
    if (!*checkpoint && !automatic)
        return ls_fail(LS_CHECKPOINT, "--resume %s: there is no checkpoint", mode);
    LsStatus status = *checkpoint ? ls_resume_check(*checkpoint, config, text) : LS_OK;
    if (status == LS_OK && *checkpoint)
        status = ls_resume_check_tokenizer(*checkpoint, config, data);
    if (status != LS_OK) {
        ls_checkpoint_close(*checkpoint);
        *checkpoint = NULL;
    }
    return status;
}
