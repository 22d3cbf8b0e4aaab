#include "gemm/record.h"

#include <omp.h>

bool ls_gemm_recording;
static LsGemmShape *shapes;
static int count, most;

void ls_gemm_record_begin(LsGemmShape *shape, int room)
{
    shapes = shape;
    count = 0;
    most = room;
    ls_gemm_recording = true;
}

int ls_gemm_record_end(void)
{
    ls_gemm_recording = false;
    return count;
}

static bool same(const LsGemmShape *a, const LsGemmShape *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->accumulate == b->accumulate && a->c_float == b->c_float &&
           a->bias == b->bias && a->type == b->type && a->alone == b->alone;
}

void ls_gemm_record_always(const LsGemm *g)
{
    if (g->b_scale || g->type == LS_GEMM_FLOAT64)
        return;
    LsGemmShape one = {g->m,
                       g->n,
                       g->k,
                       g->transpose_a,
                       g->transpose_b,
                       g->accumulate,
                       g->c_float,
                       g->bias != NULL,
                       g->type,
                       omp_in_parallel(),
                       1};
#pragma omp critical(ls_gemm_record)
    {
        int at = 0;
        while (at < count && !same(&shapes[at], &one))
            at++;
        if (at < count)
            shapes[at].calls++;
        else if (count < most)
            shapes[count++] = one;
    }
}
