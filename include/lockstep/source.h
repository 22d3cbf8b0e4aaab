/* Sources of samples for training. A kind of data set makes one; so does a program that has its data in memory.
 *
 * A sample is a function of (seed, global sample counter), never of a live generator or of the number of ranks: the
 * counter runs through epochs; inside an epoch samples are shuffled by ls_permute.
 */
#ifndef LOCKSTEP_SOURCE_H
#define LOCKSTEP_SOURCE_H

#include "lockstep/field.h"

typedef struct LsTokenizer LsTokenizer;
typedef struct LsSource LsSource;

/* Rows 0 .. count - 1 of a graph's inputs are samples first .. first + count - 1 of the endless stream, from position
 * `step` of each sequence on (0 but for graphs of segments). */
typedef struct LsBatch {
    int64_t first, count, step;
} LsBatch;

struct LsSource {
    int64_t samples; /* in an epoch */
    LsFields fields;
    int64_t sequence; /* the most steps that a sample has; 0: no field has steps */
    /* not 0: sample n + streams goes on where sample n ended, n of the last ones but for the stream's end; models that
     * carry their state from step to step are evaluated so. 0: samples do not follow one another */
    int64_t streams;
    /* of the raw text, mean over the split: bits a byte = nats a token / (ln 2 * this); 0 where unknown */
    double bytes_per_token;
    const LsTokenizer *tokenizer; /* of the field "ids", the source's own; NULL where it has none */
    /* JSON object, owned by the source: the meaning of its numbers (names of classes, units), kept in checkpoints; may
     * be NULL */
    const char *info;
    /* Fills those inputs of the graph that are named as its fields. Rows after `count` (the last part of an
     * evaluation), and steps past a sequence's end, get numbers that count for nothing: LS_IGNORE as targets, NAN as
     * numbers to be said. Allocates nothing. */
    LsStatus (*fill)(LsSource *source, LsGraph *g, const LsBatch *batch);
    /* The most steps that a sample of the batch has, at most `sequence`; NULL: all samples have as many. Allocates
     * nothing. */
    int64_t (*longest)(LsSource *source, const LsBatch *batch);
    void (*free)(LsSource *source);
};

/* Classes of a field, 0 where there is no such field or it is no class. */
int64_t ls_source_classes(const LsSource *source, const char *field);

/* Of the tokenizer: the id that stands for a hidden token, -1 where there is none; and ids that stand for no text,
 * ascending, with their number. */
int64_t ls_source_mask(const LsSource *source);
int64_t ls_source_special(const LsSource *source, const int32_t **special);

/* For sources of sequences: inputs "ids" and, where there is one, "targets" of g are (at least `count`, *length), of at
 * most `sequence` positions; LS_ERROR. */
LsStatus ls_source_check(const LsGraph *g, int64_t count, int64_t sequence, int64_t *length) LS_MUST_USE;

void ls_source_free(LsSource *source); /* NULL is allowed */

#endif
