/* Attention of one query by the formula, which the blocks are compared with; a part of src/ops/attention.c. */
#ifndef LS_OPS_ATTENTION_REFERENCE_H
#define LS_OPS_ATTENTION_REFERENCE_H

#include "ops/attention_shape.h"

/* Of one query and head. */
typedef struct PlainQuery {
    const Keys *keys;
    const real *q;
    int64_t first, end; /* keys that it sees, every step-th from its own */
    int64_t own, step;
    double slope;
    int64_t globals; /* and these, or the first so many where global is NULL */
    const int32_t *global;
    const real *a, *table; /* of relative positions: the query, and the table's rows; NULL: none */
    int64_t place;         /* the query's position, counted as the keys' */
} PlainQuery;

static bool plain_sees(const PlainQuery *p, int64_t j)
{
    bool global = !p->global && j < p->globals;
    for (int64_t i = 0; p->global && i < p->globals; i++)
        global |= p->global[i] == j;
    return global || (j >= p->first && j < p->end && (j - p->own) % p->step == 0);
}

static const real *relative_row(const Shape *s, const PlainQuery *p, int64_t j)
{
    int64_t row = p->place - j - s->relative.first, last = s->relative.count - 1;
    return p->table + (row < 0 ? 0 : row < last ? row : last) * s->relative.row;
}

static double score(const Shape *s, const PlainQuery *p, int64_t j)
{
    double sum = 0;
    for (int64_t d = 0; d < s->size; d++)
        sum += (double)ls_load1(p->q + d) * (double)ls_load1(p->keys->k + j * p->keys->stride + d);
    for (int64_t d = 0; p->table && d < s->size; d++)
        sum += (double)ls_load1(p->a + d) * (double)ls_load1(relative_row(s, p, j) + d);
    return sum / sqrt((double)s->size) - p->slope * fabs((double)(p->place - j));
}

/* o: (D); returns log-sum-exp. */
static double attend_plainly(const Shape *s, const PlainQuery *p, real *o)
{
    double top = -INFINITY, sum = 0;
    int64_t count = p->keys->count;
    for (int64_t j = 0; j < count; j++)
        if (plain_sees(p, j))
            top = fmax(top, score(s, p, j));
    for (int64_t j = 0; j < count; j++)
        if (plain_sees(p, j))
            sum += exp(score(s, p, j) - top);
    for (int64_t d = 0; d < s->size; d++) {
        double result = 0;
        for (int64_t j = 0; j < count; j++) {
            if (!plain_sees(p, j))
                continue;
            double value = (double)ls_load1(p->keys->v + j * p->keys->stride + d);
            value += s->relative.values ? (double)ls_load1(relative_row(s, p, j) + d) : 0;
            result += exp(score(s, p, j) - top) / sum * value;
        }
        ls_store1(o + d, (acc)result);
    }
    return sum > 0 ? top + log(sum) : 0;
}

#endif
