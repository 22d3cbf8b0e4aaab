/* Products of many rows with weights of 8 bits: blocks of these are widened to the type of A, each used for all rows
 * of A while it is in the cache. */
#include "base/bfloat16.h"
#include "gemm/kernel.h"
#include "gemm/workspace.h"

/* Rows of B together: 256 of 3,072 are 3 MiB of floats, and enough columns of C for every thread. */
#define BLOCK 256

/* b: (rows, k) -> to: (rows, k), each times its scale. Every bfloat16 holds 8 bits exactly, but not their product with
 * the scale: it is rounded once. */
static void widen(void *to, const int8_t *b, int64_t stride, const float *scale, int64_t rows, int64_t k, bool bfloat16)
{
#pragma omp parallel for schedule(static) if (rows * k > 16384)
    for (int64_t j = 0; j < rows; j++)
        for (int64_t p = 0; p < k; p++) {
            float value = scale[j] * (float)b[j * stride + p];
            if (bfloat16)
                ((LsBfloat16 *)to)[j * k + p] = ls_bfloat16_from_float(value);
            else
                ((float *)to)[j * k + p] = value;
        }
}

typedef struct Shifted {
    const LsGemm *g;
    int64_t column;
} Shifted;

static void epilogue_shifted(void *self, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    const Shifted *s = self;
    s->g->finish(s->g->self, row, s->column + column, rows, columns);
}

static LsStatus run(const LsGemm *g)
{
    const bool bfloat16 = g->type == LS_GEMM_BFLOAT16;
    int64_t rows = g->n < BLOCK ? g->n : BLOCK;
    LsWorkspace *space = ls_workspace_acquire(rows * g->k * (int64_t)sizeof(float));
    if (!space)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    for (int64_t j = 0; j < g->n && status == LS_OK; j += rows) {
        Shifted shifted = {g, j};
        LsGemm part = *g;
        part.n = g->n - j < rows ? g->n - j : rows;
        part.b = space->data, part.ldb = g->k, part.b_scale = NULL;
        part.c = (char *)g->c + j * (ls_gemm_c_float(g) ? 4 : 2);
        part.bias = g->bias ? (const char *)g->bias + j * (bfloat16 ? 2 : 4) : NULL;
        part.finish = g->finish ? epilogue_shifted : NULL;
        part.self = &shifted;
        widen(space->data, (const int8_t *)g->b + j * g->ldb, g->ldb, g->b_scale + j, part.n, g->k, bfloat16);
        status = ls_gemm_choose(&part)->run(&part);
    }
    ls_workspace_release(space);
    return status;
}

static bool usable(const LsGemm *g) { return g->b_scale != NULL; }

/* The skinny kernels, which read the weights as they stand, come first wherever they are usable. */
static double picoseconds(const LsGemm *g) { return 6.06 * (double)g->m * (double)g->n * (double)g->k; }

extern const LsGemmKernel ls_gemm_kernel_int8_widened;
const LsGemmKernel ls_gemm_kernel_int8_widened = {
    .name = "int8_widened", .isa = LS_ISA_BASELINE, .usable = usable, .picoseconds = picoseconds, .run = run};
