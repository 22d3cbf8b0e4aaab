#include "store/export_files.h"

#include "base/text.h"
#include "data/tokenizer.h"
#include "data/tokenizer_kind.h"
#include "store/safetensors.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *const ls_export_names[] = {
    "*.safetensors", "*.json", "*.model", "*.jinja", "vocab.txt", "merges.txt", "rwkv_vocab_v20230424.txt", NULL};

static bool is_exported_name(const char *name)
{
    for (const char *const *pattern = ls_export_names; *pattern; pattern++)
        if (fnmatch(*pattern, name, FNM_PERIOD) == 0)
            return true;
    return false;
}

LsStatus ls_export_check_folder(const char *folder)
{
    char *weights = ls_format("%s/model.safetensors", folder);
    LsStatus status = weights ? LS_OK : LS_RESOURCE;
    DIR *entries = weights && !ls_safetensors_is_ours(weights) ? opendir(folder) : NULL;
    ls_free(weights);
    for (struct dirent *e = entries ? readdir(entries) : NULL; e && status == LS_OK; e = readdir(entries))
        if (is_exported_name(e->d_name))
            status = ls_fail(LS_USAGE,
                             "%s: has %s, and is no folder that an export made: nothing in it is replaced; export to a "
                             "new folder",
                             folder, e->d_name);
    if (entries)
        closedir(entries);
    return status;
}

/* 0: there is no such file. */
static ino_t inode_of(const char *folder, const char *name)
{
    struct stat st = {0};
    char *path = ls_format("%s/%s", folder, name);
    int missing = path ? stat(path, &st) : -1;
    ls_free(path);
    return missing ? 0 : st.st_ino;
}

static void find(LsOlderFiles *older, const char *folder, const char *name)
{
    ino_t inode = inode_of(folder, name);
    if (inode == 0 || older->count == LS_OLDER_FILES)
        return;
    older->file[older->count].name = name;
    older->file[older->count++].inode = inode;
}

void ls_older_files_find(LsOlderFiles *older, const char *folder)
{
    *older = (LsOlderFiles){0};
    for (const char *const *name = ls_tokenizer_files; *name; name++)
        find(older, folder, *name);
    find(older, folder, "vocab.txt");
    find(older, folder, "generation_config.json");
    find(older, folder, LS_TOKENIZER_OWN_FILE);
}

void ls_older_files_warn(const LsOlderFiles *older, const char *folder)
{
    char names[512] = "";
    for (int i = 0; i < older->count; i++)
        if (inode_of(folder, older->file[i].name) == older->file[i].inode) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", older->file[i].name);
        }
    if (names[0])
        ls_warn("%s: what an older export left there and this model does not have would be read as its own: %s; "
                "remove it, or export to a new folder",
                folder, names);
}
