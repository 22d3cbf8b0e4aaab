/* The keys of RWKV-7's recurrence (Peng et al. 2025, equations 5 to 7, 15 and 16), with a in (0, 1), the rate at which
 * the state learns, and a head's length |.|:
 *
 *     z = k n,   h = z / max(|z|, 1e-12)       out[0] = k (1 + (a - 1) m),   out[1] = -h,   out[2] = a h
 *
 * With the results' gradients g0, g1, g2 and e = a g2 - g1:
 *
 *     dz = (e - h sum(e h)) / |z|,   dk = g0 (1 + (a - 1) m) + n dz,   da = g0 k m + g2 h
 *     dn = sum over rows of k dz,   dm = sum over rows of g0 k (a - 1) */
#include "ops/row_sums.h"

enum { K, A, N, M };

#define LEAST_LENGTH ((acc)1e-12)

typedef struct DeltaKeys {
    int64_t heads;
} DeltaKeys;

static int64_t columns_of(const LsNode *node) { return node->in[N]->count; }
static int64_t rows_of(const LsNode *node) { return node->in[K]->count / columns_of(node); }
static int64_t size_of(const LsNode *node) { return columns_of(node) / ((const DeltaKeys *)node->attr)->heads; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *k = node->in[K];
    int64_t heads = ((const DeltaKeys *)node->attr)->heads, columns = k->dim[k->rank - 1];
    if (k->dtype != LS_REAL || !ls_rows_same(k, node->in[A]))
        return ls_node_fail(node, "delta_keys: shapes differ: k %s, a %s", ls_shape_text(k),
                            ls_shape_text(node->in[A]));
    for (int i = N; i <= M; i++)
        if (node->in[i]->rank != 1 || node->in[i]->dtype != LS_ACC || node->in[i]->dim[0] != columns)
            return ls_node_fail(node, "delta_keys: %s %s must be (C), precise, for k %s", i == N ? "n" : "m",
                                ls_shape_text(node->in[i]), ls_shape_text(k));
    if (heads < 1 || columns % heads)
        return ls_node_fail(node, "delta_keys: %lld channels do not make %lld heads", (long long)columns,
                            (long long)heads);
    node->scratch_backward = ls_rows_chunks(k->count / columns) * 2 * columns * (int64_t)sizeof(acc);
    for (int i = 0; i < 3; i++) {
        LsTensor *out = ls_node_output(node, LS_REAL, k->rank, k->dim);
        if (!out)
            return LS_RESOURCE;
        out->needs_grad = node->want != 0;
    }
    return LS_OK;
}

/* 1 / max(|z|, 1e-12) of one head; z = k n */
LS_INLINE acc inverse_length(const real *k, const acc *n, int64_t size)
{
    vacc sum = {0};
    for (int64_t j = 0; j < size; j += LS_LANES) {
        vacc z = ls_load_upto(k + j, size - j) * ls_rows_load_acc(n + j, size - j);
        sum += z * z;
    }
    acc length = (acc)sqrt((double)ls_hsum(sum));
    return 1 / (length > LEAST_LENGTH ? length : LEAST_LENGTH);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *k = node->in[K]->data, *a = node->in[A]->data;
    const acc *n = node->in[N]->data, *m = node->in[M]->data;
    real *keys = node->out[0]->data, *minus = node->out[1]->data, *rated = node->out[2]->data;
    int64_t size = size_of(node), columns = columns_of(node), count = node->in[K]->count;
#pragma omp parallel for schedule(static) if (count > 8192)
    for (int64_t at = 0; at < count; at += size) {
        int64_t column = at % columns;
        acc inverse = inverse_length(k + at, n + column, size);
        for (int64_t j = 0; j < size; j += LS_LANES) {
            int64_t left = size - j;
            vacc key = ls_load_upto(k + at + j, left), rate = ls_load_upto(a + at + j, left);
            vacc h = key * ls_rows_load_acc(n + column + j, left) * inverse;
            ls_store_upto(keys + at + j, key * (1 + (rate - 1) * ls_rows_load_acc(m + column + j, left)), left);
            ls_store_upto(minus + at + j, -h, left);
            ls_store_upto(rated + at + j, h * rate, left);
        }
    }
    return LS_OK;
}

/* One head of one row; sums: dn's and, `columns` on, dm's. */
LS_INLINE void backward_head(const LsNode *node, int64_t at, acc *sums, int64_t columns)
{
    int64_t size = size_of(node), column = at % columns;
    const real *k = (const real *)node->in[K]->data + at, *a = (const real *)node->in[A]->data + at;
    const real *g0 = (const real *)node->out[0]->grad + at, *g1 = (const real *)node->out[1]->grad + at,
               *g2 = (const real *)node->out[2]->grad + at;
    const acc *n = (const acc *)node->in[N]->data + column, *m = (const acc *)node->in[M]->data + column;
    acc inverse = inverse_length(k, n, size);
    vacc total = {0};
    for (int64_t j = 0; j < size; j += LS_LANES) {
        int64_t left = size - j;
        vacc h = ls_load_upto(k + j, left) * ls_rows_load_acc(n + j, left) * inverse;
        total += (ls_load_upto(a + j, left) * ls_load_upto(g2 + j, left) - ls_load_upto(g1 + j, left)) * h;
    }
    acc along = inverse * LEAST_LENGTH < 1 ? ls_hsum(total) : 0; /* a length that is not divided by does not change */
    for (int64_t j = 0; j < size; j += LS_LANES) {
        int64_t left = size - j;
        vacc key = ls_load_upto(k + j, left), rate = ls_load_upto(a + j, left);
        vacc by_key = ls_load_upto(g0 + j, left), by_rated = ls_load_upto(g2 + j, left);
        vacc scale = ls_rows_load_acc(n + j, left), share = ls_rows_load_acc(m + j, left);
        vacc h = key * scale * inverse, e = rate * by_rated - ls_load_upto(g1 + j, left);
        vacc dz = (e - h * along) * inverse;
        ls_rows_put(node, K, at + j, by_key * (1 + (rate - 1) * share) + scale * dz, left);
        ls_rows_put(node, A, at + j, by_key * key * share + by_rated * h, left);
        ls_rows_add_acc(sums + column + j, key * dz, left);
        ls_rows_add_acc(sums + columns + column + j, by_key * key * (rate - 1), left);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t columns = columns_of(node), rows = rows_of(node), each = ls_rows_chunk(rows), size = size_of(node);
    acc *parts = node->scratch; /* (chunks, 2, C) */
#pragma omp parallel for schedule(static) if (rows * columns > 8192)
    for (int64_t c = 0; c < ls_rows_chunks(rows); c++) {
        acc *sums = parts + c * 2 * columns;
        memset(sums, 0, (size_t)(2 * columns) * sizeof *sums);
        for (int64_t at = c * each * columns; at < ls_least(rows, (c + 1) * each) * columns; at += size)
            backward_head(node, at, sums, columns);
    }
    ls_rows_finish(node, N, rows, parts, 2 * columns);
    ls_rows_finish(node, M, rows, parts + columns, 2 * columns);
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){10 * count, 5 * count * sizeof(real)};
    *bwd = (LsCost){30 * count, 9 * count * sizeof(real)};
}

/* ls_delta_keys(g, k, a, n, m, heads): k, a: (..., C); n, m: (C), parameters with LS_PRECISE. -> three of (..., C): the
 * keys, and with ls_tensor_sibling 1 and 2 what wkv_heads takes as a and b. All have gradients. */
LS_BUILDER LsTensor *ls_delta_keys(LsGraph *g, LsTensor *k, LsTensor *a, LsTensor *n, LsTensor *m, int64_t heads)
{
    return ls_node(g, "delta_keys", 4, (LsTensor *[]){k, a, n, m}, &(DeltaKeys){heads}, sizeof(DeltaKeys));
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][4] = {{1, 1, 1, 3}, {2, 3, 2, 5}, {1, 40, 3, 17}, {2, 2, 1, 64}}; /* B, T, heads, N */
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *c = list[which], columns = c[2] * c[3], dim[] = {c[0], c[1], columns};
    LsTensor *k = ls_case_input(g, "k", LS_REAL, -1, 1, 3, dim), *a = ls_case_input(g, "a", LS_REAL, 0, 1, 3, dim);
    LsTensor *n = ls_case_param(g, "n", LS_PRECISE, 0.5, 1.5, 1, &columns),
             *m = ls_case_param(g, "m", LS_PRECISE, 0.5, 1.5, 1, &columns);
    ls_delta_keys(g, k, a, n, m, c[2]);
    return true;
}

LS_OP(delta_keys) = {
    .name = "delta_keys",
    .formula = "k (1 + (a - 1) m),  -h,  a h,  with h = k n / |k n| by head",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 0xf,
    .param_in = 1 << N | 1 << M,
    .cases = cases,
};
