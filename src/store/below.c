#include "store/below.h"

#include "io/file.h"
#include "store/model_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 3

const char *ls_models_below(const char *folder)
{
    static _Thread_local char text[768];
    struct dirent **entry = NULL;
    int entries = scandir(folder, &entry, NULL, alphasort), found = 0;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < entries; i++) {
        const char *name = entry[i]->d_name;
        char *path = name[0] == '.' ? NULL : ls_format("%.*s/%s", (int)ls_path_length(folder), folder, name);
        bool run = path && ls_file_exists_in(path, "checkpoints");
        if (path && (run || ls_file_exists_in(path, "config.json") || ls_file_exists_in(path, "model.safetensors"))) {
            if (found < MOST && used < sizeof text)
                used += (size_t)snprintf(text + used, sizeof text - used, "%s%s (%s)",
                                         found ? ", " : "; below it: ", path, run ? "a run" : "weights");
            found++;
        }
        ls_free(path);
        free(entry[i]);
    }
    if (found > MOST && used < sizeof text)
        snprintf(text + used, sizeof text - used, ", and %d more", found - MOST);
    free(entry);
    return text;
}
