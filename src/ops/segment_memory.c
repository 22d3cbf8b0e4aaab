/* y = (m_1 .. m_M, x_1 .. x_T): what a layer remembers of the tokens before a segment, in front of those of the segment
 * (Dai et al. 2019, "Transformer-XL", section 3.2), and after it the M newest of both.
 *
 *     m'_i = y_{T+i}          dL/dy_total = dL/dy + dL/dm' on rows T + 1 .. T + M, of which m and x get their rows
 *
 * The gradient is that of the whole: where the memory goes from one training step to the next (train.carry) it ends
 * there, as in the paper. */
#include "ops/op_build.h"

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *m = node->in[1];
    if (x->rank != 3 || x->dtype != LS_REAL)
        return ls_node_fail(node, "segment_memory: x %s must be (B, T, C)", ls_shape_text(x));
    if (!m || !m->end || m->rank != 3 || m->dtype != LS_REAL || m->dim[0] != x->dim[0] || m->dim[2] != x->dim[2])
        return ls_node_fail(node, "segment_memory: the memory %s of x %s must be a carry or a state (B, M, C)",
                            m ? ls_shape_text(m) : "(none)", ls_shape_text(x));
    int64_t dim[] = {x->dim[0], m->dim[1] + x->dim[1], x->dim[2]};
    return ls_node_output(node, LS_REAL, 3, dim) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    const LsTensor *x = node->in[0], *m = node->in[1];
    int64_t kept = m->dim[1] * m->dim[2], fresh = x->dim[1] * x->dim[2];
    if (ls_over_ranks(run))
        return ls_fail(LS_USAGE, "%s: a memory of the tokens before is kept by one rank: set train.sequence_ranks to 1",
                       node->name);
#pragma omp parallel for schedule(static) if (node->out[0]->count > 65536)
    for (int64_t b = 0; b < x->dim[0]; b++) {
        real *y = (real *)node->out[0]->data + b * (kept + fresh);
        memcpy(y, (const real *)m->data + b * kept, (size_t)kept * sizeof(real));
        memcpy(y + kept, (const real *)x->data + b * fresh, (size_t)fresh * sizeof(real));
        memcpy((real *)m->end->data + b * kept, y + fresh, (size_t)kept * sizeof(real));
    }
    return LS_OK;
}

/* to: (count) = dy, plus what the new memory asks for of the same numbers of y, `first` being to[0]'s. end: (kept) or
 * NULL. */
static void sum_slopes(real *to, bool add, const real *dy, const real *end, int64_t first, int64_t count, int64_t fresh)
{
    for (int64_t i = 0; i < count; i++) {
        acc sum = ls_load1(dy + first + i) + (add ? ls_load1(to + i) : 0);
        if (end && first + i >= fresh)
            sum += ls_load1(end + first + i - fresh);
        ls_store1(to + i, sum);
    }
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *x = node->in[0], *m = node->in[1];
    int64_t kept = m->dim[1] * m->dim[2], fresh = x->dim[1] * x->dim[2];
#pragma omp parallel for schedule(static) if (node->out[0]->count > 65536)
    for (int64_t b = 0; b < x->dim[0]; b++) {
        const real *dy = (const real *)node->out[0]->grad + b * (kept + fresh);
        const real *end = m->end->grad ? (const real *)m->end->grad + b * kept : NULL;
        if (ls_wants(node, 1))
            sum_slopes((real *)m->grad + b * kept, false, dy, end, 0, kept, fresh);
        if (ls_wants(node, 0))
            sum_slopes((real *)x->grad + b * fresh, ls_adds(node, 0), dy, end, kept, fresh, fresh);
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count, kept = (double)node->in[1]->count;
    *fwd = (LsCost){0, (2 * count + kept) * sizeof(real)};
    *bwd = (LsCost){count, (2 * count + kept) * sizeof(real)};
}

/* ls_segment_memory(g, x, memory): x: (B, T, C); memory: (B, M, C) of LS_REAL (ls_carry, ls_state) -> (B, M + T, C).
 * Sequences that ranks share are refused with LS_USAGE. */
LS_BUILDER LsTensor *ls_segment_memory(LsGraph *g, LsTensor *x, LsTensor *memory)
{
    return ls_node(g, "segment_memory", 2, (LsTensor *[]){x, memory}, NULL, 0);
}

static bool cases(LsGraph *g, int which)
{
    static const int64_t table[][4] = {{1, 1, 1, 1}, {2, 3, 5, 7}, {2, 9, 4, 3}, {1, 4, 4, 33}, {3, 1, 6, 17}};
    if (which >= (int)LS_COUNT_OF(table))
        return false;
    const int64_t *c = table[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, 3, (int64_t[]){c[0], c[1], c[3]});
    ls_segment_memory(g, x, ls_case_carry(g, "memory", LS_REAL, -2, 2, 3, (int64_t[]){c[0], c[2], c[3]}));
    return true;
}

LS_OP(segment_memory) = {
    .name = "segment_memory",
    .formula = "y = (m, x), m' = the M newest rows of y",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .mixes_time = true,
    .cases = cases,
};
