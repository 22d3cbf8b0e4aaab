/* y = (sum_j r_j u_j k_j) v, the sum over the channels of a head: what a token says of itself in RWKV 5 to 7, beside
 * the state. With p = sum_j r_j u_j k_j and q = sum_i dy_i v_i:
 *
 *     dv = p dy,   dr = q u k,   dk = q u r,   du = sum over rows of q r k */
#include "ops/row_sums.h"

enum { R, K, V, U };

static int64_t size_of(const LsNode *node) { return node->in[U]->dim[1]; }
static int64_t rows_of(const LsNode *node) { return node->in[R]->count / node->in[U]->count; }

static LsStatus infer(LsNode *node)
{
    const LsTensor *r = node->in[R], *u = node->in[U];
    if (r->dtype != LS_REAL || !ls_rows_same(r, node->in[K]) || !ls_rows_same(r, node->in[V]))
        return ls_node_fail(node, "head_bonus: shapes differ: r %s, k %s, v %s", ls_shape_text(r),
                            ls_shape_text(node->in[K]), ls_shape_text(node->in[V]));
    if (u->rank != 2 || u->dtype != LS_ACC || u->count != r->dim[r->rank - 1])
        return ls_node_fail(node, "head_bonus: u %s must be (heads, N), precise, for r %s", ls_shape_text(u),
                            ls_shape_text(r));
    node->scratch_backward = ls_rows_chunks(r->count / u->count) * u->count * (int64_t)sizeof(acc);
    return ls_node_output(node, LS_REAL, r->rank, r->dim) ? LS_OK : LS_RESOURCE;
}

/* sum_j r_j u_j k_j of one head */
LS_INLINE acc weight_of(const real *r, const real *k, const acc *u, int64_t size)
{
    vacc sum = {0};
    for (int64_t j = 0; j < size; j += LS_LANES)
        sum += ls_load_upto(r + j, size - j) * ls_load_upto(k + j, size - j) * ls_rows_load_acc(u + j, size - j);
    return ls_hsum(sum);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *r = node->in[R]->data, *k = node->in[K]->data, *v = node->in[V]->data;
    const acc *u = node->in[U]->data;
    real *y = node->out[0]->data;
    int64_t size = size_of(node), columns = node->in[U]->count, count = node->in[R]->count;
#pragma omp parallel for schedule(static) if (count > 8192)
    for (int64_t at = 0; at < count; at += size) {
        acc p = weight_of(r + at, k + at, u + at % columns, size);
        for (int64_t j = 0; j < size; j += LS_LANES)
            ls_store_upto(y + at + j, p * ls_load_upto(v + at + j, size - j), size - j);
    }
    return LS_OK;
}

/* One head of one row; sums: (N) += q r k. */
LS_INLINE void backward_head(const LsNode *node, int64_t at, acc *sums)
{
    const real *r = (const real *)node->in[R]->data + at, *k = (const real *)node->in[K]->data + at,
               *v = (const real *)node->in[V]->data + at, *dy = (const real *)node->out[0]->grad + at;
    int64_t size = size_of(node);
    const acc *u = (const acc *)node->in[U]->data + at % node->in[U]->count;
    acc p = weight_of(r, k, u, size);
    vacc total = {0};
    for (int64_t j = 0; j < size; j += LS_LANES)
        total += ls_load_upto(dy + j, size - j) * ls_load_upto(v + j, size - j);
    acc q = ls_hsum(total);
    for (int64_t j = 0; j < size; j += LS_LANES) {
        int64_t n = size - j;
        vacc weight = q * ls_rows_load_acc(u + j, n), left = ls_load_upto(r + j, n), right = ls_load_upto(k + j, n);
        ls_rows_put(node, V, at + j, p * ls_load_upto(dy + j, n), n);
        ls_rows_put(node, R, at + j, weight * right, n);
        ls_rows_put(node, K, at + j, weight * left, n);
        ls_rows_add_acc(sums + j, q * left * right, n);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    int64_t columns = node->in[U]->count, rows = rows_of(node), each = ls_rows_chunk(rows), size = size_of(node);
    acc *parts = node->scratch;
#pragma omp parallel for schedule(static) if (rows * columns > 8192)
    for (int64_t c = 0; c < ls_rows_chunks(rows); c++) {
        acc *sums = parts + c * columns;
        memset(sums, 0, (size_t)columns * sizeof *sums);
        for (int64_t at = c * each * columns; at < ls_least(rows, (c + 1) * each) * columns; at += size)
            backward_head(node, at, sums + at % columns);
    }
    ls_rows_finish(node, U, rows, parts, columns);
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){4 * count, 4 * count * sizeof(real)};
    *bwd = (LsCost){12 * count, 10 * count * sizeof(real)};
}

/* ls_head_bonus(g, r, k, v, u): r, k, v: (..., H N); u: (H, N), a parameter with LS_PRECISE. -> (..., H N) */
LS_BUILDER LsTensor *ls_head_bonus(LsGraph *g, LsTensor *r, LsTensor *k, LsTensor *v, LsTensor *u)
{
    return ls_node(g, "head_bonus", 4, (LsTensor *[]){r, k, v, u}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t list[][4] = {{1, 1, 1, 1}, {2, 3, 2, 5}, {1, 40, 3, 17}, {2, 2, 1, 64}}; /* B, T, H, N */
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *c = list[which], dim[] = {c[0], c[1], c[2] * c[3]};
    LsTensor *r = ls_case_input(g, "r", LS_REAL, -1, 1, 3, dim), *k = ls_case_input(g, "k", LS_REAL, -1, 1, 3, dim);
    LsTensor *v = ls_case_input(g, "v", LS_REAL, -1, 1, 3, dim);
    ls_head_bonus(g, r, k, v, ls_case_param(g, "u", LS_PRECISE, -1, 1, 2, &c[2]));
    return true;
}

LS_OP(head_bonus) = {
    .name = "head_bonus",
    .formula = "y = (sum_j r_j u_j k_j) v, by head",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .saves_in = 0xf,
    .param_in = 1 << U,
    .cases = cases,
};
