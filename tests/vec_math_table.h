/* The functions of ops/vec_math.h in one build of the ops, called on arrays; vec_math_table.c is compiled once per build. */
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
} VecMathTable;

#endif
