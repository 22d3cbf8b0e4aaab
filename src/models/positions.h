/* Positions of tokens in attention models: one setting `position` of all of them. Which kinds fit a model its
 * table of settings says; what each is stands here.
 *
 *     learned      a table of vectors that are added to the embeddings
 *     sinusoidal   sinusoids that are added to sqrt(C) times the embeddings (Vaswani et al. 2017)
 *     nezha        sinusoids of the distance, cut off at max_distance, added to keys and values (Wei et al. 2019, "NEZHA")
 *     xl           (q + u) . k + (q + v) . W_r R(distance) (Dai et al. 2019, "Transformer-XL")
 *     rotary       pairs of the numbers of queries and keys turn with the position (Su et al. 2021)
 *     alibi        scores fall with the distance, to both sides alike, faster in some heads than in others (Press et al.
 *                  2022)
 *     none         not at all
 *
 * All but learned ones go on beyond the lengths of training. */
#ifndef LS_MODELS_POSITIONS_H
#define LS_MODELS_POSITIONS_H

#include "lockstep/relative.h"
#include "models/blocks.h"

typedef struct LsPositions {
    const char *kind;
    int64_t max_distance;
    LsRotary rotary; /* its frequencies: heads and size are left out; turned 0: all of a head */
    double init_std; /* of what relative positions learn */
} LsPositions;

#define LS_POSITION_KINDS "learned|sinusoidal|nezha|xl|rotary|alibi|none"
#define LS_POSITION_KINDS_ADDED "learned|sinusoidal|none"     /* in front of all attention */
#define LS_POSITION_KINDS_INSIDE "rotary|alibi|nezha|xl|none" /* of attention alone */
#define LS_MAX_DISTANCE_HELP "position nezha: tokens farther away count as so many away"

/* Settings that do not fit together: LS_USAGE with a message. at: how the setting's name begins. */
LsStatus ls_positions_check(const LsPositions *p, const char *at, int64_t width, int64_t head) LS_MUST_USE;

/* A graph of so many tokens a sequence fails where the model cannot place them: learned positions end at `context`;
 * others are evaluated at any length, but trained at lengths that the settings speak of. */
void ls_positions_fit(LsGraph *g, const LsPositions *p, int64_t sequence, int64_t context);

/* x: (B, T, C) embeddings, with what learned and sinusoidal positions add. name: of a learned table, (context, C) drawn
 * from `init`; position: as of ls_stream_position. */
LsTensor *ls_positions_embed(LsGraph *g, const LsPositions *p, LsTensor *x, const char *name, LsInit init,
                             int64_t context, LsTensor *position);

/* Self-attention of qkv: (B, T, (H + 2 Hkv) D), as ls_attention has it, with positions. how: all but what positions
 * need. */
LsTensor *ls_positions_attention(LsGraph *g, const LsPositions *p, LsTensor *qkv, const LsAttention *how);

/* (q + u) . k + (q + v) . r with vectors u and v of each head, parameters "u" and "v" that are made here: the first
 * sum, of q: (B, T, H D), is returned, the second is relative->queries. */
LsTensor *ls_xl_queries(LsGraph *g, LsTensor *q, double init_std, LsRelative *relative);

#endif
