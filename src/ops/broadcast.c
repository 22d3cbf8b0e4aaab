/* y[l] = w for every l: a parameter as an activation, the same for each sample (class tokens, the vector of additive
 * attention, mixing weights of channels).
 *
 * dL/dw = sum over l of dL/dy[l]: by chunks of l where w is small, a function of the shape, which are added in
 * order. */
#include "ops/op_build.h"

typedef struct Broadcast {
    int lead;
    int64_t dim[LS_MAX_RANK];
} Broadcast;

enum { BLOCK = 1024 }; /* elements of w that one piece of work sums */

typedef struct Cut {
    int64_t copies, count; /* y: (copies, count) */
    int64_t blocks, chunks, each;
} Cut;

static Cut cut_of(const LsNode *node)
{
    const Broadcast *b = node->attr;
    Cut c = {.copies = 1, .count = node->in[0]->count};
    for (int i = 0; i < b->lead; i++)
        c.copies *= b->dim[i];
    c.blocks = (c.count + BLOCK - 1) / BLOCK;
    int64_t most = LS_REDUCE_CHUNKS / c.blocks;
    c.chunks = (c.copies + 31) / 32;
    c.chunks = c.chunks > most ? most : c.chunks;
    c.chunks = c.chunks < 1 ? 1 : c.chunks;
    c.each = (c.copies + c.chunks - 1) / c.chunks;
    return c;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *w = node->in[0];
    const Broadcast *b = node->attr;
    int64_t dim[LS_MAX_RANK];
    if (b->lead < 1 || b->lead + w->rank > LS_MAX_RANK)
        return ls_node_fail(node, "broadcast: %d dimensions before those of %s %s: 1 to %d fit", b->lead, w->name,
                            ls_shape_text(w), LS_MAX_RANK - w->rank);
    for (int i = 0; i < b->lead + w->rank; i++)
        dim[i] = i < b->lead ? b->dim[i] : w->dim[i - b->lead];
    for (int i = 0; i < b->lead; i++)
        if (dim[i] < 1)
            return ls_node_fail(node, "broadcast: dimension %d is %lld; it must be at least 1", i, (long long)dim[i]);
    Cut c = cut_of(node);
    node->scratch_backward = c.chunks > 1 ? c.chunks * c.count * (int64_t)sizeof(acc) : 0;
    return ls_node_output(node, LS_REAL, b->lead + w->rank, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Cut c = cut_of(node);
    const LsTensor *w = node->in[0];
    real *y = node->out[0]->data;
    if (w->dtype == LS_REAL)
        memcpy(y, w->data, (size_t)c.count * sizeof *y);
    else
        for (int64_t i = 0; i < c.count; i++)
            ls_store1(y + i, ((const acc *)w->data)[i]);
#pragma omp parallel for schedule(static) if (c.copies * c.count > 16384)
    for (int64_t l = 1; l < c.copies; l++)
        memcpy(y + l * c.count, y, (size_t)c.count * sizeof *y);
    return LS_OK;
}

/* to[j] is, or has added, the sum of dy over copies from `first` to before `end`, for j in one block. */
LS_INLINE void sum_block(const Cut *c, const real *dy, int64_t first, int64_t end, int64_t from, acc *to, bool add)
{
    int64_t columns = c->count - from < BLOCK ? c->count - from : BLOCK, j = 0;
    for (; j + LS_LANES <= columns; j += LS_LANES) {
        vacc sum = {0};
        for (int64_t l = first; l < end; l++)
            sum += ls_load(dy + l * c->count + from + j);
        ls_store_acc(to + j, add ? ls_load_acc(to + j) + sum : sum);
    }
    for (; j < columns; j++) {
        acc sum = 0;
        for (int64_t l = first; l < end; l++)
            sum += ls_load1(dy + l * c->count + from + j);
        to[j] = add ? to[j] + sum : sum;
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    Cut c = cut_of(node);
    const real *dy = node->out[0]->grad; /* (copies, count) */
    acc *dw = node->in[0]->grad, *part = node->scratch;
    bool add = ls_adds(node, 0);
    if (!ls_wants(node, 0))
        return LS_OK;
#pragma omp parallel for collapse(2) schedule(static) if (c.copies * c.count > 16384)
    for (int64_t chunk = 0; chunk < c.chunks; chunk++)
        for (int64_t block = 0; block < c.blocks; block++) {
            int64_t first = chunk * c.each, end = first + c.each < c.copies ? first + c.each : c.copies;
            acc *to = c.chunks > 1 ? part + chunk * c.count : dw;
            sum_block(&c, dy, first, end, block * BLOCK, to + block * BLOCK, c.chunks == 1 && add);
        }
#pragma omp parallel for schedule(static) if (c.chunks * c.count > 16384)
    for (int64_t j = 0; j < (c.chunks > 1 ? c.count : 0); j++) {
        acc sum = 0;
        for (int64_t chunk = 0; chunk < c.chunks; chunk++)
            sum += part[chunk * c.count + j];
        dw[j] = add ? dw[j] + sum : sum;
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){0, count * sizeof(real)};
    *bwd = (LsCost){count, count * sizeof(real)};
}

/* ls_broadcast(g, w, lead, dim): w: (S...), a parameter; dim: (lead), the dimensions before those of w: most often
 * (B). -> (dim..., S...) */
LS_BUILDER LsTensor *ls_broadcast(LsGraph *g, LsTensor *w, int lead, const int64_t *dim)
{
    Broadcast b = {.lead = lead};
    for (int i = 0; i < lead && i < LS_MAX_RANK; i++)
        b.dim[i] = dim[i];
    return ls_node(g, "broadcast", 1, (LsTensor *[]){w}, &b, sizeof b);
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int lead, rank;
        int64_t dim[2], w[3];
        unsigned flags;
    } list[] = {{1, 1, {1}, {1}, 0},         {1, 2, {5}, {2, 33}, 0},  {2, 1, {3, 70}, {19}, LS_PRECISE},
                {1, 3, {3}, {2, 7, 131}, 0}, {2, 1, {40, 50}, {5}, 0}, {1, 1, {90}, {1025}, LS_PRECISE}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsTensor *w = ls_case_param(g, "w", list[which].flags, -1, 1, list[which].rank, list[which].w);
    ls_broadcast(g, w, list[which].lead, list[which].dim);
    return true;
}

LS_OP(broadcast) = {
    .name = "broadcast",
    .formula = "y[l] = w",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .param_in = 1,
    .cases = cases,
};
