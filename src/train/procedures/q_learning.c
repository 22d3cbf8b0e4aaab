/* Deep Q-learning (Mnih et al. 2015): an agent acts in environments, keeps what happened in a replay memory, and
 * learns from samples of it the value of each action,
 *
 *     y = r_0 + gamma r_1 + ... + gamma^n Q'(s_n, argmax_a Q(s_n, a))      rewards alone where the episode ended by the
 *                                                                          rules; n = n_step, or fewer moves where it
 *                                                                          was cut off or has not gone on any further
 *
 * Q' being a copy of Q of some steps ago: every target_every steps it moves by target_rate of the way to Q, 1 for all of
 * it (a small rate every step is an exponential average: Lillicrap et al. 2016, "Continuous control with deep
 * reinforcement learning"). With double_q the action is Q's choice (van Hasselt, Guez, Silver 2016), else Q''s own. The ranks share out the environments; afterwards each has all that happened, so that what is learned does
 * not depend on their number but for rounding. With error_clip c, y is taken no farther than c from Q(s, a): the
 * gradient is that of Huber's loss (the clipped error of the paper). All draws are functions of (seed, counter). On
 * data that are no environment it learns the samples' own targets. */
#include "data/environment.h"
#include "train/train.h"

#include <math.h>
#include <string.h>

typedef struct Settings {
    int64_t replay, replay_start, environments, n_step, target_every;
    double target_rate, gamma, error_clip, epsilon_start, epsilon_end;
    int64_t epsilon_steps;
    bool double_q;
} Settings;

static const LsSetting settings[] = {
    LS_SETTING_INT(Settings, replay, "50000", 1, 1 << 24, "newest moves that are kept to learn from"),
    LS_SETTING_INT(Settings, replay_start, "1000", 1, 1 << 24, "moves at random before the first step"),
    LS_SETTING_INT(Settings, environments, "8", 1, 1 << 16,
                   "environments that are acted in at once, a move each a step"),
    LS_SETTING_INT(Settings, n_step, "1", 1, 1000,
                   "moves of an episode whose rewards are summed before the value of the state after them"),
    LS_SETTING_INT(Settings, target_every, "100", 1, 1 << 30,
                   "steps after which the copy that values are from is renewed"),
    LS_SETTING_FLOAT(Settings, target_rate, "1", 1e-6, 1,
                     "share of the way to the network that learns which the copy goes then; 1: it becomes equal to it"),
    LS_SETTING_FLOAT(Settings, gamma, "0.99", 0, 1, "weight of the next move's value"),
    LS_SETTING_FLOAT(Settings, error_clip, "0", 0, 1e9,
                     "errors count as if they were no larger: Huber's loss; 0: they count as they are"),
    LS_SETTING_FLOAT(Settings, epsilon_start, "1", 0, 1, "share of moves at random, at first"),
    LS_SETTING_FLOAT(Settings, epsilon_end, "0.05", 0, 1, "share of moves at random, in the end"),
    LS_SETTING_INT(Settings, epsilon_steps, "2000", 1, 1 << 30, "steps in which it gets there, evenly"),
    LS_SETTING_BOOL(Settings, double_q, "true",
                    "the next action is chosen by the network that learns, not by its copy"),
    {0}};

/* How an episode stands after a move: ended by the rules, or cut off for its length. */
typedef enum Over { GOES_ON, ENDED, CUT_OFF } Over;

typedef struct Agent {
    LsSource source; /* samples of the replay memory */
    LsTrainer *t;
    const LsEnvironment *environment; /* NULL: the data are no environment, nothing of this is used */
    uint64_t key, explore_key, replay_key;
    LsParams *copy;          /* Q' */
    LsGraph *graph, *copied; /* Q and Q' of `rows` states */
    int64_t rows;
    int64_t capacity, width;          /* of the replay memory: (capacity, width), width numbers a move */
    float *replay;                    /* state, next state, action, reward, Over */
    float *world;                     /* (environments, numbers + 1): state, moves of this episode */
    float *seen, *value, *copy_value; /* (rows, numbers), (rows, actions) */
    float *own_value;                 /* (rows, actions): Q of the states that were acted in */
    float *target;                    /* (rows, actions) */
} Agent;

static const Settings *settings_of(const Agent *a) { return ls_trainer_settings(a->t); }

/* ---- Values of states ---- */

/* Of `count` <= rows states, each `stride` floats after the one before it. */
static LsStatus value_states(const Agent *a, LsGraph *g, const float *state, int64_t stride, int64_t count,
                             float *value)
{
    const int numbers = a->environment->numbers;
    LsTensor *x = ls_graph_find(g, "values");
    for (int64_t b = 0; b < a->rows; b++)
        for (int i = 0; i < numbers; i++)
            a->seen[b * numbers + i] = b < count ? state[b * stride + i] * a->environment->scale[i] : 0;
    ls_tensor_set(g, x, a->seen);
    LS_TRY(ls_graph_forward(g, &(LsRun){.comm = a->t->comm}));
    ls_tensor_get(g, ls_graph_find(g, "output"), value);
    return LS_OK;
}

static int best_action(const float *value, int actions)
{
    int best = 0;
    for (int i = 1; i < actions; i++)
        best = value[i] > value[best] ? i : best;
    return best;
}

/* ---- Samples to learn from ---- */

static float *move_at(const Agent *a, int64_t number) { return a->replay + number % a->capacity * a->width; }

/* Moves made before the step that is being done, its own included. */
static int64_t rounds_before(const Agent *a, int64_t step)
{
    const Settings *s = settings_of(a);
    return (s->replay_start + s->environments - 1) / s->environments + step;
}

/* What followed a move: its n-step return. */
typedef struct Return {
    const float *move;      /* the first */
    const float *after;     /* the state after the last */
    float reward, discount; /* the discounted sum of rewards; the weight of the value of `after` */
} Return;

/* Of the move that a sample begins with, any of those kept. */
static Return draw_return(const Agent *a, int64_t sample)
{
    const Settings *s = settings_of(a);
    const int numbers = a->environment->numbers;
    int64_t made = rounds_before(a, a->t->progress.step + 1) * s->environments;
    int64_t kept = made < a->capacity ? made : a->capacity;
    uint32_t block[4];
    ls_philox(a->replay_key, (uint64_t)sample, 0, block);
    int64_t number = (int64_t)((uint64_t)block[0] * (uint64_t)kept >> 32);
    number += (made - 1 - number) / a->capacity * a->capacity; /* of the place's moves, the one that is kept */
    Return r = {.move = move_at(a, number), .discount = 1};
    float over = GOES_ON;
    for (int64_t i = 0; i < s->n_step && number < made && over == GOES_ON; i++, number += s->environments) {
        const float *move = move_at(a, number);
        r.after = move + numbers;
        r.reward += r.discount * move[2 * numbers + 1];
        r.discount *= (float)s->gamma;
        over = move[2 * numbers + 2];
    }
    r.discount = over == ENDED ? 0 : r.discount;
    return r;
}

/* The return with the value of its last state, no farther from `own` = Q(s, a) than errors count. */
static float target_of(const Settings *s, const Return *r, float value, float own)
{
    float y = r->reward + (r->discount > 0 ? r->discount * value : 0), most = (float)s->error_clip;
    if (most > 0)
        y = y > own + most ? own + most : y < own - most ? own - most : y;
    return y;
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    Agent *a = (Agent *)source;
    const Settings *s = settings_of(a);
    const int numbers = a->environment->numbers, actions = a->environment->actions;
    float state[a->rows * numbers];
    LsTensor *x = ls_graph_find(g, "values"), *target = ls_graph_find(g, "target");
    for (int64_t b = 0; b < batch->count; b++)
        memcpy(state + b * numbers, draw_return(a, batch->first + b).after, sizeof *state * (size_t)numbers);
    if (s->double_q)
        LS_TRY(value_states(a, a->graph, state, numbers, batch->count, a->value));
    LS_TRY(value_states(a, a->copied, state, numbers, batch->count, a->copy_value));
    if (s->error_clip > 0) {
        for (int64_t b = 0; b < batch->count; b++)
            memcpy(state + b * numbers, draw_return(a, batch->first + b).move, sizeof *state * (size_t)numbers);
        LS_TRY(value_states(a, a->graph, state, numbers, batch->count, a->own_value));
    }
    for (int64_t b = 0; b < a->rows; b++) {
        const Return r = draw_return(a, batch->first + (b < batch->count ? b : 0));
        const float *values = a->copy_value + b * actions;
        int choice = best_action(s->double_q ? a->value + b * actions : values, actions);
        int action = (int)r.move[2 * numbers];
        for (int i = 0; i < numbers; i++)
            a->seen[b * numbers + i] = r.move[i] * a->environment->scale[i];
        for (int i = 0; i < actions; i++)
            a->target[b * actions + i] = NAN;
        if (b < batch->count)
            a->target[b * actions + action] = target_of(s, &r, values[choice], a->own_value[b * actions + action]);
    }
    ls_tensor_set(g, x, a->seen);
    ls_tensor_set(g, target, a->target);
    return LS_OK;
}

static void free_nothing(LsSource *source) { (void)source; }

/* ---- Acting ---- */

static double epsilon_at(const Settings *s, int64_t step)
{
    double share = step < s->epsilon_steps ? (double)step / (double)s->epsilon_steps : 1;
    return s->epsilon_start + (s->epsilon_end - s->epsilon_start) * share;
}

/* Environment e makes a move in round number `round`, and begins anew after an episode's end. */
static void make_move(Agent *a, int64_t round, int64_t e, int action)
{
    const LsEnvironment *world = a->environment;
    const int64_t environments = settings_of(a)->environments, number = round * environments + e;
    float *state = a->world + e * (world->numbers + 1), *move = move_at(a, number);
    bool ended = false;
    memcpy(move, state, sizeof *move * (size_t)world->numbers);
    double reward = world->step(state, action, &ended);
    memcpy(move + world->numbers, state, sizeof *move * (size_t)world->numbers);
    move[2 * world->numbers] = (float)action;
    move[2 * world->numbers + 1] = (float)reward;
    state[world->numbers]++;
    bool cut_off = !ended && (int64_t)state[world->numbers] >= world->most_steps;
    move[2 * world->numbers + 2] = ended ? ENDED : cut_off ? CUT_OFF : GOES_ON;
    if (ended || cut_off) {
        world->begin(a->key, (uint64_t)(number + environments), state);
        state[world->numbers] = 0;
    }
}

/* This rank's environments are first .. end - 1 of them. */
static int64_t first_of(const Agent *a, int rank) { return settings_of(a)->environments * rank / a->t->comm->size; }

/* A move in every environment; what other ranks' did comes from them. */
static LsStatus act(Agent *a, int64_t round, double epsilon)
{
    const LsEnvironment *world = a->environment;
    const LsComm *comm = a->t->comm;
    const int64_t end = first_of(a, comm->rank + 1), environments = settings_of(a)->environments,
                  state_width = world->numbers + 1;
    for (int64_t first = first_of(a, comm->rank); first < end; first += a->rows) {
        int64_t count = end - first < a->rows ? end - first : a->rows;
        if (epsilon < 1)
            LS_TRY(value_states(a, a->graph, a->world + first * state_width, state_width, count, a->value));
        for (int64_t i = 0; i < count; i++) {
            uint64_t draw = 2 * (uint64_t)(first + i);
            bool random = (double)ls_uniform_at(a->explore_key, (uint64_t)round, draw) < epsilon;
            int action = random
                             ? (int)(ls_uniform_at(a->explore_key, (uint64_t)round, draw + 1) * (float)world->actions)
                             : best_action(a->value + i * world->actions, world->actions);
            make_move(a, round, first + i, action);
        }
    }
    for (int rank = 0; comm->size > 1 && rank < comm->size; rank++) {
        int64_t first = first_of(a, rank), count = first_of(a, rank + 1) - first;
        if (count == 0)
            continue;
        LS_TRY(
            comm->broadcast(comm, a->world + first * state_width, count * state_width * (int64_t)sizeof(float), rank));
        LS_TRY(comm->broadcast(comm, move_at(a, round * environments + first),
                               count * a->width * (int64_t)sizeof(float), rank));
    }
    return LS_OK;
}

/* Q' <- Q' + rate (Q - Q') */
static void renew_copy(Agent *a, double rate)
{
    const float *value = a->t->params->value;
    float *copy = a->copy->value;
    for (int64_t i = 0; i < a->copy->total; i++)
        copy[i] = rate < 1 ? copy[i] + (float)rate * (value[i] - copy[i]) : value[i];
    ls_graph_refresh(a->copied);
}

static LsStatus before_step(LsTrainer *t, void *self)
{
    Agent *a = self;
    const int64_t step = t->progress.step;
    if (!a->environment)
        return LS_OK;
    const Settings *s = settings_of(a);
    if (step == 0) {
        renew_copy(a, 1);
        for (int64_t e = 0; e < s->environments; e++) {
            float *state = a->world + e * (a->environment->numbers + 1);
            a->environment->begin(a->key, (uint64_t)e, state);
            state[a->environment->numbers] = 0;
        }
        for (int64_t round = 0; round < rounds_before(a, 0); round++)
            LS_TRY(act(a, round, 1));
    }
    return act(a, rounds_before(a, step), epsilon_at(s, step));
}

static LsStatus after_step(LsTrainer *t, void *self)
{
    Agent *a = self;
    const Settings *s = settings_of(a);
    if (a->environment && t->progress.step % s->target_every == 0)
        renew_copy(a, s->target_rate);
    return LS_OK;
}

/* ---- A trainer's agent ---- */

/* A graph of the values of `rows` states, in the training graph's arena: it runs before that, or after. */
static LsStatus make_graph(Agent *a, LsParams *params, LsGraph **graph)
{
    LsTrainer *t = a->t;
    LsGraph *g = *graph = ls_graph_new(
        params, &(LsGraphOptions){.mode = LS_EVAL, .precision = ls_train_precision(t->config), .comm = t->comm});
    if (!g)
        return ls_message_status();
    ls_config_build(t->config, g, a->rows, 1, LS_WANT_OUTPUT);
    if (!params->sealed)
        LS_TRY(ls_params_allocate(params, (uint64_t)t->config->train.seed, false));
    LS_TRY(ls_graph_share_arena(g, t->player[0].graph));
    return ls_graph_plan(g);
}

static int64_t move_width(const LsEnvironment *world) { return 2 * world->numbers + 3; }

/* Whole rounds of moves. */
static int64_t capacity_of(const Settings *s)
{
    return (s->replay + s->environments - 1) / s->environments * s->environments;
}

static int64_t bytes_of_agent(const LsConfig *config, int64_t rows, int64_t parameters)
{
    const Settings *s = config->procedure_config;
    const LsEnvironment *world = ls_environment_of(config->data_kind, config->data_config);
    if (!world)
        return 0;
    int64_t numbers = capacity_of(s) * move_width(world) + s->environments * (world->numbers + 1) + parameters +
                      rows * (world->numbers + 4 * world->actions) +
                      2 * rows * (world->numbers + world->actions); /* inputs of the two graphs */
    return numbers * (int64_t)sizeof(float);
}

static LsStatus make_arrays(Agent *a)
{
    const Settings *s = settings_of(a);
    const int numbers = a->environment->numbers, actions = a->environment->actions;
    a->width = move_width(a->environment);
    a->capacity = capacity_of(s);
    a->replay = ls_alloc_array(a->capacity * a->width, sizeof(float));
    a->world = ls_alloc_array(s->environments * (numbers + 1), sizeof(float));
    a->seen = ls_alloc_array(a->rows * numbers, sizeof(float));
    a->value = ls_alloc_array(a->rows * actions, sizeof(float));
    a->copy_value = ls_alloc_array(a->rows * actions, sizeof(float));
    a->own_value = ls_alloc_array(a->rows * actions, sizeof(float));
    a->target = ls_alloc_array(a->rows * actions, sizeof(float));
    a->copy = ls_params_new();
    return a->replay && a->world && a->seen && a->value && a->copy_value && a->own_value && a->target && a->copy
               ? LS_OK
               : LS_RESOURCE;
}

static LsStatus open_agent(LsTrainer *t, void *self)
{
    Agent *a = self;
    uint64_t seed = (uint64_t)t->config->train.seed;
    a->t = t;
    a->environment = ls_source_environment(t->training);
    if (!a->environment)
        return LS_OK;
    a->rows = t->plan.micro_batch;
    a->key = ls_source_environment_key(t->training);
    a->explore_key = ls_key(seed, "q_learning.explore");
    a->replay_key = ls_key(seed, "q_learning.replay");
    a->source = (LsSource){.samples = INT64_MAX, .fields = t->training->fields, .fill = fill, .free = free_nothing};
    t->player[0].source = &a->source;
    LS_TRY(make_arrays(a));
    LS_TRY(make_graph(a, t->params, &a->graph));
    return make_graph(a, a->copy, &a->copied);
}

static int saved(LsTrainer *t, void *self, LsSaved *list)
{
    Agent *a = self;
    if (!a->environment)
        return 0;
    list[0] = (LsSaved){.group = "target", .layout = t->params, .value = a->copy->value, .begins_as_zero = true};
    list[1] = (LsSaved){
        .group = "replay", .value = a->replay, .rank = 2, .dim = {a->capacity, a->width}, .begins_as_zero = true};
    list[2] = (LsSaved){.group = "environments",
                        .value = a->world,
                        .rank = 2,
                        .dim = {settings_of(a)->environments, a->environment->numbers + 1},
                        .begins_as_zero = true};
    return 3;
}

static void close_agent(void *self)
{
    Agent *a = self;
    ls_graph_free(a->graph);
    ls_graph_free(a->copied);
    ls_params_free(a->copy);
    ls_free(a->replay);
    ls_free(a->world);
    ls_free(a->seen);
    ls_free(a->value);
    ls_free(a->copy_value);
    ls_free(a->own_value);
    ls_free(a->target);
}

/* ---- Evaluation ---- */

typedef struct Episode {
    float state[LS_MAX_STATE];
    double reward, value; /* of the last move, and what it was worth to the agent */
    bool running;
} Episode;

/* One move in each of `count` episodes; value: (rows, actions) of their states. */
static int64_t move_episodes(const LsEvaluated *e, const LsEnvironment *world, const float *value, int64_t t,
                             int64_t count, Episode *episode)
{
    const double gamma = ((const Settings *)e->settings)->gamma;
    int64_t running = 0;
    for (int64_t i = 0; i < count; i++) {
        Episode *one = &episode[i];
        if (!one->running)
            continue;
        int action = best_action(value + i * world->actions, world->actions);
        double worth = (double)value[i * world->actions + action], error = one->reward + gamma * worth - one->value;
        bool ended = false;
        if (t > 0) {
            *e->loss += error * error;
            ++*e->targets;
        }
        one->reward = world->step(one->state, action, &ended);
        one->value = worth;
        e->metric[0] += one->reward;
        if (ended) {
            *e->loss += (one->reward - worth) * (one->reward - worth);
            ++*e->targets;
        }
        one->running = !ended && t + 1 < world->most_steps;
        running += one->running;
    }
    return running;
}

/* Episodes first .. first + count - 1 at once. */
static LsStatus play(const LsEvaluated *e, const LsEnvironment *world, int64_t first, int64_t count, Episode *episode,
                     float *value)
{
    LsTensor *x = ls_graph_find(e->g, "values"), *y = ls_graph_find(e->g, "output");
    int64_t running = count;
    for (int64_t i = 0; i < count; i++) {
        episode[i] = (Episode){.running = true};
        world->begin(ls_source_environment_key(e->source), (uint64_t)(first + i), episode[i].state);
    }
    for (int64_t t = 0; running > 0; t++) {
        for (int64_t i = 0; i < count; i++)
            for (int j = 0; j < world->numbers; j++)
                ls_tensor_set_part(e->g, x, i * world->numbers + j, 1, &(float){episode[i].state[j] * world->scale[j]});
        LS_TRY(ls_graph_forward(e->g, &(LsRun){.comm = e->comm}));
        ls_tensor_get(e->g, y, value);
        running = move_episodes(e, world, value, t, count, episode);
    }
    e->metric[1] += (double)count;
    return LS_OK;
}

/* Episodes in which the best action is taken: their returns, and as loss the mean square of r + gamma Q(s', a') -
 * Q(s, a) over their moves. */
static LsStatus evaluate(const LsEvaluated *e)
{
    const LsEnvironment *world = ls_source_environment(e->source);
    if (!world)
        return ls_fail(LS_USAGE, "an agent is evaluated in an environment: set data.kind to environment");
    Episode *episode = ls_alloc_array(e->rows, sizeof *episode);
    float *value = ls_alloc_array(e->rows * world->actions, sizeof *value);
    LsStatus status = episode && value ? LS_OK : LS_RESOURCE;
    for (int64_t first = e->comm->rank * e->rows; first < e->samples && status == LS_OK;
         first += e->comm->size * e->rows)
        status = play(e, world, first, e->samples - first < e->rows ? e->samples - first : e->rows, episode, value);
    ls_free(episode);
    ls_free(value);
    return status;
}

extern const LsProcedure ls_procedure_q_learning;
static const LsPhase phases[] = {{.name = "learning"}, {0}};
const LsProcedure ls_procedure_q_learning = {
    .name = "q_learning",
    .summary = "an agent acts in environments and learns the value of each action from a memory of what happened",
    .settings = settings,
    .settings_bytes = sizeof(Settings),
    .self_bytes = sizeof(Agent),
    .phases = phases,
    .memory = bytes_of_agent,
    .open = open_agent,
    .before_step = before_step,
    .after_step = after_step,
    .evaluate = evaluate,
    .saved = saved,
    .close = close_agent,
};
