/* Texts with their translations as a data set of kind "pairs".
 *
 *     /SPLIT/source, /SPLIT/source_offsets   tokens of all source texts, and where each starts (N + 1)
 *     /SPLIT/target, /SPLIT/target_offsets   the same of the texts to be made
 *     /info                                  {"kind": "pairs", "source_tokenizer": {...}, "tokenizer": {...}: of the target}
 *
 * Neither has its tokenizer's tokens of beginning and end: the source of samples puts them there.
 */
#ifndef LS_DATA_PAIRS_H
#define LS_DATA_PAIRS_H

#include "lockstep/data.h"
#include "data/texts.h"

#define LS_PAIRS_VERSION 1

typedef struct LsPairsSettings {
    LsTokenizerSettings tokens;
    char *target_tokenizer; /* kind; NULL: as the source's */
    bool shared_vocabulary;
    char *format, *source, *target;
    int64_t longest;
    LsHeldOutSettings held_out;
} LsPairsSettings;

LsStatus ls_pairs_prepare(const LsPairsSettings *settings, int sources, char *const *source,
                          const char *output) LS_MUST_USE;

/* Fields "source" (T), "source_length", "ids" (T), "length", "targets" (T). As LsDataKind.open. */
LsStatus ls_pairs_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

enum { LS_PAIR_SOURCE, LS_PAIR_TARGET, LS_PAIR_SIDES };

/* The pairs of one part, as they stand in the files. */
typedef struct LsPairs {
    LsRawFiles raw;
    LsTexts side[LS_PAIR_SIDES]; /* as many texts each */
    int64_t blank;               /* empty lines, passed over */
} LsPairs;

LsStatus ls_pairs_read(const LsPairsSettings *settings, LsPairs *part) LS_MUST_USE;
void ls_pairs_free(LsPairs *part);

/* The ids that begin and end a text, and how many there are with them. */
typedef struct LsPairIds {
    int64_t begin, end, classes;
} LsPairIds;
LsPairIds ls_pair_ids(const LsTokenizer *tokenizer);

#endif
