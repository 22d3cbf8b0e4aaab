/* Blocks of sequence models: a block is a function from the residual stream to the residual stream, with settings of
 * its own. A model of one kind of block has the kind's settings among its own; model hybrid takes all kinds of
 * block_kinds.def. */
#ifndef LS_MODELS_BLOCK_H
#define LS_MODELS_BLOCK_H

#include "models/blocks.h"

/* A block's place in its model. */
typedef struct LsBlockPlace {
    int64_t width, layers, context;
    int64_t layer; /* the block's number, of `layers` */
    const LsShape *shape;
    LsTensor *position;   /* as of ls_stream_position */
    LsTensor **first;     /* what the first block of its kind leaves to the others: NULL before that */
    const char *settings; /* how its settings' names begin, for messages: "model." */
} LsBlockPlace;

/* Lines of a table of settings: field `field` of the block that is member `at` of the model's structure S; prefix: of
 * the setting's name. */
#define LS_BLOCK_INT(S, at, prefix, field, fallback, low, high, help)                                                  \
    {                                                                                                                  \
        prefix #field, LS_SETTING_TYPE_INT, offsetof(S, at.field), fallback, low, high, NULL, help                     \
    }
#define LS_BLOCK_FLOAT(S, at, prefix, field, fallback, low, high, help)                                                \
    {                                                                                                                  \
        prefix #field, LS_SETTING_TYPE_FLOAT, offsetof(S, at.field), fallback, low, high, NULL, help                   \
    }
#define LS_BLOCK_BOOL(S, at, prefix, field, fallback, help)                                                            \
    {                                                                                                                  \
        prefix #field, LS_SETTING_TYPE_BOOL, offsetof(S, at.field), fallback, 0, 0, NULL, help                         \
    }
#define LS_BLOCK_CHOICE(S, at, prefix, field, fallback, choices, help)                                                 \
    {                                                                                                                  \
        prefix #field, LS_SETTING_TYPE_CHOICE, offsetof(S, at.field), fallback, 0, 0, choices, help                    \
    }

/* RMS norm over the last dimension, with a parameter "NAME.scale". */
LsTensor *ls_rms_norm_block(LsGraph *g, const char *name, LsTensor *x, double epsilon);

#endif
