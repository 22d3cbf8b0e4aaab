/* Linformer (Wang et al. 2020): an encoder whose tokens see K sums of all keys and values instead of each of them, so
 * that its time grows with the length alone:
 *
 *     attend(x) = softmax(q (E k)^T / sqrt(D)) F v for each head;  E, F: (K, N), N the longest sequence
 *
 * The rest is in encoder.h. Of shorter sequences the first columns of E and F count, as in the authors' code;
 * padding, from "length" on, is in no sum. */
#include "models/encoder.h"

#include <math.h>
#include <string.h>

typedef struct Linformer {
    LsEncoder encoder;
    int64_t projected;
    char *sharing;
} Linformer;

static const LsSetting settings[] = {
    LS_ENCODER_SETTINGS(Linformer, encoder, "512", LS_POSITION_KINDS_ADDED),
    LS_SETTING_INT(Linformer, projected, "128", 1, 1 << 20, "K, the sums of keys and of values that a token sees"),
    LS_SETTING_CHOICE(
        Linformer, sharing, "headwise", "none|headwise|key_value|layerwise",
        "what has projections of its own: none: each head's keys and values; headwise: a layer's keys, and "
        "its values; key_value: a layer; layerwise: the model"),
    {0}};

static LsStatus check(const void *config) { return ls_encoder_check(&((const Linformer *)config)->encoder); }

/* (P, K, N): entries vary as in the authors' code. */
static LsTensor *projection(LsGraph *g, const Linformer *m)
{
    int64_t heads = m->encoder.heads;
    int64_t parts = strcmp(m->sharing, "none") == 0 ? 2 * heads : strcmp(m->sharing, "headwise") == 0 ? 2 : 1;
    LsInit init = ls_init_normal(1 / sqrt((double)(m->projected + m->encoder.context)));
    return ls_param(g, "projection", init, 3, (int64_t[]){parts, m->projected, m->encoder.context});
}

typedef struct Place {
    const Linformer *model;
    LsTensor *shared; /* the projection of all layers, or NULL */
} Place;

static LsTensor *attend(LsGraph *g, const LsEncoder *m, const void *self, int64_t layer, LsTensor *x, LsTensor *lengths)
{
    (void)layer;
    const Place *place = self;
    LsTensor *q = ls_encoder_dense(g, m, "query", x, m->width, LS_NO_ACTIVATION);
    LsTensor *kv = ls_encoder_dense(g, m, "key_value", x, 2 * m->width, LS_NO_ACTIVATION);
    kv = ls_project_steps(g, kv, place->shared ? place->shared : projection(g, place->model), lengths); /* (B, K, 2C) */
    return ls_attention(g, q, &(LsAttention){.heads = m->heads, .kv = kv});
}

static LsBody build(LsGraph *g, const void *config, const LsShape *shape)
{
    const Linformer *m = config;
    Place place = {.model = m};
    if (strcmp(m->sharing, "layerwise") == 0)
        place.shared = projection(g, m);
    return ls_encoder(g, &m->encoder, shape, attend, &place);
}

const LsModel ls_model_linformer = {
    .name = "linformer",
    .summary = "Transformer encoder whose keys and values are projected along the sequence",
    .paper = "Wang et al. 2020, Linformer: self-attention with linear complexity",
    .settings = settings,
    .config_bytes = sizeof(Linformer),
    .small =
        "context=16 layers=2 width=12 heads=3 projected=4 sharing=none dropout=0 epsilon=1e-5;"
        "context=7 layers=2 width=8 heads=2 projected=3 hidden=5 pool=first dropout=0.2 epsilon=1e-5;"
        "context=9 layers=1 width=8 heads=2 projected=5 sharing=key_value dropout=0 epsilon=1e-5 position=sinusoidal;"
        "context=16 layers=2 width=6 heads=2 projected=3 sharing=layerwise dropout=0 epsilon=1e-5",
    .check = check,
    .build = build,
};
