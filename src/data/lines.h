/* Labels and texts as a data set of kind "lines".
 *
 *     /SPLIT/ids, /SPLIT/ids_offsets   tokens of all texts, and where each starts (N + 1)   SPLIT: train, validation, test
 *     /SPLIT/second, /SPLIT/second_offsets   of samples of two texts: the second ones
 *     /SPLIT/labels                    (N), indices into the class names
 *     /info                            {"kind": "lines", "classes": [names], "tokenizer": {...}}
 */
#ifndef LS_DATA_LINES_H
#define LS_DATA_LINES_H

#include "lockstep/data.h"
#include "data/texts.h"

#define LS_LINES_VERSION 1

typedef struct LsLinesSettings {
    LsTokenizerSettings tokens;
    char *format, *label, *text, *second, *classes;
    LsHeldOutSettings held_out;
} LsLinesSettings;

LsStatus ls_lines_prepare(const LsLinesSettings *settings, int sources, char *const *source,
                          const char *output) LS_MUST_USE;

/* Fields "ids" (T), "length", "label"; with a tokenizer that frames texts also "types" (T), as frame.h has them. As
 * LsDataKind.open. */
LsStatus ls_lines_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* The samples of one part, as they stand in the files. */
typedef struct LsLabelled {
    LsRawFiles raw;
    LsTexts texts, second; /* second: none, or one for each of texts */
    LsTokens label;        /* of each text: index into the classes */
    int64_t blank;         /* empty lines, passed over */
} LsLabelled;

/* Reads all files of a part. Labels that are new are added to `classes`, unless those are fixed: LS_DATA then. */
LsStatus ls_labelled_read(const LsLinesSettings *settings, LsClasses *classes, LsLabelled *part) LS_MUST_USE;
void ls_labelled_free(LsLabelled *part);

#endif
