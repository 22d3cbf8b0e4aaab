/* Numbers of fixtures: inputs that scripts make by the same formula, and results that files hold as floats. */
#ifndef FIXTURE_NUMBERS_H
#define FIXTURE_NUMBERS_H

#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The values that the scripts of fixtures/ make of a seed. */
static inline void fixture_fill(float *x, int64_t count, int64_t seed)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)((double)((17 * i + 29 * seed + (i % 1009) * (i % 1009)) % 101) / 50 - 1);
}

/* Greatest difference, relative to the greatest expected value. */
static inline double fixture_difference(const float *x, const float *expected, int64_t count)
{
    double largest = 1e-30, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)x[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        worst = d <= worst ? worst : d; /* NaN is taken over */
    }
    return worst / largest;
}

/* x against the file's next numbers. name: for the message */
static inline void fixture_expect(FILE *file, const float *x, int64_t count, double bound, const char *name)
{
    float *expected = malloc((size_t)count * sizeof *expected);
    CU_ASSERT_EQUAL_FATAL(fread(expected, sizeof *expected, (size_t)count, file), (size_t)count);
    double worst = fixture_difference(x, expected, count);
    if (!(worst <= bound))
        fprintf(stderr, "%s is off by %g of its largest\n", name, worst);
    ASSERT_AT_MOST(worst, bound);
    free(expected);
}

#endif
