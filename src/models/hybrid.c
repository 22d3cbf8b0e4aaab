/* A model of blocks of several kinds, in the order of a pattern: "mmma" is three blocks of Mamba and one of attention,
 * as in Jamba (Lieber et al. 2024), Zamba and the hybrids of Dao and Gu 2024, section 9. The kinds are those of
 * block_kinds.def; each has settings of its own, which all its blocks share.
 *
 *     x = E[ids];  x = block(x) for each letter;  logits = norm(x) W_head^T */
#include "models/attention_block.h"
#include "models/mamba_block.h"
#include "models/rwkv_block.h"

#include <stdio.h>
#include <string.h>

typedef struct Hybrid {
    int64_t vocabulary, loss_vocabulary, context, width;
    double epsilon;
    char *layers;
    bool tied;
#define BLOCK(letter, name, type, settings, check, build, positions) type name;
#include "models/block_kinds.def"
#undef BLOCK
} Hybrid;

static const LsSetting settings[] = {
    LS_SETTING_INT(Hybrid, vocabulary, "0", 0, 1 << 24, "number of tokens; 0: from the data set"),
    LS_SETTING_INT(Hybrid, loss_vocabulary, "0", 0, 1 << 24,
                   "ids that the loss normalises over, where model.vocabulary is padded above the tokenizer's; 0: all"),
    LS_SETTING_INT(Hybrid, context, "1024", 1, 1 << 24,
                   "tokens a sequence in training by default; with attention the longest sequence"),
    LS_SETTING_STRING(Hybrid, layers, "mmmammma",
                      "blocks in order, a letter each: m Mamba, 2 Mamba-2, a attention and MLP, 4 and 7 RWKV"),
    LS_SETTING_INT(Hybrid, width, "768", 1, 1 << 20, "channels of the residual stream"),
    LS_SETTING_FLOAT(Hybrid, epsilon, "1e-5", 0, 1, "added to the mean square inside the last norm"),
    LS_SETTING_BOOL(Hybrid, tied, "true", "the head uses the token embedding"),
#define BLOCK(letter, name, type, settings, check, build, positions) settings(Hybrid, name, #name "_"),
#include "models/block_kinds.def"
#undef BLOCK
    {0}};

typedef struct Kind {
    char letter;
    const char *name, *settings;
    size_t offset; /* of its settings in Hybrid */
    LsStatus (*check)(const void *block, const LsBlockPlace *place);
    LsTensor *(*build)(LsGraph *g, const void *block, const LsBlockPlace *place, LsTensor *x);
    bool positions;
} Kind;

static const Kind kinds[] = {
#define BLOCK(letter, name, type, settings, check, build, positions)                                                   \
    {letter, #name, "model." #name "_", offsetof(Hybrid, name), check, build, positions},
#include "models/block_kinds.def"
#undef BLOCK
    {0}};

enum { MOST_LAYERS = 1000 };

static const Kind *find_kind(char letter)
{
    const Kind *kind = kinds;
    while (kind->letter && kind->letter != letter)
        kind++;
    return kind->letter ? kind : NULL;
}

static const void *block_of(const Hybrid *m, const Kind *kind) { return (const char *)m + kind->offset; }

static LsBlockPlace place_of(const Hybrid *m, const Kind *kind, const LsShape *shape, LsTensor *position)
{
    return (LsBlockPlace){.width = m->width,
                          .layers = (int64_t)strlen(m->layers),
                          .context = m->context,
                          .shape = shape,
                          .position = position,
                          .settings = kind->settings};
}

static LsStatus unknown_letter(char letter)
{
    char known[256] = "";
    size_t used = 0;
    for (const Kind *kind = kinds; kind->letter; kind++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%c (%s)", used ? ", " : "", kind->letter,
                                 kind->name);
    return ls_fail(LS_USAGE, "model.layers: '%c' is no kind of block; there are %s", letter, known);
}

/* Settings of kinds that the pattern does not have are looked at by nobody. */
static LsStatus check(const void *config)
{
    const Hybrid *m = config;
    size_t layers = strlen(m->layers);
    if (layers < 1 || layers > MOST_LAYERS)
        return ls_fail(LS_USAGE, "model.layers: a pattern of %zu blocks; 1 to %d are possible", layers, MOST_LAYERS);
    if (layers == 1 && m->layers[0] >= '0' && m->layers[0] <= '9')
        return ls_fail(
            LS_USAGE,
            "model.layers: %s would be one block, of the kind that has this letter; a letter for each block, as in "
            "2a22a22a, says how many there are",
            m->layers);
    for (const char *at = m->layers; *at; at++) {
        const Kind *kind = find_kind(*at);
        if (!kind)
            return unknown_letter(*at);
        LsBlockPlace place = place_of(m, kind, NULL, NULL);
        LS_TRY(kind->check(block_of(m, kind), &place));
    }
    return LS_OK;
}

/* Those of kinds of blocks that the pattern has. */
static bool counts(const void *config, const char *setting)
{
    const Hybrid *m = config;
    for (const Kind *kind = kinds; kind->letter; kind++) {
        const char *prefix = kind->settings + strlen("model.");
        if (strncmp(setting, prefix, strlen(prefix)) == 0)
            return strchr(m->layers, kind->letter) != NULL;
    }
    return true;
}

static bool counts_positions(const Hybrid *m)
{
    for (const char *at = m->layers; *at; at++)
        if (find_kind(*at)->positions)
            return true;
    return false;
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Hybrid *m = config;
    LsTensor *ids = ls_shape_input(g, shape, "ids"), *position = NULL, *first[LS_COUNT_OF(kinds)] = {0};
    if (counts_positions(m)) {
        position = ls_stream_position(g, shape);
        if (shape->sequence > m->context && ls_graph_mode(g) != LS_EVAL)
            ls_graph_fail(g, LS_USAGE, "a sequence of %lld tokens is longer than model.context %lld",
                          (long long)shape->sequence, (long long)m->context);
    }
    LsTensor *table = ls_param(g, "token_embedding", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = ls_embedding(g, table, ids); /* x: (B, T, C) */
    for (const char *at = m->layers; *at; at++) {
        const Kind *kind = find_kind(*at);
        LsBlockPlace place = place_of(m, kind, shape, position);
        place.layer = at - m->layers;
        place.first = &first[kind - kinds];
        ls_push(g, "layer.%lld", (long long)place.layer);
        ls_push(g, "%s", kind->name);
        x = kind->build(g, block_of(m, kind), &place, x);
        ls_pop(g);
        ls_pop(g);
    }
    x = ls_rms_norm_block(g, "norm", x, m->epsilon);
    LsTensor *head =
        m->tied ? table : ls_param(g, "head", ls_init_normal(0.02), 2, (int64_t[]){m->vocabulary, m->width});
    return (LsBody){.features = x, .table = head, .loss_classes = m->loss_vocabulary};
}

/* Blocks with positions are attention's. */
static bool endless(const void *config) { return ((const Hybrid *)config)->attention.window > 0; }

const LsModel ls_model_hybrid = {
    .name = "hybrid",
    .summary = "blocks of several kinds in one model: Mamba, Mamba-2, RWKV, attention",
    .paper = "after Lieber et al. 2024, Jamba: a hybrid Transformer-Mamba language model",
    .settings = settings,
    .config_bytes = sizeof(Hybrid),
    .small = "context=16 layers=m2a width=6 mamba_state=3 mamba_rank=2 mamba2_head_dim=3 mamba2_state=3 "
             "attention_heads=3;"
             "context=16 layers=2a width=8 mamba2_head_dim=4 mamba2_groups=2 mamba2_state=3 attention_heads=2 "
             "attention_kv_heads=1 attention_window=3 attention_position=rotary attention_norm=layer "
             "attention_activation=gelu attention_bias=true attention_dropout=0.2 tied=false;"
             "context=16 layers=2m width=6 mamba_state=2 mamba2_head_dim=4 mamba2_state=3;"
             "context=16 layers=a747 width=6 attention_heads=2 rwkv7_head=3 rwkv7_decay_rank=2 rwkv7_rate_rank=3 "
             "rwkv7_value_rank=2 rwkv7_gate_rank=2 rwkv4_hidden=5",
    .check = check,
    .build = build,
    .counts = counts,
    .endless = endless,
};
