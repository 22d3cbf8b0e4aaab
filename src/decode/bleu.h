/* BLEU (Papineni, Roukos, Ward, Zhu 2002): the geometric mean of the precisions of runs of 1 to 4 words over the
 * whole corpus, times the brevity penalty, in percent. One reference a hypothesis. A word is a run of letters,
 * digits and bytes above 127; every other sign but space is a word of its own; case counts. */
#ifndef LS_DECODE_BLEU_H
#define LS_DECODE_BLEU_H

#include "lockstep/base.h"

#define LS_BLEU_ORDERS 4

/* Sums over pairs of texts: they add up over ranks. */
typedef struct LsBleu {
    double matches[LS_BLEU_ORDERS], runs[LS_BLEU_ORDERS], hypothesis, reference;
} LsBleu;

LsStatus ls_bleu_add(LsBleu *bleu, const char *hypothesis, const char *reference) LS_MUST_USE;
double ls_bleu_value(const LsBleu *bleu);

#endif
