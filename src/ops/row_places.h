/* Places in sequences, (B, G) of LS_I32, as ops take them that work on some rows alone. */
#ifndef LS_OPS_ROW_PLACES_H
#define LS_OPS_ROW_PLACES_H

#include "ops/op_build.h"

/* Number i of sample b; where none are given they count from 0. */
static inline int64_t ls_place(const LsTensor *at, int64_t b, int64_t i)
{
    return at ? ((const int32_t *)at->data)[b * at->dim[1] + i] : i;
}

/* Likewise where no earlier number of the sample is the same; -1: one is, or the number is less than 0. */
static inline int64_t ls_place_first(const LsTensor *at, int64_t b, int64_t i)
{
    int64_t place = ls_place(at, b, i);
    for (int64_t before = 0; at && before < i; before++)
        if (ls_place(at, b, before) == place)
            return -1;
    return place;
}

static LsStatus ls_check_places(const LsNode *node, const LsTensor *x, const LsTensor *at)
{
    if (at && (at->dtype != LS_I32 || at->rank != 2 || at->dim[0] != x->dim[0]))
        return ls_node_fail(node, "places %s must be (%lld, G), 32-bit integers", ls_shape_text(at),
                            (long long)x->dim[0]);
    return LS_OK;
}

static LsStatus ls_check_place_values(const LsNode *node, const LsTensor *at, int64_t rows)
{
    for (int64_t i = 0; at && i < at->count; i++)
        if (((const int32_t *)at->data)[i] >= rows)
            return ls_fail(LS_DATA, "%s: place %d of sample %lld is not among the %lld tokens that there are",
                           node->name, (int)((const int32_t *)at->data)[i], (long long)(i / at->dim[1]),
                           (long long)rows);
    return LS_OK;
}

#endif
