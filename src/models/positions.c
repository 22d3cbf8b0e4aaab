#include "models/positions.h"

#include <math.h>
#include <string.h>

static bool is(const LsPositions *p, const char *kind) { return strcmp(p->kind, kind) == 0; }

LsStatus ls_positions_check(const LsPositions *p, const char *at, int64_t width, int64_t head)
{
    if (is(p, "rotary") && !p->rotary.turned && head % 2)
        return ls_fail(LS_USAGE, "%sposition rotary needs an even head size; width / heads is %lld", at,
                       (long long)head);
    if (is(p, "xl") && width % 2)
        return ls_fail(LS_USAGE, "%sposition xl needs an even model.width, as many sines as cosines; it is %lld", at,
                       (long long)width);
    return LS_OK;
}

void ls_positions_fit(LsGraph *g, const LsPositions *p, int64_t sequence, int64_t context)
{
    if (sequence <= context || (!is(p, "learned") && ls_graph_mode(g) == LS_EVAL))
        return;
    if (is(p, "learned"))
        ls_graph_fail(
            g, LS_USAGE,
            "a sequence of %lld tokens is longer than model.context %lld, for which model.position learned has "
            "vectors; model.position=sinusoidal, nezha, xl, rotary, alibi and none can be evaluated at any length",
            (long long)sequence, (long long)context);
    else
        ls_graph_fail(g, LS_USAGE, "a sequence of %lld tokens is longer than model.context %lld", (long long)sequence,
                      (long long)context);
}

LsTensor *ls_positions_embed(LsGraph *g, const LsPositions *p, LsTensor *x, const char *name, LsInit init,
                             int64_t context, LsTensor *position)
{
    int64_t width = x->dim[2];
    if (is(p, "learned"))
        return ls_position_embedding(g, x, ls_param(g, name, init, 2, (int64_t[]){context, width}), position);
    return is(p, "sinusoidal") ? ls_sinusoidal_embedding(g, x, position, sqrt((double)width)) : x;
}

/* The tokens that a query meets at most, its own too. */
static int64_t tokens_in_sight(const LsTensor *qkv, const LsAttention *how)
{
    int64_t tokens = how->cache ? how->cache->dim[1] : qkv->dim[1];
    return how->window && how->window < tokens ? how->window : tokens;
}

/* q: (B, T, H D) plus a parameter of each head, the same for all tokens. */
static LsTensor *add_to_queries(LsGraph *g, const char *name, LsTensor *q, double init_std)
{
    LsTensor *w = ls_param(g, name, ls_init_normal(init_std), 1, &q->dim[2]);
    return ls_add(g, q, ls_broadcast(g, w, 2, (int64_t[]){q->dim[0], q->dim[1]}));
}

LsTensor *ls_xl_queries(LsGraph *g, LsTensor *q, double init_std, LsRelative *relative)
{
    relative->queries = add_to_queries(g, "v", q, init_std);
    return add_to_queries(g, "u", q, init_std);
}

/* Distances run from 0 under a causal mask, else both ways. */
static LsTensor *attend_xl(LsGraph *g, const LsPositions *p, LsTensor *qkv, const LsAttention *how)
{
    int64_t kv_heads = how->kv_heads ? how->kv_heads : how->heads, size = qkv->dim[2] / (how->heads + 2 * kv_heads);
    int64_t tokens = tokens_in_sight(qkv, how), width = how->heads * size;
    LsTensor *q = ls_split(g, qkv, 2, (int64_t[]){width, 2 * kv_heads * size}), *kv = ls_tensor_sibling(q, 1);
    bool causal = how->mask == LS_MASK_CAUSAL;
    LsRelative relative = {.first = causal ? 0 : 1 - tokens};
    LsTensor *distances = ls_sinusoids(g, causal ? tokens : 2 * tokens - 1, width, relative.first, 1, true);
    relative.table = ls_dense(g, "relative", distances, width, ls_init_normal(p->init_std), false, LS_NO_ACTIVATION);
    q = ls_xl_queries(g, q, p->init_std, &relative);
    return ls_relative_attention(g, ls_concat(g, 2, (LsTensor *[]){q, kv}), how, &relative);
}

/* The table of the paper's code: its rows count from the farthest token before the query to the farthest after it. */
static LsTensor *attend_nezha(LsGraph *g, const LsPositions *p, LsTensor *qkv, const LsAttention *how)
{
    int64_t kv_heads = how->kv_heads ? how->kv_heads : how->heads, reach = p->max_distance;
    int64_t size = qkv->dim[2] / (how->heads + 2 * kv_heads);
    LsTensor *table = ls_sinusoids(g, 2 * reach + 1, size, 2 * reach, -1, false);
    return ls_relative_attention(g, qkv, how, &(LsRelative){.table = table, .first = -reach, .values = true});
}

LsTensor *ls_positions_attention(LsGraph *g, const LsPositions *p, LsTensor *qkv, const LsAttention *how)
{
    LsAttention with = *how;
    with.alibi = is(p, "alibi");
    if (is(p, "rotary")) {
        LsRotary rotary = p->rotary;
        int64_t kv_heads = how->kv_heads ? how->kv_heads : how->heads;
        rotary.heads = how->heads + kv_heads;
        rotary.size = qkv->dim[2] / (how->heads + 2 * kv_heads);
        qkv = ls_rotary(g, qkv, how->position, &rotary);
    }
    if (is(p, "nezha"))
        return attend_nezha(g, p, qkv, &with);
    return is(p, "xl") ? attend_xl(g, p, qkv, &with) : ls_attention(g, qkv, &with);
}
