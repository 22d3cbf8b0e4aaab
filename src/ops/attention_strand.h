/* Attention's windows with gaps, and keys that all queries see; a part of src/ops/attention.c.
 *
 * A strand is every n-th token of a stream, from one of the first n on. A window with gaps is a window of tokens of one
 * strand, so that heads with gaps are heads of n shorter sequences whose tokens lie n rows apart: nothing is computed
 * that no query sees. Heads without gaps have one strand, of all tokens. */
#ifndef LS_OPS_ATTENTION_STRAND_H
#define LS_OPS_ATTENTION_STRAND_H

#include "ops/attention_node.h"

typedef struct Strand {
    int64_t b, j;        /* stream and key head */
    int64_t start, step; /* tokens start, start + step, ... */
    Shape s;             /* of its tokens */
} Strand;

/* Tokens of the strand among the first `count` of the stream. */
static int64_t strand_tokens(const Strand *r, int64_t count)
{
    return count > r->start ? (count - r->start + r->step - 1) / r->step : 0;
}

static int64_t strands_of_stream(const Shape *s) { return s->kv_heads - s->dilated + s->dilated * s->dilation; }

static int64_t strand_count(const Shape *s) { return s->batch * strands_of_stream(s); }

static Strand strand_at(const Shape *s, int64_t number)
{
    int64_t each = strands_of_stream(s), plain = s->kv_heads - s->dilated, n = number % each;
    Strand r = {.b = number / each, .j = n, .step = 1, .s = *s};
    if (n < plain)
        return r;
    r.j = plain + (n - plain) / s->dilation;
    r.start = (n - plain) % s->dilation;
    r.step = s->dilation;
    r.s.queries = r.s.keys = strand_tokens(&r, s->queries);
    r.s.row *= r.step;
    r.s.kv_row *= r.step;
    r.s.out_row *= r.step;
    return r;
}

/* The number of a key head's first strand; its others follow. */
static int64_t first_strand(const Shape *s, int64_t b, int64_t j)
{
    int64_t plain = s->kv_heads - s->dilated;
    return b * strands_of_stream(s) + (j < plain ? j : plain + (j - plain) * s->dilation);
}
static int64_t strands_of_head(const Shape *s, int64_t j) { return j < s->kv_heads - s->dilated ? 1 : s->dilation; }

/* Where a strand's log-sum-exps begin among those of a head, which lie strand by strand. */
static int64_t strand_lse(const Strand *r, int64_t tokens)
{
    int64_t more = tokens % r->step;
    return r->start * (tokens / r->step) + (r->start < more ? r->start : more);
}

/* s: of all tokens */
static Keys strand_keys(const LsNode *node, const Shape *s, const Strand *r)
{
    Keys keys = keys_of(node, s, r->b, r->j);
    if (r->step == 1)
        return keys;
    keys.k += r->start * keys.stride;
    keys.v += r->start * keys.stride;
    keys.stride *= r->step;
    keys.count = strand_tokens(r, keys.count);
    return keys;
}

/* ---- Keys that all queries see ----------------------------------------------------------------------------------- */

/* at: (B, G) tokens, of which count: (B) are used; kv: (B, G, 2 Hkv D), their keys and values */
typedef struct Globals {
    real *kv;
    int32_t *at, *count;
} Globals;

static int64_t globals_kv_bytes(const Shape *s)
{
    return LS_ROUND_UP(s->batch * s->globals * 2 * s->kv_heads * s->size * (int64_t)sizeof(real), 64);
}

static int64_t globals_bytes(const Shape *s)
{
    return globals_kv_bytes(s) + LS_ROUND_UP(s->batch * (s->globals + 1) * (int64_t)sizeof(int32_t), 64);
}

static bool holds(const int32_t *list, int64_t count, int32_t value)
{
    for (int64_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* Those of stream b, each once, without those behind its end. */
static LsStatus gather_stream(const LsNode *node, const Shape *s, const Globals *to, int64_t b)
{
    int64_t row = 2 * s->kv_heads * s->size, length = length_of(node, s, b), count = 0;
    int32_t *at = to->at + b * s->globals;
    for (int64_t i = 0; i < s->globals; i++) {
        int32_t token = node->in[GLOBAL] ? ((const int32_t *)node->in[GLOBAL]->data)[b * s->globals + i] : (int32_t)i;
        if (token >= s->keys)
            return ls_fail(LS_DATA, "%s: global token %d of stream %lld is not among the %lld that there are",
                           node->name, (int)token, (long long)b, (long long)s->keys);
        if (token < 0 || token >= length || holds(at, count, token))
            continue;
        memcpy(to->kv + (b * s->globals + count) * row,
               (const real *)node->in[Q]->data + (b * s->queries + token) * s->row + s->heads * s->size,
               (size_t)row * sizeof(real));
        at[count++] = token;
    }
    to->count[b] = (int32_t)count;
    return LS_OK;
}

/* room: of globals_bytes */
static LsStatus gather_globals(const LsNode *node, const Shape *s, void *room, Globals *to)
{
    to->kv = room;
    to->at = (int32_t *)((char *)room + globals_kv_bytes(s));
    to->count = to->at + s->batch * s->globals;
    for (int64_t b = 0; s->globals && b < s->batch; b++)
        LS_TRY(gather_stream(node, s, to, b));
    return LS_OK;
}

/* As a strand's queries see them. */
static GlobalKeys strand_globals(const Shape *s, const Globals *globals, const Strand *r)
{
    if (!s->globals)
        return (GlobalKeys){0};
    int64_t row = 2 * s->kv_heads * s->size;
    const real *k = globals->kv + r->b * s->globals * row + r->j * s->size;
    return (GlobalKeys){.k = k,
                        .v = k + s->kv_heads * s->size,
                        .stride = row,
                        .count = globals->count[r->b],
                        .at = globals->at + r->b * s->globals,
                        .start = r->start,
                        .dilation = r->step,
                        .reach = s->ahead};
}

#endif
