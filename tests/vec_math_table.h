/* The functions of ops/vec_math.h in one build of the ops, called on arrays; vec_math_table.c is compiled once per
 * build. */
#ifndef VEC_MATH_TABLE_H
#define VEC_MATH_TABLE_H

#include <stdint.h>

typedef struct VecMathRow {
    const char *name;
    void (*apply)(const void *x, void *y, int64_t count); /* float or double; count a multiple of 16 */
} VecMathRow;

typedef struct VecMathTable {
    int lanes;
    const VecMathRow *rows; /* ended by a NULL name */
    /* count < 2 lanes floats through the storage type and back: by whole vectors and tails, and one by one. */
    void (*store)(const float *x, float *y, float *one_by_one, int64_t count);
} VecMathTable;

#endif
