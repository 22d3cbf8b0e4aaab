/* Adafactor (Shazeer, Stern 2018, "Adafactor: adaptive learning rates with sublinear memory cost", algorithms 4 and 5)
 * without momentum. Of a matrix's mean of squared gradients only the means of its rows and columns are kept. With g the
 * scaled gradient, at step t, w = t^-0.8, rms the root of the mean of squares:
 *
 *   r <- r + w (mean of g^2 over columns - r),  c <- c + w (mean of g^2 over rows - c),  v = r c^T / mean of r
 *   or, of vectors,  v <- v + w (g^2 - v)
 *   u  = g / max(sqrt(v), 2^-23)
 *   p <- (1 - lr decay) p - max(1e-3, rms of p) min(lr, t^-0.5) / max(1, rms of u) u
 *
 * The learning rate is relative to a parameter's size. What has more than two dimensions is a batch of matrices of the
 * last two. Every element's step depends on the whole parameter.
 */
#include "base/squares.h"
#include "train/optimizer.h"

#include <float.h>
#include <math.h>

#define COLUMNS ((int64_t)64) /* that one thread sums at once */

typedef struct Step {
    const float *grad;
    float scale, weight;
    int64_t matrices, rows, columns; /* of a vector: 1, 1, its numbers */
    float *r, *c, *v;                /* either the first two or the last */
} Step;

static bool shape_of_rows(const LsParam *p, int *rank, int64_t *dim)
{
    (void)dim;
    *rank = p->rank - 1;
    return p->rank >= 2;
}

static bool shape_of_columns(const LsParam *p, int *rank, int64_t *dim)
{
    if (p->rank < 2)
        return false;
    dim[p->rank - 2] = dim[p->rank - 1];
    *rank = p->rank - 1;
    return true;
}

static bool shape_of_vectors(const LsParam *p, int *rank, int64_t *dim)
{
    (void)rank, (void)dim;
    return p->rank < 2;
}

static bool takes_whole(const LsParam *p)
{
    (void)p;
    return true;
}

static void mix_mean(float *mean, double now, float weight) { *mean += weight * ((float)now - *mean); }

static void move_rows(const Step *s)
{
    double scale = (double)s->scale * (double)s->scale / (double)s->columns;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < s->matrices * s->rows; i++)
        mix_mean(&s->r[i], scale * ls_squares_of(s->grad + i * s->columns, s->columns), s->weight);
}

static void move_columns(const Step *s)
{
    double scale = (double)s->scale * (double)s->scale / (double)s->rows;
    int64_t pieces = (s->columns + COLUMNS - 1) / COLUMNS;
#pragma omp parallel for schedule(static)
    for (int64_t piece = 0; piece < s->matrices * pieces; piece++) {
        int64_t matrix = piece / pieces, first = piece % pieces * COLUMNS;
        int64_t count = s->columns - first < COLUMNS ? s->columns - first : COLUMNS;
        const float *x = s->grad + matrix * s->rows * s->columns + first;
        double sum[COLUMNS] = {0};
        for (int64_t row = 0; row < s->rows; row++, x += s->columns)
            for (int64_t j = 0; j < count; j++)
                sum[j] += (double)x[j] * (double)x[j];
        for (int64_t j = 0; j < count; j++)
            mix_mean(&s->c[matrix * s->columns + first + j], scale * sum[j], s->weight);
    }
}

static void move_vector(const Step *s)
{
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < s->columns; i++) {
        float g = s->grad[i] * s->scale;
        s->v[i] += s->weight * (g * g - s->v[i]);
    }
}

/* 1 / the mean of a matrix's r. */
static float inverse_mean(const Step *s, int64_t matrix)
{
    double sum = 0;
    for (int64_t i = 0; i < s->rows; i++)
        sum += (double)s->r[matrix * s->rows + i];
    double mean = sum / (double)s->rows;
    return (float)(1 / (mean > (double)FLT_EPSILON ? mean : (double)FLT_EPSILON));
}

static inline float step_of(float g, float v)
{
    const float least = FLT_EPSILON * FLT_EPSILON;
    return g / sqrtf(v > least ? v : least);
}

/* p: where the row of the parameter goes to, kept times `keep`, minus `rate` u; NULL: nowhere. The sum of u^2. */
static double apply_row(const Step *s, int64_t row, float inverse, float keep, float rate, float *p)
{
    double sum = 0;
    const float *grad = s->grad + row * s->columns, *c = s->v;
    float factor = 1;
    if (s->r) {
        c = s->c + row / s->rows * s->columns;
        factor = s->r[row] * inverse;
    }
    for (int64_t j = 0; j < s->columns; j++) {
        float u = step_of(grad[j] * s->scale, factor * c[j]);
        if (p)
            p[j] = keep * p[j] - rate * u;
        sum += (double)u * (double)u;
    }
    return sum;
}

/* Over all rows, in LS_REDUCE_CHUNKS pieces whose sums are added in order. */
static double apply_rows(const Step *s, float keep, float rate, float *p)
{
    double partial[LS_REDUCE_CHUNKS], sum = 0;
    int64_t rows = s->matrices * s->rows;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < LS_REDUCE_CHUNKS; i++) {
        float inverse = 0;
        int64_t matrix = -1;
        partial[i] = 0;
        for (int64_t row = rows * i / LS_REDUCE_CHUNKS; row < rows * (i + 1) / LS_REDUCE_CHUNKS; row++) {
            if (s->r && row / s->rows != matrix)
                inverse = inverse_mean(s, matrix = row / s->rows);
            partial[i] += apply_row(s, row, inverse, keep, rate, p ? p + row * s->columns : NULL);
        }
    }
    for (int i = 0; i < LS_REDUCE_CHUNKS; i++)
        sum += partial[i];
    return sum;
}

static LsStatus update_param(const LsUpdate *u, int param)
{
    const LsParam *p = &u->params->list[param];
    float *value = u->params->value + p->offset;
    double count = (double)p->count, step = (double)u->step;
    Step s = {.grad = u->params->grad + p->offset,
              .scale = (float)u->scale,
              .weight = (float)pow(step, -0.8),
              .matrices = 1,
              .rows = 1,
              .columns = p->count,
              .r = ls_moment_at(&u->moment[0], u->params, param, p->offset),
              .c = ls_moment_at(&u->moment[1], u->params, param, p->offset),
              .v = ls_moment_at(&u->moment[2], u->params, param, p->offset)};
    if (s.r) {
        s.columns = p->dim[p->rank - 1];
        s.rows = p->dim[p->rank - 2];
        s.matrices = p->count / (s.rows * s.columns);
        move_rows(&s);
        move_columns(&s);
    } else
        move_vector(&s);
    double size = fmax(1e-3, sqrt(ls_sum_of_squares(value, p->count) / count));
    double rms = sqrt(apply_rows(&s, 1, 0, NULL) / count);
    double rate = size * fmin(u->learning_rate, 1 / sqrt(step)) / fmax(1, rms);
    apply_rows(&s, (float)(1 - u->learning_rate * (double)ls_optimizer_decay(u->settings, p)), (float)rate, value);
    return LS_OK;
}

static LsStatus update_params(const LsUpdate *u) { return ls_optimizer_each_whole(u, takes_whole, update_param); }

extern const LsOptimizer ls_optimizer_adafactor;
const LsOptimizer ls_optimizer_adafactor = {
    .name = "adafactor",
    .moments = 3,
    .moment = {{"optimizer/r", shape_of_rows}, {"optimizer/c", shape_of_columns}, {"optimizer/v", shape_of_vectors}},
    .whole = takes_whole,
    .update = update_params};
