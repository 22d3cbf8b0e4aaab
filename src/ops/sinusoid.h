/* Sinusoids of positions (Vaswani et al. 2017, section 3.5), for the ops that add them or make tables of them:
 *
 *     sin(t f_i) and cos(t f_i),   f_i = 10000^(-2i/C),   i = 0..C/2-1
 *
 * of position t, in columns 2i and 2i + 1, or all sines before all cosines (Dai et al. 2019). */
#ifndef LS_OPS_SINUSOID_H
#define LS_OPS_SINUSOID_H

#include "ops/op_build.h"

/* Positions whose angles are stepped from one start: cos and sin in double lose a few 1e-16 over a run. */
enum { SINUSOID_RUN = 32 };

/* table: (rows, width): positions start, start + step, ... */
LS_INLINE void ls_sinusoid_rows(double start, double step, int64_t rows, int64_t width, bool halves, acc *table)
{
    int64_t pairs = (width + 1) / 2;
    for (int64_t i = 0; i < pairs; i++) {
        double frequency = pow(10000, -2.0 * (double)i / (double)width);
        double turn_cos = cos(step * frequency), turn_sin = sin(step * frequency);
        double c = cos(start * frequency), s = sin(start * frequency);
        int64_t sine = halves ? i : 2 * i, cosine = halves ? pairs + i : 2 * i + 1;
        for (int64_t n = 0; n < rows; n++) {
            table[n * width + sine] = (acc)s;
            if (cosine < width)
                table[n * width + cosine] = (acc)c;
            double next = c * turn_cos - s * turn_sin;
            s = s * turn_cos + c * turn_sin;
            c = next;
        }
    }
}

#endif
