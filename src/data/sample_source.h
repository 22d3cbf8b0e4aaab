/* Shared by the sources of samples: opening a split of a file, the order of samples, texts in memory. A split is
 * held in memory on each rank.
 */
#ifndef LS_DATA_SAMPLE_SOURCE_H
#define LS_DATA_SAMPLE_SOURCE_H

#include "data/samples.h"
#include "lockstep/data.h"

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* Batches of samples that are alike in steps. An epoch's order is cut into windows of whole batches, as the endless
 * stream has them; inside a window samples are sorted by their steps and cut into batches, and these come in an order
 * of their own. Where an epoch begins inside a batch, its first samples complete that one as they come. */
typedef struct LsAlike {
    int64_t batch;            /* samples; 0: the order is that of the epoch */
    int64_t first;            /* place in the endless stream of the window that is held; -1: none */
    int64_t *sample, *sorted; /* (WINDOW batch) of the window: as the epoch has them, and by steps */
    int64_t *place;           /* (sequence + 2): where samples of so many steps stand in `sorted` */
} LsAlike;

/* Begins each source's structure. */
typedef struct LsSampleSource {
    LsSource base;
    uint64_t key;
    bool shuffled;
    /* of a kind whose samples differ in steps: those of sample number `sample` of the split, though it be cut at
     * base.sequence; set before opening. NULL: all have as many */
    int64_t (*steps)(const struct LsSampleSource *source, int64_t sample);
    LsAlike alike;
    LsTokenizer *tokenizer; /* NULL: none */
    char *info;
    const char *split;
} LsSampleSource;

/* The format of a kind's files, and the function that reads their arrays. */
typedef struct LsSampleFile {
    const char *kind;
    int version;       /* the newest that is known */
    const char *array; /* one that every split has; NULL: splits are no arrays, and are not looked at */
    const char *role;  /* of the tokenizer in /info; NULL: none */
    /* Fills in samples, fields, sequence and what the kind itself keeps; key, shuffled, split and the tokenizer are
     * set. What it changes in /info, how numbers are scaled, is what the source's info says. */
    LsStatus (*read)(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info);
} LsSampleFile;

/* The open of a kind: source is new, with base.fill and base.free set (NULL: out of memory), and is freed where
 * there is no such split (*opened NULL with LS_OK) or on failure. */
LsStatus ls_sample_source_open(LsSampleSource *source, const LsDataOpen *open, const LsSampleFile *kind,
                               LsSource **opened) LS_MUST_USE;

/* Lists of /info are those of open->like, where that has them: what numbers mean is learnt from the training data. */
LsStatus ls_info_take(json_t *info, const LsDataOpen *open, const char *const *lists, int count) LS_MUST_USE;

/* Frees the members that ls_sample_source_open has set. */
void ls_sample_source_clear(LsSampleSource *source);

/* Which of the split's samples stands at place `at` of the endless stream. */
int64_t ls_sample_at(LsSampleSource *source, int64_t at);

/* LS_USAGE where samples have more steps than were asked for (0: any): a picture's rows cannot be cut. */
LsStatus ls_check_sequence(const LsDataOpen *open, int64_t steps, const char *what) LS_MUST_USE;

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

/* The graph's input of this name, (B, ...) with B at least `count`; NULL where it has none. LS_ERROR where it has fewer
 * rows, or rows of another length than `row` numbers (0: any). */
LsStatus ls_sample_input(const LsGraph *g, const char *name, int64_t count, int64_t row, LsTensor **x) LS_MUST_USE;

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

typedef struct LsTextArray {
    int32_t *id;
    int64_t *offset; /* offset: (count + 1) */
    int64_t count;
} LsTextArray;

/* /SPLIT/NAME and its offsets; ids low .. below - 1. */
LsStatus ls_text_array_read(LsSealed *file, const char *split, const char *name, int64_t low, int64_t below,
                            LsTextArray *texts) LS_MUST_USE;
void ls_text_array_free(LsTextArray *texts);

/* Tokens of the longest text of all splits that there are. */
LsStatus ls_longest_text(LsSealed *file, const char *name, int64_t *longest) LS_MUST_USE;

/* A text as a row of ids: its tokens between two others, cut where the sequence ends. */
typedef struct LsTextRow {
    const int32_t *id;
    int64_t count;
    int32_t before, after; /* LS_NO_ID: none */
} LsTextRow;
#define LS_NO_ID (-2)

/* to[t] = number `step` + t of the row, below `sequence`; `filler` past its end. */
void ls_text_row_fill(const LsTextRow *row, int64_t step, int64_t sequence, int64_t length, int32_t filler,
                      int32_t *to);
int64_t ls_text_row_length(const LsTextRow *row, int64_t sequence); /* at most `sequence` */

#endif
