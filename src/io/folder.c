#include "io/folder.h"

#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

LsStatus ls_folder_each(const char *folder, LsVisitEntry visit, void *self)
{
    struct dirent **list = NULL;
    LsStatus status = LS_OK;
    int length = (int)ls_path_length(folder);
    int count = scandir(folder, &list, is_shown, by_bytes);
    if (count < 0)
        return ls_fail(LS_DATA, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *path = status == LS_OK ? ls_format("%.*s/%s", length, folder, list[i]->d_name) : NULL;
        if (status == LS_OK)
            status = path ? visit(self, path, list[i]->d_name) : LS_RESOURCE;
        ls_free(path);
        free(list[i]);
    }
    free(list);
    return status;
}
