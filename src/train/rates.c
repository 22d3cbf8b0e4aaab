#include "train/rates.h"

/* The rate of a factor, made where it is new. At most as many as there are parameters. */
static LsRate *rate_of(LsRates *rates, double factor)
{
    int i = 0;
    while (i < rates->count && rates->list[i].factor != factor)
        i++;
    if (i == rates->count)
        rates->list[rates->count++] = (LsRate){.factor = factor};
    return &rates->list[i];
}

/* Adds what [first, end) and the shard have in common. */
static void add_range(LsRate *rate, int64_t first, int64_t end, const LsShard *shard)
{
    for (int i = 0; i < shard->ranges; i++) {
        int64_t from = shard->range[i].first, to = from + shard->range[i].count;
        from = from > first ? from : first;
        to = to < end ? to : end;
        if (from < to)
            rate->range[rate->shard.ranges++] = (LsRange){from, to - from};
    }
}

LsStatus ls_rates_new(const LsGroups *groups, const LsParams *params, const LsShard *shard, LsRates *rates)
{
    const LsRange whole = {0, params->total};
    const LsShard all = {1, &whole};
    shard = shard ? shard : &all;
    *rates = (LsRates){.list = ls_alloc_array(params->count, sizeof *rates->list)};
    if (!rates->list)
        return LS_RESOURCE;
    for (int i = 0, end; i < params->count; i = end) {
        double factor = ls_groups_factor(groups, params->list[i].name);
        end = i + 1; /* neighbours with the same factor are one range */
        while (end < params->count && ls_groups_factor(groups, params->list[end].name) == factor)
            end++;
        if (factor < 0)
            continue;
        LsRate *rate = rate_of(rates, factor);
        if (!rate->range && !(rate->range = ls_alloc_array((int64_t)params->count + shard->ranges, sizeof(LsRange))))
            return LS_RESOURCE;
        add_range(rate, params->list[i].offset, end < params->count ? params->list[end].offset : params->total, shard);
    }
    for (int i = 0; i < rates->count; i++)
        rates->list[i].shard.range = rates->list[i].range;
    return LS_OK;
}

void ls_rates_free(LsRates *rates)
{
    for (int i = 0; rates->list && i < rates->count; i++)
        ls_free(rates->list[i].range);
    ls_free(rates->list);
    *rates = (LsRates){0};
}
