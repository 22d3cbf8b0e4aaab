#include "base/gemm_watch.h"

#include <omp.h>

bool ls_gemm_watched;
static LsGemmShape *shapes;
static int count, most;

void ls_gemm_watch(LsGemmShape *shape, int room)
{
    shapes = shape;
    count = 0;
    most = room;
    ls_gemm_watched = true;
}

int ls_gemm_watch_end(void)
{
    ls_gemm_watched = false;
    return count;
}

static bool same(const LsGemmShape *a, const LsGemmShape *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->accumulate == b->accumulate && a->c_float == b->c_float &&
           a->bias == b->bias && a->bfloat16 == b->bfloat16 && a->alone == b->alone;
}

void ls_gemm_note_always(const LsGemm *g, bool bfloat16)
{
    LsGemmShape one = {g->m, g->n, g->k, g->transpose_a, g->transpose_b, g->accumulate, g->c_float, g->bias != NULL, bfloat16,
                       omp_in_parallel(), 1};
#pragma omp critical(ls_gemm_watch)
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
