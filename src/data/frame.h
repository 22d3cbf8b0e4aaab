/* One or two texts as a sample of a model such as BERT, whose tokenizer frames texts (ls_tokenizer_frames):
 *
 *     ids     [CLS] a1 ... an [SEP] b1 ... bm [SEP]      length n + m + 3, with one text n + 2
 *     types     0    0 ...  0   0    1 ...  1   1
 *
 * Where they do not fit the sequence the longer text is cut at its end, then both alike.
 */
#ifndef LS_DATA_FRAME_H
#define LS_DATA_FRAME_H

#include "data/raw.h"
#include "lockstep/source.h"

typedef struct LsFrame {
    int32_t begin, end;
    int64_t sequence;   /* room for ids */
    int32_t *id, *type; /* id, type: (sequence), of the texts framed last */
    int64_t length;
} LsFrame;

typedef struct LsIds {
    const int32_t *id;
    int64_t count;
} LsIds;

/* LS_USAGE where `sequence` has no room for a token of each of `texts`. */
LsStatus ls_frame_open(LsFrame *frame, const LsTokenizer *tokenizer, int64_t sequence, int texts) LS_MUST_USE;
void ls_frame_free(LsFrame *frame);

/* Ids that are not part of a text, with so many texts. */
#define LS_FRAME_IDS(texts) ((texts) + 1)

/* b: NULL: none. */
void ls_frame_texts(LsFrame *frame, LsIds a, const LsIds *b);

/* Fills row b of the graph's inputs "ids", "types" (each may be NULL): (B, T), with positions `step` and following; and
 * "length": (B). */
void ls_frame_fill(const LsFrame *frame, int64_t step, int64_t b, LsTensor *ids, LsTensor *types, LsTensor *length);

#endif
