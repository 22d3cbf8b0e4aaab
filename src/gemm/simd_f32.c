/* The float kernel: how a product is gone through (blocking.h), and its line of the table. */
#include "gemm/simd_level.h"
#include "gemm/simd_f32.h"

#include "base/pieces.h"
#include "gemm/blocking.h"
#include "gemm/epilogue.h"
#include "gemm/split_k.h"
#include "gemm/workspace.h"

#include <omp.h>

enum {
    /* Of a task at most: 240 KiB of A in the second-level cache; that of processors with AVX-512 holds twice as
     * much. */
    ROWS = LS_SIMD_DEPTH > 256 ? 192 : 240,
    COLUMNS = 1024,         /* of a task at most */
    LEAST_COLUMNS = 256,    /* of a task, where A is packed for each */
    B_BYTES = 4 << 20,      /* of a packed block of B at most */
    SPLIT_ELEMENTS = 24576, /* a result of no more, */
    SPLIT_DEPTH = 4096,     /* summed over no less, is made by ranges of k */
    SPLIT_BYTES = 8 << 20,  /* if their sums take no more */
    LEAST_RUN = 4           /* shorter ones are gathered first */
};

typedef struct Plan {
    LsGemmTasks tasks;
    LsSimdSource a, b;
    float *packed_b; /* (depth / LS_SIMD_DEPTH) blocks of (columns / 16) vectors */
    /* (m, columns): sums over the blocks of k so far, where C is bfloat16 and has several; else NULL */
    float *partial;
} Plan;

/* What a thread has for itself. */
typedef struct Own {
    float *packed_a; /* (task_rows / LS_SIMD_ROWS) panels */
    /* (task_rows, task_columns) where C is bfloat16 and a block has several LS_SIMD_DEPTH; else NULL */
    float *sums;
} Own;

static int64_t columns_packed(int64_t columns) { return ls_round_up(columns, LS_LANES); }

static LsSimdSource source_of(const LsGemm *g, bool right)
{
    bool transposed = right ? g->transpose_b : g->transpose_a;
    const LsGemmRuns *runs = right ? &g->b_runs : &g->a_runs;
    return (LsSimdSource){.data = right ? g->b : g->a,
                          .stride = right ? g->ldb : g->lda,
                          .along_k = transposed == right,
                          .bfloat16 = g->type == LS_GEMM_BFLOAT16,
                          .runs = runs->offset ? runs : NULL};
}

/* A of runs is multiplied where these lie. */
static bool finds_runs(const LsGemm *g) { return g->type == LS_GEMM_FLOAT32 && g->a_runs.length >= LEAST_RUN; }

/* From line to line of gathered A: what lies 2 KiB apart would share few lines of the first-level cache. */
static int64_t gathered_stride(int64_t columns) { return columns % 128 == 0 ? columns + 16 : columns; }

/* Whole panels, as many pieces as give every thread some. */
static void plan_tasks(LsGemmTasks *t, int64_t threads)
{
    const LsGemm *g = t->g;
    const int64_t wanted = 4 * threads;
    t->task_rows = ls_even_piece(g->m, ROWS, LS_SIMD_ROWS);
    t->task_columns = ls_even_piece(t->columns, COLUMNS, LS_SIMD_COLUMNS);
    while (ls_ceil_div(g->m, t->task_rows) * ls_ceil_div(t->columns, t->task_columns) < wanted) {
        if (t->task_columns >= 2 * LEAST_COLUMNS && t->task_columns >= 2 * t->task_rows)
            t->task_columns = ls_round_up(t->task_columns / 2, LS_SIMD_COLUMNS);
        else if (t->task_rows > 4 * LS_SIMD_ROWS)
            t->task_rows = ls_round_up(t->task_rows / 2, LS_SIMD_ROWS);
        else
            break;
    }
    int64_t pieces = ls_ceil_div(g->m, t->task_rows) * ls_ceil_div(t->columns, t->task_columns);
    if (pieces < threads) /* a small result: a panel of columns each, if need be */
        t->task_columns = ls_round_up(ls_ceil_div(t->columns, ls_ceil_div(threads, ls_ceil_div(g->m, t->task_rows))),
                                      LS_SIMD_COLUMNS);
}

static Plan plan_of(const LsGemm *g, int64_t threads)
{
    Plan p = {.tasks.g = g, .a = source_of(g, false), .b = source_of(g, true)};
    LsGemmTasks *t = &p.tasks;
    /* As many columns beside each other as A need not be packed again for; but a bfloat16 C would need partial sums for
     * every further block of k. Whole LS_SIMD_DEPTH: bits must not depend on it. */
    const int64_t beside = ls_gemm_c_float(g) ? ls_least(ls_round_up(g->n, LS_SIMD_COLUMNS), COLUMNS) : LEAST_COLUMNS;
    const int64_t most = B_BYTES / (beside * (int64_t)sizeof(float)) / LS_SIMD_DEPTH * LS_SIMD_DEPTH;
    t->depth = ls_least(ls_round_up(g->k, LS_SIMD_DEPTH), most);
    int64_t room = B_BYTES / ((int64_t)sizeof(float) * ls_least(g->k, t->depth));
    t->columns = ls_even_piece(g->n, room, LS_SIMD_COLUMNS);
    plan_tasks(t, threads);
    t->pack_depth = LS_SIMD_DEPTH;
    t->pack_columns = ls_even_piece(t->columns, ls_ceil_div(t->columns, threads), LS_SIMD_COLUMNS);
    if (t->pack_columns > COLUMNS)
        t->pack_columns = ls_even_piece(t->columns, COLUMNS / 2, LS_SIMD_COLUMNS);
    return p;
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* Where block `from` of k (of a block of the plan) of columns from `column` on begins in the packed B: one block of k
 * after the other, panels in each. */
static float *packed_b_at(const Plan *p, const LsGemmBlock *b, int64_t column, int64_t from)
{
    int64_t depth = ls_least(LS_SIMD_DEPTH, b->depth - from);
    return p->packed_b + from * columns_packed(b->columns) + column * depth;
}

static void pack_right(void *self, const LsGemmBlock *b, int64_t column, int64_t columns, int64_t from, int64_t depth,
                       void *own)
{
    (void)own;
    const Plan *p = self;
    ls_simd_pack_b(&p->b, b->column + column, columns, b->from + from, depth, packed_b_at(p, b, column, from));
}

/* Where the sums over `depth` of k from block->from + from on go that belong to a task's rectangle. */
static LsSimdTarget target_of(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, int64_t from, const Own *own)
{
    const LsGemm *g = p->tasks.g;
    const bool c_float = ls_gemm_c_float(g), first = from == 0 && b->first,
               block_ends = from + LS_SIMD_DEPTH >= b->depth, last = block_ends && b->last;
    LsSimdTarget target = {.bias_bfloat16 = g->type == LS_GEMM_BFLOAT16};
    if (c_float || last) {
        target.to = (char *)g->c + (t->row * g->ldc + t->column) * (c_float ? 4 : 2);
        target.to_stride = g->ldc, target.to_bfloat16 = !c_float;
        target.add = c_float ? g->accumulate || !first : g->accumulate;
    }
    if (last && g->bias)
        target.bias = (const char *)g->bias + t->column * (target.bias_bfloat16 ? 2 : 4);
    if (c_float)
        return target;
    float *partial = p->partial ? p->partial + t->row * p->tasks.columns + (t->column - b->column) : NULL;
    const bool from_partial = from == 0 && !b->first;
    if (!first) {
        target.from = from_partial || !own->sums ? partial : own->sums;
        target.from_stride = from_partial || !own->sums ? p->tasks.columns : p->tasks.task_columns;
    }
    if (!last) {
        target.to = block_ends || !own->sums ? partial : own->sums;
        target.to_stride = block_ends || !own->sums ? p->tasks.columns : p->tasks.task_columns;
    }
    if (target.to == target.from) {
        target.from = NULL;
        target.add = true;
    }
    return target;
}

/* A tile can read floats as they stand, which saves packing them, unless rows would fall on each other in the
 * first-level cache, or (transposed) lie on many pages while many panels of B pass by. */
static bool reads_direct(const LsGemm *g, int64_t columns)
{
    enum { PAGE_FLOATS = 1024, NEAR_COLUMNS = 192, NEAR_STRIDE = 512 };
    if (g->type != LS_GEMM_FLOAT32 || g->a_runs.offset || g->row_sums || g->lda % PAGE_FLOATS == 0)
        return false;
    return !g->transpose_a || (columns <= NEAR_COLUMNS && g->lda <= NEAR_STRIDE);
}

static LsSimdLeft left_of(const LsGemm *g, int64_t row, int64_t from)
{
    const float *a = ls_gemm_at(g->a, sizeof(float), g->lda, g->transpose_a, row, from);
    return g->transpose_a ? (LsSimdLeft){.data = a, .row = 1, .step = g->lda, .panel = LS_SIMD_ROWS}
                          : (LsSimdLeft){.data = a, .row = g->lda, .step = 1, .panel = LS_SIMD_ROWS * g->lda};
}

/* Bytes for A of runs that a task has: gathered, or zeros and pointers. */
static int64_t runs_space(const Plan *p, int64_t depth)
{
    const LsGemm *g = p->tasks.g;
    const int64_t rows = p->tasks.task_rows, length = g->a_runs.length, line = g->transpose_a ? rows : depth;
    int64_t runs = (line - 1) / length + 2, lines = g->transpose_a ? depth : ls_round_up(rows, LS_SIMD_ROWS);
    int64_t found = ls_round_up(length * (int64_t)sizeof(float), LS_ALIGN) + runs * lines * (int64_t)sizeof(float *);
    return finds_runs(g) ? found : (rows + 16) * (depth + 16) * (int64_t)sizeof(float);
}

/* A of runs: gathered as rows of k, or of A's rows; or where they lie. */
static LsSimdLeft left_of_runs(const Plan *p, const LsGemmTask *t, int64_t from, int64_t depth, bool again, float *out)
{
    const LsGemm *g = p->tasks.g;
    const bool transposed = g->transpose_a;
    const int64_t line = transposed ? from : t->row, lines = transposed ? depth : t->rows;
    const int64_t column = transposed ? t->row : from, columns = transposed ? t->rows : depth;
    if (finds_runs(g)) {
        const int64_t length = g->a_runs.length, run = column / length, begin = column % length,
                      runs = (column + columns - 1) / length - run + 1;
        const float **found = (const float **)(void *)(out + ls_round_up(length, LS_ALIGN / (int64_t)sizeof(float)));
        if (again) {
            memset(out, 0, (size_t)length * sizeof *out);
            ls_simd_find_runs(&p->a, line, lines, run, runs, begin, out, found);
        }
        return (LsSimdLeft){
            .panel = runs * LS_SIMD_ROWS, .run = found, .length = length, .begin = begin, .along_k = !transposed};
    }
    const int64_t stride = gathered_stride(columns);
    if (again)
        ls_simd_gather(&g->a_runs, g->a, g->type == LS_GEMM_BFLOAT16, line, lines, column, columns, out, stride);
    return transposed ? (LsSimdLeft){.data = out, .row = 1, .step = stride, .panel = LS_SIMD_ROWS}
                      : (LsSimdLeft){.data = out, .row = stride, .step = 1, .panel = LS_SIMD_ROWS * stride};
}

static void multiply_task(void *self, const LsGemmBlock *b, const LsGemmTask *t, bool new_rows, void *own)
{
    const Plan *p = self;
    const LsGemm *g = p->tasks.g;
    const Own *o = own;
    const bool direct = reads_direct(g, t->columns);
    for (int64_t from = 0; from < b->depth; from += LS_SIMD_DEPTH) {
        int64_t depth = ls_least(LS_SIMD_DEPTH, b->depth - from);
        float *sums = g->row_sums && t->column == 0 ? g->row_sums + t->row : NULL;
        bool first = b->first && from == 0;
        bool again = new_rows || b->depth > LS_SIMD_DEPTH || sums;
        LsSimdLeft a = direct             ? left_of(g, t->row, b->from + from)
                       : g->a_runs.offset ? left_of_runs(p, t, b->from + from, depth, again, o->packed_a)
                                          : ls_simd_packed(o->packed_a, depth);
        if (!direct && !g->a_runs.offset && again)
            ls_simd_pack_a(&p->a, t->row, t->rows, b->from + from, depth, o->packed_a, sums, !first || g->add_row_sums);
        LsSimdTarget target = target_of(p, b, t, from, o);
        ls_simd_multiply(&a, packed_b_at(p, b, t->column - b->column, from), t->rows, t->columns, depth, &target);
    }
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Bytes of a work space: packed B, partial sums, and for each thread packed A and sums. */
typedef struct Layout {
    int64_t b, partial, a, sums, all;
} Layout;

static Layout layout_of(const Plan *p, int64_t threads)
{
    const LsGemmTasks *t = &p->tasks;
    const int64_t size = (int64_t)sizeof(float), depth = ls_least(t->g->k, t->depth);
    const bool narrow = !ls_gemm_c_float(t->g);
    Layout l = {
        .b = ls_round_up(columns_packed(ls_least(t->columns, t->g->n)) * depth * size, LS_ALIGN),
        .a = ls_round_up(ls_round_up(t->task_rows, LS_SIMD_ROWS) * ls_least(depth, LS_SIMD_DEPTH) * size, LS_ALIGN)};
    if (t->g->a_runs.offset)
        l.a = ls_round_up(runs_space(p, ls_least(depth, LS_SIMD_DEPTH)), LS_ALIGN);
    if (narrow && t->g->k > t->depth)
        l.partial = ls_round_up(t->g->m * t->columns * size, LS_ALIGN);
    if (narrow && depth > LS_SIMD_DEPTH)
        l.sums = ls_round_up(t->task_rows * t->task_columns * size, LS_ALIGN);
    l.all = l.b + l.partial + threads * (l.a + l.sums);
    return l;
}

/* In a parallel region of as many threads. */
static void run_team(Plan *p, char *space, const Layout *l)
{
    char *mine = space + l->b + l->partial + omp_get_thread_num() * (l->a + l->sums);
    Own own = {.packed_a = (float *)(void *)mine, .sums = l->sums ? (float *)(void *)(mine + l->a) : NULL};
    ls_gemm_tasks_run(&p->tasks, &own);
}

static void place(Plan *p, char *space, const Layout *l, LsShare *share)
{
    p->packed_b = (float *)(void *)space;
    p->partial = l->partial ? (float *)(void *)(space + l->b) : NULL;
    p->tasks.share = share;
    p->tasks.self = p, p->tasks.pack_right = pack_right, p->tasks.multiply = multiply_task;
}

static bool splits(const LsGemm *g)
{
    return g->m * g->n <= SPLIT_ELEMENTS && g->k >= SPLIT_DEPTH && ls_gemm_c_float(g) && ls_split_can(g) &&
           ls_ceil_div(g->k, LS_SIMD_DEPTH) * g->m * g->n * (int64_t)sizeof(float) <= SPLIT_BYTES;
}

static const LsGemmKernel *self(void);

static LsStatus run(const LsGemm *g)
{
    if (splits(g))
        return ls_split_gemm(self(), g, NULL);
    int64_t threads = omp_in_parallel() ? 1 : ls_threads();
    Plan p = plan_of(g, threads);
    Layout l = layout_of(&p, threads);
    LsShare share;
    LsWorkspace *space = ls_workspace_acquire(l.all);
    if (!space)
        return LS_RESOURCE;
    place(&p, space->data, &l, &share);
#pragma omp parallel num_threads((int)threads)
    run_team(&p, space->data, &l);
    ls_workspace_release(space);
    return LS_OK;
}

/* Of any product no larger in n and k: a shorter k has more columns in a block of B. */
static int64_t alone_space(const LsGemm *g)
{
    Plan p = plan_of(g, 1);
    Layout l = layout_of(&p, 1);
    int64_t whole = columns_packed(g->n) * g->k * (int64_t)sizeof(float);
    return l.all - l.b + ls_least(ls_round_up(whole, LS_ALIGN), B_BYTES);
}

static void alone(const LsGemm *g, void *space)
{
    Plan p = plan_of(g, 1);
    Layout l = layout_of(&p, 1);
    LsShare share;
    place(&p, space, &l, &share);
#pragma omp parallel num_threads(1)
    run_team(&p, space, &l);
}

static int64_t split_depth(const LsGemm *g)
{
    (void)g;
    return LS_SIMD_DEPTH;
}

/* ---- The line of the table --------------------------------------------------------------------------------------- */

static bool usable(const LsGemm *g) { return g->type != LS_GEMM_FLOAT64 && !g->b_scale; }

/* As measured at v4, the only level that has another kernel for large float products. */
static double picoseconds(const LsGemm *g)
{
    double m = (double)g->m, n = (double)g->n, k = (double)g->k;
    return 6.06 * m * n * k + 130 * k * (m + n);
}

static int64_t workspace_most(int64_t columns, int64_t depth, LsGemmType type)
{
    int64_t size = (int64_t)sizeof(float), a = ROWS * LS_SIMD_DEPTH * size,
            sums = ROWS * ls_least(columns, COLUMNS) * size;
    int64_t b = depth < B_BYTES / (columns * size) ? columns * depth * size : B_BYTES;
    return b + ls_threads() * (a + (type == LS_GEMM_BFLOAT16 ? sums : 0));
}

#define KERNEL LS_LEVEL_NAME(ls_gemm_kernel_simd_f32)
extern const LsGemmKernel KERNEL;
const LsGemmKernel KERNEL = {.name = "simd_f32" LS_LEVEL_TEXT(LS_LEVEL),
                             .isa = LS_LEVEL_ISA,
                             .usable = usable,
                             .picoseconds = picoseconds,
                             .run = run,
                             .sums_rows = true,
                             .workspace_most = workspace_most,
                             .split_depth = split_depth,
                             .alone_space = alone_space,
                             .alone = alone};

static const LsGemmKernel *self(void) { return &KERNEL; }
