#include "data/file_parts.h"

#include "data/samples.h"

#include <stdio.h>
#include <string.h>

typedef struct Missing {
    char attributes[256], arrays[512], members[256]; /* names with commas between them */
} Missing;

static void add_name(char *names, size_t room, const char *name)
{
    size_t used = strlen(names);
    snprintf(names + used, room - used, "%s%s", used ? ", " : "", name);
}

static LsStatus has_array(LsSealed *file, const char *name, bool *exists)
{
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    return ls_sealed_shape(file, name, exists, &type, &rank, dim);
}

static LsStatus look_for_array(LsSealed *file, const char *name, Missing *missing)
{
    bool exists = false;
    LS_TRY(has_array(file, name, &exists));
    if (!exists)
        add_name(missing->arrays, sizeof missing->arrays, name);
    return LS_OK;
}

/* A split that has one array of samples has all of them. *any: some split is there. */
static LsStatus look_for_split(LsSealed *file, const char *const *parts, const char *split, bool must, bool *any,
                               Missing *missing)
{
    char name[128];
    bool there = must;
    for (const char *const *part = parts; *part; part++) {
        bool exists = false;
        snprintf(name, sizeof name, "%s%s", split, *part + 1);
        if (**part == '*')
            LS_TRY(has_array(file, name, &exists));
        there = there || exists;
    }
    *any = *any || there;
    for (const char *const *part = parts; *part && there; part++) {
        snprintf(name, sizeof name, "%s%s", split, *part + 1);
        if (**part == '*')
            LS_TRY(look_for_array(file, name, missing));
    }
    return LS_OK;
}

static LsStatus look_for_samples(LsSealed *file, const char *const *parts, Missing *missing)
{
    bool any = false;
    for (int split = 0; split < LS_SPLITS; split++)
        LS_TRY(look_for_split(file, parts, ls_split_names[split], false, &any, missing));
    return any ? LS_OK : look_for_split(file, parts, ls_split_names[LS_SPLIT_TRAIN], true, &any, missing);
}

#define MEMBER "info."

/* The others, each by itself. info: NULL where the file has none. */
static LsStatus look_for_part(LsSealed *file, const char *part, const json_t *info, Missing *missing)
{
    bool has = true;
    if (*part == '*')
        return LS_OK;
    if (strncmp(part, MEMBER, strlen(MEMBER)) == 0) {
        const char *member = part + strlen(MEMBER);
        if (!json_object_get(info, member))
            add_name(missing->members, sizeof missing->members, member);
        return LS_OK;
    }
    if (*part != '@')
        return look_for_array(file, part, missing);
    LS_TRY(ls_sealed_has(file, part + 1, &has));
    if (!has)
        add_name(missing->attributes, sizeof missing->attributes, part + 1);
    return LS_OK;
}

static LsStatus fail_missing(LsSealed *file, const LsDataKind *kind, const Missing *m)
{
    const char *const names[] = {m->attributes, m->arrays, m->members};
    static const char *const what[] = {"attributes", "arrays", "members of the JSON in /info"};
    char all[1200] = "";
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        size_t used = strlen(all);
        if (names[i][0])
            snprintf(all + used, sizeof all - used, "%s%s: %s", used ? "; " : "", what[i], names[i]);
    }
    return ls_fail(LS_DATA, "%s: a data set of the kind %s has more in it (docs/data.md, In the file); missing are %s",
                   ls_sealed_path(file), kind->name, all);
}

LsStatus ls_file_parts_check(LsSealed *file, const LsDataKind *kind)
{
    Missing missing = {"", "", ""};
    json_t *info = NULL;
    bool has_info = false, samples = false;
    if (!kind->parts)
        return LS_OK;
    LS_TRY(has_array(file, "info", &has_info));
    if (has_info)
        LS_TRY(ls_sealed_read_json(file, "info", &info));
    LsStatus status = LS_OK;
    for (const char *const *part = kind->parts; *part && status == LS_OK; part++) {
        samples = samples || **part == '*';
        status = look_for_part(file, *part, info, &missing);
    }
    json_decref(info);
    LS_TRY(status);
    if (samples)
        LS_TRY(look_for_samples(file, kind->parts, &missing));
    bool whole = !missing.attributes[0] && !missing.arrays[0] && !missing.members[0];
    return whole ? LS_OK : fail_missing(file, kind, &missing);
}
