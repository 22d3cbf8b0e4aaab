/* y_bt = c x_bt + P(t + position_b), or P(position_bt): fixed sinusoids in the place of learned positions
 * (Vaswani et al. 2017, sections 3.4 and 3.5, with c = sqrt(C)), at any position.
 *
 *     P_2i(t) = sin(t f_i)   P_2i+1(t) = cos(t f_i)   f_i = 10000^(-2i/C)          dL/dx = c dL/dy */
#include "ops/sinusoid.h"
#include "ops/token_positions.h"

typedef struct Factor {
    double c;
} Factor;

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *position = node->in[1];
    if (x->rank != 3 || x->dtype != LS_REAL)
        return ls_node_fail(node, "sinusoidal_embedding: x %s must be (B, T, C)", ls_shape_text(x));
    if (!ls_positions_match(position, x))
        return ls_node_fail(node,
                            "sinusoidal_embedding: position %s does not fit x %s: it must be (B) or (B, T) of LS_I32",
                            ls_shape_text(position), ls_shape_text(x));
    node->scratch_forward =
        (position && position->rank == 1 ? x->dim[0] : 1) * x->dim[1] * x->dim[2] * (int64_t)sizeof(acc);
    return ls_node_output(node, LS_REAL, 3, x->dim) ? LS_OK : LS_RESOURCE;
}

/* table: (T, C), or one for each stream where they stand at different positions. */
static void fill(const LsNode *node, const int32_t *position, acc *table)
{
    int64_t tokens = node->in[0]->dim[1], width = node->in[0]->dim[2], streams = position ? node->in[0]->dim[0] : 1;
    int64_t runs = (tokens + SINUSOID_RUN - 1) / SINUSOID_RUN;
#pragma omp parallel for collapse(2) schedule(static) if (streams * tokens * width > 4096)
    for (int64_t b = 0; b < streams; b++)
        for (int64_t n = 0; n < runs; n++) {
            int64_t first = n * SINUSOID_RUN, left = tokens - first;
            ls_sinusoid_rows((double)((position ? position[b] : 0) + first), 1,
                             left < SINUSOID_RUN ? left : SINUSOID_RUN, width, false,
                             table + (b * tokens + first) * width);
        }
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const LsTensor *tensor = node->in[0];
    const real *x = tensor->data;
    real *y = node->out[0]->data;
    acc *table = node->scratch, factor = (acc)((const Factor *)node->attr)->c;
    const int32_t *position = node->in[1] ? node->in[1]->data : NULL, *own = NULL;
    if (ls_has_token_positions(node->in[1])) {
        LS_TRY(ls_check_token_positions(node, node->in[1]));
        own = position;
        position = NULL;
    }
    int64_t width = tensor->dim[2], rows = tensor->dim[0] * tensor->dim[1], period = position ? rows : tensor->dim[1];
    fill(node, position, table);
#pragma omp parallel for schedule(static) if (tensor->count > 8192)
    for (int64_t n = 0; n < rows; n++)
        for (int64_t j = 0; j < width; j += LS_LANES) {
            const acc *from = table + (own ? own[n] : n % period) * width + j;
            vacc sinusoid = width - j >= LS_LANES ? ls_load_acc(from) : ls_load_acc_part(from, width - j);
            int64_t at = n * width + j;
            ls_store_upto(y + at, ls_load_upto(x + at, width - j) * factor + sinusoid, width - j);
        }
    return LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *dy = node->out[0]->grad;
    real *dx = node->in[0]->grad;
    int64_t count = node->in[0]->count;
    acc factor = (acc)((const Factor *)node->attr)->c;
    bool add = ls_adds(node, 0);
    if (!ls_wants(node, 0))
        return LS_OK;
#pragma omp parallel for schedule(static) if (count > 8192)
    for (int64_t i = 0; i < count; i += LS_LANES) {
        vacc slope = ls_load_upto(dy + i, count - i) * factor;
        ls_store_upto(dx + i, add ? ls_load_upto(dx + i, count - i) + slope : slope, count - i);
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const real *x = node->in[0]->data;
    real *y = node->out[0]->data;
    double factor = ((const Factor *)node->attr)->c;
    int64_t tokens = node->in[0]->dim[1], width = node->in[0]->dim[2];
    for (int64_t i = 0; i < node->in[0]->count; i++) {
        int64_t b = i / (tokens * width), t = i / width % tokens, j = i % width;
        double at = (double)ls_token_position(node->in[1], tokens, b, t);
        double angle = at * pow(10000, -2.0 * (double)(j / 2) / (double)width);
        ls_store1(y + i, (acc)(factor * (double)ls_load1(x + i) + (j % 2 ? cos(angle) : sin(angle))));
    }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[0]->count;
    *fwd = (LsCost){2 * count, 2 * count * sizeof(real)};
    *bwd = (LsCost){count, 2 * count * sizeof(real)};
}

/* ls_sinusoidal_embedding(g, x, position, factor): x: (B, T, C), position: (B) LS_I32 input, the tokens each stream has
 * seen before, or (B, T): the position of each token, 0..T-1, else LS_DATA, or NULL (none) ->
 * (B, T, C) = factor x plus the sinusoids of its positions. May take over x's memory. */
LS_BUILDER LsTensor *ls_sinusoidal_embedding(LsGraph *g, LsTensor *x, LsTensor *position, double factor)
{
    return ls_node(g, "sinusoidal_embedding", 2, (LsTensor *[]){x, position}, &(Factor){factor}, sizeof(Factor));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int64_t dim[3];
        int position; /* dimensions */
        double factor;
    } list[] = {{{1, 1, 1}, 0, 1},  {{2, 5, 7}, 0, 2.5},   {{1, 70, 12}, 0, 1},
                {{3, 3, 33}, 1, 4}, {{2, 37, 40}, 1, 0.5}, {{2, 37, 40}, 2, 0.5}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *dim = list[which].dim;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, 3, dim);
    int rank = list[which].position;
    double end = rank == 1 ? 1000 : (double)dim[1];
    LsTensor *position = rank ? ls_case_input(g, "position", LS_I32, 0, end, rank, dim) : NULL;
    ls_sinusoidal_embedding(g, x, position, list[which].factor);
    return true;
}

LS_OP(sinusoidal_embedding) = {
    .name = "sinusoidal_embedding",
    .formula = "y_bt = c x_bt + P(t + position_b), P_2i(t) = sin(t f_i), P_2i+1(t) = cos(t f_i)",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .in_place = 1,
    .mixes_time = true,
    .cases = cases,
};
