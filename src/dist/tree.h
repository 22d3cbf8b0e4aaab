/* Sums over ranks in an order that depends on their number alone: ((0 + 1) + (2 + 3)) + (4 + 5), halves of the largest
 * power of two. Nodes of 2, 4, 8 ... ranks that are summed first, and then with each other, come to the same bits as
 * all ranks at once. */
#ifndef LS_DIST_TREE_H
#define LS_DIST_TREE_H

#include "base/bfloat16.h"
#include "base/squares.h"

#include <stdbool.h>

/* to: (count), may be one of x. x: (summands), each (count) floats, or LsBfloat16 where `bfloat16`. squares: of the sum
 * by blocks, or NULL; where it is given, `to` begins at the border of a block. With all threads. */
typedef struct LsTree {
    int summands;
    bool bfloat16;
    const void *const *x;
    float *to;
    int64_t count;
    double *squares;
} LsTree;

void ls_tree_sum(const LsTree *tree);

#endif
