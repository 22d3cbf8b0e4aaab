/* Data sets for programs in other languages: prepared from raw files, or written array by array. */
#include "api/like.h"
#include "api/seal.h"
#include "config/config.h"
#include "config/nearest.h"
#include "data/data.h"
#include "io/mapped.h"
#include "io/output.h"
#include "lockstep/api.h"

#include <stdlib.h>
#include <string.h>

/* ---- Prepared ---------------------------------------------------------------------------------------------------- */

static LsStatus fail_option(const LsDataKind *kind, const char *name)
{
    LsNearest near = ls_nearest_setting(kind->settings, name);
    return ls_fail(LS_USAGE, "prepare %s has no option '%s'%s", kind->name, name, ls_nearest_hint(&near));
}

/* "name=value" each. */
static LsStatus set_all(const LsDataKind *kind, void *base, int settings, char *const *setting)
{
    for (int i = 0; i < settings; i++) {
        const char *equals = strchr(setting[i], '=');
        char *name = equals ? ls_format("%.*s", (int)(equals - setting[i]), setting[i]) : NULL;
        bool known = name && ls_settings_find(kind->settings, name);
        LsStatus status = known     ? ls_settings_set(kind->settings, base, name, equals + 1)
                          : !equals ? ls_fail(LS_USAGE, "'%s' is no NAME=VALUE", setting[i])
                                    : fail_option(kind, name);
        ls_free(name);
        LS_TRY(status);
    }
    return LS_OK;
}

LsStatus ls_data_prepare(const char *kind, int settings, char *const *setting, int sources, char *const *source,
                         const char *output)
{
    LsOutput *held = NULL;
    const LsDataKind *found = ls_data_kind(kind);
    if (!found)
        return LS_USAGE;
    if (!found->prepare)
        return ls_fail(LS_USAGE, "data of the kind %s stand in no file", kind);
    void *base = ls_alloc(found->settings_bytes);
    LsStatus status = base ? ls_settings_defaults(found->settings, base) : LS_RESOURCE;
    if (status == LS_OK)
        status = set_all(found, base, settings, setting);
    if (status == LS_OK)
        status = ls_like_resolve(found, base);
    if (status == LS_OK) {
        status = ls_output_file(output, "prepare", &held);
        status = status == LS_ERROR ? LS_DATA : status;
    }
    if (status == LS_OK)
        status = found->prepare(base, sources, source, output);
    ls_output_release(held, status == LS_OK);
    if (base)
        ls_settings_free(found->settings, base);
    ls_free(base);
    LsStatus mapped = status == LS_OK ? LS_OK : ls_mapped_check(); /* a better reason than zeros of lost pages */
    return mapped != LS_OK ? mapped : status;
}

LsStatus ls_data_prepare_memory(const char *kind, int settings, char *const *setting, int sources, char *const *source,
                                const char *folder, const char *output)
{
    ls_sources_in_memory(folder);
    LsStatus status = ls_data_prepare(kind, settings, setting, sources, source, output);
    ls_sources_in_memory(NULL);
    return status;
}

LsStatus ls_data_reads_arrays(const char *kind, bool *arrays)
{
    const LsDataKind *found = ls_data_kind(kind);
    *arrays = found && found->arrays;
    return found ? LS_OK : LS_USAGE;
}

LsStatus ls_data_describe(const char *path, char **json)
{
    json_t *object = NULL;
    *json = NULL;
    LS_TRY(ls_data_inspect(path, &object));
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
    *json = text ? ls_strdup(text) : NULL;
    free(text);
    json_decref(object);
    return *json ? LS_OK : ls_fail(LS_RESOURCE, "out of memory for the description of %s", path);
}

/* ---- Array by array ---------------------------------------------------------------------------------------------- */

struct LsWriter {
    LsSealed *file;
    LsOutput *held;
    char kind[64];
};

LsStatus ls_writer_new(const char *path, const char *kind, int version, LsWriter **writer)
{
    LsStatus code = LS_DATA;
    *writer = NULL;
    LS_TRY(ls_seal_code(path, kind, &code));
    LsWriter *w = ls_alloc(sizeof *w);
    if (!w)
        return LS_RESOURCE;
    strncat(w->kind, kind, sizeof w->kind - 1);
    LsStatus status = ls_output_file(path, "write", &w->held);
    status = status == LS_ERROR ? LS_DATA : status;
    if (status == LS_OK && !(w->file = ls_sealed_create(path, kind, version, code)))
        status = ls_message_status();
    if (status == LS_OK)
        *writer = w;
    else
        ls_writer_discard(w);
    return status;
}

void ls_writer_discard(LsWriter *writer)
{
    if (!writer)
        return;
    ls_sealed_discard(writer->file);
    ls_output_release(writer->held, false);
    ls_free(writer);
}

LsStatus ls_writer_commit(LsWriter *writer)
{
    LsStatus status = ls_sealed_commit_checked(writer->file, ls_seal_check, writer->kind);
    ls_output_release(writer->held, status == LS_OK);
    ls_free(writer);
    return status;
}

LsStatus ls_writer_array(LsWriter *writer, const char *name, const char *type, int rank, const int64_t *dim,
                         const void *data)
{
    static const char *const types[] = {
        [LS_FILE_FLOAT32] = "float32", [LS_FILE_UINT8] = "uint8", [LS_FILE_UINT16] = "uint16",
        [LS_FILE_INT32] = "int32",     [LS_FILE_INT64] = "int64", [LS_FILE_UINT64] = "uint64"};
    size_t at = 0;
    while (at < LS_COUNT_OF(types) && strcmp(types[at], type) != 0)
        at++;
    if (at == LS_COUNT_OF(types) || rank < 0 || rank > LS_SEALED_RANK)
        return ls_fail(LS_USAGE,
                       "%s: %d dimensions of %s; at most %d of float32, uint8, uint16, int32, int64 or uint64 are "
                       "written",
                       name, rank, type, LS_SEALED_RANK);
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0)
            return ls_fail(LS_USAGE, "%s: a dimension of %lld", name, (long long)dim[i]);
    return ls_sealed_write(writer->file, name, (LsFileType)at, rank, dim, data, 0);
}

LsStatus ls_writer_text(LsWriter *writer, const char *name, const char *text)
{
    return ls_sealed_set_text(writer->file, name, text);
}

LsStatus ls_writer_int(LsWriter *writer, const char *name, int64_t value)
{
    return ls_sealed_set_int(writer->file, name, value);
}

LsStatus ls_writer_double(LsWriter *writer, const char *name, double value)
{
    return ls_sealed_set_double(writer->file, name, value);
}
