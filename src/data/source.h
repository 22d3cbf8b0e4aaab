/* Where a trainer gets samples from. A kind of data set fills one in (one file each); the trainer knows no more than
 * this.
 *
 * A sample is a function of (seed, global sample counter), never of a live generator or of the number of ranks: the
 * counter runs through epochs; inside an epoch samples are shuffled by ls_permute.
 */
#ifndef LS_DATA_SOURCE_H
#define LS_DATA_SOURCE_H

#include "lockstep/graph.h"
#include "data/tokenizer.h"

typedef struct LsSource LsSource;
struct LsSource {
    int64_t samples;    /* in an epoch */
    int64_t vocabulary; /* classes of the targets */
    /* of the raw text, mean over the split: bits a byte = nats a token / (ln 2 * this); 0 where unknown */
    double bytes_per_token;
    const LsTokenizer *tokenizer; /* the source's own; NULL where it has none */
    /* Fills rows 0..count-1 of the graph's inputs with samples first..first+count-1 of the endless stream, from
     * position `from` of each on: 0 but for graphs of parts of sequences. Rows after them (the last part of an
     * evaluation), and positions past a sequence's end, get targets LS_IGNORE. *targets gets the number of targets that
     * are not ignored. Allocates nothing. */
    LsStatus (*fill)(LsSource *source, LsGraph *g, int64_t first, int64_t count, int64_t from, int64_t *targets);
    void (*free)(LsSource *source);
};

/* For sources of tokens: inputs "ids" and "targets" of g are (at least `count`, *length), of at most `sequence`
 * positions; LS_ERROR. */
LsStatus ls_source_check(const LsGraph *g, int64_t count, int64_t sequence, int64_t *length) LS_MUST_USE;

void ls_source_free(LsSource *source); /* NULL is allowed */

/* Text: inputs "ids" and "targets" (B, T), windows of `sequence` + 1 tokens. Epoch e cuts the stream at an offset that
 * depends on (seed, e) and takes its windows in an order that does too. split: "train", "validation" or "held-out" (see
 * data.h); the latter two in fixed order from the beginning, every token once, the last window filled up with ignored
 * targets. Verifies the file's digest, and that every token is inside the vocabulary: LS_DATA. NULL with a message. */
LsSource *ls_text_source(const char *path, const char *split, int64_t sequence, uint64_t seed);

/* Random tokens of a vocabulary, for bench --synthetic. */
LsSource *ls_synthetic_source(int64_t vocabulary, int64_t sequence, uint64_t seed);

#endif
