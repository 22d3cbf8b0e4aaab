/* The product of panels, gone through as blocking.h says. */
#include "base/bfloat16.h"
#include "base/pieces.h"
#include "gemm/bf16.h"
#include "gemm/blocking.h"
#include "gemm/kernel.h"
#include "gemm/workspace.h"

#include <omp.h>

enum {
    A_BYTES = 768 << 10,    /* of a packed block of A at most: a good part of the second-level cache */
    B_BYTES = 12 << 20,     /* of a packed block of B at most */
    NEAR_BYTES = 512 << 10, /* of one that stays in the second-level cache */
    DEPTH = 1536,           /* of a block of k */
    MOST_ROWS = 512,        /* of a block of A */
    /* steps of a panel of B that stay in the first-level cache while the panels of A pass by */
    CHUNK_STEPS = 16,
    /* of a piece of B that is packed at once where its rows are those of k, and how many of these */
    PACK_COLUMNS = 256,
    PACK_DEPTH = 128,
    LARGE_BYTES = 2 << 20, /* a result from this size on was in no near cache, and waits for none to be written */
    LEAST_COLUMNS = 512    /* of a task */
};

typedef struct Plan {
    LsGemmTasks tasks;
    const LsPanelKernel *kernel;
    LsPanelSource a, b;
    bool c_float;
    bool large, nontemporal; /* C; see LsPanelTarget */
    uint8_t *packed_b;       /* (columns / 32) panels */
    /* (m, columns): sums over the blocks of k so far, where C is bfloat16 and there are several; else NULL */
    float *partial;
} Plan;

/* The pieces of a thread. */
static void plan_tasks(LsGemmTasks *t, int64_t panel, int64_t threads)
{
    const LsGemm *g = t->g;
    int64_t rows = ls_least(MOST_ROWS, A_BYTES / panel * LS_PANEL);
    t->task_rows = ls_even_piece(g->m, rows, LS_PANEL);
    bool near = t->columns / LS_PANEL * panel <= NEAR_BYTES; /* then B may pass by more often */
    while (t->task_rows > 2 * LS_PANEL && ls_ceil_div(g->m, t->task_rows) < (near ? 4 : 2) * threads)
        t->task_rows = ls_round_up(t->task_rows / 2, LS_PANEL);
    int64_t row_tasks = ls_ceil_div(g->m, t->task_rows), wanted = ls_ceil_div((near ? 2 : 4) * threads, row_tasks);
    t->task_columns = t->columns;
    while (wanted > 1 && row_tasks * wanted % threads != 0)
        wanted++;
    if (wanted > 1) {
        int64_t least = ls_least(LEAST_COLUMNS, ls_ceil_div(t->columns, threads)), even = t->columns / wanted;
        t->task_columns = ls_even_piece(t->columns, even > LEAST_COLUMNS ? even : least, LS_PANEL);
    }
}

static Plan plan_of(const LsGemm *g, const LsPanelKernel *kernel)
{
    Plan p = {.tasks.g = g, .kernel = kernel, .c_float = g->c_float};
    p.a = (LsPanelSource){g->a, g->lda, !g->transpose_a, false, false};
    p.b = (LsPanelSource){g->b, g->ldb, g->transpose_b, false, true};
    int64_t bytes = p.c_float ? (int64_t)sizeof(float) : (int64_t)sizeof(LsBfloat16);
    bool lines = (uintptr_t)g->c % LS_ALIGN == 0 && g->ldc * bytes % LS_ALIGN == 0;
    p.large = g->m * g->n * bytes >= LARGE_BYTES;
    p.nontemporal = p.large && lines && (p.c_float || !g->finish);
    LsGemmTasks *t = &p.tasks;
    t->depth = ls_even_piece(g->k, DEPTH, LS_STEP);
    int64_t panel = ls_panel_bytes(t->depth, 1), threads = ls_threads();
    t->columns = ls_even_piece(g->n, B_BYTES / panel * LS_PANEL, LS_PANEL);
    plan_tasks(t, panel, threads);
    /* pieces whose lines in memory are long enough for the machine to guess the next, or that have a next panel to ask
     * for */
    t->pack_columns = PACK_COLUMNS, t->pack_depth = PACK_DEPTH;
    if (p.b.along_k) {
        int64_t wide = ls_least(PACK_COLUMNS, ls_ceil_div(t->columns, 2 * threads));
        t->pack_columns = ls_even_piece(t->columns, wide, LS_PANEL);
        t->pack_depth = t->depth;
    }
    return p;
}

/* ---- C ----------------------------------------------------------------------------------------------------------- */

/* Where the sums over a block of k go that belong to the piece (rows, columns) of C from (row, column): there, or to
 * the partial sums. */
static LsPanelTarget target_of(const Plan *p, int64_t row, int64_t column, int64_t rows, int64_t columns, bool first,
                               bool last)
{
    const LsGemm *g = p->tasks.g;
    bool to_c = p->c_float || last;
    float *partial = p->partial ? p->partial + row * p->tasks.columns + column % p->tasks.columns : NULL;
    float *c = (float *)g->c + row * g->ldc + column;
    LsBfloat16 *half = (LsBfloat16 *)g->c + row * g->ldc + column;
    LsPanelTarget t = {.to = p->c_float ? (void *)c
                             : to_c     ? (void *)half
                                        : partial,
                       .to_stride = to_c ? g->ldc : p->tasks.columns,
                       .from = first || p->c_float ? NULL : partial,
                       .from_stride = p->tasks.columns,
                       .rows = rows,
                       .columns = columns,
                       .to_float = p->c_float || !to_c,
                       .add = p->c_float ? g->accumulate || !first : last && g->accumulate};
    t.nontemporal = p->nontemporal && last && !t.add && columns == LS_PANEL;
    if (last && g->bias)
        t.bias = (const LsBfloat16 *)g->bias + column;
    return t;
}

/* ---- A task ------------------------------------------------------------------------------------------------------ */

static int tiles_of(int64_t rows) { return rows > LS_TILE ? 2 : 1; }

/* Row by row: in the order of tiles, a line here and there, it comes at a third of the speed. */
static void ask_for_result(const LsGemm *g, const LsGemmTask *task)
{
    const LsBfloat16 *c = (const LsBfloat16 *)g->c + task->row * g->ldc + task->column;
    for (int64_t i = 0; i < task->rows; i++)
        for (int64_t j = 0; j < task->columns; j += LS_ALIGN / (int64_t)sizeof *c)
            __builtin_prefetch(c + i * g->ldc + j, 0, 2);
}

static void pack_right(void *self, const LsGemmBlock *b, int64_t column, int64_t columns, int64_t from, int64_t depth,
                       void *own)
{
    (void)own;
    const Plan *p = self;
    int64_t panel = ls_panel_bytes(b->depth, 1);
    ls_panel_pack(&p->b, b->column + column, columns, b->from + from, depth,
                  p->packed_b + column / LS_PANEL * panel + from / LS_STEP * LS_STEP_BYTES, panel);
}

static void multiply_task(void *self, const LsGemmBlock *b, const LsGemmTask *task, bool new_rows, void *own)
{
    const Plan *p = self;
    uint8_t *left = own;
    const int64_t rows = task->rows, columns = task->columns, step_bytes = LS_STEP_BYTES;
    int64_t panel = ls_panel_bytes(b->depth, 1), steps = ls_panel_steps(b->depth);
    const uint8_t *packed_b = p->packed_b + (task->column - b->column) / LS_PANEL * panel;
    int64_t chunk = ls_even_piece(steps, CHUNK_STEPS, 1), lines = step_bytes / LS_ALIGN / ls_ceil_div(rows, LS_PANEL);
    if (b->last && p->large && !p->nontemporal && !p->c_float)
        ask_for_result(p->tasks.g, task);
    if (new_rows)
        ls_panel_pack(&p->a, task->row, rows, b->from, b->depth, left, panel);
    _Alignas(64) float sums[MOST_ROWS / LS_PANEL][LS_PANEL * LS_PANEL];
    for (int64_t j = 0; j < columns; j += LS_PANEL)
        for (int64_t step = 0; step < steps; step += chunk)
            for (int64_t i = 0; i < rows; i += LS_PANEL) {
                int64_t here = ls_least(LS_PANEL, rows - i), wide = ls_least(LS_PANEL, columns - j);
                const uint8_t *right = packed_b + j / LS_PANEL * panel + step * step_bytes;
                LsPanelTarget t = target_of(p, task->row + i, task->column + j, here, wide, b->first, b->last);
                bool complete = step + chunk >= steps;
                LsPanelProduct product = {.a = left + i / LS_PANEL * panel + step * step_bytes,
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
                    ls_panel_store(&t, product.sum);
            }
    if (p->nontemporal)
        ls_store_fence();
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static LsStatus run(const LsGemm *g)
{
    const LsPanelKernel *kernel = ls_panel_kernel();
    Plan p = plan_of(g, kernel);
    LsShare share;
    p.tasks.share = &share;
    bool partial = !p.c_float && g->k > p.tasks.depth;
    int64_t panel = ls_panel_bytes(p.tasks.depth, 1), b_bytes = p.tasks.columns / LS_PANEL * panel;
    int64_t a_bytes = p.tasks.task_rows / LS_PANEL * panel,
            partial_bytes = partial ? ls_round_up(g->m * p.tasks.columns * (int64_t)sizeof(float), LS_ALIGN) : 0;
    int64_t threads = ls_threads();
    LsWorkspace *space = ls_workspace_acquire(b_bytes + partial_bytes + threads * a_bytes);
    if (!space)
        return LS_RESOURCE;
    p.packed_b = space->data;
    p.partial = partial ? (float *)(void *)(p.packed_b + b_bytes) : NULL;
    uint8_t *packed_a = p.packed_b + b_bytes + partial_bytes;
    p.tasks.self = &p, p.tasks.pack_right = pack_right, p.tasks.multiply = multiply_task;
#pragma omp parallel num_threads((int)threads)
    {
        if (kernel->begin)
            kernel->begin();
        ls_gemm_tasks_run(&p.tasks, packed_a + omp_get_thread_num() * a_bytes);
        if (kernel->end)
            kernel->end();
    }
    ls_workspace_release(space);
    return LS_OK;
}

/* ---- The lines of the table -------------------------------------------------------------------------------------- */

static bool usable(const LsGemm *g) { return g->type == LS_GEMM_BFLOAT16 && !g->b_scale && !ls_gemm_has_runs(g); }

/* Half of what float vectors take: where there are such instructions, they do all such products. */
static double picoseconds(const LsGemm *g) { return 3.03 * (double)g->m * (double)g->n * (double)g->k; }

static int64_t workspace_most(int64_t columns, int64_t depth, LsGemmType type)
{
    int64_t b_bytes = columns * ls_panel_bytes(ls_least(depth, DEPTH), 1) / LS_PANEL;
    return type == LS_GEMM_BFLOAT16 ? ls_least(b_bytes, B_BYTES) + ls_threads() * ls_least(b_bytes, A_BYTES) : 0;
}

extern const LsGemmKernel ls_gemm_kernel_bf16_amx, ls_gemm_kernel_bf16_dot;
const LsGemmKernel ls_gemm_kernel_bf16_amx = {.name = "bf16_amx",
                                              .isa = LS_ISA_V4_AMX,
                                              .usable = usable,
                                              .picoseconds = picoseconds,
                                              .run = run,
                                              .workspace_most = workspace_most};
const LsGemmKernel ls_gemm_kernel_bf16_dot = {.name = "bf16_dot",
                                              .isa = LS_ISA_V4_BF16,
                                              .usable = usable,
                                              .picoseconds = picoseconds,
                                              .run = run,
                                              .workspace_most = workspace_most};
