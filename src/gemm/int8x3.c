/* The product of fixed-point panels, gone through as blocking.h says. Pairs of panels of which one is wide are left to
 * float vectors. */
#include "gemm/int8x3.h"
#include "base/pieces.h"
#include "gemm/blocking.h"
#include "gemm/epilogue.h"
#include "gemm/split_k.h"
#include "gemm/workspace.h"

#include <omp.h>

#include "gemm/amx.h"

#ifdef LS_HAS_AMX
extern const LsGemmKernel ls_gemm_kernel_int8x3_amx, ls_gemm_kernel_simd_f32_v4;

enum {
    TILE = LS_INT8X3_TILE,
    /* of a block of k at most: a longer one rounds fewer sums to float, but shares a power of two among more numbers */
    DEPTH = 1024,
    ROWS = 128,         /* of a block of A */
    B_BYTES = 12 << 20, /* of a packed block of B at most */
    CHUNK = 12,         /* steps of a panel of B that stay in the first-level cache while the panels of A pass by */
    /* bytes of A that stay there instead while B passes by, where as much has two panels: four at k = 128 */
    A_STAYS = 28 << 10,
    VECTOR_COLUMNS = 256, /* of a piece that vectors do */
    LEAST_ROWS = 64,      /* of a task where there are few */
    LEAST_COLUMNS = 512,  /* of a task */
    SUM = LS_INT8X3_DIGITS * TILE * TILE
};

typedef struct Plan {
    LsGemmTasks tasks;
    LsInt8x3Source a, b;
    uint8_t *packed_b;      /* (columns / 16) panels */
    LsInt8x3Scale *scale_b; /* of each */
} Plan;

/* What a thread has for itself. */
typedef struct Own {
    uint8_t *packed_a; /* (task_rows / 16) panels */
    LsInt8x3Scale scale_a[ROWS / TILE];
    float *copy;    /* for ls_int8x3_pack */
    float *vectors; /* for multiply_by_vectors */
} Own;

static Plan plan_of(const LsGemm *g, int64_t threads)
{
    Plan p = {.a = {g->a, g->lda, !g->transpose_a, false, g->a_rowwise_error, g->a_runs.offset ? &g->a_runs : NULL},
              .b = {g->b, g->ldb, g->transpose_b, true, g->b_columnwise_error, g->b_runs.offset ? &g->b_runs : NULL}};
    LsGemmTasks *t = &p.tasks;
    t->g = g;
    t->depth = t->pack_depth = ls_even_piece(g->k, DEPTH, LS_INT8X3_STEP);
    t->columns = ls_even_piece(g->n, B_BYTES / ls_int8x3_bytes(t->depth) * TILE, TILE);
    t->pack_columns = ls_round_up(ls_ceil_div(t->columns, threads), TILE);
    t->task_rows = ls_even_piece(g->m, ROWS, TILE);
    /* Threads that have all rows of some columns read of the packed B mostly what they packed themselves. */
    bool by_columns = g->n > g->m && ls_ceil_div(g->m, t->task_rows) < threads;
    while (!by_columns && t->task_rows > LEAST_ROWS && ls_ceil_div(g->m, t->task_rows) < 2 * threads)
        t->task_rows = ls_round_up(t->task_rows / 2, TILE);
    int64_t row_tasks = ls_ceil_div(g->m, t->task_rows), most = t->columns / LEAST_COLUMNS,
            idle = ls_ceil_div(threads, row_tasks);
    int64_t pieces = ls_least(ls_ceil_div(4 * threads, row_tasks), most > idle ? most : idle);
    t->task_columns = ls_round_up(ls_ceil_div(t->columns, pieces), TILE);
    return p;
}

/* ---- Wide panels ------------------------------------------------------------------------------------------------- */

/* The largest piece that vectors do at once. */
static LsGemm vector_piece(const LsGemm *g, int64_t depth)
{
    LsGemm piece = *g;
    piece.m = ROWS, piece.n = ls_least(VECTOR_COLUMNS, g->n), piece.k = depth;
    piece.a_runs.offset = piece.b_runs.offset = NULL;
    return piece;
}

/* Of so many rows of k of a source of runs; 0 of another. */
static int64_t gathered_floats(const LsInt8x3Source *s, int64_t rows, int64_t depth)
{
    return s->runs ? rows * ls_round_up(depth, TILE) : 0;
}

static void multiply_by_vectors(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, float *space)
{
    const LsGemm *g = p->tasks.g;
    LsGemm piece = *g;
    piece.row_sums = NULL, piece.finish = NULL;
    piece.m = t->rows, piece.k = b->depth;
    piece.accumulate = !b->first || g->accumulate;
    piece.a_runs.offset = piece.b_runs.offset = NULL;
    float *gathered_a = space, *gathered_b = gathered_a + gathered_floats(&p->a, ROWS, b->depth);
    space = gathered_b + gathered_floats(&p->b, VECTOR_COLUMNS, b->depth);
    if (p->a.runs) {
        piece.lda = p->a.along_k ? ls_round_up(b->depth, TILE) : ROWS, piece.a = gathered_a;
        ls_int8x3_gather(&p->a, t->row, t->rows, b->from, b->depth, gathered_a, piece.lda);
    } else
        piece.a = ls_gemm_at(g->a, sizeof(float), g->lda, g->transpose_a, t->row, b->from);
    for (int64_t j = t->column; j < t->column + t->columns; j += VECTOR_COLUMNS) {
        piece.n = ls_least(VECTOR_COLUMNS, t->column + t->columns - j);
        if (p->b.runs) {
            piece.ldb = VECTOR_COLUMNS, piece.b = gathered_b;
            ls_int8x3_gather(&p->b, j, piece.n, b->from, b->depth, gathered_b, piece.ldb);
        } else
            piece.b = ls_gemm_at(g->b, sizeof(float), g->ldb, g->transpose_b, b->from, j);
        piece.c = (float *)g->c + t->row * g->ldc + j;
        piece.bias = b->last && g->bias ? (const float *)g->bias + j : NULL;
        ls_gemm_kernel_simd_f32_v4.alone(&piece, space);
    }
}

/* Panels from `from` on that are as wide, or not, as the first; `count` in all. */
static int64_t run_of(const LsInt8x3Scale *scale, int64_t from, int64_t count)
{
    int64_t to = from + 1;
    while (to < count && scale[to].wide == scale[from].wide)
        to++;
    return to - from;
}

/* All columns of wide rows, then wide columns of the other rows. */
static void multiply_wide(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, const LsInt8x3Scale *of_a,
                          const LsInt8x3Scale *of_b, float *space)
{
    int64_t down = ls_ceil_div(t->rows, TILE), across = ls_ceil_div(t->columns, TILE);
    for (int64_t i = 0, n; i < down; i += n) {
        n = run_of(of_a, i, down);
        LsGemmTask rows = {t->row + i * TILE, ls_least(n * TILE, t->rows - i * TILE), t->column, t->columns};
        if (of_a[i].wide)
            multiply_by_vectors(p, b, &rows, space);
        for (int64_t j = 0, m; j < across && !of_a[i].wide; j += m) {
            m = run_of(of_b, j, across);
            LsGemmTask columns = {rows.row, rows.rows, t->column + j * TILE, ls_least(m * TILE, t->columns - j * TILE)};
            if (of_b[j].wide)
                multiply_by_vectors(p, b, &columns, space);
        }
    }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

static void store_tile(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, const int32_t *sum,
                       const LsInt8x3Scale *of_a, const LsInt8x3Scale *of_b)
{
    const LsGemm *g = p->tasks.g;
    LsInt8x3Target target = {.c = (float *)g->c + t->row * g->ldc + t->column,
                             .ldc = g->ldc,
                             .rows = t->rows,
                             .columns = t->columns,
                             .add = !b->first || g->accumulate,
                             .bias = b->last && g->bias ? (const float *)g->bias + t->column : NULL};
    ls_int8x3_store(&target, sum, of_a, of_b);
}

/* Rows of A that stay in the first-level cache while the panels of B pass by; 0: a panel of B, or chunk of one, stays
 * while those of A do. */
static int64_t rows_that_stay(int64_t depth)
{
    int64_t panels = A_STAYS / ls_int8x3_bytes(depth);
    return panels >= 2 ? panels * TILE : 0;
}

/* Rows of a task by one panel of B, in chunks of k. A tile's sums are given away while the tiles are busy with the
 * next. Returns whether some pair is wide. */
static bool multiply_column(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, const uint8_t *a,
                            const uint8_t *right, const LsInt8x3Scale *of_a, const LsInt8x3Scale *of_b)
{
    _Alignas(64) int32_t sums[ROWS / TILE][SUM];
    int64_t panel = ls_int8x3_bytes(b->depth), steps = ls_int8x3_steps(b->depth), panels = ls_ceil_div(t->rows, TILE);
    int64_t lines = LS_INT8X3_STEP_BYTES / LS_ALIGN / panels, kept = -1;
    int64_t chunk = ls_even_piece(steps, CHUNK, 1);
    const int32_t *given = NULL; /* the sums of the tile before */
    bool wide = of_b->wide;
    LsGemmTask tile = *t, before = tile;
    for (int64_t step = 0; step < steps; step += chunk)
        for (int64_t i = 0; i < panels; i++) {
            if (of_b->wide || of_a[i].wide) {
                wide = true;
                continue;
            }
            bool complete = step + chunk >= steps;
            tile.row = t->row + i * TILE, tile.rows = ls_least(TILE, t->rows - i * TILE);
            /* Two in turn, where that is enough, leave the first-level cache to the panels. */
            int32_t *sum = sums[steps > chunk ? i : given == sums[0]];
            LsInt8x3Product product = {.a = a + i * panel + step * LS_INT8X3_STEP_BYTES,
                                       .b = right + step * LS_INT8X3_STEP_BYTES,
                                       .steps = ls_least(chunk, steps - step),
                                       .a_stays = rows_that_stay(b->depth) > 0,
                                       .add = step > 0,
                                       .sum = sum,
                                       .next =
                                           right + (step + chunk) * LS_INT8X3_STEP_BYTES + i * chunk * lines * LS_ALIGN,
                                       .lines = lines};
            if (complete) {
                product.result = (const float *)p->tasks.g->c + tile.row * p->tasks.g->ldc + tile.column;
                product.result_stride = p->tasks.g->ldc, product.result_rows = tile.rows;
            }
            ls_int8x3_multiply(&product);
            if (complete && kept >= 0)
                store_tile(p, b, &before, given, of_a + kept, of_b);
            if (complete)
                before = tile, kept = i, given = sum;
        }
    if (kept >= 0)
        store_tile(p, b, &before, given, of_a + kept, of_b);
    return wide;
}

/* ---- A task ------------------------------------------------------------------------------------------------------ */

static void pack_right(void *self, const LsGemmBlock *b, int64_t column, int64_t columns, int64_t from, int64_t depth,
                       void *own)
{
    const Plan *p = self;
    ls_int8x3_pack(&p->b, b->column + column, columns, b->from + from, depth, ((Own *)own)->copy,
                   p->packed_b + column / TILE * ls_int8x3_bytes(b->depth), p->scale_b + column / TILE, NULL);
}

/* The rows of a task, and the sums of all rows with the first columns. */
static void pack_left(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, bool with_sums, Own *o)
{
    const LsGemm *g = p->tasks.g;
    float sums[ROWS];
    ls_int8x3_pack(&p->a, t->row, t->rows, b->from, b->depth, o->copy, o->packed_a, o->scale_a,
                   with_sums ? sums : NULL);
    for (int64_t i = 0; with_sums && i < t->rows; i++)
        g->row_sums[t->row + i] = (!b->first || g->add_row_sums ? g->row_sums[t->row + i] : 0) + sums[i];
}

static void multiply_task(void *self, const LsGemmBlock *b, const LsGemmTask *task, bool new_rows, void *own)
{
    const Plan *p = self;
    Own *o = own;
    const LsInt8x3Scale *scale_b = p->scale_b + (task->column - b->column) / TILE;
    const uint8_t *packed_b = p->packed_b + (task->column - b->column) / TILE * ls_int8x3_bytes(b->depth);
    bool wide = false, with_sums = p->tasks.g->row_sums && task->column == 0;
    if (new_rows || with_sums)
        pack_left(p, b, task, with_sums, o);
    int64_t stay = rows_that_stay(b->depth), panel = ls_int8x3_bytes(b->depth);
    int64_t rows = stay > 0 ? ls_even_piece(task->rows, stay, TILE) : task->rows;
    for (int64_t i = 0; i < task->rows; i += rows)
        for (int64_t j = 0; j < task->columns; j += TILE) {
            LsGemmTask strip = {task->row + i, ls_least(rows, task->rows - i), task->column + j,
                                ls_least(TILE, task->columns - j)};
            wide |= multiply_column(p, b, &strip, o->packed_a + i / TILE * panel, packed_b + j / TILE * panel,
                                    o->scale_a + i / TILE, scale_b + j / TILE);
        }
    if (wide)
        multiply_wide(p, b, task, o->scale_a, scale_b, o->vectors);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Bytes of a thread's own space: packed rows, a copy, vectors' blocks. */
typedef struct Shares {
    int64_t a, copy, vectors, all;
} Shares;

static Shares shares_of(const Plan *p, int64_t depth, int64_t rows)
{
    const LsGemm *g = p->tasks.g;
    LsGemm piece = vector_piece(g, depth);
    int64_t gathered = gathered_floats(&p->a, ROWS, depth) + gathered_floats(&p->b, VECTOR_COLUMNS, depth);
    int64_t copies = ls_gemm_has_runs(g) ? 2 : 1, size = (int64_t)sizeof(float);
    Shares s = {.a = ls_ceil_div(rows, TILE) * ls_int8x3_bytes(depth),
                .copy = copies * ls_int8x3_copy(depth, LS_INT8X3_TOGETHER) * size,
                .vectors = ls_round_up(ls_gemm_kernel_simd_f32_v4.alone_space(&piece), LS_ALIGN) + gathered * size};
    s.all = s.a + s.copy + s.vectors;
    return s;
}

/* Where everything lies in a work space. */
typedef struct Layout {
    Shares own;
    int64_t b, scale, all; /* bytes */
} Layout;

static Layout layout_of(const Plan *p, int64_t threads)
{
    Layout l = {.own = shares_of(p, p->tasks.depth, p->tasks.task_rows),
                .b = p->tasks.columns / TILE * ls_int8x3_bytes(p->tasks.depth)};
    l.scale = ls_round_up(p->tasks.columns / TILE * (int64_t)sizeof(LsInt8x3Scale), LS_ALIGN);
    l.all = l.b + l.scale + threads * l.own.all;
    return l;
}

/* In a parallel region: all of the product, but for the meeting at its end. */
static void run_team(Plan *p, uint8_t *space, const Layout *l)
{
    uint8_t *mine = space + l->b + l->scale + omp_get_thread_num() * l->own.all;
    Own own = {.packed_a = mine,
               .copy = (float *)(void *)(mine + l->own.a),
               .vectors = (float *)(void *)(mine + l->own.a + l->own.copy)};
    ls_tiles_begin();
    ls_gemm_tasks_run(&p->tasks, &own);
    ls_tiles_end();
}

/* What of a plan is known when its space is. */
static void place(Plan *p, uint8_t *space, const Layout *l, LsShare *share)
{
    p->tasks.share = share;
    p->packed_b = space;
    p->scale_b = (LsInt8x3Scale *)(void *)(space + l->b);
    p->tasks.self = p, p->tasks.pack_right = pack_right, p->tasks.multiply = multiply_task;
}

struct LsInt8x3Work {
    LsWorkspace *taken; /* this lies at its begin */
    uint8_t *space;
    Plan plan;
    Layout layout;
    LsShare share;
};

LsInt8x3Work *ls_int8x3_begin(const LsGemm *g, int64_t threads)
{
    Plan p = plan_of(g, threads);
    Layout l = layout_of(&p, threads);
    int64_t front = ls_round_up(sizeof(LsInt8x3Work), LS_ALIGN);
    LsWorkspace *taken = ls_workspace_acquire(front + l.all);
    if (!taken)
        return NULL;
    LsInt8x3Work *w = taken->data;
    w->taken = taken, w->space = (uint8_t *)taken->data + front, w->plan = p, w->layout = l;
    place(&w->plan, w->space, &l, &w->share);
    return w;
}

void ls_int8x3_team(LsInt8x3Work *w) { run_team(&w->plan, w->space, &w->layout); }

void ls_int8x3_end(LsInt8x3Work *w)
{
    if (w)
        ls_workspace_release(w->taken);
}

static LsStatus run(const LsGemm *g)
{
    if (ls_split_is_deep(g))
        return ls_split_gemm(&ls_gemm_kernel_int8x3_amx, g, NULL);
    int64_t threads = omp_in_parallel() ? 1 : ls_threads();
    LsInt8x3Work *work = ls_int8x3_begin(g, threads);
    if (!work)
        return LS_RESOURCE;
#pragma omp parallel num_threads((int)threads)
    ls_int8x3_team(work);
    ls_int8x3_end(work);
    return LS_OK;
}

/* ---- The line of the table --------------------------------------------------------------------------------------- */

/* Of any product no larger in n and k: a shorter k may be cut in longer blocks. */
static int64_t alone_space(const LsGemm *g)
{
    Plan p = plan_of(g, 1);
    p.tasks.depth = ls_least(ls_round_up(g->k, LS_INT8X3_STEP), DEPTH);
    p.tasks.columns = ls_round_up(g->n, TILE);
    Layout l = layout_of(&p, 1);
    return l.all - l.b + ls_least(l.b, B_BYTES);
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

static int64_t split_depth(const LsGemm *g) { return ls_round_up(ls_ceil_div(g->k, 2), LS_INT8X3_STEP); }

static bool usable(const LsGemm *g) { return g->type == LS_GEMM_FLOAT32 && !g->b_scale; }

static double up_to(int64_t x, int64_t step) { return (double)ls_round_up(x, step); }

/* Tiles do six products of a float's digits faster than vectors do the one, if each element, once split, meets enough
 * others, and each sum is long enough to be worth its end. As measured on two cores. */
static double picoseconds(const LsGemm *g)
{
    double m = (double)g->m, n = (double)g->n, k = (double)g->k;
    return 2.35 * up_to(g->m, LS_INT8X3_TILE) * up_to(g->n, LS_INT8X3_TILE) * up_to(g->k, LS_INT8X3_STEP) +
           150 * (k * (m + n) + m * n) + 5e6;
}

static int64_t right_most(int64_t columns, int64_t depth)
{
    return ls_least(ls_ceil_div(columns, TILE) * ls_int8x3_bytes(depth), B_BYTES);
}

/* B of two ranges and their sums, and another product in the same go. */
static int64_t workspace_most(int64_t columns, int64_t depth, LsGemmType type)
{
    if (type != LS_GEMM_FLOAT32)
        return 0;
    int64_t block = ls_least(depth, DEPTH);
    LsGemm widest = {.m = ROWS, .n = columns, .k = block};
    Plan p = {.tasks = {.g = &widest}};
    return 3 * right_most(columns, block) + ls_split_sums_most(columns, depth) +
           ls_threads() * shares_of(&p, block, ROWS).all;
}

const LsGemmKernel ls_gemm_kernel_int8x3_amx = {.name = "int8x3_amx",
                                                .isa = LS_ISA_V4_AMX,
                                                .usable = usable,
                                                .picoseconds = picoseconds,
                                                .run = run,
                                                .sums_rows = true,
                                                .workspace_most = workspace_most,
                                                .split_depth = split_depth,
                                                .alone_space = alone_space,
                                                .alone = alone};

bool ls_int8x3_does(const LsGemm *g) { return ls_gemm_choose(g) == &ls_gemm_kernel_int8x3_amx; }

#else

bool ls_int8x3_does(const LsGemm *g)
{
    (void)g;
    return false;
}
LsInt8x3Work *ls_int8x3_begin(const LsGemm *g, int64_t threads)
{
    (void)g, (void)threads;
    return NULL;
}
void ls_int8x3_team(LsInt8x3Work *work) { (void)work; }
void ls_int8x3_end(LsInt8x3Work *work) { (void)work; }

#endif
