/* The product of fixed-point panels: B is packed by all threads together, block by block of columns and of k; then
 * each thread takes blocks of rows, packs them for itself, and multiplies them with all of B. So both operands are
 * packed once, B for the third-level cache, A for the second. Pairs of panels of which one is wide are left to float
 * vectors. */
#include "base/gemm_fixed.h"
#include "base/gemm_kernel.h"
#include "base/gemm_space.h"
#include "base/gemm_tiles.h"
#include "base/pieces.h"
#include "base/share.h"

#include <omp.h>

enum {
    TILE = LS_FIXED_TILE,
    DEPTH = 1024,      /* of a block of k at most: a longer one rounds fewer sums to float, but shares a power of two among more numbers */
    ROWS = 128,        /* of a block of A */
    B_BYTES = 12 << 20, /* of a packed block of B at most */
    CHUNK = 12,        /* steps of a panel of B that stay in the first-level cache while the panels of A pass by */
    LEAST_ROWS = 64,   /* of a task where there are few */
    LEAST_COLUMNS = 512, /* of a task, for packing A again for the next columns to be cheap */
    SUM = LS_FIXED_DIGITS * TILE * TILE
};

typedef struct Plan {
    const LsGemm *g;
    LsFixedSource a, b;
    int64_t depth, columns;          /* of a block of k, and of columns of B */
    int64_t task_rows, task_columns; /* of one thread's piece */
    uint8_t *packed_b;               /* (columns / 16) panels */
    LsFixedScale *scale_b;           /* of each */
    LsShare *share;                  /* of a block's tasks */
} Plan;

/* What a thread has for itself. */
typedef struct Own {
    uint8_t *packed_a; /* (task_rows / 16) panels */
    float *copy;       /* for ls_fixed_pack */
    float *vectors;    /* for ls_gemm_kernel */
} Own;

static Plan plan_of(const LsGemm *g, int64_t threads)
{
    Plan p = {.g = g,
              .a = {g->a, g->lda, !g->transpose_a, false, g->a_by_largest},
              .b = {g->b, g->ldb, g->transpose_b, true, false}};
    p.depth = ls_even_piece(g->k, DEPTH, LS_FIXED_STEP);
    p.columns = ls_even_piece(g->n, B_BYTES / ls_fixed_bytes(p.depth) * TILE, TILE);
    p.task_rows = ls_even_piece(g->m, ROWS, TILE);
    /* Threads that have all rows of some columns read of the packed B mostly what they packed themselves. */
    bool by_columns = g->n > g->m && ls_ceil_div(g->m, p.task_rows) < threads;
    while (!by_columns && p.task_rows > LEAST_ROWS && ls_ceil_div(g->m, p.task_rows) < 2 * threads)
        p.task_rows = ls_round_up(p.task_rows / 2, TILE);
    int64_t row_tasks = ls_ceil_div(g->m, p.task_rows), most = p.columns / LEAST_COLUMNS,
            idle = ls_ceil_div(threads, row_tasks);
    int64_t pieces = ls_least(ls_ceil_div(4 * threads, row_tasks), most > idle ? most : idle);
    p.task_columns = ls_round_up(ls_ceil_div(p.columns, pieces), TILE);
    return p;
}

/* A block of columns and of k. */
typedef struct Block {
    int64_t column, columns, from, depth;
    bool first, last; /* of k */
} Block;

/* A rectangle of a block; rows and columns of the product. */
typedef struct Piece {
    int64_t row, rows, column, columns;
} Piece;

/* ---- Wide panels ------------------------------------------------------------------------------------------------- */

static void by_vectors(const Plan *p, const Block *b, const Piece *t, float *space)
{
    LsGemm g = *p->g;
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
static void multiply_wide(const Plan *p, const Block *b, const Piece *t, const LsFixedScale *of_a,
                          const LsFixedScale *of_b, float *space)
{
    int64_t down = ls_ceil_div(t->rows, TILE), across = ls_ceil_div(t->columns, TILE);
    for (int64_t i = 0, n; i < down; i += n) {
        n = run_of(of_a, i, down);
        Piece rows = {t->row + i * TILE, ls_least(n * TILE, t->rows - i * TILE), t->column, t->columns};
        if (of_a[i].wide)
            by_vectors(p, b, &rows, space);
        for (int64_t j = 0, m; j < across && !of_a[i].wide; j += m) {
            m = run_of(of_b, j, across);
            Piece columns = {rows.row, rows.rows, t->column + j * TILE, ls_least(m * TILE, t->columns - j * TILE)};
            if (of_b[j].wide)
                by_vectors(p, b, &columns, space);
        }
    }
}

/* ---- Tiles ------------------------------------------------------------------------------------------------------- */

static void give(const Plan *p, const Block *b, const Piece *t, const int32_t *sum, const LsFixedScale *of_a,
                 const LsFixedScale *of_b)
{
    const LsGemm *g = p->g;
    LsFixedTarget target = {.c = (float *)g->c + t->row * g->ldc + t->column,
                            .ldc = g->ldc,
                            .rows = t->rows,
                            .columns = t->columns,
                            .add = !b->first || g->accumulate,
                            .bias = b->last && g->bias ? (const float *)g->bias + t->column : NULL};
    ls_fixed_give(&target, sum, of_a, of_b);
}

/* All rows of a task by one panel of B, in chunks of k. A tile's sums are given away while the tiles are busy with the
 * next. Returns whether some pair is wide. */
static bool multiply_column(const Plan *p, const Block *b, const Piece *t, const uint8_t *a, const uint8_t *right,
                            const LsFixedScale *of_a, const LsFixedScale *of_b)
{
    _Alignas(64) int32_t sums[ROWS / TILE][SUM];
    int64_t panel = ls_fixed_bytes(b->depth), steps = ls_fixed_steps(b->depth), panels = ls_ceil_div(t->rows, TILE);
    int64_t lines = LS_FIXED_STEP_BYTES / LS_ALIGN / panels, kept = -1;
    int64_t chunk = ls_even_piece(steps, CHUNK, 1);
    const int32_t *given = NULL; /* the sums of the tile before */
    bool wide = of_b->wide;
    Piece tile = *t, before = tile;
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
                                      .steps = ls_least(chunk, steps - step),
                                      .add = step > 0,
                                      .sum = sum,
                                      .next =
                                          right + (step + chunk) * LS_FIXED_STEP_BYTES + i * chunk * lines * LS_ALIGN,
                                      .lines = lines};
            if (complete) {
                product.result = (const float *)p->g->c + tile.row * p->g->ldc + tile.column;
                product.result_stride = p->g->ldc, product.result_rows = tile.rows;
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

static void multiply_task(const Plan *p, const Block *b, int64_t row, int64_t column, const Own *own)
{
    const LsGemm *g = p->g;
    Piece task = {row, ls_least(p->task_rows, g->m - row), b->column + column,
                  ls_least(p->task_columns, b->columns - column)};
    int64_t panel = ls_fixed_bytes(b->depth);
    LsFixedScale scale_a[ROWS / TILE];
    const LsFixedScale *scale_b = p->scale_b + column / TILE;
    ls_fixed_pack(&p->a, row, task.rows, b->from, b->depth, own->copy, own->packed_a, scale_a);
    bool wide = false;
    for (int64_t j = 0; j < task.columns; j += TILE) {
        Piece strip = {row, task.rows, task.column + j, ls_least(TILE, task.columns - j)};
        wide |= multiply_column(p, b, &strip, own->packed_a, p->packed_b + (column + j) / TILE * panel, scale_a,
                                scale_b + j / TILE);
    }
    if (wide)
        multiply_wide(p, b, &task, scale_a, scale_b, own->vectors);
    if (b->last && g->finish)
        g->finish(g->self, task.row, task.column, task.rows, task.columns);
}

/* ---- The loops --------------------------------------------------------------------------------------------------- */

/* One thread's share of a block; called by all threads of the team. */
static void run_block(const Plan *p, const Block *b, const Own *own)
{
    int64_t row_tasks = ls_ceil_div(p->g->m, p->task_rows), column_tasks = ls_ceil_div(b->columns, p->task_columns);
#pragma omp master
    ls_share_begin(p->share, row_tasks * column_tasks, omp_get_num_threads());
    const int64_t wide = ls_round_up(ls_ceil_div(b->columns, omp_get_num_threads()), TILE);
#pragma omp for schedule(static)
    for (int64_t j = 0; j < b->columns; j += wide)
        ls_fixed_pack(&p->b, b->column + j, ls_least(wide, b->columns - j), b->from, b->depth, own->copy,
                      p->packed_b + j / TILE * ls_fixed_bytes(b->depth), p->scale_b + j / TILE);
    for (int64_t task; (task = ls_share_next(p->share, omp_get_thread_num())) >= 0;)
        multiply_task(p, b, task / column_tasks * p->task_rows, task % column_tasks * p->task_columns, own);
#pragma omp barrier
}

static void run_blocks(const Plan *p, const Own *own)
{
    const LsGemm *g = p->g;
    ls_tiles_begin();
    for (int64_t column = 0; column < g->n; column += p->columns)
        for (int64_t from = 0; from < g->k; from += p->depth) {
            Block b = {column,    ls_least(p->columns, g->n - column),
                       from,      ls_least(p->depth, g->k - from),
                       from == 0, from + p->depth >= g->k};
            run_block(p, &b, own);
        }
    ls_tiles_end();
}

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
    Layout l = {.own = shares_of(p->depth, p->task_rows), .b = p->columns / TILE * ls_fixed_bytes(p->depth)};
    l.scale = ls_round_up(p->columns / TILE * (int64_t)sizeof(LsFixedScale), LS_ALIGN);
    l.all = l.b + l.scale + threads * l.own.all;
    return l;
}

static void run_plan(Plan *p, int64_t threads, uint8_t *space)
{
    Layout l = layout_of(p, threads);
    LsShare share;
    p->packed_b = space;
    p->scale_b = (LsFixedScale *)(void *)(space + l.b);
    p->share = &share;
#pragma omp parallel num_threads((int)threads)
    {
        uint8_t *mine = space + l.b + l.scale + omp_get_thread_num() * l.own.all;
        run_blocks(p, &(Own){mine, (float *)(void *)(mine + l.own.a), (float *)(void *)(mine + l.own.a + l.own.copy)});
    }
}

LsStatus ls_fixed_gemm(const LsGemm *g)
{
    int64_t threads = omp_in_parallel() ? 1 : ls_threads();
    Plan p = plan_of(g, threads);
    LsGemmSpace *space = ls_gemm_space_take(layout_of(&p, threads).all);
    if (!space)
        return LS_RESOURCE;
    run_plan(&p, threads, space->data);
    ls_gemm_space_give(space);
    return LS_OK;
}

/* Of any product no larger in n and k: a shorter k may be cut in longer blocks. */
int64_t ls_fixed_alone_space(const LsGemm *g)
{
    Plan p = plan_of(g, 1);
    p.depth = ls_least(ls_round_up(g->k, LS_FIXED_STEP), DEPTH);
    p.columns = ls_round_up(g->n, TILE);
    Layout l = layout_of(&p, 1);
    return l.all - l.b + ls_least(l.b, B_BYTES);
}

void ls_fixed_alone(const LsGemm *g, void *space)
{
    Plan p = plan_of(g, 1);
    run_plan(&p, 1, space);
}

int64_t ls_fixed_space_of_right(int64_t columns)
{
    return ls_least(ls_ceil_div(columns, TILE) * ls_fixed_bytes(DEPTH), B_BYTES);
}

int64_t ls_fixed_space(int64_t columns)
{
    return ls_fixed_space_of_right(columns) + ls_threads() * shares_of(DEPTH, ROWS).all;
}
