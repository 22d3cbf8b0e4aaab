/* The product of panels: B is packed by all threads together, block by block of columns and of k; then each thread
 * takes blocks of rows, packs them for itself, and multiplies them with all of B. So both operands are packed once, B
 * for the third-level cache, A for the second.
 *
 * The order of an element's sum follows from k alone: blocks of k one after the other, added in float. */
#include "base/bfloat16.h"
#include "base/gemm_panel.h"
#include "base/gemm_space.h"
#include "base/pieces.h"
#include "base/share.h"

#include <omp.h>

enum {
    A_BYTES = 768 << 10, /* of a packed block of A at most: a good part of the second-level cache */
    B_BYTES = 12 << 20,  /* of a packed block of B at most */
    NEAR_BYTES = 512 << 10, /* of one that stays in the second-level cache */
    DEPTH = 1536,        /* of a block of k */
    MOST_ROWS = 512,     /* of a block of A */
    CHUNK_STEPS = 16,    /* steps of a panel of B that stay in the first-level cache while the panels of A pass by */
    PACK_COLUMNS = 256,  /* of a piece of B that is packed at once where its rows are those of k, and how many of these */
    PACK_DEPTH = 128,
    LARGE_BYTES = 2 << 20, /* a result from this size on was in no near cache, and waits for none to be written */
    LEAST_COLUMNS = 512  /* of a task, for packing A again for the next columns to be cheap */
};

typedef struct Plan {
    const LsGemm *g;
    const LsPanelKernel *kernel;
    LsPanelSource a, b;
    bool c_float;
    bool large, past_caches; /* C; see LsPanelTarget */
    int64_t depth, columns;           /* of a block of k, and of columns of B */
    int64_t task_rows, task_columns;  /* of one thread's piece */
    uint8_t *packed_b;                /* (columns / 32) panels */
    float *partial;                   /* (m, columns): sums over the blocks of k so far, where C is bfloat16 and there are several; else NULL */
    LsShare *share;                   /* of a block's tasks */
} Plan;

static Plan plan_of(const LsGemm *g, const LsPanelKernel *kernel)
{
    Plan p = {.g = g, .kernel = kernel, .c_float = g->c_float};
    p.a = (LsPanelSource){g->a, g->lda, !g->transpose_a, false, false};
    p.b = (LsPanelSource){g->b, g->ldb, g->transpose_b, false, true};
    int64_t bytes = p.c_float ? (int64_t)sizeof(float) : (int64_t)sizeof(LsBfloat16);
    bool lines = (uintptr_t)g->c % LS_ALIGN == 0 && g->ldc * bytes % LS_ALIGN == 0;
    p.large = g->m * g->n * bytes >= LARGE_BYTES;
    p.past_caches = p.large && lines && (p.c_float || !g->finish);
    p.depth = ls_even_piece(g->k, DEPTH, LS_STEP);
    int64_t panel = ls_panel_bytes(p.depth, 1), threads = ls_threads();
    p.columns = ls_even_piece(g->n, B_BYTES / panel * LS_PANEL, LS_PANEL);
    int64_t rows = ls_least(MOST_ROWS, A_BYTES / panel * LS_PANEL);
    p.task_rows = ls_even_piece(g->m, rows, LS_PANEL);
    bool near = p.columns / LS_PANEL * panel <= NEAR_BYTES; /* then B may pass by more often, and a cut of the columns, which packs A again, is saved */
    while (p.task_rows > 2 * LS_PANEL && ls_ceil_div(g->m, p.task_rows) < (near ? 4 : 2) * threads)
        p.task_rows = ls_round_up(p.task_rows / 2, LS_PANEL);
    int64_t row_tasks = ls_ceil_div(g->m, p.task_rows), wanted = ls_ceil_div((near ? 2 : 4) * threads, row_tasks);
    p.task_columns = p.columns;
    while (wanted > 1 && row_tasks * wanted % threads != 0)
        wanted++;
    if (wanted > 1)
        p.task_columns =
            ls_even_piece(p.columns,
                          p.columns / wanted > LEAST_COLUMNS ? p.columns / wanted
                                                             : ls_least(LEAST_COLUMNS, ls_ceil_div(p.columns, threads)),
                          LS_PANEL);
    return p;
}

/* ---- C ----------------------------------------------------------------------------------------------------------- */

/* Where the sums over a block of k go that belong to the piece (rows, columns) of C from (row, column): there, or to
 * the partial sums. */
static LsPanelTarget target_of(const Plan *p, int64_t row, int64_t column, int64_t rows, int64_t columns, bool first,
                               bool last)
{
    const LsGemm *g = p->g;
    bool to_c = p->c_float || last;
    float *partial = p->partial ? p->partial + row * p->columns + column % p->columns : NULL;
    float *c = (float *)g->c + row * g->ldc + column;
    LsPanelTarget t = {.to = p->c_float ? (void *)c : to_c ? (void *)((LsBfloat16 *)g->c + row * g->ldc + column) : partial,
                       .to_stride = to_c ? g->ldc : p->columns,
                       .from = first || p->c_float ? NULL : partial,
                       .from_stride = p->columns,
                       .rows = rows,
                       .columns = columns,
                       .to_float = p->c_float || !to_c,
                       .add = p->c_float ? g->accumulate || !first : last && g->accumulate};
    t.past_caches = p->past_caches && last && !t.add && columns == LS_PANEL;
    if (last && g->bias)
        t.bias = (const LsBfloat16 *)g->bias + column;
    return t;
}

/* ---- The loops --------------------------------------------------------------------------------------------------- */

/* A block of columns and of k. */
typedef struct Block {
    int64_t column, columns, from, depth;
} Block;

static int tiles_of(int64_t rows) { return rows > LS_TILE ? 2 : 1; }

/* Row by row: in the order of tiles, a line here and there, it comes at a third of the speed. */
static void ask_for_result(const Plan *p, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const LsBfloat16 *c = (const LsBfloat16 *)p->g->c + row * p->g->ldc + column;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j += LS_ALIGN / (int64_t)sizeof *c)
            __builtin_prefetch(c + i * p->g->ldc + j, 0, 2);
}

/* A thread's block of A: rows from `row` on, -1: none yet. */
typedef struct Left {
    uint8_t *packed;
    int64_t row;
} Left;

static void multiply_task(const Plan *p, const Block *b, int64_t row, int64_t column, Left *left)
{
    const LsGemm *g = p->g;
    int64_t rows = ls_least(p->task_rows, g->m - row), columns = ls_least(p->task_columns, b->columns - column);
    int64_t panel = ls_panel_bytes(b->depth, 1), steps = ls_panel_steps(b->depth);
    bool first = b->from == 0, last = b->from + b->depth == g->k;
    int64_t chunk = ls_even_piece(steps, CHUNK_STEPS, 1), step_bytes = LS_STEP_BYTES;
    _Alignas(64) float sums[MOST_ROWS / LS_PANEL][LS_PANEL * LS_PANEL];
    if (last && p->large && !p->past_caches && !p->c_float)
        ask_for_result(p, row, b->column + column, rows, columns);
    if (left->row != row) /* else the task before had the same rows, and other columns */
        ls_panel_pack(&p->a, row, rows, b->from, b->depth, left->packed, panel);
    left->row = row;
    int64_t lines = step_bytes / LS_ALIGN / ls_ceil_div(rows, LS_PANEL);
    for (int64_t j = 0; j < columns; j += LS_PANEL)
        for (int64_t step = 0; step < steps; step += chunk)
            for (int64_t i = 0; i < rows; i += LS_PANEL) {
                int64_t here = ls_least(LS_PANEL, rows - i), wide = ls_least(LS_PANEL, columns - j);
                const uint8_t *right = p->packed_b + (column + j) / LS_PANEL * panel + step * step_bytes;
                LsPanelTarget t = target_of(p, row + i, b->column + column + j, here, wide, first, last);
                bool complete = step + chunk >= steps;
                LsPanelProduct product = {.a = left->packed + i / LS_PANEL * panel + step * step_bytes,
                                          .b = right,
                                          .steps = ls_least(chunk, steps - step),
                                          .parts = 1,
                                          .row_tiles = tiles_of(here),
                                          .column_tiles = tiles_of(wide),
                                          .add = step > 0,
                                          .sum = sums[i / LS_PANEL],
                                          .next = right + chunk * step_bytes + i / LS_PANEL * lines * LS_ALIGN * chunk,
                                          .lines = lines,
                                          .target = complete ? &t : NULL};
                p->kernel->multiply(&product);
                if (complete)
                    ls_panel_give(&t, product.sum);
            }
    if (p->past_caches)
        ls_panel_settle();
    if (last && g->finish)
        g->finish(g->self, row, b->column + column, rows, columns);
}

/* One thread's share of a block; called by all threads of the team. */
static void run_block(const Plan *p, const Block *b, uint8_t *packed_a)
{
    int64_t panel = ls_panel_bytes(b->depth, 1);
    int64_t row_tasks = ls_ceil_div(p->g->m, p->task_rows), column_tasks = ls_ceil_div(b->columns, p->task_columns);
#pragma omp master
    ls_share_begin(p->share, row_tasks * column_tasks, omp_get_num_threads());
    /* pieces whose lines in memory are long enough for the machine to guess the next, or that have a next panel to ask
     * for */
    int64_t wide = PACK_COLUMNS, deep = PACK_DEPTH;
    if (p->b.along_k) {
        wide = ls_least(PACK_COLUMNS, ls_ceil_div(b->columns, 2 * omp_get_num_threads()));
        wide = ls_even_piece(b->columns, wide, LS_PANEL);
        deep = b->depth;
    }
    int64_t slices = ls_ceil_div(b->depth, deep);
#pragma omp for schedule(static)
    for (int64_t piece = 0; piece < ls_ceil_div(b->columns, wide) * slices; piece++) {
        int64_t j = piece / slices * wide, k = piece % slices * deep;
        ls_panel_pack(&p->b, b->column + j, ls_least(wide, b->columns - j), b->from + k, ls_least(deep, b->depth - k),
                      p->packed_b + j / LS_PANEL * panel + k / LS_STEP * LS_STEP_BYTES, panel);
    }
    Left left = {packed_a, -1};
    for (int64_t task; (task = ls_share_next(p->share, omp_get_thread_num())) >= 0;)
        multiply_task(p, b, task / column_tasks * p->task_rows, task % column_tasks * p->task_columns, &left);
#pragma omp barrier
}

static void run_blocks(const Plan *p, uint8_t *packed_a)
{
    const LsGemm *g = p->g;
    if (p->kernel->begin)
        p->kernel->begin();
    for (int64_t column = 0; column < g->n; column += p->columns)
        for (int64_t from = 0; from < g->k; from += p->depth) {
            Block b = {column, ls_least(p->columns, g->n - column), from, ls_least(p->depth, g->k - from)};
            run_block(p, &b, packed_a);
        }
    if (p->kernel->end)
        p->kernel->end();
}

LsStatus ls_panel_gemm(const LsGemm *g, const LsPanelKernel *kernel)
{
    Plan p = plan_of(g, kernel);
    bool partial = !p.c_float && g->k > p.depth;
    int64_t panel = ls_panel_bytes(p.depth, 1), b_bytes = p.columns / LS_PANEL * panel;
    int64_t a_bytes = p.task_rows / LS_PANEL * panel,
            partial_bytes = partial ? ls_round_up(g->m * p.columns * (int64_t)sizeof(float), LS_ALIGN) : 0;
    int64_t threads = ls_threads();
    LsGemmSpace *space = ls_gemm_space_take(b_bytes + partial_bytes + threads * a_bytes);
    if (!space)
        return LS_RESOURCE;
    p.packed_b = space->data;
    p.partial = partial ? (float *)(void *)(p.packed_b + b_bytes) : NULL;
    uint8_t *packed_a = p.packed_b + b_bytes + partial_bytes;
    LsShare share;
    p.share = &share;
#pragma omp parallel num_threads((int)threads)
    run_blocks(&p, packed_a + omp_get_thread_num() * a_bytes);
    ls_gemm_space_give(space);
    return LS_OK;
}

int64_t ls_panel_space(int64_t columns)
{
    int64_t b_bytes = columns * ls_panel_bytes(DEPTH, 1) / LS_PANEL;
    return ls_least(b_bytes, B_BYTES) + ls_threads() * (ls_least(b_bytes, A_BYTES));
}
