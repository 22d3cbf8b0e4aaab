/* Attention's inputs: their shapes, their checks, and where keys lie; a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_NODE_H
#define LS_OPS_ATTENTION_NODE_H

#include "lockstep/relative.h"
#include "ops/attention_shape.h"

enum { Q, KV, CACHE, POSITION, LENGTHS, GLOBAL, RELATIVE, RELATIVE_Q, SEEN, INPUTS };

/* The node's attribute. */
typedef struct Attention {
    int64_t heads, kv_heads, window, dilation, dilated_heads, globals;
    LsMask mask;
    bool alibi, relative_values;
    int64_t relative_first;
} Attention;

/* The kernel of tiles for operands of this build; NULL where vectors are faster. */
static const LsPanelKernel *kernel_for(const Shape *s)
{
#ifndef LS_OPS_ATTENTION_PANEL_H
    (void)s;
    return NULL;
#elif defined(LS_BUILD_BFLOAT16)
    (void)s;
    return ls_panel_kernel();
#else
    enum { WORTH_SPLITTING = 128 }; /* queries and keys that each element of a float, once split, meets */
    int64_t meets = s->queries < s->keys ? s->queries : s->keys;
    return meets >= WORTH_SPLITTING && s->size > LS_TILE ? ls_panel_tiles() : NULL;
#endif
}

/* The table of relative positions, whose data may not be there yet. */
static Relative relative_of(const LsNode *node, int64_t size)
{
    const Attention *a = node->attr;
    const LsTensor *table = node->in[RELATIVE];
    if (!table)
        return (Relative){0};
    return (Relative){.rows = table->data,
                      .count = table->dim[0],
                      .first = a->relative_first,
                      .row = table->dim[1],
                      .head = table->dim[1] > size ? size : 0,
                      .values = a->relative_values,
                      .own_queries = node->in[RELATIVE_Q]};
}

static Shape shape_of(const LsNode *node)
{
    const Attention *a = node->attr;
    const LsTensor *q = node->in[Q], *kv = node->in[KV], *cache = node->in[CACHE];
    Shape s = {.batch = q->dim[0],
               .queries = q->dim[1],
               .keys = cache ? cache->dim[1]
                       : kv  ? kv->dim[1]
                             : q->dim[1],
               .heads = a->heads,
               .kv_heads = a->kv_heads,
               .row = q->dim[2],
               .window = a->window ? a->window : INT32_MAX / 2,
               .ahead = -1,
               .dilation = a->dilation > 1 && a->dilated_heads ? a->dilation : 1,
               .globals = node->in[GLOBAL] ? node->in[GLOBAL]->dim[1] : a->globals,
               .causal = a->mask == LS_MASK_CAUSAL,
               .alibi = a->alibi};
    s.size = s.row / (kv ? a->heads : a->heads + 2 * a->kv_heads);
    s.kv_row = cache ? cache->dim[2] : kv ? kv->dim[2] : s.row;
    s.group = a->heads / a->kv_heads;
    s.out_row = s.heads * s.size;
    s.lse_row = s.queries;
    if (s.dilation > 1)
        s.dilated = a->dilated_heads / s.group;
    if (a->window && !s.causal) {
        s.ahead = a->window - 1 < s.keys ? a->window - 1 : s.keys;
        s.window = 2 * s.ahead + 1;
    }
    s.padded = LS_ROUND_UP(s.size, LS_TILE_UNIT);
    s.scale = (acc)(1 / sqrt((double)s.size));
    s.relative = relative_of(node, s.size);
    s.kernel = s.relative.count ? NULL : kernel_for(&s); /* bands are vectors' */
    return s;
}

/* Positions of each token in its document. */
static LsStatus check_documents(const LsNode *node, const Shape *s)
{
    const LsTensor *position = node->in[POSITION];
    if (position->rank != 2 || position->dtype != LS_I32 || position->dim[0] != s->batch ||
        position->dim[1] != s->queries)
        return ls_node_fail(node,
                            "attention: without a cache, position %s must be (%lld, %lld) of LS_I32: each token's in "
                            "its document",
                            ls_shape_text(position), (long long)s->batch, (long long)s->queries);
    if (!s->causal || node->in[KV])
        return ls_node_fail(node, "attention: positions in documents are for a causal mask and packed qkv");
    return LS_OK;
}

static LsStatus check_cache(const LsNode *node, const Shape *s)
{
    const LsTensor *cache = node->in[CACHE], *position = node->in[POSITION];
    if (!cache && position)
        return check_documents(node, s);
    if (!cache != !position)
        return ls_node_fail(node, "attention: cache and position go together; one of them is missing");
    if (!cache)
        return LS_OK;
    if (ls_graph_mode(node->graph) != LS_DECODE)
        return ls_node_fail(node, "attention: a cache is for graphs of mode LS_DECODE only");
    if (!s->causal || node->in[KV] || node->in[LENGTHS])
        return ls_node_fail(node, "attention: a cache is for a causal mask, packed qkv and no lengths");
    if (cache->rank != 3 || cache->dtype != LS_REAL || cache->dim[0] != s->batch ||
        cache->dim[2] != 2 * s->kv_heads * s->size)
        return ls_node_fail(node, "attention: cache %s does not fit qkv %s: it must be (%lld, context, %lld)",
                            ls_shape_text(cache), ls_shape_text(node->in[Q]), (long long)s->batch,
                            (long long)(2 * s->kv_heads * s->size));
    if (position->rank != 1 || position->dtype != LS_I32 || position->dim[0] != s->batch)
        return ls_node_fail(node, "attention: position %s must be (%lld) of LS_I32", ls_shape_text(position),
                            (long long)s->batch);
    return LS_OK;
}

/* What goes with a window to both sides alone. */
static LsStatus check_both_sides(const LsNode *node)
{
    const Attention *a = node->attr;
    const LsTensor *q = node->in[Q], *global = node->in[GLOBAL];
    bool asked = a->dilation || a->dilated_heads || a->globals || global;
    if (asked && (!a->window || a->mask != LS_MASK_NONE))
        return ls_node_fail(node, "attention: dilation and global tokens are for a window without a mask");
    if (a->dilation < 0 || a->dilated_heads < 0 || a->dilated_heads > a->heads ||
        a->dilated_heads % (a->heads / a->kv_heads))
        return ls_node_fail(node,
                            "attention: %lld of %lld heads, of which %lld share keys, cannot look at every %lld-th "
                            "token",
                            (long long)a->dilated_heads, (long long)a->heads, (long long)(a->heads / a->kv_heads),
                            (long long)a->dilation);
    if (a->globals < 0 || a->globals > q->dim[1])
        return ls_node_fail(node, "attention: %lld of %lld tokens cannot be global", (long long)a->globals,
                            (long long)q->dim[1]);
    if (global && (global->rank != 2 || global->dtype != LS_I32 || global->dim[0] != q->dim[0]))
        return ls_node_fail(node, "attention: the places of global tokens %s must be (%lld, G) of LS_I32",
                            ls_shape_text(global), (long long)q->dim[0]);
    return LS_OK;
}

/* Relative positions and ALiBi, and how much of a memory is there. */
static LsStatus check_relative(const LsNode *node, const Shape *s)
{
    const LsTensor *table = node->in[RELATIVE], *own = node->in[RELATIVE_Q], *seen = node->in[SEEN];
    int64_t width = s->heads * s->size;
    if ((table || s->alibi) && node->in[KV] && !s->causal)
        return ls_node_fail(node, "attention: queries of another sequence have no distance from the keys");
    if ((table || s->alibi) && (s->dilated || s->globals))
        return ls_node_fail(node, "attention: %s not go with dilation or global tokens",
                            table ? "relative positions do" : "ALiBi does");
    if (table && (table->rank != 2 || table->dtype != LS_REAL || (table->dim[1] != s->size && table->dim[1] != width)))
        return ls_node_fail(node, "attention: relative positions %s must be (N, %lld), or (N, %lld) by head",
                            ls_shape_text(table), (long long)s->size, (long long)width);
    if (own && (!table || own->rank != 3 || own->dtype != LS_REAL || own->dim[0] != s->batch ||
                own->dim[1] != s->queries || own->dim[2] != width))
        return ls_node_fail(node, "attention: queries %s of relative positions must be (%lld, %lld, %lld)",
                            ls_shape_text(own), (long long)s->batch, (long long)s->queries, (long long)width);
    if (seen && (!node->in[KV] || !s->causal || !seen->end || seen->rank != 1 || seen->dtype != LS_ACC ||
                 seen->dim[0] != s->batch))
        return ls_node_fail(node,
                            "attention: what a memory has seen, %s, must be a carry or a state (%lld) of LS_ACC, "
                            "beside kv and a causal mask",
                            ls_shape_text(seen), (long long)s->batch);
    return LS_OK;
}

/* q and kv alone, before anything is computed from them. */
static LsStatus check_operands(const LsNode *node)
{
    const Attention *a = node->attr;
    const LsTensor *q = node->in[Q], *kv = node->in[KV];
    long long heads = a->heads, kv_heads = a->kv_heads;
    if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0)
        return ls_node_fail(node, "attention: %lld heads cannot share %lld key heads evenly", heads, kv_heads);
    if (a->window < 0 || (a->window && kv))
        return ls_node_fail(node, "attention: a window (%lld) is for packed qkv, and at least 1 token wide",
                            (long long)a->window);
    if (!kv && (q->rank != 3 || q->dtype != LS_REAL || q->dim[2] % (heads + 2 * kv_heads) != 0))
        return ls_node_fail(node, "attention: qkv %s must be (B, T, (H + 2 Hkv) D) with H = %lld, Hkv = %lld",
                            ls_shape_text(q), heads, kv_heads);
    if (!kv)
        return check_both_sides(node);
    if (q->rank != 3 || q->dtype != LS_REAL || q->dim[2] % heads != 0 || kv->rank != 3 || kv->dtype != LS_REAL ||
        kv->dim[0] != q->dim[0] || kv->dim[2] != 2 * kv_heads * (q->dim[2] / heads))
        return ls_node_fail(node,
                            "attention: q %s and kv %s must be (B, Tq, H D) and (B, Tk, 2 Hkv D) with H = %lld, "
                            "Hkv = %lld",
                            ls_shape_text(q), ls_shape_text(kv), heads, kv_heads);
    if (a->mask == LS_MASK_CAUSAL && (node->in[LENGTHS] || kv->dim[1] < q->dim[1]))
        return ls_node_fail(
            node,
            "attention: with a causal mask the queries %s are the newest of the tokens of kv %s, without "
            "lengths",
            ls_shape_text(q), ls_shape_text(kv));
    return check_both_sides(node);
}

static LsStatus check_inputs(const LsNode *node)
{
    LS_TRY(check_operands(node));
    Shape s = shape_of(node);
    const LsTensor *lengths = node->in[LENGTHS];
    LS_TRY(check_cache(node, &s));
    LS_TRY(check_relative(node, &s));
    if (lengths && (lengths->rank != 1 || lengths->dtype != LS_I32 || lengths->dim[0] != s.batch))
        return ls_node_fail(node, "attention: lengths %s must be (%lld) of LS_I32", ls_shape_text(lengths),
                            (long long)s.batch);
    return LS_OK;
}

static LsStatus check_lengths(const LsNode *node, const Shape *s)
{
    const int32_t *length = node->in[LENGTHS] ? node->in[LENGTHS]->data : NULL;
    for (int64_t b = 0; length && b < s->batch; b++)
        if (length[b] < 0 || length[b] > s->keys)
            return ls_fail(LS_DATA, "%s: length %d of stream %lld is not within 0 and the %lld keys that there are",
                           node->name, (int)length[b], (long long)b, (long long)s->keys);
    return LS_OK;
}

/* The tensor that holds keys and values, and its element where those of stream b and key head j begin. */
static LsTensor *keys_at(const LsNode *node, const Shape *s, int64_t b, int64_t j, int64_t *at)
{
    LsTensor *x = node->in[CACHE] ? node->in[CACHE] : node->in[KV] ? node->in[KV] : node->in[Q];
    *at = b * s->keys * s->kv_row + ((x == node->in[Q] ? s->heads : 0) + j) * s->size;
    return x;
}

/* Tokens that a stream has. */
static int64_t length_of(const LsNode *node, const Shape *s, int64_t b)
{
    return node->in[LENGTHS] ? ((const int32_t *)node->in[LENGTHS]->data)[b] : s->keys;
}

/* Rows of keys before the first that stream b has: of a memory that is not full yet. */
static int64_t missing_keys(const LsNode *node, const Shape *s, int64_t b)
{
    int64_t memory = s->keys - s->queries;
    if (!node->in[SEEN])
        return 0;
    acc seen = ((const acc *)node->in[SEEN]->data)[b];
    return !(seen > 0) ? memory : seen < (acc)memory ? memory - (int64_t)(seen + (acc)0.5) : 0;
}

/* After a run: the tokens that a memory of so many rows holds then. */
static void count_seen(const LsNode *node, const Shape *s)
{
    const LsTensor *seen = node->in[SEEN];
    for (int64_t b = 0; seen && b < s->batch; b++) {
        int64_t have = s->keys - missing_keys(node, s, b), memory = s->keys - s->queries;
        ((acc *)seen->end->data)[b] = (acc)(have < memory ? have : memory);
    }
}

static Keys keys_of(const LsNode *node, const Shape *s, int64_t b, int64_t j)
{
    int64_t at;
    const real *k = (const real *)keys_at(node, s, b, j, &at)->data + at;
    int64_t missing = missing_keys(node, s, b);
    Keys keys = {.k = k + missing * s->kv_row, .stride = s->kv_row, .count = length_of(node, s, b) - missing};
    keys.v = keys.k + s->kv_heads * s->size;
    if (node->in[CACHE]) {
        int32_t position = ((const int32_t *)node->in[POSITION]->data)[b];
        keys.offset = position - ls_window_first(s->window, position);
        keys.count = keys.offset + s->queries;
    } else if (s->start)
        keys.start = s->start + b * s->queries;
    else if (!s->causal)
        keys.offset = s->ahead >= 0 ? s->ahead : keys.count;
    else if (node->in[KV])
        keys.offset = keys.count - s->queries;
    return keys;
}

/* ---- Documents --------------------------------------------------------------------------------------------------- */

static bool has_documents(const LsNode *node) { return node->in[POSITION] && !node->in[CACHE]; }

static int64_t documents_bytes(const LsNode *node, const Shape *s)
{
    return has_documents(node) ? LS_ROUND_UP(s->batch * s->queries * (int64_t)sizeof(int32_t), 64) : 0;
}

/* Where the document of token t of stream b begins: at the last position of 0 up to t, else with the stream. */
static int64_t document_start(const LsNode *node, const Shape *s, int64_t b, int64_t t)
{
    const int32_t *position = (const int32_t *)node->in[POSITION]->data + b * s->queries;
    while (t > 0 && position[t] != 0)
        t--;
    return t;
}

/* room: of documents_bytes */
static void find_documents(const LsNode *node, Shape *s, void *room)
{
    if (!has_documents(node))
        return;
    int32_t *start = room;
    const int32_t *position = node->in[POSITION]->data;
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t t = 0, first = 0; t < s->queries; t++) {
            int64_t at = b * s->queries + t;
            first = position[at] == 0 ? t : first;
            start[at] = (int32_t)first;
        }
    s->start = start;
}

/* Queries of a stream that have a result; the results of the rest are zero. */
static int64_t queries_of(const LsNode *node, const Shape *s, const Keys *keys)
{
    bool packed = !node->in[KV] && !node->in[CACHE];
    return keys->count == 0 ? 0 : packed && keys->count < s->queries ? keys->count : s->queries;
}

/* Zeros in `columns` columns of rows first..end-1 of x, `stride` apart. */
static void zero_rows(real *x, int64_t first, int64_t end, int64_t stride, int64_t columns)
{
    for (int64_t t = first; t < end; t++)
        memset(x + t * stride, 0, (size_t)columns * sizeof *x);
}

#endif
