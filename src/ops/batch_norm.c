/* Batch normalisation (Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing
 * internal covariate shift"): every channel brought to zero mean and unit variance over all else,
 *
 *     y = (x - mean) / sqrt(variance + eps) scale + bias
 *
 * In training mean and variance are those of the batch over all ranks of run->comm, R numbers a channel; elsewhere the
 * running values, which move after a step (ls_running) by
 *
 *     momentum (mean - running mean)       momentum (variance R / (R - 1) - running variance)
 *
 * With h = (x - mean) / sqrt(variance + eps) and averages over the batch of all ranks:
 *
 *     dx = scale / sqrt(variance + eps) (dy - avg(dy) - h avg(dy h))       dscale = sum dy h       dbias = sum dy
 *
 * Each direction makes one sum of 2 C doubles over the ranks. out[1] and out[2] keep mean and variance. */
#include "ops/batch_norm.h"

typedef struct BatchNorm {
    double eps, momentum;
} BatchNorm;

enum { X, SCALE, BIAS, MEAN, VARIANCE, INPUTS };

static bool of_batch(const LsNode *node) { return ls_graph_mode(node->graph) == LS_TRAIN; }

static LsStatus infer(LsNode *node)
{
    static const char *const names[INPUTS] = {"x", "scale", "bias", "running mean", "running variance"};
    const LsTensor *x = node->in[X];
    if (x->rank < 2 || x->dtype != LS_REAL)
        return ls_node_fail(node, "batch_norm: x %s must be (..., C) with at least two dimensions", ls_shape_text(x));
    int64_t channels = x->dim[x->rank - 1];
    for (int i = SCALE; i < INPUTS; i++) {
        const LsTensor *p = node->in[i];
        if (!p && i >= MEAN)
            return ls_node_fail(node, "batch_norm: needs a %s (ls_running)", names[i]);
        if (p && (p->rank != 1 || p->dim[0] != channels))
            return ls_node_fail(node, "batch_norm: %s %s does not fit x %s: it must be (%lld)", names[i],
                                ls_shape_text(p), ls_shape_text(x), (long long)channels);
        if (p && p->dtype != LS_ACC)
            return ls_node_fail(node, "batch_norm: declare %s with LS_PRECISE", names[i]);
    }
    BatchShape s = ls_batch_shape(x);
    int64_t sums = (s.pieces * 2 * s.width + 4 * channels) * (int64_t)sizeof(double);
    node->scratch_forward = sums + 3 * s.width * (int64_t)sizeof(acc);
    node->scratch_backward = sums + 4 * s.width * (int64_t)sizeof(acc);
    if (!ls_node_output(node, LS_REAL, x->rank, x->dim))
        return LS_RESOURCE;
    for (int i = 0; i < 2 && of_batch(node); i++)
        if (!ls_node_output(node, LS_ACC, 1, &channels))
            return LS_RESOURCE;
    return LS_OK;
}

/* The scratch memory: sums of pieces, totals (2, C) of the ranks and of this one, tables of the passes. */
typedef struct Room {
    double *parts, *total, *own;
    acc *center, *factor, *shift, *slope; /* (width) */
} Room;

static Room room_of(const LsNode *node, const BatchShape *s)
{
    Room r = {.parts = node->scratch};
    r.total = r.parts + s->pieces * 2 * s->width;
    r.own = r.total + 2 * s->channels;
    r.center = (acc *)(r.own + 2 * s->channels);
    r.factor = r.center + s->width;
    r.shift = r.factor + s->width;
    r.slope = r.shift + s->width;
    return r;
}

static const LsComm *comm_of(const LsRun *run) { return run->comm ? run->comm : ls_comm_self(); }

static LsStatus sum_over_ranks(const LsRun *run, double *total, int64_t count)
{
    const LsComm *comm = comm_of(run);
    return comm->size > 1 ? comm->allreduce_double(comm, total, count) : LS_OK;
}

/* Numbers a channel, of all ranks. */
static LsStatus count_rows(const LsNode *node, const LsRun *run, const BatchShape *s, double *rows)
{
    *rows = (double)s->rows * comm_of(run)->size;
    return *rows > 1
               ? LS_OK
               : ls_fail(LS_USAGE,
                         "%s: the batch has one number a channel, which has no variance: a larger batch is needed",
                         node->name);
}

static LsStatus batch_statistics(const LsNode *node, const LsRun *run, const BatchShape *s, const Room *r)
{
    acc *mean = node->out[1]->data, *variance = node->out[2]->data;
    double rows;
    LS_TRY(count_rows(node, run, s, &rows));
    ls_batch_sum(s, &(BatchSums){.x = node->in[X]->data, .parts = r->parts}, r->total);
    LS_TRY(sum_over_ranks(run, r->total, 2 * s->channels));
    for (int64_t c = 0; c < s->channels; c++) {
        double center = r->total[c] / rows, square = r->total[s->channels + c] / rows - center * center;
        mean[c] = (acc)center;
        variance[c] = (acc)(square < 0 ? 0 : square); /* NaN stays */
    }
    return LS_OK;
}

/* Fills the centers, factors and shifts that map x to y. */
static void fill_tables(const LsNode *node, const BatchShape *s, const Room *r)
{
    const acc *scale = node->in[SCALE] ? node->in[SCALE]->data : NULL,
              *bias = node->in[BIAS] ? node->in[BIAS]->data : NULL;
    const acc *mean = of_batch(node) ? node->out[1]->data : node->in[MEAN]->data,
              *variance = of_batch(node) ? node->out[2]->data : node->in[VARIANCE]->data;
    double eps = ((const BatchNorm *)node->attr)->eps;
    for (int64_t c = 0; c < s->channels; c++) {
        r->center[c] = mean[c];
        r->factor[c] = (acc)((scale ? (double)scale[c] : 1) / sqrt((double)variance[c] + eps));
        r->shift[c] = bias ? bias[c] : 0;
    }
    ls_batch_repeat(s, r->center);
    ls_batch_repeat(s, r->factor);
    ls_batch_repeat(s, r->shift);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    BatchShape s = ls_batch_shape(node->in[X]);
    Room r = room_of(node, &s);
    if (of_batch(node))
        LS_TRY(batch_statistics(node, run, &s, &r));
    fill_tables(node, &s, &r);
    ls_batch_map(&s, &(BatchMap){.x = node->in[X]->data,
                                 .to = node->out[0]->data,
                                 .center = r.center,
                                 .factor = r.factor,
                                 .shift = r.shift});
    return LS_OK;
}

/* Over the ranks mean and variance one after the other, as they are defined. */
static LsStatus plain_statistics(const LsNode *node, const LsRun *run)
{
    const real *x = node->in[X]->data;
    acc *mean = node->out[1]->data, *variance = node->out[2]->data;
    BatchShape s = ls_batch_shape(node->in[X]);
    double rows;
    LS_TRY(count_rows(node, run, &s, &rows));
    for (int64_t c = 0; c < s.channels; c++) {
        double sum = 0, square = 0;
        for (int64_t r = 0; r < s.rows; r++)
            sum += (double)ls_load1(x + r * s.channels + c);
        LS_TRY(sum_over_ranks(run, &sum, 1));
        for (int64_t r = 0; r < s.rows; r++)
            square += pow((double)ls_load1(x + r * s.channels + c) - sum / rows, 2);
        LS_TRY(sum_over_ranks(run, &square, 1));
        mean[c] = (acc)(sum / rows);
        variance[c] = (acc)(square / rows);
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    BatchShape s = ls_batch_shape(node->in[X]);
    Room r = room_of(node, &s);
    if (of_batch(node))
        LS_TRY(plain_statistics(node, run));
    fill_tables(node, &s, &r);
    const real *x = node->in[X]->data;
    real *y = node->out[0]->data;
    for (int64_t i = 0; i < node->out[0]->count; i++) {
        int64_t c = i % s.channels;
        ls_store1(y + i, (ls_load1(x + i) - r.center[c]) * r.factor[c] + r.shift[c]);
    }
    return LS_OK;
}

/* Leaves the amount by which the running values move towards the batch's, `now` times factor, in their gradient. */
static void leave_move(const LsNode *node, int input, const acc *now, double factor)
{
    const LsTensor *running = node->in[input];
    double momentum = ((const BatchNorm *)node->attr)->momentum;
    const acc *value = running->data;
    acc *move = running->grad;
    for (int64_t c = 0; ls_wants(node, input) && c < running->count; c++) {
        acc by = (acc)(momentum * (factor * (double)now[c] - (double)value[c]));
        move[c] = ls_adds(node, input) ? move[c] + by : by;
    }
}

static void leave_gradient(const LsNode *node, int input, int64_t c, double gradient)
{
    if (!node->in[input] || !ls_wants(node, input))
        return;
    acc *to = (acc *)node->in[input]->grad + c;
    *to = ls_adds(node, input) ? *to + (acc)gradient : (acc)gradient;
}

/* Sums over this rank's rows into own, over all ranks' into total: of dy, and of dy (x - mean). */
static LsStatus sum_gradients(const LsNode *node, const LsRun *run, const BatchShape *s, const Room *r)
{
    ls_batch_sum(s,
                 &(BatchSums){.x = node->in[X]->data, .dy = node->out[0]->grad, .center = r->center, .parts = r->parts},
                 r->own);
    memcpy(r->total, r->own, sizeof *r->own * (size_t)(2 * s->channels));
    return ls_wants(node, X) ? sum_over_ranks(run, r->total, 2 * s->channels) : LS_OK;
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    BatchShape s = ls_batch_shape(node->in[X]);
    Room r = room_of(node, &s);
    const acc *mean = node->out[1]->data, *variance = node->out[2]->data;
    double eps = ((const BatchNorm *)node->attr)->eps, rows;
    LS_TRY(count_rows(node, run, &s, &rows));
    leave_move(node, MEAN, mean, 1);
    leave_move(node, VARIANCE, variance, rows / (rows - 1));
    if (!ls_wants(node, X) && !ls_wants(node, SCALE) && !ls_wants(node, BIAS))
        return LS_OK;
    fill_tables(node, &s, &r);
    LS_TRY(sum_gradients(node, run, &s, &r));
    for (int64_t c = 0; c < s.channels; c++) {
        double rstd = 1 / sqrt((double)variance[c] + eps);
        leave_gradient(node, SCALE, c, r.own[s.channels + c] * rstd);
        leave_gradient(node, BIAS, c, r.own[c]);
        r.shift[c] = (acc)((double)r.factor[c] * r.total[c] / rows);
        r.slope[c] = (acc)((double)r.factor[c] * r.total[s.channels + c] * rstd * rstd / rows);
    }
    if (!ls_wants(node, X))
        return LS_OK;
    ls_batch_repeat(&s, r.shift);
    ls_batch_repeat(&s, r.slope);
    ls_batch_map(&s, &(BatchMap){.x = node->in[X]->data,
                                 .dy = node->out[0]->grad,
                                 .to = node->in[X]->grad,
                                 .center = r.center,
                                 .factor = r.factor,
                                 .slope = r.slope,
                                 .shift = r.shift,
                                 .add = ls_adds(node, X)});
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->in[X]->count, sums = of_batch(node) ? 1 : 0;
    *fwd = (LsCost){(3 + 3 * sums) * count, (2 + sums) * count * sizeof(real)};
    *bwd = (LsCost){10 * count, 5 * count * sizeof(real)};
}

/* ls_batch_norm(g, x, scale, bias, mean, variance, eps, momentum): x: (..., C), such as (B, H, W, C), (B, T, C) and
 * (B, C); scale, bias: (C), parameters with LS_PRECISE | LS_NO_DECAY, or NULL for 1 and 0; mean, variance: (C),
 * ls_running of 0 and of 1. momentum: the batch's part of the new running values (0.1). -> (..., C) */
LS_BUILDER LsTensor *ls_batch_norm(LsGraph *g, LsTensor *x, LsTensor *scale, LsTensor *bias, LsTensor *mean,
                                   LsTensor *variance, double eps, double momentum)
{
    return ls_node(g, "batch_norm", INPUTS, (LsTensor *[]){x, scale, bias, mean, variance}, &(BatchNorm){eps, momentum},
                   sizeof(BatchNorm));
}

static bool cases(LsGraph *g, int which)
{
    static const struct {
        int rank;
        int64_t dim[4];
        bool scale, bias;
    } list[] = {{2, {5, 1}, true, true},        {2, {7, 5}, true, true},         {3, {3, 37, 16}, true, true},
                {4, {2, 5, 7, 3}, true, true},  {4, {3, 4, 4, 20}, true, false}, {3, {2, 9, 531}, false, true},
                {3, {5, 70, 33}, false, false}, {2, {6, 1040}, true, true}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *c = &list[which].dim[list[which].rank - 1];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 2, list[which].rank, list[which].dim);
    LsTensor *scale = list[which].scale ? ls_case_param(g, "scale", LS_PRECISE, 0.5, 1.5, 1, c) : NULL;
    LsTensor *bias = list[which].bias ? ls_case_param(g, "bias", LS_PRECISE, -1, 1, 1, c) : NULL;
    LsTensor *mean = ls_case_running(g, "mean", -1, 1, 1, c), *variance = ls_case_running(g, "variance", 0.5, 2, 1, c);
    ls_batch_norm(g, x, scale, bias, mean, variance, 1e-5, 0.1);
    return true;
}

LS_OP(batch_norm) = {
    .name = "batch_norm",
    .formula = "y = (x - mean) / sqrt(variance + eps) scale + bias, mean and variance of each channel over the batch",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_in = 1u << X | 1u << SCALE,
    .saves_out = 6,
    .param_in = 1u << SCALE | 1u << BIAS,
    .running_in = 1u << MEAN | 1u << VARIANCE,
    .collective = LS_COLLECTIVE,
    .mixes_time = true,
    .in_place = 1u << X,
    .cases = cases,
};
