/* Beam search: the target of a source with the highest score among those that a beam of hypotheses meets; greedy
 * search is a beam of one. The score of y is log p(y) / ((5 + |y|) / 6)^penalty (Wu et al. 2016, equation 14,
 * without coverage). */
#ifndef LS_DECODE_BEAM_H
#define LS_DECODE_BEAM_H

#include "decode/decoder.h"

typedef struct LsBeam {
    int64_t beams;      /* as many as the decoder has streams */
    double penalty;     /* of length; 0: none */
    int64_t longest;    /* tokens of a target, its end not counted */
    int32_t begin, end; /* ids */
} LsBeam;

/* target: (longest) gets the tokens between begin and end, *count their number, *score the score. */
LsStatus ls_beam_search(LsDecoder *decoder, const LsBeam *beam, const int32_t *source, int64_t length, int32_t *target,
                        int64_t *count, double *score) LS_MUST_USE;

#endif
