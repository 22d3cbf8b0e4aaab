#include "cli/bench.h"

#include <math.h>
#include <stdlib.h>

#define SECONDS 0.1 /* for one shape, and at least TRIES calls */
#define TRIES 3

/* Memory of an operand's elements, with rows of `columns`. */
static int64_t bytes_of(const LsGemmShape *s, int64_t rows, int64_t columns, bool wide)
{
    return rows * columns * (s->type == LS_GEMM_BFLOAT16 && !wide ? 2 : 4);
}

/* As many bytes of numbers near one. */
static void *make(const LsGemmShape *s, int64_t rows, int64_t columns, bool wide)
{
    int64_t count = rows * columns;
    void *memory = ls_alloc((size_t)bytes_of(s, rows, columns, wide));
    if (memory && s->type == LS_GEMM_BFLOAT16 && !wide)
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)memory)[i] = (uint16_t)(0x3f00 + i % 13);
    else if (memory)
        for (int64_t i = 0; i < count; i++)
            ((float *)memory)[i] = 0.5f + (float)(i % 13) / 26;
    return memory;
}

/* The best of several calls. */
static LsStatus time_calls(const LsGemm *gemm, double *best)
{
    LsStatus status = LS_OK;
    double end = ls_seconds() + SECONDS;
    *best = INFINITY;
    for (int i = 0; status == LS_OK && (i < TRIES || ls_seconds() < end); i++) {
        double start = ls_seconds();
        status = ls_gemm(gemm);
        *best = fmin(*best, ls_seconds() - start);
    }
    return status;
}

/* A call from inside a parallel region has one thread, while the others have products of their own: it costs the step
 * its share. */
static LsStatus time_alone(const LsGemm *gemm, double *best)
{
    int threads = ls_threads();
    ls_set_threads(1);
    LsStatus status = time_calls(gemm, best);
    ls_set_threads(threads);
    *best /= threads;
    return status;
}

static LsStatus time_shape(LsBenchProduct *product)
{
    const LsGemmShape *s = &product->shape;
    LsGemm gemm = {.type = s->type,
                   .m = s->m,
                   .n = s->n,
                   .k = s->k,
                   .transpose_a = s->transpose_a,
                   .transpose_b = s->transpose_b,
                   .accumulate = s->accumulate,
                   .c_float = s->c_float,
                   .lda = s->transpose_a ? s->m : s->k,
                   .ldb = s->transpose_b ? s->k : s->n,
                   .ldc = s->n};
    void *a = make(s, s->m, s->k, false), *b = make(s, s->k, s->n, false), *c = make(s, s->m, s->n, s->c_float);
    void *bias = s->bias ? make(s, 1, s->n, false) : NULL;
    LsStatus status = a && b && c && (bias || !s->bias) ? LS_OK : LS_RESOURCE;
    gemm.a = a;
    gemm.b = b;
    gemm.c = c;
    gemm.bias = bias;
    product->kernel = ls_gemm_kernel_name(&gemm);
    if (status == LS_OK)
        status = s->alone ? time_alone(&gemm, &product->seconds) : time_calls(&gemm, &product->seconds);
    ls_free(a);
    ls_free(b);
    ls_free(c);
    ls_free(bias);
    return status;
}

static int by_total(const void *a, const void *b)
{
    const LsBenchProduct *x = a, *y = b;
    double s = x->seconds * (double)x->shape.calls, t = y->seconds * (double)y->shape.calls;
    return (s < t) - (s > t);
}

LsStatus ls_bench_products(LsBench *b, int shapes)
{
    LsStatus status = LS_OK;
    LsPeak seen = {0};
    b->products = shapes;
    b->limit = 0;
    LS_TRY(b->comm->barrier(b->comm));
    for (int i = 0; i < shapes && status == LS_OK; i++) {
        LsBenchProduct *p = &b->product[i];
        p->shape = b->shape[i];
        status = time_shape(p);
        double gflops = 2e-9 * (double)p->shape.m * (double)p->shape.n * (double)p->shape.k / p->seconds;
        double *best = p->shape.type == LS_GEMM_BFLOAT16 ? &seen.gflops_bfloat16 : &seen.gflops;
        *best = status == LS_OK && gflops > *best ? gflops : *best;
        b->limit += p->seconds * (double)p->shape.calls;
    }
    qsort(b->product, (size_t)b->products, sizeof *b->product, by_total);
    if (status == LS_OK)
        ls_peak_raise(&seen);
    return status;
}
