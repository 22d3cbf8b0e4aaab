#include "models/encoder.h"

#include <string.h>

LsPositions ls_encoder_positions(const LsEncoder *m)
{
    return (LsPositions){
        .kind = m->position, .max_distance = m->max_distance, .rotary.base = m->rotary_base, .init_std = m->init_std};
}

LsStatus ls_encoder_check(const LsEncoder *m)
{
    LS_TRY(ls_check_multiple("model.width", m->width, "model.heads", m->heads));
    LsPositions positions = ls_encoder_positions(m);
    return ls_positions_check(&positions, "model.", m->width, m->width / m->heads);
}

LsTensor *ls_encoder_dense(LsGraph *g, const LsEncoder *m, const char *name, LsTensor *x, int64_t outputs,
                           LsActivation act)
{
    return ls_dense(g, name, x, outputs, ls_init_normal(m->init_std), true, act);
}

/* x, attended: (B, T, C) -> (B, T, C) */
static LsTensor *block(LsGraph *g, const LsEncoder *m, LsTensor *x, LsTensor *attended)
{
    ls_push(g, "attention");
    LsTensor *y = ls_encoder_dense(g, m, "out", attended, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    x = ls_layer_norm_block(g, "norm_1", ls_add(g, x, ls_drop(g, y, m->dropout)), m->epsilon);
    ls_push(g, "mlp");
    y = ls_encoder_dense(g, m, "in", x, m->hidden ? m->hidden : 4 * m->width, ls_dense_activation(m->activation));
    y = ls_encoder_dense(g, m, "out", y, m->width, LS_NO_ACTIVATION);
    ls_pop(g);
    return ls_layer_norm_block(g, "norm_2", ls_add(g, x, ls_drop(g, y, m->dropout)), m->epsilon);
}

/* x: (B, T, C), plus the vector of its tokens' kinds. */
static LsTensor *add_types(LsGraph *g, const LsEncoder *m, const LsShape *shape, LsTensor *x)
{
    bool given = ls_shape_field(shape, "types");
    if (!given && !m->first_type)
        return x;
    LsTensor *table = ls_param(g, "type_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->types, m->width});
    if (given)
        return ls_add(g, x, ls_embedding(g, table, ls_shape_input(g, shape, "types")));
    /* each token is at the first place of a sequence of its own, and gets the table's first row */
    LsTensor *tokens = ls_reshape(g, x, 3, (int64_t[]){x->dim[0] * x->dim[1], 1, m->width});
    return ls_reshape(g, ls_position_embedding(g, tokens, table, NULL), 3, x->dim);
}

static LsTensor *embed(LsGraph *g, const LsEncoder *m, const LsShape *shape, LsTensor *ids, LsTensor *table)
{
    LsPositions positions = ls_encoder_positions(m);
    LsTensor *x = ls_embedding(g, table, ids);
    x = ls_positions_embed(g, &positions, x, "position_embedding", ls_init_normal(m->init_std), m->context, NULL);
    return ls_drop(g, ls_layer_norm_block(g, "norm", add_types(g, m, shape, x), m->epsilon), m->dropout);
}

LsBody ls_encoder(LsGraph *g, const LsEncoder *m, const LsShape *shape, LsAttend attend, const void *self)
{
    LsTensor *lengths = ls_shape_field(shape, "length") ? ls_shape_input(g, shape, "length") : NULL;
    LsTensor *ids = ls_shape_input(g, shape, "ids");
    LsPositions positions = ls_encoder_positions(m);
    ls_positions_fit(g, &positions, shape->sequence, m->context);
    LsTensor *table =
        ls_param(g, "token_embedding", ls_init_normal(m->init_std), 2, (int64_t[]){m->vocabulary, m->width});
    LsTensor *x = embed(g, m, shape, ids, table); /* (B, T, C) */
    for (int64_t layer = 0; layer < m->layers; layer++) {
        ls_push(g, "layer.%lld", (long long)layer);
        ls_push(g, "attention");
        LsTensor *attended = attend(g, m, self, layer, x, lengths);
        ls_pop(g);
        x = block(g, m, x, attended);
        ls_pop(g);
    }
    LsBody body = {.features = x, .table = table, .both_ways = true};
    if (strcmp(m->pool, "first") == 0) {
        LsTensor *first = ls_pool_global(g, x, lengths, LS_POOL_FIRST);
        body.steps = x;
        body.features = ls_tanh(g, ls_encoder_dense(g, m, "pooler", first, m->width, LS_NO_ACTIVATION));
    }
    return body;
}
