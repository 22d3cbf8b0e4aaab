/* States: what a graph for decoding keeps from run to run, shared between graphs by name, its first dimension the
 * stream. */
#include "graph/graph_internal.h"

#include <string.h>

static LsTensor *shared_state(const LsGraph *from, const LsTensor *x)
{
    for (int i = 0; i < from->tensors; i++)
        if (from->tensor[i]->role == LS_ROLE_STATE && strcmp(from->tensor[i]->name, x->name) == 0)
            return from->tensor[i];
    return NULL;
}

LsStatus ls_state_bind(LsGraph *g, LsTensor *x)
{
    if (g->states_of) {
        const LsTensor *other = shared_state(g->states_of, x);
        if (!other || other->count != x->count || other->dtype != x->dtype)
            return ls_fail(LS_USAGE, "state %s: the graph to share with has none of this name and shape", x->name);
        x->data = other->data;
        return LS_OK;
    }
    g->tensor_plan[x->id].owns_data = true;
    x->data = ls_alloc((size_t)ls_tensor_bytes(g, x));
    return x->data ? LS_OK : LS_RESOURCE;
}

LsStatus ls_graph_share_states(LsGraph *g, LsGraph *from)
{
    if (g->planned || !from->planned)
        return ls_fail(LS_ERROR, "states are shared with a planned graph, before this one is planned");
    g->states_of = from->states_of ? from->states_of : from;
    return LS_OK;
}

int ls_graph_states(const LsGraph *g)
{
    int states = 0;
    for (int i = 0; i < g->tensors; i++)
        states += g->tensor[i]->role == LS_ROLE_STATE;
    return states;
}

LsTensor *ls_graph_state(const LsGraph *g, int index)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_STATE && index-- == 0)
            return g->tensor[i];
    return NULL;
}

void ls_graph_reset_states(LsGraph *g)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_STATE)
            memset(g->tensor[i]->data, 0, (size_t)ls_tensor_bytes(g, g->tensor[i]));
}

/* ---- Reordering -------------------------------------------------------------------------------------------------- */

/* A row of a state is copied; SPARE is a row beside it. */
typedef struct Move {
    int32_t to, from;
} Move;
enum { SPARE = -1 };

static LsStatus check_reordering(const LsGraph *g, const int32_t *from, int64_t streams)
{
    for (int i = 0; ls_graph_state(g, i); i++)
        if (ls_graph_state(g, i)->dim[0] != streams)
            return ls_fail(LS_ERROR, "states of unlike numbers of streams cannot be reordered: %s has %lld, %s %lld",
                           ls_graph_state(g, 0)->name, (long long)streams, ls_graph_state(g, i)->name,
                           (long long)ls_graph_state(g, i)->dim[0]);
    for (int64_t b = 0; b < streams; b++)
        if (from[b] < 0 || from[b] >= streams)
            return ls_fail(LS_ERROR, "stream %lld cannot go on from stream %d: there are %lld", (long long)b,
                           (int)from[b], (long long)streams);
    return LS_OK;
}

/* An order in which no row is overwritten before it was read by all: first the rows that nobody reads (any more), and
 * those that this sets free; what is left then are circles, each opened by putting one row aside. left: (streams) how
 * many others still read a row. move: (2 * streams). Returns the number of moves. */
static int order_moves(const int32_t *from, int32_t streams, int32_t *left, Move *move)
{
    int moves = 0;
    for (int32_t b = 0; b < streams; b++)
        left[from[b]] += from[b] != b;
    for (int32_t first = 0; first < streams; first++)
        for (int32_t b = first; left[b] == 0 && from[b] != b; b = from[b]) {
            move[moves++] = (Move){b, from[b]};
            left[b] = -1; /* done */
            left[from[b]]--;
        }
    for (int32_t first = 0; first < streams; first++) {
        if (left[first] <= 0)
            continue;
        int32_t b = first;
        move[moves++] = (Move){SPARE, first};
        for (; from[b] != first; b = from[b]) {
            move[moves++] = (Move){b, from[b]};
            left[b] = -1;
        }
        move[moves++] = (Move){b, SPARE};
        left[b] = -1;
    }
    return moves;
}

/* Rows are cut into pieces, so that all threads work and the spare row is a piece. */
static void apply_moves(const LsGraph *g, const LsTensor *x, const Move *move, int moves)
{
    enum { PIECE = 4096 };
    int64_t row = ls_tensor_bytes(g, x) / x->dim[0];
#pragma omp parallel for schedule(static) if (row > 4 * PIECE)
    for (int64_t at = 0; at < row; at += PIECE) {
        char spare[PIECE], *data = x->data;
        size_t bytes = (size_t)(row - at < PIECE ? row - at : PIECE);
        for (int i = 0; i < moves; i++)
            memcpy(move[i].to == SPARE ? spare : data + move[i].to * row + at,
                   move[i].from == SPARE ? spare : data + move[i].from * row + at, bytes);
    }
}

LsStatus ls_graph_reorder_states(LsGraph *g, const int32_t *from)
{
    int64_t streams = ls_graph_state(g, 0) ? ls_graph_state(g, 0)->dim[0] : 0;
    LS_TRY(check_reordering(g, from, streams));
    int32_t *left = ls_alloc_array(streams, sizeof *left);
    Move *move = ls_alloc_array(2 * streams, sizeof *move);
    LsStatus status = left && move ? LS_OK : LS_RESOURCE;
    int moves = status == LS_OK ? order_moves(from, (int32_t)streams, left, move) : 0;
    for (int i = 0; moves > 0 && ls_graph_state(g, i); i++)
        apply_moves(g, ls_graph_state(g, i), move, moves);
    ls_free(left);
    ls_free(move);
    return status;
}
