/* The head of a model of many classes and its loss in one: L = sum over tokens of -sum_k q_k log softmax(x w^T + b)_k,
 * q = (1 - s) onehot(target) + s / V with label smoothing s (Szegedy et al. 2016). A token with the target LS_IGNORE
 * counts for nothing, and nothing is computed for it. Of w only the first `classes` rows count: those past it pad the
 * table, are not normalised over, and have no gradient.
 *
 * With z = x w^T + b: (T, V) and p = softmax(z), over the tokens that count
 *     g = p - q,   dL/dx = g w,   dL/dw = g^T x,   dL/db = sum of g's rows
 *
 * z is made, turned into g and used up in blocks of rows, so it never exists at once. The upstream gradient is one
 * number, so the training forward already makes the gradients, without it, and keeps them in out[1] to out[3]: three
 * matrix products instead of the four of a backward that makes z again, for V C numbers of memory (none where out[2]
 * lies in the gradient of w itself). */
#include "ops/op_build.h"

#include "base/pieces.h"
#include "ops/logits_row.h"

/* The block of logits takes at most this much: 1,024 rows of GPT-2's vocabulary. Blocks of half the size make the op 8
 * % slower, as the table and its gradient pass by more often. */
#define BLOCK_BYTES ((int64_t)200 << 20)
enum { X, W, TARGETS, BIAS, INPUTS };
enum { LOSS, DX, DW, DBIAS };

typedef struct Head {
    int64_t classes; /* 0: all rows of w */
    double smoothing;
} Head;

typedef struct Shape {
    int64_t rows, columns, width; /* tokens, classes, C */
    int64_t stride;               /* of a row of logits: classes rounded up to whole cache lines */
    int64_t block;                /* rows of a block, at most */
} Shape;

static int64_t classes_of(const LsNode *node)
{
    int64_t classes = ((const Head *)node->attr)->classes;
    return classes > 0 ? classes : node->in[W]->dim[0];
}

static Shape shape_of(const LsNode *node)
{
    const LsTensor *x = node->in[X], *w = node->in[W];
    Shape s = {.columns = classes_of(node), .width = w->dim[1]};
    int64_t line = LS_ALIGN / (int64_t)sizeof(acc), row_bytes;
    s.rows = x->count / s.width;
    s.stride = (s.columns + line - 1) / line * line;
    row_bytes = s.stride * (int64_t)sizeof(acc);
    int64_t most = BLOCK_BYTES / row_bytes > 16 ? BLOCK_BYTES / row_bytes : 16;
    int64_t blocks = (s.rows + most - 1) / most;
    s.block = (s.rows + blocks - 1) / blocks;
    return s;
}

/* In scratch memory. x and dx are used where not all rows count. */
typedef struct Work {
    acc *z;        /* (block, stride) */
    double *loss;  /* (rows) */
    int32_t *row;  /* (rows): those that count, in order */
    real *x;       /* (block, C) */
    acc *dx;       /* (block, C) */
    int64_t count; /* rows that count */
    int64_t bytes;
} Work;

static void *take(const LsNode *node, Work *work, int64_t bytes)
{
    char *at = node->scratch ? (char *)node->scratch + work->bytes : NULL;
    work->bytes += ls_round_up(bytes, LS_ALIGN);
    return at;
}

static Work work_of(const LsNode *node, const Shape *s)
{
    Work work = {0};
    work.z = take(node, &work, s->block * s->stride * (int64_t)sizeof(acc));
    work.loss = take(node, &work, s->rows * (int64_t)sizeof(double));
    work.row = take(node, &work, s->rows * (int64_t)sizeof(int32_t));
    work.x = take(node, &work, s->block * s->width * (int64_t)sizeof(real));
    work.dx = take(node, &work, s->block * s->width * (int64_t)sizeof(acc));
    return work;
}

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[X], *w = node->in[W], *targets = node->in[TARGETS], *bias = node->in[BIAS];
    if (x->dtype != LS_REAL || w->dtype != LS_REAL || w->rank != 2 || x->rank < 2 || x->dim[x->rank - 1] != w->dim[1])
        return ls_node_fail(node, "head_cross_entropy: x %s does not fit w %s: x must be (B, T, C), w (V, C)",
                            ls_shape_text(x), ls_shape_text(w));
    bool fits = targets->dtype == LS_I32 && targets->rank == x->rank - 1;
    for (int i = 0; fits && i < targets->rank; i++)
        fits = targets->dim[i] == x->dim[i];
    if (!fits)
        return ls_node_fail(node,
                            "head_cross_entropy: targets %s do not fit x %s: they must be (B, T), 32-bit integers",
                            ls_shape_text(targets), ls_shape_text(x));
    if (bias && (bias->dtype != LS_REAL || bias->rank != 1 || bias->dim[0] != w->dim[0]))
        return ls_node_fail(node, "head_cross_entropy: bias %s does not fit w %s: it must be (V)", ls_shape_text(bias),
                            ls_shape_text(w));
    int64_t classes = ((const Head *)node->attr)->classes;
    if (classes < 0 || classes > w->dim[0])
        return ls_node_fail(node, "head_cross_entropy: %lld classes do not fit w %s: 1 to V, or 0 for all",
                            (long long)classes, ls_shape_text(w));
    Shape s = shape_of(node);
    node->scratch_forward = work_of(node, &s).bytes;
    if (!ls_node_output(node, LS_ACC, 1, (int64_t[]){1}))
        return LS_RESOURCE;
    if (ls_graph_mode(node->graph) != LS_TRAIN)
        return LS_OK;
    bool made = ls_node_output(node, LS_ACC, x->rank, x->dim) && ls_node_output(node, LS_ACC, 2, w->dim) &&
                (!bias || ls_node_output(node, LS_ACC, 1, bias->dim));
    return made ? LS_OK : LS_RESOURCE;
}

static LsStatus check_targets(const LsNode *node)
{
    const LsTensor *targets = node->in[TARGETS];
    const int32_t *target = targets->data;
    int64_t classes = classes_of(node);
    for (int64_t i = 0; i < targets->count; i++)
        if (target[i] != LS_IGNORE && (target[i] < 0 || target[i] >= classes))
            return ls_fail(
                LS_DATA, "%s: target %d at row %lld of %s is outside 0..%lld (and is not %d, which is skipped)",
                node->name, (int)target[i], (long long)i, ls_shape_text(targets), (long long)(classes - 1), LS_IGNORE);
    return LS_OK;
}

/* ---- Rows that count --------------------------------------------------------------------------------------------- */

static bool all_count(const Shape *s, const Work *work) { return work->count == s->rows; }

static void list_rows(const LsNode *node, Work *work)
{
    const int32_t *target = node->in[TARGETS]->data;
    for (int64_t i = 0; i < node->in[TARGETS]->count; i++)
        if (target[i] != LS_IGNORE)
            work->row[work->count++] = (int32_t)i;
}

/* Rows of x from number `from` of those that count, beside each other. */
static const real *rows_of_x(const LsNode *node, const Shape *s, const Work *work, int64_t from, int64_t rows)
{
    const real *x = node->in[X]->data;
    if (all_count(s, work))
        return x + from * s->width;
#pragma omp parallel for schedule(static) if (rows * s->width > 16384)
    for (int64_t i = 0; i < rows; i++)
        memcpy(work->x + i * s->width, x + work->row[from + i] * s->width, (size_t)s->width * sizeof(real));
    return work->x;
}

static void put_rows_of_dx(const LsNode *node, const Shape *s, const Work *work, int64_t from, int64_t rows)
{
    acc *dx = node->out[DX]->data;
#pragma omp parallel for schedule(static) if (rows * s->width > 16384)
    for (int64_t i = 0; i < rows; i++)
        memcpy(dx + work->row[from + i] * s->width, work->dx + i * s->width, (size_t)s->width * sizeof(acc));
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* Gradients of the rows that only pad the table, and of tokens that do not count; all of w's where none does. */
static void clear_gradients(const LsNode *node, const Shape *s, const Work *work)
{
    const int64_t columns = work->count > 0 ? s->columns : 0;
    memset((acc *)node->out[DW]->data + columns * s->width, 0,
           (size_t)((node->in[W]->dim[0] - columns) * s->width) * sizeof(acc));
    if (node->in[BIAS])
        memset((acc *)node->out[DBIAS]->data + columns, 0, (size_t)(node->in[BIAS]->dim[0] - columns) * sizeof(acc));
    if (!all_count(s, work))
        memset(node->out[DX]->data, 0, (size_t)node->out[DX]->count * sizeof(acc));
}

/* Of a block of rows; g: (rows, V), rows as far apart as those of the logits were. */
static LsStatus add_dx(const LsNode *node, const Shape *s, const Work *work, const real *g, int64_t from, int64_t rows)
{
    const bool all = all_count(s, work);
    if (!node->in[X]->needs_grad)
        return LS_OK;
    LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = rows,
                             .n = s->width,
                             .k = s->columns,
                             .a = g,
                             .lda = s->stride * (int64_t)(sizeof(acc) / sizeof(real)),
                             /* the target's 1 outweighs the rest, and w's rows are alike */
                             .a_rowwise_error = true,
                             .b = node->in[W]->data,
                             .ldb = s->width,
                             .c = all ? (acc *)node->out[DX]->data + from * s->width : work->dx,
                             .ldc = s->width,
                             .c_float = true}));
    if (!all)
        put_rows_of_dx(node, s, work, from, rows);
    return LS_OK;
}

static void add_dbias(const Shape *s, const real *g, int64_t rows, bool first, acc *db)
{
    const int64_t stride = s->stride * (int64_t)(sizeof(acc) / sizeof(real));
#pragma omp parallel for schedule(static) if (rows * s->columns > 16384)
    for (int64_t j = 0; j < s->columns; j += LS_LANES) {
        const int64_t n = s->columns - j < LS_LANES ? s->columns - j : LS_LANES;
        vacc sum = first ? (vacc){0} : ls_load_acc_part(db + j, n);
        for (int64_t i = 0; i < rows; i++)
            sum += ls_load_upto(g + i * stride + j, n);
        ls_store_acc_part(db + j, sum, n);
    }
}

/* x: (rows, C). */
static LsStatus add_dw(const LsNode *node, const Shape *s, const real *x, const real *g, bool first, int64_t rows)
{
    LsGemm dw = {.type = LS_GEMM_REAL,
                 .m = s->columns,
                 .n = s->width,
                 .k = rows,
                 .a = g,
                 .lda = s->stride * (int64_t)(sizeof(acc) / sizeof(real)),
                 .transpose_a = true,
                 .a_rowwise_error = true,
                 .b = x,
                 .ldb = s->width,
                 .c = node->out[DW]->data,
                 .ldc = s->width,
                 .c_float = true,
                 .accumulate = !first};
    const bool with_w = node->in[W]->needs_grad && ls_gemm_sums_rows(&dw);
    const bool with_bias = node->in[BIAS] && node->in[BIAS]->needs_grad;
    if (with_bias && with_w)
        dw.row_sums = node->out[DBIAS]->data, dw.add_row_sums = !first;
    else if (with_bias)
        add_dbias(s, g, rows, first, node->out[DBIAS]->data);
    return node->in[W]->needs_grad ? ls_gemm(&dw) : LS_OK;
}

static LsStatus forward_block(const LsNode *node, const Shape *s, const Work *work, int64_t from, int64_t rows)
{
    const bool keep = node->outputs > 1;
    const double smoothing = ((const Head *)node->attr)->smoothing;
    const real *x = rows_of_x(node, s, work, from, rows);
    const int32_t *target = node->in[TARGETS]->data;
    LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                             .m = rows,
                             .n = s->columns,
                             .k = s->width,
                             .a = x,
                             .lda = s->width,
                             .b = node->in[W]->data,
                             .ldb = s->width,
                             .transpose_b = true,
                             .bias = node->in[BIAS] ? node->in[BIAS]->data : NULL,
                             .c = work->z,
                             .ldc = s->stride,
                             .c_float = true}));
#pragma omp parallel for schedule(static) if (rows * s->columns > 4096)
    for (int64_t i = 0; i < rows; i++)
        work->loss[from + i] =
            row_loss(work->z + i * s->stride, s->columns, target[work->row[from + i]], smoothing, keep);
    const real *g = (const real *)(const void *)work->z;
    if (!keep)
        return LS_OK;
    LS_TRY(add_dx(node, s, work, g, from, rows));
    return add_dw(node, s, x, g, from == 0, rows);
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_targets(node));
    Shape s = shape_of(node);
    Work work = work_of(node, &s);
    list_rows(node, &work);
    if (node->outputs > 1)
        clear_gradients(node, &s, &work);
    for (int64_t from = 0; from < work.count; from += s.block)
        LS_TRY(forward_block(node, &s, &work, from, work.count - from < s.block ? work.count - from : s.block));
    double total = 0;
    for (int64_t i = 0; i < work.count; i++)
        total += work.loss[i];
    *(acc *)node->out[LOSS]->data = (acc)total;
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

/* What forward kept, times the upstream gradient, to a parameter's. */
static void scale_to_parameter(const LsNode *node, int in, int out, acc scale)
{
    if (!ls_wants(node, in))
        return;
    const acc *from = node->out[out]->data;
    acc *to = node->in[in]->grad;
    const int64_t count = node->in[in]->count;
    const bool add = ls_adds(node, in);
    if (from == to && scale == 1)
        return;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++)
        to[i] = (add ? to[i] : 0) + scale * from[i];
}

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    acc scale = *(const acc *)node->out[LOSS]->grad;
    if (ls_wants(node, X)) {
        const acc *from = node->out[DX]->data;
        real *dx = node->in[X]->grad;
        int64_t count = node->in[X]->count;
        bool add = ls_adds(node, X);
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < count; i++)
            ls_store1(dx + i, (add ? ls_load1(dx + i) : 0) + scale * from[i]);
    }
    scale_to_parameter(node, W, DW, scale);
    if (node->in[BIAS])
        scale_to_parameter(node, BIAS, DBIAS, scale);
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

static double reference_logit(const LsNode *node, int64_t i, int64_t v)
{
    const int64_t width = node->in[W]->dim[1];
    const real *x = (const real *)node->in[X]->data + i * width, *w = (const real *)node->in[W]->data + v * width;
    double z = node->in[BIAS] ? (double)ls_load1((const real *)node->in[BIAS]->data + v) : 0;
    for (int64_t c = 0; c < width; c++)
        z += (double)ls_load1(x + c) * (double)ls_load1(w + c);
    return z;
}

/* The part of token i and class v in the gradients that are kept, where L's derivative by the logit is g. */
static void reference_gradients(const LsNode *node, int64_t i, int64_t v, double g)
{
    const int64_t width = node->in[W]->dim[1];
    const real *x = (const real *)node->in[X]->data + i * width, *w = (const real *)node->in[W]->data + v * width;
    for (int64_t c = 0; c < width; c++) {
        ((acc *)node->out[DX]->data)[i * width + c] += (acc)(g * (double)ls_load1(w + c));
        ((acc *)node->out[DW]->data)[v * width + c] += (acc)(g * (double)ls_load1(x + c));
    }
    if (node->in[BIAS])
        ((acc *)node->out[DBIAS]->data)[v] += (acc)g;
}

/* One token: its loss; and its part of the gradients where they are kept. */
static double reference_row(const LsNode *node, int64_t i)
{
    const int64_t columns = classes_of(node);
    const double s = ((const Head *)node->attr)->smoothing, even = s / (double)columns;
    int32_t target = ((const int32_t *)node->in[TARGETS]->data)[i];
    double sum = 0, loss = 0;
    if (target == LS_IGNORE)
        return 0;
    for (int64_t v = 0; v < columns; v++)
        sum += exp(reference_logit(node, i, v));
    for (int64_t v = 0; v < columns; v++) {
        double z = reference_logit(node, i, v), q = even + (v == target ? 1 - s : 0);
        loss += q * (log(sum) - z);
        if (node->outputs > 1)
            reference_gradients(node, i, v, exp(z) / sum - q);
    }
    return loss;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_targets(node));
    for (int i = 1; i < node->outputs; i++)
        memset(node->out[i]->data, 0, (size_t)node->out[i]->count * sizeof(acc));
    double total = 0;
    for (int64_t i = 0; i < node->in[TARGETS]->count; i++)
        total += reference_row(node, i);
    *(acc *)node->out[LOSS]->data = (acc)total;
    return LS_OK;
}

/* As if all tokens counted. */
static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double x = (double)node->in[X]->count, w = (double)node->in[W]->count,
           z = (double)node->in[TARGETS]->count * (double)classes_of(node);
    double product = 2 * x * (double)classes_of(node);
    bool keep = node->outputs > 1;
    *fwd = (LsCost){.flops = (keep ? 3 : 1) * product + 8 * z,
                    .bytes = (keep ? 3 : 1) * (x + w) * sizeof(real) + (keep ? 4 : 2) * z * sizeof(acc),
                    .products = (keep ? 3 : 1) * product};
    *bwd = (LsCost){.flops = x + w, .bytes = 2 * (x + w) * sizeof(acc)};
}

/* ls_head_cross_entropy(g, x, w, bias, targets, classes, smoothing): x: (B, T, C), w: (V, C) parameter, bias: (V)
 * parameter or NULL, targets: (B, T) LS_I32 in 0..classes-1 or LS_IGNORE, smoothing 0 to 1 -> (1) LS_ACC: the sum over
 * all targets that are not ignored. classes: rows of w that count, 0 for all V. Forward fails with LS_DATA on any other
 * target. */
LS_BUILDER LsTensor *ls_head_cross_entropy(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *bias, LsTensor *targets,
                                           int64_t classes, double smoothing)
{
    return ls_node(g, "head_cross_entropy", INPUTS, (LsTensor *[]){x, w, targets, bias}, &(Head){classes, smoothing},
                   sizeof(Head));
}

static bool cases(LsGraph *g, int which)
{
    /* B, T, C, V, lowest target: some ignored, or none; classes; smoothing in percent; with a bias */
    static const int64_t list[][8] = {{1, 1, 1, 1, 0, 0, 0, 0},    {2, 3, 5, 7, -1, 0, 0, 0},
                                      {1, 7, 16, 65, -1, 0, 0, 0}, {3, 4, 9, 130, 0, 0, 0, 0},
                                      {1, 2, 3, 1100, 0, 0, 0, 0}, {2, 5, 6, 64, -1, 59, 0, 0},
                                      {1, 3, 8, 40, 0, 2, 0, 0},   {2, 4, 6, 37, -1, 0, 10, 1},
                                      {1, 5, 4, 20, 0, 17, 25, 1}, {2, 3, 5, 9, -1, 0, 0, 1}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *d = list[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){d[0], d[1], d[2]});
    LsTensor *w = ls_case_param(g, "w", 0, -1, 1, 2, (int64_t[]){d[3], d[2]});
    LsTensor *bias = d[7] ? ls_case_param(g, "bias", 0, -1, 1, 1, &d[3]) : NULL;
    LsTensor *targets =
        ls_case_input(g, "targets", LS_I32, (double)d[4], (double)(d[5] ? d[5] : d[3]), 2, (int64_t[]){d[0], d[1]});
    ls_head_cross_entropy(g, x, w, bias, targets, d[5], 0.01 * (double)d[6]);
    return true;
}

LS_OP(head_cross_entropy) = {
    .name = "head_cross_entropy",
    .formula = "L = sum of -log softmax(x w^T + b)[target]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_out = 1 << DX | 1 << DW | 1 << DBIAS,
    .grad_alias = {[DW] = W + 1},
    .param_in = 1 << W | 1 << BIAS,
    .cases = cases,
    .bf16_ulps = 1, /* g is rounded for the two products of the gradients */
};
