#include "train/players.h"

#include <string.h>

static bool learns_param(const LsPhase *phase, const LsParam *param)
{
    return !phase->learns || strncmp(param->name, phase->learns, strlen(phase->learns)) == 0;
}

/* The flat range of the parameters that learn. */
static LsStatus find_range(const LsTrainer *t, LsPlayer *player)
{
    const LsParams *params = t->params;
    int first = 0, end = params->count;
    while (first < end && !learns_param(player->phase, &params->list[first]))
        first++;
    while (end > first && !learns_param(player->phase, &params->list[end - 1]))
        end--;
    if (first == end)
        return ls_fail(LS_USAGE,
                       "train.procedure %s: its phase %s learns parameters whose names begin with \"%s\", of which "
                       "model %s has none: take another model.kind",
                       ls_config_procedure(t->config)->name, player->phase->name, player->phase->learns,
                       t->config->model->name);
    for (int i = first; i < end; i++)
        if (!learns_param(player->phase, &params->list[i]))
            return ls_fail(LS_ERROR, "model %s declares %s among the parameters that begin with \"%s\"",
                           t->config->model->name, params->list[i].name, player->phase->learns);
    player->range = (LsRange){0, params->total};
    if (player->phase->learns) {
        const LsParam *last = &params->list[end - 1];
        player->range = (LsRange){params->list[first].offset, last->offset + last->count - params->list[first].offset};
    }
    return LS_OK;
}

static LsStatus build_player(LsTrainer *t, LsPlayer *player)
{
    bool first = player == t->player;
    player->graph = ls_graph_new(t->params, &(LsGraphOptions){.mode = LS_TRAIN,
                                                              .precision = ls_train_precision(t->config),
                                                              .profile = t->options.profile,
                                                              .single_pass = ls_train_single_pass(&t->plan),
                                                              .arena_limit = first ? t->plan.arena_limit : 0,
                                                              .arena_room = first ? t->plan.arena_room : 0,
                                                              .comm = t->comm,
                                                              .learns = player->phase->learns,
                                                              .segmented = ls_train_carries(&t->plan)});
    if (!player->graph)
        return ls_message_status();
    ls_config_build_shape(t->config, player->graph,
                          &(LsShape){.batch = t->plan.micro_batch,
                                     .sequence = t->plan.segment,
                                     .want = LS_WANT_LOSS,
                                     .phase = player->phase->name});
    return LS_OK;
}

LsStatus ls_players_build(LsTrainer *t)
{
    const LsProcedure *procedure = ls_config_procedure(t->config);
    int phases = ls_procedure_phases(procedure);
    if (phases < 1 || phases > LS_MAX_PHASES)
        return ls_fail(LS_ERROR, "train.procedure %s has %d phases: 1 to %d can be", procedure->name, phases,
                       LS_MAX_PHASES);
    if (procedure->self_bytes > 0 && !(t->self = ls_alloc(procedure->self_bytes)))
        return LS_RESOURCE;
    for (int i = 0; i < phases; i++) {
        LsPlayer *player = &t->player[t->players++];
        *player = (LsPlayer){.phase = &procedure->phases[i], .source = t->training};
        player->repeats = ls_phase_repeats(t->config, player->phase);
        LS_TRY(build_player(t, player));
    }
    return LS_OK;
}

/* The player's shard: its range, cut with the ranges that this rank updates. */
static LsStatus intersect_ranges(LsTrainer *t, LsPlayer *player)
{
    const LsRange *range = &player->range;
    int ranges = ls_buckets_owned_ranges(t->buckets, &range), shared = 0;
    if (!player->phase->learns) {
        player->shard = (LsShard){ranges, range};
        return LS_OK;
    }
    ranges = t->sharded ? ranges : 1;
    range = t->sharded ? range : &player->range;
    player->owned = ls_alloc_array(ranges, sizeof *player->owned);
    if (!player->owned)
        return LS_RESOURCE;
    int64_t low = player->range.first, high = low + player->range.count;
    for (int i = 0; i < ranges; i++) {
        int64_t first = range[i].first > low ? range[i].first : low;
        int64_t end = range[i].first + range[i].count < high ? range[i].first + range[i].count : high;
        if (first < end)
            player->owned[shared++] = (LsRange){first, end - first};
    }
    player->shard = (LsShard){shared, player->owned};
    return LS_OK;
}

LsStatus ls_players_plan(LsTrainer *t)
{
    for (int i = 0; i < t->players; i++) {
        LS_TRY(find_range(t, &t->player[i]));
        LS_TRY(intersect_ranges(t, &t->player[i]));
        if (i > 0)
            LS_TRY(ls_graph_share_arena(t->player[i].graph, t->player[0].graph)); /* never two at once */
        LS_TRY(ls_graph_plan(t->player[i].graph));
    }
    return LS_OK;
}

void ls_players_free(LsTrainer *t)
{
    for (int i = t->players - 1; i >= 0; i--) {
        ls_graph_free(t->player[i].graph);
        ls_free(t->player[i].owned);
    }
}
