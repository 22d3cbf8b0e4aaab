/* The head of a language model and its loss in one: L = sum over tokens of -log softmax(x w^T)[target].
 * Of w only the first `classes` rows count: those past it pad the table, are not normalised over, and have no gradient.
 *
 * With z = x w^T: (T, V) and p = softmax(z), L = sum_t (log sum_v exp z[t,v]) - z[t, target t], and
 *     g = p - onehot(target),   dL/dx = g w,   dL/dw = g^T x
 *
 * z is made, turned into g and used up in blocks of rows, so it never exists at once. The upstream gradient is one
 * number, so the training forward already makes both gradients, without it, and keeps them in out[1] and out[2]: three
 * matrix products instead of the four of a backward that makes z again, for V C numbers of memory (none where out[2]
 * lies in the gradient of w itself). */
#include "ops/op_build.h"

/* The block of logits takes at most this much: 1,024 rows of GPT-2's vocabulary. Blocks of half the size make the op 8
 * % slower, as the table and its gradient pass by more often. */
#define BLOCK_BYTES ((int64_t)200 << 20)
/* Sums of exponentials are kept in acc over this many columns, then in double. */
#define SUM_COLUMNS 1024

typedef struct Head {
    int64_t classes; /* 0: all rows of w */
} Head;

typedef struct Shape {
    int64_t rows, columns, width; /* tokens, classes, C */
    int64_t stride;               /* of a row of logits: classes rounded up to whole cache lines */
    int64_t block;                /* rows of a block */
} Shape;

static int64_t classes_of(const LsNode *node)
{
    int64_t classes = ((const Head *)node->attr)->classes;
    return classes > 0 ? classes : node->in[1]->dim[0];
}

static Shape shape_of(const LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1];
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

static LsStatus infer(LsNode *node)
{
    const LsTensor *x = node->in[0], *w = node->in[1], *targets = node->in[2];
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
    int64_t classes = ((const Head *)node->attr)->classes;
    if (classes < 0 || classes > w->dim[0])
        return ls_node_fail(node, "head_cross_entropy: %lld classes do not fit w %s: 1 to V, or 0 for all",
                            (long long)classes, ls_shape_text(w));
    Shape s = shape_of(node);
    node->scratch_forward = s.block * s.stride * (int64_t)sizeof(acc) + s.rows * (int64_t)sizeof(double);
    if (!ls_node_output(node, LS_ACC, 1, (int64_t[]){1}))
        return LS_RESOURCE;
    if (ls_graph_mode(node->graph) != LS_TRAIN)
        return LS_OK;
    bool made = ls_node_output(node, LS_ACC, x->rank, x->dim) && ls_node_output(node, LS_ACC, 2, w->dim);
    return made ? LS_OK : LS_RESOURCE;
}

static LsStatus check_targets(const LsNode *node)
{
    const LsTensor *targets = node->in[2];
    const int32_t *target = targets->data;
    int64_t classes = classes_of(node);
    for (int64_t i = 0; i < targets->count; i++)
        if (target[i] != LS_IGNORE && (target[i] < 0 || target[i] >= classes))
            return ls_fail(
                LS_DATA, "%s: target %d at row %lld of %s is outside 0..%lld (and is not %d, which is skipped)",
                node->name, (int)target[i], (long long)i, ls_shape_text(targets), (long long)(classes - 1), LS_IGNORE);
    return LS_OK;
}

/* ---- One row of logits ------------------------------------------------------------------------------------------- */

static acc row_maximum(const acc *z, int64_t count)
{
    vacc most = ls_splat(z[0]);
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES)
        most = ls_vmax(ls_load_acc(z + j), most);
    acc largest = ls_hmax(most);
    for (; j < count; j++)
        largest = z[j] > largest ? z[j] : largest;
    return largest;
}

/* z becomes exp(z - most) where `keep`; returns the sum. */
LS_INLINE double row_exponentials(acc *z, acc most, int64_t count, bool keep)
{
    double total = 0;
    for (int64_t from = 0; from < count; from += SUM_COLUMNS) {
        int64_t to = from + SUM_COLUMNS < count ? from + SUM_COLUMNS : count, j = from;
        vacc sum = {0};
        for (; j + LS_LANES <= to; j += LS_LANES) {
            vacc e = ls_exp_small(ls_load_acc(z + j) - most);
            sum += e;
            if (keep)
                ls_store_acc(z + j, e);
        }
        total += (double)ls_hsum(sum);
        if (j < to) {
            vacc e = ls_exp_small(ls_load_acc_part(z + j, to - j) - most);
            for (int64_t i = 0; i < to - j; i++)
                total += (double)e[i];
            if (keep)
                ls_store_acc_part(z + j, e, to - j);
        }
    }
    return total;
}

/* g = e scale - onehot(target) as the products take it, in the place of e: what is narrower is written behind what is
 * read. */
LS_INLINE void row_gradient(acc *e, acc scale, int64_t count, int32_t target)
{
    real *g = (real *)(void *)e;
    acc at_target = e[target] * scale - 1;
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES)
        ls_store(g + j, ls_load_acc(e + j) * scale);
    if (j < count)
        ls_store_part(g + j, ls_load_acc_part(e + j, count - j) * scale, count - j);
    ls_store1(g + target, at_target);
}

/* The row's loss; z becomes g where `keep`. */
static double row_loss(acc *z, int64_t count, int32_t target, bool keep)
{
    if (target == LS_IGNORE) {
        if (keep)
            memset(z, 0, (size_t)count * sizeof(real));
        return 0;
    }
    acc most = row_maximum(z, count);
    double at_target = (double)z[target];
    double sum = keep ? row_exponentials(z, most, count, true) : row_exponentials(z, most, count, false);
    if (keep)
        row_gradient(z, (acc)(1 / sum), count, target);
    return log(sum) + (double)most - at_target;
}

/* ---- Forward ----------------------------------------------------------------------------------------------------- */

/* dL/dx of a block of rows and its share of dL/dw, from g: (rows, V), rows as far apart as those of the logits were. */
static LsStatus add_gradients(const LsNode *node, const Shape *s, const real *g, int64_t from, int64_t rows)
{
    int64_t stride = s->stride * (int64_t)(sizeof(acc) / sizeof(real));
    const real *x = (const real *)node->in[0]->data + from * s->width, *w = node->in[1]->data;
    acc *dx = (acc *)node->out[1]->data + from * s->width, *dw = node->out[2]->data;
    if (node->in[0]->needs_grad)
        LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                 .m = rows,
                                 .n = s->width,
                                 .k = s->columns,
                                 .a = g,
                                 .lda = stride,
                                 /* the target's 1 outweighs the rest, and w's rows are alike */
                                 .a_rowwise_error = true,
                                 .b = w,
                                 .ldb = s->width,
                                 .c = dx,
                                 .ldc = s->width,
                                 .c_float = true}));
    if (node->in[1]->needs_grad)
        LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                 .m = s->columns,
                                 .n = s->width,
                                 .k = rows,
                                 .a = g,
                                 .lda = stride,
                                 .transpose_a = true,
                                 .a_rowwise_error = true,
                                 .b = x,
                                 .ldb = s->width,
                                 .c = dw,
                                 .ldc = s->width,
                                 .c_float = true,
                                 .accumulate = from > 0}));
    return LS_OK;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_targets(node));
    Shape s = shape_of(node);
    const real *x = node->in[0]->data, *w = node->in[1]->data; /* (rows, C), (V, C) */
    const int32_t *target = node->in[2]->data;
    acc *z = node->scratch;                            /* (block, stride) */
    double *loss = (double *)(z + s.block * s.stride); /* (rows) */
    bool keep = node->outputs > 1;
    if (keep) /* the rows that only pad the table */
        memset((acc *)node->out[2]->data + s.columns * s.width, 0,
               (size_t)((node->in[1]->dim[0] - s.columns) * s.width) * sizeof(acc));
    for (int64_t from = 0; from < s.rows; from += s.block) {
        int64_t rows = from + s.block < s.rows ? s.block : s.rows - from;
        LS_TRY(ls_gemm(&(LsGemm){.type = LS_GEMM_REAL,
                                 .m = rows,
                                 .n = s.columns,
                                 .k = s.width,
                                 .a = x + from * s.width,
                                 .lda = s.width,
                                 .b = w,
                                 .ldb = s.width,
                                 .transpose_b = true,
                                 .c = z,
                                 .ldc = s.stride,
                                 .c_float = true}));
#pragma omp parallel for schedule(static) if (rows * s.columns > 4096)
        for (int64_t i = 0; i < rows; i++)
            loss[from + i] = row_loss(z + i * s.stride, s.columns, target[from + i], keep);
        if (keep)
            LS_TRY(add_gradients(node, &s, (const real *)(const void *)z, from, rows));
    }
    double total = 0;
    for (int64_t i = 0; i < s.rows; i++)
        total += loss[i];
    *(acc *)node->out[0]->data = (acc)total;
    return LS_OK;
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static LsStatus backward(const LsNode *node, const LsRun *run)
{
    (void)run;
    acc scale = *(const acc *)node->out[0]->grad;
    if (ls_wants(node, 0)) {
        const acc *from = node->out[1]->data;
        real *dx = node->in[0]->grad;
        int64_t count = node->in[0]->count;
        bool add = ls_adds(node, 0);
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < count; i++)
            ls_store1(dx + i, (add ? ls_load1(dx + i) : 0) + scale * from[i]);
    }
    if (ls_wants(node, 1)) {
        const acc *from = node->out[2]->data;
        acc *dw = node->in[1]->grad;
        int64_t count = node->in[1]->count;
        bool add = ls_adds(node, 1);
        if (from == dw && scale == 1)
            return LS_OK;
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < count; i++)
            dw[i] = (add ? dw[i] : 0) + scale * from[i];
    }
    return LS_OK;
}

/* ---- Reference --------------------------------------------------------------------------------------------------- */

/* One token: its loss; and its part of both gradients where they are kept. */
static double reference_row(const LsNode *node, int64_t i)
{
    int64_t columns = classes_of(node), width = node->in[1]->dim[1];
    const real *x = (const real *)node->in[0]->data + i * width, *w = node->in[1]->data;
    int32_t target = ((const int32_t *)node->in[2]->data)[i];
    if (target == LS_IGNORE)
        return 0;
    double sum = 0, at_target = 0;
    for (int pass = 0; pass < 2; pass++) /* the sum of exponentials, then what needs it */
        for (int64_t v = 0; v < columns; v++) {
            double z = 0;
            for (int64_t c = 0; c < width; c++)
                z += (double)ls_load1(x + c) * (double)ls_load1(w + v * width + c);
            if (pass == 0) {
                sum += exp(z);
                at_target = v == target ? z : at_target;
                continue;
            }
            double g = exp(z) / sum - (v == target);
            for (int64_t c = 0; c < width && node->outputs > 1; c++) {
                ((acc *)node->out[1]->data)[i * width + c] += (acc)(g * (double)ls_load1(w + v * width + c));
                ((acc *)node->out[2]->data)[v * width + c] += (acc)(g * (double)ls_load1(x + c));
            }
        }
    return log(sum) - at_target;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    LS_TRY(check_targets(node));
    for (int i = 1; i < node->outputs; i++)
        memset(node->out[i]->data, 0, (size_t)node->out[i]->count * sizeof(acc));
    double total = 0;
    for (int64_t i = 0; i < node->in[2]->count; i++)
        total += reference_row(node, i);
    *(acc *)node->out[0]->data = (acc)total;
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double x = (double)node->in[0]->count, w = (double)node->in[1]->count,
           z = (double)node->in[2]->count * (double)classes_of(node);
    double product = 2 * x * (double)classes_of(node);
    bool keep = node->outputs > 1;
    *fwd = (LsCost){.flops = (keep ? 3 : 1) * product + 8 * z,
                    .bytes = (keep ? 3 : 1) * (x + w) * sizeof(real) + (keep ? 4 : 2) * z * sizeof(acc),
                    .products = (keep ? 3 : 1) * product};
    *bwd = (LsCost){.flops = x + w, .bytes = 2 * (x + w) * sizeof(acc)};
}

/* ls_head_cross_entropy(g, x, w, targets, classes): x: (B, T, C), w: (V, C) parameter, targets: (B, T) LS_I32 in
 * 0..classes-1 or LS_IGNORE -> (1) LS_ACC: the sum over all targets that are not ignored. classes: rows of w that
 * count, 0 for all V. Forward fails with LS_DATA on any other target. */
LS_BUILDER LsTensor *ls_head_cross_entropy(LsGraph *g, LsTensor *x, LsTensor *w, LsTensor *targets, int64_t classes)
{
    return ls_node(g, "head_cross_entropy", 3, (LsTensor *[]){x, w, targets}, &(Head){classes}, sizeof(Head));
}

static bool cases(LsGraph *g, int which)
{
    /* B, T, C, V, lowest target: some ignored, or none; classes */
    static const int64_t list[][6] = {{1, 1, 1, 1, 0, 0},   {2, 3, 5, 7, -1, 0},   {1, 7, 16, 65, -1, 0},
                                      {3, 4, 9, 130, 0, 0}, {1, 2, 3, 1100, 0, 0}, {2, 5, 6, 64, -1, 59},
                                      {1, 3, 8, 40, 0, 2}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    const int64_t *d = list[which];
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -1, 1, 3, (int64_t[]){d[0], d[1], d[2]});
    LsTensor *w = ls_case_param(g, "w", 0, -1, 1, 2, (int64_t[]){d[3], d[2]});
    ls_head_cross_entropy(
        g, x, w,
        ls_case_input(g, "targets", LS_I32, (double)d[4], (double)(d[5] ? d[5] : d[3]), 2, (int64_t[]){d[0], d[1]}),
        d[5]);
    return true;
}

LS_OP(head_cross_entropy) = {
    .name = "head_cross_entropy",
    .formula = "L = sum of -log softmax(x w^T)[target]",
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .reference = reference,
    .cost = cost,
    .saves_out = 6,
    .grad_alias = {[2] = 2},
    .param_in = 2,
    .cases = cases,
    .bf16_ulps = 1, /* g is rounded for the two products of the gradients */
};
