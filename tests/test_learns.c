/* LsGraphOptions.learns: gradients of some parameters only, the same as among all; what backward leaves
 * out then; what the ready hook says. */
#include "harness.h"
#include "graph/check.h"
#include "graph/graph_internal.h"
#include "lockstep/ops.h"

#include <math.h>
#include <string.h>

enum { ROWS = 6, WIDTH = 16, LAYERS = 3 };

static const LsRun run = {.seed = 3, .training = true};

/* ---- Two players: a generator whose samples a discriminator judges ---- */

static LsTensor *layers(LsGraph *g, const char *player, LsTensor *x)
{
    ls_push(g, "%s", player);
    for (int i = 0; i < LAYERS; i++) {
        ls_push(g, "layer.%d", i);
        LsTensor *w = ls_param(g, "w", ls_init_normal(0.3), 2, (int64_t[]){WIDTH, WIDTH});
        x = ls_linear(g, x, w, ls_param(g, "bias", ls_init_normal(0.1), 1, (int64_t[]){WIDTH}), LS_GELU);
        LsTensor *scale = ls_param_flags(g, "scale", ls_init_constant(1), LS_PRECISE, 1, (int64_t[]){WIDTH});
        x = ls_rms_norm(g, x, scale, 1e-5);
        ls_pop(g);
    }
    ls_pop(g);
    return x;
}

typedef struct Game {
    LsParams *params;
    LsGraph *g;
} Game;

static Game game_new(const char *learns, bool single_pass)
{
    Game game = {.params = ls_params_new()};
    game.g = ls_graph_new(
        game.params,
        &(LsGraphOptions){
            .mode = LS_TRAIN, .learns = learns, .poison = true, .profile = true, .single_pass = single_pass});
    CU_ASSERT_PTR_NOT_NULL_FATAL(game.g);
    LsTensor *noise = ls_input(game.g, "noise", LS_REAL, 3, (int64_t[]){1, ROWS, WIDTH});
    LsTensor *targets = ls_input(game.g, "targets", LS_I32, 2, (int64_t[]){1, ROWS});
    LsTensor *x = layers(game.g, "discriminator", layers(game.g, "generator", noise));
    LsTensor *head = ls_param(game.g, "discriminator.head", ls_init_normal(0.3), 2, (int64_t[]){WIDTH, WIDTH});
    ls_output(game.g, "loss", ls_head_cross_entropy(game.g, x, head, NULL, targets, 0, 0));
    ASSERT_OK(ls_params_allocate(game.params, 1, true));
    return game;
}

static void game_plan(Game *game)
{
    ASSERT_OK(ls_graph_plan(game->g));
    float *noise = ls_graph_find(game->g, "noise")->data;
    int32_t *targets = ls_graph_find(game->g, "targets")->data;
    for (int i = 0; i < ROWS * WIDTH; i++)
        noise[i] = ls_normal_at(1, 2, (uint64_t)i);
    for (int i = 0; i < ROWS; i++)
        targets[i] = i;
}

static void game_free(Game *game)
{
    ls_graph_free(game->g);
    ls_params_free(game->params);
}

static bool is_learnt(const LsParam *p, const char *learns) { return strncmp(p->name, learns, strlen(learns)) == 0; }

typedef struct Watch {
    const LsParams *params;
    const char *learns;
    float *then; /* (total) gradients as they were when they were said to be final */
    int64_t last;
    int calls;
} Watch;

static LsStatus ready(void *self, int64_t from)
{
    Watch *w = self;
    CU_ASSERT(from < w->last);
    memcpy(w->then + from, w->params->grad + from, sizeof(float) * (size_t)(w->last - from));
    w->last = from;
    w->calls++;
    return LS_OK;
}

/* The same gradients as among all, the others untouched; what was said to be final was. */
static void check_player(const Game *all, const char *learns, bool single_pass)
{
    Game game = game_new(learns, single_pass);
    game_plan(&game);
    const LsParams *p = game.params;
    for (int64_t i = 0; i < p->total; i++)
        p->grad[i] = 7;
    Watch w = {.params = p, .learns = learns, .last = p->total, .then = ls_alloc_array(p->total, sizeof(float))};
    ASSERT_OK(ls_graph_forward(game.g, &run));
    ASSERT_OK(ls_graph_backward(game.g, &run, 0.5, false, &(LsHooks){.ready = ready, .self = &w}));
    CU_ASSERT(w.last == 0 && w.calls > 0);
    CU_ASSERT_EQUAL(memcmp(w.then, p->grad, sizeof(float) * (size_t)p->total), 0);
    for (int i = 0; i < p->count; i++) {
        const LsParam *one = &p->list[i];
        int64_t touched = 0, different = 0;
        for (int64_t j = one->offset; j < one->offset + one->count; j++) {
            touched += p->grad[j] != 7;
            different += p->grad[j] != all->params->grad[j];
        }
        CU_ASSERT_EQUAL(is_learnt(one, learns) ? different : touched, 0);
    }
    ls_free(w.then);
    game_free(&game);
}

static void test_players(void)
{
    for (int single_pass = 0; single_pass < 2; single_pass++) {
        Game all = game_new(NULL, single_pass);
        game_plan(&all);
        ASSERT_OK(ls_graph_forward(all.g, &run));
        ASSERT_OK(ls_graph_backward(all.g, &run, 0.5, false, NULL));
        check_player(&all, "generator.", single_pass);
        check_player(&all, "discriminator.", single_pass);
        check_player(&all, "discriminator.layer.1.", single_pass);
        game_free(&all);
    }
}

/* A player's parameters are final when its own first layer is done, not when the graph is. */
static void test_ready_early(void)
{
    Game game = game_new("discriminator.", false);
    game_plan(&game);
    int first = 0;
    while (!strstr(game.g->node[first]->name, "discriminator"))
        first++;
    CU_ASSERT(first >= 2 * LAYERS);
    CU_ASSERT_EQUAL(game.g->node_plan[first].ready, 0);
    for (int n = first + 1; n < game.g->nodes; n++)
        CU_ASSERT(game.g->node_plan[n].ready > 0);
    game_free(&game);
}

/* Backward stops at the last layer that learns, and keeps nothing for the layers before it. */
static void test_left_out(void)
{
    Game all = game_new(NULL, false), late = game_new("discriminator.", false);
    game_plan(&all);
    game_plan(&late);
    for (int n = 0; n < late.g->nodes; n++)
        CU_ASSERT_EQUAL(late.g->node_plan[n].active, strstr(late.g->node[n]->name, "generator.") == NULL);
    CU_ASSERT(ls_graph_memory(late.g).activations < ls_graph_memory(all.g).activations);
    CU_ASSERT(ls_graph_cost(late.g).flops < 0.8 * ls_graph_cost(all.g).flops);
    game_free(&all);
    game_free(&late);
    Game none = game_new("critic.", false);
    ASSERT_FAILS(ls_graph_plan(none.g), LS_USAGE, "depends on a parameter whose name begins with \"critic.\"");
    game_free(&none);
}

/* ---- Every case of every op, with each of its parameters alone ---- */

typedef struct Trial {
    LsParams *params;
    LsGraph *g;
} Trial;

static void keep_results(LsGraph *g)
{
    LsNode *last = g->node[g->nodes - 1];
    for (int i = 0; i < last->outputs; i++)
        if (last->out[i]->needs_grad)
            ls_output(g, "loss", last->out[i]);
}

static void fill_leaves(LsGraph *g)
{
    for (int t = 0; t < g->tensors; t++) {
        LsTensor *x = g->tensor[t];
        const LsTensorPlan *plan = &g->tensor_plan[t];
        bool starts = x->role == LS_ROLE_CARRY && x->end;
        for (int64_t i = 0; (x->role == LS_ROLE_INPUT || starts) && i < x->count; i++) {
            double at = (double)ls_uniform_at(ls_key(7, x->name), 0, (uint64_t)i);
            double value = plan->low + (plan->high - plan->low) * at;
            ls_set_element(g, x->data, x->dtype, i, x->dtype == LS_I32 ? floor(value) : value);
        }
    }
}

/* False where the case does not train. */
static bool run_case(const LsSubject *subject, const char *learns, bool grad_inputs, Trial *t)
{
    t->params = ls_params_new();
    t->g = ls_graph_new(
        t->params, &(LsGraphOptions){.mode = LS_TRAIN, .poison = true, .grad_inputs = grad_inputs, .learns = learns});
    CU_ASSERT_PTR_NOT_NULL_FATAL(t->g);
    CU_ASSERT_FATAL(subject->build(t->g, subject->self));
    if (t->g->failed || t->params->count == 0 || t->g->node[t->g->nodes - 1]->want == 0)
        return false;
    keep_results(t->g);
    ASSERT_OK(ls_params_allocate(t->params, 9, true));
    ASSERT_OK(ls_graph_plan(t->g));
    for (int64_t i = 0; i < t->params->total; i++)
        t->params->grad[i] = 7;
    fill_leaves(t->g);
    ASSERT_OK(ls_graph_forward(t->g, &run));
    for (int i = 0; i < t->g->tensors; i++)
        if (t->g->tensor[i]->role == LS_ROLE_CARRY && !t->g->tensor[i]->end)
            memset(t->g->tensor[i]->grad, 0, (size_t)ls_tensor_bytes(t->g, t->g->tensor[i]));
    ASSERT_OK(ls_graph_backward(t->g, &run, 0.75, false, NULL));
    return true;
}

static void trial_free(Trial *t)
{
    ls_graph_free(t->g);
    ls_params_free(t->params);
}

/* A bias alone may be summed in another order than along with its weights, over up to 900 rows: each order wanders about
 * as far as the root of their number, 30 units of half a rounding, where all partial sums are as large as the last. */
#define ORDERS 16

/* Of both graphs' parameter p, in units of rounding of its largest gradient. */
static double difference(const Trial *a, const Trial *b, int p)
{
    double different = 0, largest = 1e-30;
    const LsParam *one = &a->params->list[p];
    for (int64_t j = one->offset; j < one->offset + one->count; j++) {
        different = fmax(different, fabs((double)a->params->grad[j] - (double)b->params->grad[j]));
        largest = fmax(largest, fabs((double)a->params->grad[j]));
    }
    return different / largest * 0x1p24;
}

static int64_t differences_of_inputs(const Trial *a, const Trial *b)
{
    int64_t different = 0;
    for (int i = 0; i < a->g->tensors; i++) {
        const LsTensor *x = a->g->tensor[i];
        if (x->role == LS_ROLE_INPUT && x->grad)
            different += memcmp(x->grad, b->g->tensor[i]->grad, (size_t)ls_tensor_bytes(a->g, x)) != 0;
    }
    return different;
}

static void check_case(const LsSubject *subject, int *cases)
{
    Trial all, one;
    if (run_case(subject, NULL, true, &all)) {
        for (int p = 0; p < all.params->count; p++, (*cases)++) {
            CU_ASSERT_FATAL(run_case(subject, all.params->list[p].name, false, &one));
            ASSERT_AT_MOST(difference(&all, &one, p), ORDERS);
            trial_free(&one);
        }
        if (run_case(subject, "(none)", true, &one))
            CU_ASSERT_EQUAL(differences_of_inputs(&all, &one), 0);
        for (int64_t i = 0; i < one.params->total && one.params->grad; i++)
            CU_ASSERT_FATAL(one.params->grad[i] == 7);
        trial_free(&one);
    }
    trial_free(&all);
}

static void test_ops(void)
{
    int cases = 0;
    for (const LsOp *const *op = ls_op_table(LS_FLOAT32, LS_ISA_BASELINE); *op; op++) {
        LsOpCase self;
        LsSubject subject;
        for (int which = 0; ls_subject_of_case(*op, which, &self, &subject); which++)
            check_case(&subject, &cases);
    }
    CU_ASSERT(cases > 40);
}

int main(void)
{
    return harness_run("learns", (HarnessTest[]){{"two players", test_players},
                                                 {"ready when a player is done", test_ready_early},
                                                 {"what is left out", test_left_out},
                                                 {"every case of every op", test_ops},
                                                 {0}});
}
