/* Positions that ops take: (B), the tokens that each stream has seen before, or (B, T), each token's own, 0..T-1, in its
 * document; NULL: tokens stand where they are. */
#ifndef LS_OPS_TOKEN_POSITIONS_H
#define LS_OPS_TOKEN_POSITIONS_H

#include "ops/op_build.h"

LS_INLINE bool ls_has_token_positions(const LsTensor *position) { return position && position->rank == 2; }

/* x: (B, T, ...) */
static bool ls_positions_match(const LsTensor *position, const LsTensor *x)
{
    return !position || (position->dtype == LS_I32 && position->dim[0] == x->dim[0] &&
                         (position->rank == 1 || (position->rank == 2 && position->dim[1] == x->dim[1])));
}

LS_INLINE int64_t ls_token_position(const LsTensor *position, int64_t tokens, int64_t b, int64_t t)
{
    if (ls_has_token_positions(position))
        return ((const int32_t *)position->data)[b * tokens + t];
    return t + (position ? ((const int32_t *)position->data)[b] : 0);
}

static LsStatus ls_check_token_positions(const LsNode *node, const LsTensor *position)
{
    const int32_t *at = position->data;
    int64_t tokens = position->dim[1], bad = -1;
    for (int64_t i = 0; i < position->count; i++)
        bad = at[i] < 0 || at[i] >= tokens ? i : bad;
    return bad < 0 ? LS_OK
                   : ls_fail(LS_DATA, "%s: position %d of token %lld of stream %lld is not within the %lld tokens",
                             node->name, (int)at[bad], (long long)(bad % tokens), (long long)(bad / tokens),
                             (long long)tokens);
}

#endif
