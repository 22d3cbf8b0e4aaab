/* The ranges of a player's parameters that the optimizer updates at each factor of the learning rate (train.scale,
 * train.freeze). */
#ifndef LS_TRAIN_RATES_H
#define LS_TRAIN_RATES_H

#include "train/groups.h"
#include "train/optimizer.h"

typedef struct LsRate {
    double factor;
    LsShard shard;
    LsRange *range; /* the shard's */
} LsRate;

typedef struct LsRates {
    LsRate *list;
    int count;
} LsRates;

/* Cuts a shard (NULL: everything) by the factors of its parameters; those that are frozen are in none. */
LsStatus ls_rates_new(const LsGroups *groups, const LsParams *params, const LsShard *shard, LsRates *rates) LS_MUST_USE;
void ls_rates_free(LsRates *rates);

#endif
