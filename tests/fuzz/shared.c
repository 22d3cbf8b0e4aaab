#include "shared.h"

#include "config/config.h"
#include "data/data.h"
#include "lockstep/model.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];
static pid_t folder_owner;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    if (getpid() == folder_owner)
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *own_folder(void)
{
    if (folder[0] && folder_owner == getpid())
        return folder;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/lockstep-fuzz-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    folder_owner = getpid();
    atexit(remove_folder);
    ls_log_mute(true);
    return folder;
}

const char *fuzz_path(const char *name)
{
    static char buffer[8][512];
    static int next;
    char *path = buffer[next++ % 8];
    snprintf(path, sizeof buffer[0], "%s/%s", own_folder(), name);
    return path;
}

void fuzz_write(const char *name, const void *bytes, size_t count)
{
    const char *path = fuzz_path(name);
    FILE *out = fopen(path, "wb");
    FUZZ_ASSERT(out && (count == 0 || fwrite(bytes, 1, count, out) == count));
    fclose(out);
}

void fuzz_remove(const char *name) { nftw(fuzz_path(name), remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

_Noreturn void fuzz_stop(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s (last message: %s)\n", file, line, what, ls_message());
    abort();
}

bool fuzz_is_ok(LsStatus status)
{
    FUZZ_ASSERT(status == LS_OK || ls_message()[0]);
    return status == LS_OK;
}

char *fuzz_part(FuzzParts *parts)
{
    if (!parts->at)
        return NULL;
    size_t left = (size_t)(parts->end - parts->at);
    const uint8_t *end = left ? memchr(parts->at, '\0', left) : NULL;
    char *part = strndup((const char *)parts->at, end ? (size_t)(end - parts->at) : left);
    FUZZ_ASSERT(part);
    parts->at = end ? end + 1 : NULL;
    return part;
}

/* ---- Data sets --------------------------------------------------------------------------------------------------- */

/* A graph of inputs alone, filled from the first samples and from later ones. */
static void read_samples(LsSource *source)
{
    int64_t sequence = source->sequence ? source->sequence : 1;
    if (sequence > 4096 || source->fields.count == 0)
        return;
    LsParams *params = ls_params_new();
    LsShape shape = {.batch = 2, .sequence = sequence, .fields = &source->fields};
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    FUZZ_ASSERT(g);
    int64_t elements = 0;
    for (int i = 0; i < source->fields.count; i++) {
        const LsTensor *input = ls_shape_input(g, &shape, source->fields.list[i].name);
        elements += input ? input->count : 0;
    }
    if (elements < 1 << 22 && ls_params_allocate(params, 1, false) == LS_OK && ls_graph_plan(g) == LS_OK)
        for (int64_t first = 0; first < 4; first += 2)
            fuzz_is_ok(source->fill(source, g, &(LsBatch){first, 2, 0}));
    ls_graph_free(g);
    ls_params_free(params);
}

bool fuzz_read_data(const char *name, const char *path)
{
    static const char *const splits[] = {"train", "validation", "test", "held-out"};
    const LsDataKind *kind = ls_data_kind(name);
    json_t *object = NULL;
    FUZZ_ASSERT(kind);
    bool whole = fuzz_is_ok(ls_data_inspect(path, &object));
    json_decref(object);
    void *settings = kind->use_settings ? ls_alloc(kind->use_settings_bytes) : NULL;
    FUZZ_ASSERT(!settings || ls_settings_defaults(kind->use_settings, settings) == LS_OK);
    for (size_t i = 0; i < LS_COUNT_OF(splits); i++) {
        LsSource *source = NULL;
        bool opened = fuzz_is_ok(kind->open(
            &(LsDataOpen){.path = path, .split = splits[i], .sequence = 8, .seed = 1, .settings = settings}, &source));
        whole = whole && opened;
        if (opened && source)
            read_samples(source);
        ls_source_free(source);
    }
    if (settings)
        ls_settings_free(kind->use_settings, settings);
    ls_free(settings);
    return whole;
}

void fuzz_prepare(const char *name, const char *options, const char *const *source)
{
    const LsDataKind *kind = ls_data_kind(name);
    FUZZ_ASSERT(kind);
    void *settings = ls_alloc(kind->settings_bytes);
    char *copy = ls_strdup(options), *rest = NULL;
    FUZZ_ASSERT(ls_settings_defaults(kind->settings, settings) == LS_OK);
    bool right = true;
    for (char *one = strtok_r(copy, ";", &rest); one && right; one = strtok_r(NULL, ";", &rest)) {
        char *value = strchr(one, '=');
        *value++ = '\0';
        right = fuzz_is_ok(ls_settings_set(kind->settings, settings, one, value));
    }
    FUZZ_ASSERT(right);
    int sources = 0;
    while (source[sources])
        sources++;
    char output[512];
    snprintf(output, sizeof output, "%s", fuzz_path("out.h5"));
    unlink(output);
    bool made = fuzz_is_ok(kind->prepare(settings, sources, (char *const *)(uintptr_t)source, output));
    FUZZ_ASSERT(made == (access(output, F_OK) == 0));
    if (made) {
        json_t *object = NULL;
        FUZZ_ASSERT(ls_data_inspect(output, &object) == LS_OK);
        json_decref(object);
        fuzz_read_data(name, output);
    }
    ls_settings_free(kind->settings, settings);
    ls_free(settings);
    ls_free(copy);
}
