/* Cases that attention is checked and timed with; the end of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_CASES_H
#define LS_OPS_ATTENTION_CASES_H

typedef struct Case {
    int64_t b, t, heads, kv_heads, size;
    int64_t context; /* of a cache; 0: none */
    int64_t keys;    /* of cross-attention; 0: self-attention */
    LsMask mask;
    bool lengths;
    int64_t window;
    bool alibi;
    int64_t rows, first; /* of a table of relative positions; 0: none */
    bool shared, own, values, seen;
    int64_t dilation, dilated, globals; /* global tokens: the first */
    int64_t global;                     /* so many, given */
    int64_t documents;                  /* of so many tokens, about; 0: a stream is one */
} Case;

#define CAUSAL .mask = LS_MASK_CAUSAL
static const Case case_list[] = {
    {1, 1, 1, 1, 1, CAUSAL},
    {2, 5, 2, 2, 3, CAUSAL},
    {2, 33, 4, 2, 5, CAUSAL},
    {1, 70, 1, 1, 16, CAUSAL},
    {1, 37, 6, 1, 8, CAUSAL},
    {2, 130, 1, 1, 4, CAUSAL},
    {1, 300, 1, 1, 2, CAUSAL},
    {2, 1, 4, 2, 5, 9, CAUSAL},
    {3, 1, 2, 2, 16, 140, CAUSAL},
    {2, 7, 2, 1, 3, 11, CAUSAL},
    {1, 40, 1, 1, 20, 90, CAUSAL},
    {1, 100, 2, 1, 36, CAUSAL},
    {1, 70, 1, 1, 50, 100, CAUSAL},
    {1, 150, 2, 1, 17, CAUSAL},
    {2, 129, 1, 1, 50, CAUSAL},
    {1, 131, 2, 1, 40, 200, CAUSAL},
    {2, 72, 4, 2, 32, CAUSAL},
    {1, 24, 2, 1, 16, 64, CAUSAL},
    {2, 33, 4, 2, 5},
    {1, 150, 2, 2, 17},
    {1, 300, 1, 1, 2},
    {5, 33, 2, 1, 5, .lengths = true},
    {3, 140, 2, 2, 18, .lengths = true},
    {4, 75, 2, 1, 6, CAUSAL, .lengths = true},
    {2, 9, 2, 2, 3, .keys = 70},
    {2, 70, 4, 2, 8, .keys = 13},
    {2, 130, 1, 1, 17, .keys = 129},
    {3, 20, 2, 1, 16, .keys = 33, .lengths = true},
    {3, 1, 2, 1, 20, .keys = 100, .lengths = true},
    {2, 1, 2, 2, 3, .keys = 5},
    {1, 5, 1, 1, 3, CAUSAL, .window = 1},
    {2, 33, 4, 2, 5, CAUSAL, .window = 7},
    {1, 150, 2, 1, 17, CAUSAL, .window = 64},
    {1, 300, 1, 1, 2, CAUSAL, .window = 65},
    {2, 200, 2, 2, 33, CAUSAL, .window = 40},
    {1, 90, 2, 1, 50, CAUSAL, .window = 1000},
    {3, 140, 2, 1, 6, CAUSAL, .window = 20, .lengths = true},
    {3, 1, 4, 2, 16, 140, CAUSAL, .window = 33},
    {1, 70, 1, 1, 20, 230, CAUSAL, .window = 50},
    {2, 40, 6, 3, 5, CAUSAL, .alibi = true},
    {1, 140, 1, 1, 40, CAUSAL, .alibi = true},
    {2, 1, 3, 1, 16, 70, CAUSAL, .alibi = true},
    {2, 5, 3, 3, 4, 70, CAUSAL, .window = 9, .alibi = true},
    {2, 66, 2, 1, 10, .keys = 200, CAUSAL, .alibi = true},
    {2, 40, 6, 3, 5, .alibi = true},
    {1, 150, 2, 1, 17, .alibi = true},
    {3, 140, 2, 2, 18, .alibi = true, .lengths = true},
    {2, 200, 2, 2, 33, .alibi = true, .window = 40},
    {3, 140, 3, 1, 6, .alibi = true, .window = 20, .lengths = true},
    {2, 5, 2, 2, 3, CAUSAL, .rows = 5},
    {1, 150, 2, 1, 17, CAUSAL, .rows = 150, .own = true},
    {2, 70, 4, 2, 6, CAUSAL, .rows = 9, .first = -2, .shared = true, .values = true, .window = 40},
    {2, 75, 2, 2, 5, .rows = 41, .first = -20, .shared = true, .values = true},
    {3, 140, 2, 2, 18, .rows = 279, .first = -139, .own = true, .lengths = true},
    {2, 7, 2, 1, 3, 80, CAUSAL, .rows = 80, .own = true},
    {3, 1, 4, 2, 16, 90, CAUSAL, .rows = 21, .first = -10, .shared = true, .values = true},
    {2, 9, 2, 2, 3, .keys = 30, CAUSAL, .rows = 30, .own = true, .seen = true},
    {2, 66, 2, 1, 10, .keys = 200, CAUSAL, .rows = 200, .own = true, .seen = true},
    {3, 1, 2, 2, 17, .keys = 40, CAUSAL, .rows = 12, .seen = true},
    {1, 70, 2, 1, 5, .keys = 100, CAUSAL},
    {1, 5, 1, 1, 3, .window = 1},
    {2, 33, 4, 2, 5, .window = 7},
    {1, 300, 1, 1, 2, .window = 33},
    {2, 200, 2, 2, 33, .window = 40},
    {1, 90, 2, 1, 50, .window = 1000},
    {3, 140, 2, 1, 6, .window = 20, .lengths = true},
    {2, 130, 4, 2, 5, .window = 9, .dilation = 3, .dilated = 2},
    {1, 5, 2, 2, 3, .window = 2, .dilation = 7, .dilated = 2},
    {3, 100, 2, 2, 4, .window = 5, .dilation = 2, .dilated = 1, .lengths = true},
    {2, 70, 2, 1, 6, .window = 8, .globals = 3},
    {1, 150, 2, 1, 17, .window = 33, .globals = 70},
    {3, 140, 2, 2, 18, .window = 20, .lengths = true, .global = 5},
    {2, 100, 4, 2, 5, .window = 6, .dilation = 3, .dilated = 2, .lengths = true, .global = 4},
    {2, 75, 2, 2, 5, .window = 20, .rows = 39, .first = -19, .shared = true, .values = true},
    {3, 140, 2, 2, 18, .window = 40, .rows = 79, .first = -39, .own = true, .lengths = true},
    {2, 5, 2, 2, 3, CAUSAL, .documents = 2},
    {3, 150, 4, 2, 17, CAUSAL, .documents = 5},
    {2, 200, 1, 1, 40, CAUSAL, .documents = 60},
    {1, 300, 1, 1, 2, CAUSAL, .documents = 200},
    {2, 200, 2, 1, 33, CAUSAL, .documents = 90, .window = 40},
    {3, 140, 2, 2, 6, CAUSAL, .documents = 30, .lengths = true},
    {2, 140, 4, 2, 5, CAUSAL, .documents = 50, .alibi = true},
    {1, 150, 2, 1, 17, CAUSAL, .documents = 40, .rows = 150, .own = true},
    {2, 130, 4, 2, 6, CAUSAL, .documents = 40, .rows = 9, .first = -2, .shared = true, .values = true},
};

static bool cases(LsGraph *g, int which)
{
    if (which >= (int)LS_COUNT_OF(case_list))
        return false;
    const Case *c = &case_list[which];
    LsRelative relative = {.first = c->first, .values = c->values};
    LsAttention how = {.heads = c->heads, .kv_heads = c->kv_heads, .mask = c->mask, .window = c->window};
    how.alibi = c->alibi;
    how.dilation = c->dilation;
    how.dilated_heads = c->dilated;
    how.globals = c->globals;
    int64_t kv_width = 2 * c->kv_heads * c->size, width = c->heads * c->size + (c->keys ? 0 : kv_width);
    LsTensor *q = ls_case_input(g, c->keys ? "q" : "qkv", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->t, width});
    if (c->keys)
        how.kv = ls_case_input(g, "kv", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->keys, kv_width});
    if (c->context) {
        how.cache = ls_case_state(g, "cache", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->context, kv_width});
        how.position = ls_case_input(g, "position", LS_I32, 0, (double)(c->context - c->t + 1), 1, &c->b);
    }
    if (c->documents)
        how.position = ls_case_input(g, "position", LS_I32, 0, (double)c->documents, 2, (int64_t[]){c->b, c->t});
    if (c->lengths)
        how.lengths = ls_case_input(g, "lengths", LS_I32, 0, (double)(c->keys ? c->keys : c->t) + 1, 1, &c->b);
    if (c->global)
        how.global = ls_case_input(g, "global", LS_I32, -1, (double)c->t, 2, (int64_t[]){c->b, c->global});
    if (c->rows)
        relative.table = ls_case_input(g, "relative", LS_REAL, -1, 1, 2,
                                       (int64_t[]){c->rows, c->shared ? c->size : c->heads * c->size});
    if (c->own)
        relative.queries = ls_case_input(g, "a", LS_REAL, -1, 1, 3, (int64_t[]){c->b, c->t, c->heads * c->size});
    if (c->seen)
        relative.seen = ls_case_carry(g, "seen", LS_ACC, -0.4, (double)(c->keys - c->t) + 0.4, 1, &c->b);
    attention(g, q, &how, &relative);
    return true;
}

#endif
