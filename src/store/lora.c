#include "store/lora.h"

#include "base/text.h"
#include "gemm/gemm.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static int find_same(const LsParams *params, const LsParam *p)
{
    int at = ls_params_find(params, p->name);
    const LsParam *q = at >= 0 ? &params->list[at] : NULL;
    return q && q->rank == p->rank && memcmp(q->dim, p->dim, sizeof *p->dim * (size_t)p->rank) == 0 ? at : -1;
}

static LsStatus make_digest(const LsParams *layout, const LsParams *params, char digest[LS_DIGEST_TEXT])
{
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return ls_fail(LS_RESOURCE, "out of memory for a digest");
    XXH3_128bits_reset(state);
    for (int i = 0; i < layout->count; i++) {
        const LsParam *q = &params->list[ls_params_find(params, layout->list[i].name)];
        XXH3_128bits_update(state, q->name, strlen(q->name) + 1);
        XXH3_128bits_update(state, params->value + q->offset, (size_t)q->count * sizeof(float));
    }
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    snprintf(digest, LS_DIGEST_TEXT, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return LS_OK;
}

/* A run is used from other folders than the one it was trained in: what train.init names is looked for from the current
 * folder, and then where the training found it; a path of the command line is meant as it is. */
static LsStatus find_base(const LsConfig *config, const char **path)
{
    const char *found = config->lora.base;
    bool said_now = ls_config_line(config, "train", "init") == 0;
    *path = config->train.init;
    if (ls_file_exists(*path))
        return LS_OK;
    if (found && !said_now && ls_file_exists(found)) {
        *path = found;
        return LS_OK;
    }
    return ls_fail(LS_USAGE,
                   "train.init, which lora adapts: %s: there is no such run, checkpoint or folder, looked for from the "
                   "current folder%s%s; give train.init=PATH",
                   *path, found && !said_now ? " and as " : "", found && !said_now ? found : "");
}

LsStatus ls_lora_base(const LsConfig *config, const LsParams *layout, LsStoredModel *base, char digest[LS_DIGEST_TEXT])
{
    const char *path = NULL;
    LS_TRY(find_base(config, &path));
    LsNotes *lacking = ls_alloc(sizeof *lacking);
    LsStatus status = lacking ? ls_stored_model(path, base) : LS_RESOURCE;
    if (status != LS_OK) {
        ls_free(lacking);
        return ls_fail_in(status, "train.init, which lora adapts");
    }
    for (int i = 0; i < layout->count; i++)
        if (find_same(base->params, &layout->list[i]) < 0)
            ls_note(lacking, "%s %s", layout->list[i].name, ls_dims_text(layout->list[i].rank, layout->list[i].dim));
    if (lacking->count > 0)
        status = ls_fail(LS_USAGE, "lora: adapters alone learn, so that all else must be in train.init; %s lacks:%s",
                         base->path, ls_notes_text(lacking));
    else
        status = make_digest(layout, base->params, digest);
    ls_free(lacking);
    return status;
}

/* ---- Merging ----------------------------------------------------------------------------------------------------- */

/* The adapter "NAME.lora_a" of a weight "NAME.weight". NULL: it has none. */
static const float *find_adapter(const LsParams *adapters, const LsParam *weight, const char *which)
{
    const char *dot = strrchr(weight->name, '.');
    if (!dot || strcmp(dot, ".weight") != 0)
        return NULL;
    char *name = ls_format("%.*s.%s", (int)(dot - weight->name), weight->name, which);
    int at = name ? ls_params_find(adapters, name) : -1;
    ls_free(name);
    return at >= 0 ? adapters->value + adapters->list[at].offset : NULL;
}

/* value += scale B A; value: (N, K), b: (N, rank), a: (rank, K). */
static LsStatus merge(float *value, const LsParam *p, const float *a, const float *b, int64_t rank, double scale)
{
    float *scaled = ls_alloc_array(p->dim[0] * rank, sizeof *scaled);
    if (!scaled)
        return LS_RESOURCE;
    for (int64_t i = 0; i < p->dim[0] * rank; i++)
        scaled[i] = (float)(scale * (double)b[i]);
    LsStatus status = ls_gemm(&(LsGemm){.m = p->dim[0],
                                        .n = p->dim[1],
                                        .k = rank,
                                        .a = scaled,
                                        .lda = rank,
                                        .b = a,
                                        .ldb = p->dim[1],
                                        .c = value,
                                        .ldc = p->dim[1],
                                        .accumulate = true});
    ls_free(scaled);
    return status;
}

static LsStatus merge_all(const LsConfig *config, const LsParams *adapters, const LsParams *layout,
                          const LsParams *base)
{
    double scale = config->lora.alpha / (double)config->lora.rank;
    for (int i = 0; i < layout->count; i++) {
        const float *a = find_adapter(adapters, &layout->list[i], "lora_a");
        const float *b = find_adapter(adapters, &layout->list[i], "lora_b");
        const LsParam *p = &base->list[ls_params_find(base, layout->list[i].name)];
        if (a && b)
            LS_TRY(merge(base->value + p->offset, p, a, b, config->lora.rank, scale));
    }
    return LS_OK;
}

void ls_params_copy(const LsParams *from, LsParams *to)
{
    for (int i = 0; i < to->count; i++) {
        const LsParam *p = &to->list[i];
        int at = ls_params_find(from, p->name);
        const float *value = from->value + (at >= 0 ? from->list[at].offset : 0);
        if (at < 0)
            continue;
        if (to->frozen)
            ls_params_put(to, i, value);
        else
            memcpy(to->value + p->offset, value, (size_t)p->count * sizeof *value);
    }
}

int64_t ls_lora_take_off(LsConfig *config)
{
    int64_t rank = config->lora.rank;
    config->lora.rank = 0;
    return rank;
}

/* As ls_checkpoint_read, from the average where one is kept. */
static LsStatus read_weights(LsCheckpoint *checkpoint, const LsConfig *config, LsParams *params, LsParams *running)
{
    if (config->train.average > 0)
        LS_TRY(ls_checkpoint_use_average(checkpoint, params));
    LsSaved saved = running ? (LsSaved){.group = "running", .layout = running, .value = running->value} : (LsSaved){0};
    return ls_checkpoint_read(checkpoint, params, running != NULL, &saved);
}

static LsStatus read_merged(LsCheckpoint *checkpoint, const LsConfig *config, LsParams *params)
{
    LsStatus status = LS_OK;
    LsStoredModel base = {0};
    LsParams *adapters = ls_params_new(), *layout = NULL;
    char digest[LS_DIGEST_TEXT];
    if (!adapters)
        return LS_RESOURCE;
    LS_TRY_CLEANUP(ls_config_declare(config, adapters));
    layout = ls_params_base_take(adapters); /* which needs no memory */
    LS_TRY_CLEANUP(ls_params_allocate(adapters, 0, false));
    LS_TRY_CLEANUP(ls_lora_base(config, layout, &base, digest));
    if (config->lora.digest && strcmp(config->lora.digest, digest) != 0)
        LS_TRY_CLEANUP(ls_fail(LS_CHECKPOINT,
                               "%s: its adapters were trained on another %s, which has changed since (lora.digest %s, "
                               "now %s): bring that one back",
                               checkpoint->path, base.path, config->lora.digest, digest));
    LS_TRY_CLEANUP(read_weights(checkpoint, config, adapters, params->running));
    LS_TRY_CLEANUP(merge_all(config, adapters, layout, base.params));
    ls_params_copy(base.params, params);
cleanup:
    ls_stored_model_free(&base);
    ls_params_free(adapters);
    ls_params_free(layout);
    return status;
}

LsStatus ls_model_read(LsCheckpoint *checkpoint, const LsConfig *config, int64_t rank, LsParams *params)
{
    if (rank == 0)
        return read_weights(checkpoint, config, params, params->running);
    LsConfig adapted = *config;
    adapted.lora.rank = rank;
    return read_merged(checkpoint, &adapted, params);
}
