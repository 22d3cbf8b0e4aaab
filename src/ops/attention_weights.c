/* The weights that attention gives the keys, as a mean over the heads, for pictures:
 *
 *     y_tj = 1/H sum_h softmax_j(q_th . k_jh / sqrt(D))  for j < length
 *
 * Gradients end here. attention itself never holds the weights. */
#include "ops/op_build.h"

enum { Q, KV, LENGTHS, INPUTS };

typedef struct Weights {
    int64_t heads, kv_heads;
} Weights;

static LsStatus infer(LsNode *node)
{
    const Weights *w = node->attr;
    const LsTensor *q = node->in[Q], *kv = node->in[KV], *lengths = node->in[LENGTHS];
    if (w->heads < 1 || w->kv_heads < 1 || w->heads % w->kv_heads || !kv || q->rank != 3 || q->dtype != LS_REAL ||
        q->dim[2] % w->heads || kv->rank != 3 || kv->dtype != LS_REAL || kv->dim[0] != q->dim[0] ||
        kv->dim[2] != 2 * w->kv_heads * (q->dim[2] / w->heads))
        return ls_node_fail(node, "attention_weights: q %s and kv must be (B, Tq, H D) and (B, Tk, 2 Hkv D)",
                            ls_shape_text(q));
    if (lengths && (lengths->rank != 1 || lengths->dtype != LS_I32 || lengths->dim[0] != q->dim[0]))
        return ls_node_fail(node, "attention_weights: lengths %s must be (%lld) of LS_I32", ls_shape_text(lengths),
                            (long long)q->dim[0]);
    return ls_node_output(node, LS_ACC, 3, (int64_t[]){q->dim[0], q->dim[1], kv->dim[1]}) ? LS_OK : LS_RESOURCE;
}

/* Adds one head's share to y: (count). */
static void add_head(const real *q, const real *k, int64_t stride, int64_t size, int64_t count, double scale,
                     double share, acc *y)
{
    double most = -INFINITY, sum = 0;
    for (int pass = 0; pass < 3; pass++)
        for (int64_t j = 0; j < count; j++) {
            double score = 0;
            for (int64_t d = 0; d < size; d++)
                score += (double)ls_load1(q + d) * (double)ls_load1(k + j * stride + d);
            score *= scale;
            if (pass == 0)
                most = fmax(most, score);
            else if (pass == 1)
                sum += exp(score - most);
            else
                y[j] += (acc)(share * exp(score - most) / sum);
        }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const Weights *w = node->attr;
    const LsTensor *q = node->in[Q], *kv = node->in[KV], *lengths = node->in[LENGTHS];
    int64_t size = q->dim[2] / w->heads, queries = q->dim[1], keys = kv->dim[1], stride = kv->dim[2];
    double scale = 1 / sqrt((double)size);
    for (int64_t b = 0; lengths && b < q->dim[0]; b++)
        if (((const int32_t *)lengths->data)[b] < 0 || ((const int32_t *)lengths->data)[b] > keys)
            return ls_fail(LS_DATA, "%s: length %d of stream %lld is not within 0 and the %lld keys that there are",
                           node->name, (int)((const int32_t *)lengths->data)[b], (long long)b, (long long)keys);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < q->dim[0] * queries; row++) {
        int64_t b = row / queries, count = lengths ? ((const int32_t *)lengths->data)[b] : keys;
        acc *y = (acc *)node->out[0]->data + row * keys;
        memset(y, 0, (size_t)keys * sizeof *y);
        for (int64_t h = 0; h < w->heads; h++)
            add_head((const real *)q->data + row * q->dim[2] + h * size,
                     (const real *)kv->data + b * keys * stride + h / (w->heads / w->kv_heads) * size, stride, size,
                     count, scale, 1 / (double)w->heads, y);
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double work = 6 * (double)node->out[0]->count * (double)node->in[Q]->dim[2];
    *fwd = (LsCost){work, (double)(node->in[Q]->count + node->in[KV]->count) * sizeof(real)};
    *bwd = (LsCost){0};
}

/* ls_attention_weights(g, q, how): of ls_attention with these operands, across sequences (how->kv) and without a mask
 * -> (B, Tq, Tk) of LS_ACC; rows of streams without any key are 0. */
LS_BUILDER LsTensor *ls_attention_weights(LsGraph *g, LsTensor *q, const LsAttention *how)
{
    return ls_node(g, "attention_weights", INPUTS, (LsTensor *[]){q, how->kv, how->lengths},
                   &(Weights){how->heads, how->kv_heads ? how->kv_heads : how->heads}, sizeof(Weights));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t b, queries, keys, heads, kv_heads, size;
        bool lengths;
    } list[] = {{1, 1, 1, 1, 1, 1, false}, {2, 3, 5, 4, 2, 3, false}, {3, 2, 9, 2, 2, 4, true}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    int64_t b = list[which].b, keys = list[which].keys, size = list[which].size;
    LsAttention how = {.heads = list[which].heads, .kv_heads = list[which].kv_heads};
    /* a state: forward only */
    LsTensor *q = ls_case_state(g, "q", LS_REAL, -1, 1, 3, (int64_t[]){b, list[which].queries, how.heads * size});
    how.kv = ls_case_input(g, "kv", LS_REAL, -1, 1, 3, (int64_t[]){b, keys, 2 * how.kv_heads * size});
    how.lengths = list[which].lengths ? ls_case_input(g, "lengths", LS_I32, 0, (double)keys + 1, 1, &b) : NULL;
    ls_attention_weights(g, q, &how);
    return true;
}

LS_OP(attention_weights) = {
    .name = "attention_weights",
    .formula = "y_tj = mean over heads of softmax_j(q_t . k_j / sqrt(D))",
    .infer = infer,
    .forward = forward,
    .cost = cost,
    .mixes_time = true,
    .cases = cases,
};
