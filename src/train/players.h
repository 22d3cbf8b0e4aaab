/* The players of a trainer: one a phase of its procedure (LsPlayer). */
#ifndef LS_TRAIN_PLAYERS_H
#define LS_TRAIN_PLAYERS_H

#include "train/train.h"

/* Their training graphs, built and not planned: the first one declares the parameters. And the procedure's own room.
 * LS_USAGE where a phase learns no parameters, or such as do not lie side by side. */
LsStatus ls_players_build(LsTrainer *t) LS_MUST_USE;

/* Plans the graphs, in one arena, and says what this rank updates. Gradients' sums are made already. */
LsStatus ls_players_plan(LsTrainer *t) LS_MUST_USE;

/* Before a pass: the graph that is long enough for the micro-batch of samples from `first` on becomes player->graph. */
void ls_player_choose(LsTrainer *t, LsPlayer *player, int64_t first);

/* The part of the player's parameters that this rank updates; NULL: everything. */
const LsShard *ls_player_shard(const LsTrainer *t, const LsPlayer *player);

/* After sums: the gradients of parameters that this rank takes as a whole are whole. */
void ls_player_gather(LsTrainer *t, const LsPlayer *player);

void ls_players_free(LsTrainer *t);

#endif
