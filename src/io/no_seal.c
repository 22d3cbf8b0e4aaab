/* Files that this program did not write: what they are by their first bytes. */
#include "io/sealed_internal.h"

#include <string.h>

/* Whether a line begins with a job's section. */
static bool is_job(const char *path, const char *block)
{
    static const char *const sections[] = {"model:", "data:", "train:", "task:", "output:", "lora:"};
    const char *ending = strrchr(path, '.');
    if (ending && (strcmp(ending, ".yaml") == 0 || strcmp(ending, ".yml") == 0))
        return true;
    for (const char *line = block; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        for (size_t i = 0; i < LS_COUNT_OF(sections); i++)
            if (strncmp(line, sections[i], strlen(sections[i])) == 0)
                return true;
    return false;
}

/* No control characters, and no bytes that UTF-8 lacks. */
static bool is_text(const char *block, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i++) {
        unsigned char letter = (unsigned char)block[i];
        if ((letter < 32 && !strchr("\t\n\r\f\x1b", letter)) || letter == 0 || letter == 127 || letter >= 0xf8 ||
            letter == 0xc0 || letter == 0xc1)
            return false;
    }
    return bytes > 0;
}

/* Most of the first bytes are as this program writes them, all of them are zero, or the name says that it wrote it. */
static bool seems_damaged(const char *path, const char *block, const char *magic)
{
    const char *ending = strrchr(path, '.');
    size_t same = 0, length = strlen(magic), zeros = 0;
    for (size_t i = 0; i < length; i++) {
        same += block[i] == magic[i];
        zeros += block[i] == '\0';
    }
    return 2 * same > length || zeros == length || (ending && strcmp(ending, ".h5") == 0);
}

LsStatus ls_sealed_fail_foreign(const LsSealed *file, const char *block, int64_t bytes, const char *magic)
{
    bool run = file->code == LS_CHECKPOINT;
    if (memcmp(block, "\x89HDF", 4) == 0)
        return ls_fail(file->code, "%s: an HDF5 file, but not one that this program wrote", file->path);
    if (seems_damaged(file->path, block, magic))
        return ls_fail(file->code, "%s: not a file of this program, or its first bytes are damaged", file->path);
    if (!is_text(block, bytes))
        return ls_fail(file->code, "%s: not a file of this program", file->path);
    if (is_job(file->path, block))
        return ls_fail(file->code, "%s: a job file: name the %s", file->path,
                       run ? "run's folder, its output.path" : "data set, its data.path, or the run's folder");
    return ls_fail(file->code, "%s: a text, and not a file of this program%s", file->path,
                   run ? "" : "; 'lockstep prepare text' makes a data set of it");
}
