/* A table of sinusoids, the same for every sample and never trained: r_n = the sinusoid of position start + n step
 * (ops/sinusoid.h). Relative positions are made of it, with distances in the place of positions. */
#include "ops/sinusoid.h"

typedef struct Sinusoids {
    int64_t rows, width, start, step;
    bool halves;
} Sinusoids;

static LsStatus infer(LsNode *node)
{
    const Sinusoids *s = node->attr;
    if (s->rows < 1 || s->width < 1 || (s->halves && s->width % 2))
        return ls_node_fail(node, "sinusoids: (%lld, %lld): at least one of each%s", (long long)s->rows,
                            (long long)s->width, s->halves ? ", and an even number of columns" : "");
    node->scratch_forward = s->rows * s->width * (int64_t)sizeof(acc);
    return ls_node_output(node, LS_REAL, 2, (int64_t[]){s->rows, s->width}) ? LS_OK : LS_RESOURCE;
}

static LsStatus forward(const LsNode *node, const LsRun *run)
{
    (void)run;
    const Sinusoids *s = node->attr;
    acc *table = node->scratch;
    real *y = node->out[0]->data;
#pragma omp parallel for schedule(static) if (node->out[0]->count > 4096)
    for (int64_t first = 0; first < s->rows; first += SINUSOID_RUN) {
        int64_t rows = s->rows - first < SINUSOID_RUN ? s->rows - first : SINUSOID_RUN;
        ls_sinusoid_rows((double)(s->start + first * s->step), (double)s->step, rows, s->width, s->halves,
                         table + first * s->width);
        for (int64_t i = first * s->width; i < (first + rows) * s->width; i++)
            ls_store1(y + i, table[i]);
    }
    return LS_OK;
}

static LsStatus reference(const LsNode *node, const LsRun *run)
{
    (void)run;
    const Sinusoids *s = node->attr;
    real *y = node->out[0]->data;
    for (int64_t n = 0; n < s->rows; n++)
        for (int64_t j = 0; j < s->width; j++) {
            int64_t half = s->width / 2, i = s->halves ? j % half : j / 2;
            double angle = (double)(s->start + n * s->step) * pow(10000, -2.0 * (double)i / (double)s->width);
            ls_store1(y + n * s->width + j, (acc)((s->halves ? j < half : j % 2 == 0) ? sin(angle) : cos(angle)));
        }
    return LS_OK;
}

static void cost(const LsNode *node, LsCost *fwd, LsCost *bwd)
{
    double count = (double)node->out[0]->count;
    *fwd = (LsCost){6 * count, count * sizeof(real)};
    *bwd = (LsCost){0};
}

/* ls_sinusoids(g, rows, width, start, step, halves) -> (rows, width): row n is the sinusoid of position start + n step.
 * halves: all sines before all cosines, else in turn. */
LS_BUILDER LsTensor *ls_sinusoids(LsGraph *g, int64_t rows, int64_t width, int64_t start, int64_t step, bool halves)
{
    return ls_node(g, "sinusoids", 0, NULL, &(Sinusoids){rows, width, start, step, halves}, sizeof(Sinusoids));
}

/* Beside an input, so that there is a gradient to look at. */
static bool cases(LsGraph *g, int which)
{
    static const Sinusoids list[] = {
        {1, 1, 0, 1}, {5, 7, 3, 1}, {70, 6, 100, -1}, {9, 10, -4, 1, .halves = true}, {40, 34, 0, 2, .halves = true}};
    if (which >= (int)LS_COUNT_OF(list))
        return false;
    LsTensor *x = ls_case_input(g, "x", LS_REAL, -2, 2, 2, (int64_t[]){list[which].rows, list[which].width});
    const Sinusoids *s = &list[which];
    ls_node(g, "mul", 2, (LsTensor *[]){x, ls_sinusoids(g, s->rows, s->width, s->start, s->step, s->halves)}, NULL, 0);
    return true;
}

LS_OP(sinusoids) = {
    .name = "sinusoids",
    .formula = "r_n,2i = sin(t_n f_i), r_n,2i+1 = cos(t_n f_i), t_n = start + n step, f_i = 10000^(-2i/C)",
    .infer = infer,
    .forward = forward,
    .reference = reference,
    .cost = cost,
    .cases = cases,
    .bf16_ulps = 1, /* numbers are rounded as they are stored, and what multiplies them sees that */
};
