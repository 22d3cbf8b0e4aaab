/* The product of fixed-point panels, gone through as gemm_tasks.h says. Pairs of panels of which one is wide are left
 * to float vectors. */
#include "base/gemm_fixed.h"
#include "base/gemm_kernel.h"
#include "base/gemm_space.h"
#include "base/gemm_tasks.h"
#include "base/gemm_tiles.h"
#include "base/pieces.h"

#include <omp.h>

enum {
    TILE = LS_FIXED_TILE,
    DEPTH = 1024,      /* of a block of k at most: a longer one rounds fewer sums to float, but shares a power of two among more numbers */
    ROWS = 128,        /* of a block of A */
    B_BYTES = 12 << 20, /* of a packed block of B at most */
    CHUNK = 12,        /* steps of a panel of B that stay in the first-level cache while the panels of A pass by */
    A_STAYS = 28 << 10, /* bytes of A that stay there instead while B passes by, where as much has two panels: four at k = 128 */
    LEAST_ROWS = 64,   /* of a task where there are few */
    LEAST_COLUMNS = 512, /* of a task */
    SUM = LS_FIXED_DIGITS * TILE * TILE
};

typedef struct Plan {
    LsGemmTasks tasks;
    LsFixedSource a, b;
    uint8_t *packed_b;     /* (columns / 16) panels */
    LsFixedScale *scale_b; /* of each */
} Plan;

/* What a thread has for itself. */
typedef struct Own {
    uint8_t *packed_a; /* (task_rows / 16) panels */
    LsFixedScale scale_a[ROWS / TILE];
    float *copy;    /* for ls_fixed_pack */
    float *vectors; /* for ls_gemm_kernel */
} Own;

static Plan plan_of(const LsGemm *g, int64_t threads)
{
    Plan p = {.a = {g->a, g->lda, !g->transpose_a, false, g->a_by_largest},
              .b = {g->b, g->ldb, g->transpose_b, true, false}};
    LsGemmTasks *t = &p.tasks;
    t->g = g;
    t->depth = t->pack_depth = ls_even_piece(g->k, DEPTH, LS_FIXED_STEP);
    t->columns = ls_even_piece(g->n, B_BYTES / ls_fixed_bytes(t->depth) * TILE, TILE);
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

static void by_vectors(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, float *space)
{
    LsGemm g = *p->tasks.g;
    g.finish = NULL;
    LsGemmRegion region = {.row = t->row,
                           .column = t->column,
                           .from = b->from,
                           .rows = t->rows,
                           .columns = t->columns,
                           .depth = b->depth,
                           .c = (float *)g.c + t->row * g.ldc + t->column,
                           .ldc = g.ldc,
                           .add = !b->first || g.accumulate,
                           .complete = b->last};
    ls_gemm_kernel(&g, &region, space);
}

/* Panels from `from` on that are as wide, or not, as the first; `count` in all. */
static int64_t run_of(const LsFixedScale *scale, int64_t from, int64_t count)
{
    int64_t to = from + 1;
    while (to < count && scale[to].wide == scale[from].wide)
        to++;
    return to - from;
}

/* All columns of wide rows, then wide columns of the other rows. */
static void multiply_wide(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, const LsFixedScale *of_a,
                          const LsFixedScale *of_b, float *space)
{
    int64_t down = ls_ceil_div(t->rows, TILE), across = ls_ceil_div(t->columns, TILE);
    for (int64_t i = 0, n; i < down; i += n) {
        n = run_of(of_a, i, down);
        LsGemmTask rows = {t->row + i * TILE, ls_least(n * TILE, t->rows - i * TILE), t->column, t->columns};
        if (of_a[i].wide)
            by_vectors(p, b, &rows, space);
        for (int64_t j = 0, m; j < across && !of_a[i].wide; j += m) {
            m = run_of(of_b, j, across);
            LsGemmTask columns = {rows.row, rows.rows, t->column + j * TILE, ls_least(m * TILE, t->columns - j * TILE)};
            if (of_b[j].wide)
                by_vectors(p, b, &columns, space);
        }
    }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

static void give(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, const int32_t *sum, const LsFixedScale *of_a,
                 const LsFixedScale *of_b)
{
    const LsGemm *g = p->tasks.g;
    LsFixedTarget target = {.c = (float *)g->c + t->row * g->ldc + t->column,
                            .ldc = g->ldc,
                            .rows = t->rows,
                            .columns = t->columns,
                            .add = !b->first || g->accumulate,
                            .bias = b->last && g->bias ? (const float *)g->bias + t->column : NULL};
    ls_fixed_give(&target, sum, of_a, of_b);
}

/* Rows of A that stay in the first-level cache while the panels of B pass by; 0: a panel of B, or chunk of one, stays
 * while those of A do. */
static int64_t rows_that_stay(int64_t depth)
{
    int64_t panels = A_STAYS / ls_fixed_bytes(depth);
    return panels >= 2 ? panels * TILE : 0;
}

/* Rows of a task by one panel of B, in chunks of k. A tile's sums are given away while the tiles are busy with the
 * next. Returns whether some pair is wide. */
static bool multiply_column(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, const uint8_t *a,
                            const uint8_t *right, const LsFixedScale *of_a, const LsFixedScale *of_b)
{
    _Alignas(64) int32_t sums[ROWS / TILE][SUM];
    int64_t panel = ls_fixed_bytes(b->depth), steps = ls_fixed_steps(b->depth), panels = ls_ceil_div(t->rows, TILE);
    int64_t lines = LS_FIXED_STEP_BYTES / LS_ALIGN / panels, kept = -1;
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
            LsFixedProduct product = {.a = a + i * panel + step * LS_FIXED_STEP_BYTES,
                                      .b = right + step * LS_FIXED_STEP_BYTES,
                                      .steps = ls_least(chunk, steps - step), .a_stays = rows_that_stay(b->depth) > 0,
                                      .add = step > 0,
                                      .sum = sum,
                                      .next =
                                          right + (step + chunk) * LS_FIXED_STEP_BYTES + i * chunk * lines * LS_ALIGN,
                                      .lines = lines};
            if (complete) {
                product.result = (const float *)p->tasks.g->c + tile.row * p->tasks.g->ldc + tile.column;
                product.result_stride = p->tasks.g->ldc, product.result_rows = tile.rows;
            }
            ls_fixed_multiply(&product);
            if (complete && kept >= 0)
                give(p, b, &before, given, of_a + kept, of_b);
            if (complete)
                before = tile, kept = i, given = sum;
        }
    if (kept >= 0)
        give(p, b, &before, given, of_a + kept, of_b);
    return wide;
}

/* ---- A task ------------------------------------------------------------------------------------------------------ */

static void pack_right(void *self, const LsGemmBlock *b, int64_t column, int64_t columns, int64_t from, int64_t depth,
                       void *own)
{
    const Plan *p = self;
    ls_fixed_pack(&p->b, b->column + column, columns, b->from + from, depth, ((Own *)own)->copy,
                  p->packed_b + column / TILE * ls_fixed_bytes(b->depth), p->scale_b + column / TILE, NULL);
}

/* The rows of a task, and the sums of all rows with the first columns. */
static void pack_left(const Plan *p, const LsGemmBlock *b, const LsGemmTask *t, bool with_sums, Own *o)
{
    const LsGemm *g = p->tasks.g;
    float sums[ROWS];
    ls_fixed_pack(&p->a, t->row, t->rows, b->from, b->depth, o->copy, o->packed_a, o->scale_a, with_sums ? sums : NULL);
    for (int64_t i = 0; with_sums && i < t->rows; i++)
        g->row_sums[t->row + i] = (!b->first || g->add_row_sums ? g->row_sums[t->row + i] : 0) + sums[i];
}

static void multiply_task(void *self, const LsGemmBlock *b, const LsGemmTask *task, bool new_rows, void *own)
{
    const Plan *p = self;
    Own *o = own;
    const LsFixedScale *scale_b = p->scale_b + (task->column - b->column) / TILE;
    const uint8_t *packed_b = p->packed_b + (task->column - b->column) / TILE * ls_fixed_bytes(b->depth);
    bool wide = false, with_sums = p->tasks.g->row_sums && task->column == 0;
    if (new_rows || with_sums)
        pack_left(p, b, task, with_sums, o);
    int64_t stay = rows_that_stay(b->depth), panel = ls_fixed_bytes(b->depth);
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

static Shares shares_of(int64_t depth, int64_t rows)
{
    Shares s = {.a = ls_ceil_div(rows, TILE) * ls_fixed_bytes(depth), .copy = ls_fixed_copy(depth) * (int64_t)sizeof(float),
                .vectors = ls_round_up(ls_gemm_kernel_space() * (int64_t)sizeof(float), LS_ALIGN)};
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
    Layout l = {.own = shares_of(p->tasks.depth, p->tasks.task_rows),
                .b = p->tasks.columns / TILE * ls_fixed_bytes(p->tasks.depth)};
    l.scale = ls_round_up(p->tasks.columns / TILE * (int64_t)sizeof(LsFixedScale), LS_ALIGN);
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
    p->scale_b = (LsFixedScale *)(void *)(space + l->b);
    p->tasks.self = p, p->tasks.pack_right = pack_right, p->tasks.multiply = multiply_task;
}

struct LsFixedWork {
    LsGemmSpace *taken; /* this lies at its begin */
    uint8_t *space;
    Plan plan;
    Layout layout;
    LsShare share;
};

LsFixedWork *ls_fixed_begin(const LsGemm *g, int64_t threads)
{
    Plan p = plan_of(g, threads);
    Layout l = layout_of(&p, threads);
    int64_t front = ls_round_up(sizeof(LsFixedWork), LS_ALIGN);
    LsGemmSpace *taken = ls_gemm_space_take(front + l.all);
    if (!taken)
        return NULL;
    LsFixedWork *w = taken->data;
    w->taken = taken, w->space = (uint8_t *)taken->data + front, w->plan = p, w->layout = l;
    place(&w->plan, w->space, &l, &w->share);
    return w;
}

void ls_fixed_team(LsFixedWork *w) { run_team(&w->plan, w->space, &w->layout); }

void ls_fixed_end(LsFixedWork *w)
{
    if (w)
        ls_gemm_space_give(w->taken);
}

LsStatus ls_fixed_gemm(const LsGemm *g)
{
    int64_t threads = omp_in_parallel() ? 1 : ls_threads();
    LsFixedWork *work = ls_fixed_begin(g, threads);
    if (!work)
        return LS_RESOURCE;
#pragma omp parallel num_threads((int)threads)
    ls_fixed_team(work);
    ls_fixed_end(work);
    return LS_OK;
}

/* Of any product no larger in n and k: a shorter k may be cut in longer blocks. */
int64_t ls_fixed_alone_space(const LsGemm *g)
{
    Plan p = plan_of(g, 1);
    p.tasks.depth = ls_least(ls_round_up(g->k, LS_FIXED_STEP), DEPTH);
    p.tasks.columns = ls_round_up(g->n, TILE);
    Layout l = layout_of(&p, 1);
    return l.all - l.b + ls_least(l.b, B_BYTES);
}

void ls_fixed_alone(const LsGemm *g, void *space)
{
    Plan p = plan_of(g, 1);
    Layout l = layout_of(&p, 1);
    LsShare share;
    place(&p, space, &l, &share);
#pragma omp parallel num_threads(1)
    run_team(&p, space, &l);
}

int64_t ls_fixed_space_of_right(int64_t columns)
{
    return ls_least(ls_ceil_div(columns, TILE) * ls_fixed_bytes(DEPTH), B_BYTES);
}

int64_t ls_fixed_space(int64_t columns)
{
    return ls_fixed_space_of_right(columns) + ls_threads() * shares_of(DEPTH, ROWS).all;
}
