/* A row of logits z: (V), its loss against a target and the gradient in its place. Included after ops/op_build.h. */
#ifndef LS_OPS_LOGITS_ROW_H
#define LS_OPS_LOGITS_ROW_H

/* Sums of exponentials are kept in acc over this many columns, then in double. */
#define SUM_COLUMNS 1024

static acc row_maximum(const acc *z, int64_t count)
{
    vacc most = ls_splat(z[0]);
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES)
        most = ls_vmax(ls_load_acc(z + j), most);
    acc largest = ls_hmax(most);
    for (; j < count; j++)
        largest = z[j] > largest ? z[j] : largest;
    return largest;
}

/* z becomes exp(z - most) where `keep`; returns the sum. */
LS_INLINE double row_exponentials(acc *z, acc most, int64_t count, bool keep)
{
    double total = 0;
    for (int64_t from = 0; from < count; from += SUM_COLUMNS) {
        int64_t to = from + SUM_COLUMNS < count ? from + SUM_COLUMNS : count, j = from;
        vacc sum = {0};
        for (; j + LS_LANES <= to; j += LS_LANES) {
            vacc e = ls_exp_small(ls_load_acc(z + j) - most);
            sum += e;
            if (keep)
                ls_store_acc(z + j, e);
        }
        total += (double)ls_hsum(sum);
        if (j < to) {
            vacc e = ls_exp_small(ls_load_acc_part(z + j, to - j) - most);
            for (int64_t i = 0; i < to - j; i++)
                total += (double)e[i];
            if (keep)
                ls_store_acc_part(z + j, e, to - j);
        }
    }
    return total;
}

static double row_total(const acc *z, int64_t count)
{
    double total = 0;
    for (int64_t from = 0; from < count; from += SUM_COLUMNS) {
        int64_t to = from + SUM_COLUMNS < count ? from + SUM_COLUMNS : count, j = from;
        vacc sum = {0};
        for (; j + LS_LANES <= to; j += LS_LANES)
            sum += ls_load_acc(z + j);
        total += (double)ls_hsum(sum);
        for (; j < to; j++)
            total += (double)z[j];
    }
    return total;
}

/* g = e scale - q as the products take it, in the place of e: what is narrower is written behind what is read. even:
 * q of a class that is not the target. */
LS_INLINE void row_gradient(acc *e, acc scale, acc even, acc smoothing, int64_t count, int32_t target)
{
    real *g = (real *)(void *)e;
    acc at_target = e[target] * scale - even - (1 - smoothing);
    int64_t j = 0;
    for (; j + LS_LANES <= count; j += LS_LANES)
        ls_store(g + j, ls_load_acc(e + j) * scale - even);
    if (j < count)
        ls_store_part(g + j, ls_load_acc_part(e + j, count - j) * scale - even, count - j);
    ls_store1(g + target, at_target);
}

/* The row's loss; z becomes g where `keep`. */
static double row_loss(acc *z, int64_t count, int32_t target, double smoothing, bool keep)
{
    acc most = row_maximum(z, count);
    double at_target = (double)z[target], mean = smoothing > 0 ? row_total(z, count) / (double)count : 0;
    double sum = keep ? row_exponentials(z, most, count, true) : row_exponentials(z, most, count, false);
    if (keep)
        row_gradient(z, (acc)(1 / sum), (acc)(smoothing / (double)count), (acc)smoothing, count, target);
    return log(sum) + (double)most - (1 - smoothing) * at_target - smoothing * mean;
}

#endif
