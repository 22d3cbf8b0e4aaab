/* A model that reads a source and says a target token by token: the encoder runs once, the decoder step by step on
 * several streams. Clients: beam.h.
 *
 *     LS_TRY(ls_decoder_open(config, params, beams, &decoder));
 *     LS_TRY(ls_decoder_start(decoder, source, length));
 *     LS_TRY(ls_decoder_feed(decoder, ids));      // ids: (streams)
 *     const float *z = ls_decoder_logits(decoder, stream);
 *     LS_TRY(ls_decoder_reorder(decoder, from));  // stream b goes on from what was stream from[b]
 */
#ifndef LS_DECODE_DECODER_H
#define LS_DECODE_DECODER_H

#include "config/config.h"

typedef struct LsDecoder LsDecoder;

/* Graphs for sources of at most the configuration's sequence. LS_USAGE where the model has no encoder. params outlives
 * it. */
LsStatus ls_decoder_open(const LsConfig *config, LsParams *params, int64_t streams, LsDecoder **decoder) LS_MUST_USE;
void ls_decoder_close(LsDecoder *decoder); /* NULL is allowed */

/* Reads a source of 1 .. ls_decoder_longest tokens; all streams start from it. LS_USAGE where it is longer, or an id is
 * none. */
LsStatus ls_decoder_start(LsDecoder *decoder, const int32_t *source, int64_t length) LS_MUST_USE;
LsStatus ls_decoder_feed(LsDecoder *decoder, const int32_t *ids) LS_MUST_USE;
LsStatus ls_decoder_reorder(LsDecoder *decoder, const int32_t *from) LS_MUST_USE;

/* (V), of the last token fed; valid until the next is. */
const float *ls_decoder_logits(const LsDecoder *decoder, int64_t stream);
/* (ls_decoder_longest), how much the last token fed looked at each step of the source: sums to 1 over its length. NULL
 * where the model does not attend. */
const float *ls_decoder_attention(const LsDecoder *decoder, int64_t stream);
int64_t ls_decoder_vocabulary(const LsDecoder *decoder);
int64_t ls_decoder_longest(const LsDecoder *decoder);

#endif
