#include "data/seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

LsStatus ls_seen_add(LsSeen *seen, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return LS_OK;
    if (seen->count == seen->room) {
        int64_t room = seen->room ? 2 * seen->room : 64;
        LsSeenFile *grown = ls_alloc_array(room, sizeof *grown);
        if (!grown)
            return LS_RESOURCE;
        if (seen->count)
            memcpy(grown, seen->list, (size_t)seen->count * sizeof *grown);
        ls_free(seen->list);
        seen->list = grown;
        seen->room = room;
    }
    char *name = ls_strdup(path);
    if (!name)
        return LS_RESOURCE;
    seen->list[seen->count] = (LsSeenFile){(uint64_t)st.st_dev, (uint64_t)st.st_ino, seen->count, name};
    seen->count++;
    return LS_OK;
}

static int by_file(const void *a, const void *b)
{
    const LsSeenFile *one = a, *other = b;
    if (one->device != other->device)
        return one->device < other->device ? -1 : 1;
    if (one->number != other->number)
        return one->number < other->number ? -1 : 1;
    return one->place < other->place ? -1 : one->place > other->place;
}

void ls_seen_warn(LsSeen *seen)
{
    int64_t twice = 0, first = -1;
    if (seen->count > 1)
        qsort(seen->list, (size_t)seen->count, sizeof *seen->list, by_file);
    for (int64_t i = 1; i < seen->count; i++) {
        const LsSeenFile *file = &seen->list[i], *before = file - 1;
        bool same = file->device == before->device && file->number == before->number;
        first = same && (first < 0 || file->place < seen->list[first].place) ? i : first;
        twice += same;
    }
    if (twice == 0)
        return;
    const char *one = seen->list[first - 1].name, *other = seen->list[first].name;
    char *more = twice > 1 ? ls_format(", and %lld more", (long long)twice - 1) : ls_strdup("");
    if (strcmp(one, other) == 0)
        ls_warn("%s: is given twice%s: all of it is read twice; name each file once", one, more ? more : "");
    else
        ls_warn("%s: is the same file as %s%s: all of it is read twice; name each file once", other, one,
                more ? more : "");
    ls_free(more);
}

void ls_seen_free(LsSeen *seen)
{
    for (int64_t i = 0; i < seen->count; i++)
        ls_free(seen->list[i].name);
    ls_free(seen->list);
    *seen = (LsSeen){0};
}
