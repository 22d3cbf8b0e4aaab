/* Texts of samples, gathered from raw files before they are tokenized: shared by lines, columns, pairs and chat. */
#ifndef LS_DATA_TEXTS_H
#define LS_DATA_TEXTS_H

#include "data/samples.h"
#include "data/tokenizer_settings.h"

/* A list of texts, each with where it stands, for messages. Begins as {0}. */
typedef struct LsTexts {
    LsCorpusPart *text; /* name: of its file */
    int64_t *line;
    int64_t count, room;
    char **owned; /* texts that stand in no mapped file */
    int64_t owns, owned_room;
} LsTexts;

/* A text that somebody else holds (a mapped file), at the line that `lines` is on; and a copy of one that does not. */
LsStatus ls_texts_add(LsTexts *texts, LsSpan text, const LsLines *lines) LS_MUST_USE;
LsStatus ls_texts_add_copy(LsTexts *texts, LsSpan text, const LsLines *lines) LS_MUST_USE;
void ls_texts_free(LsTexts *texts);

/* A split's texts as tokens: /NAME (ids one after another) and /NAME_offsets (N + 1). */
typedef struct LsTextWriter {
    const LsTokenizer *tokenizer;
    LsNumbers *ids, *offsets;
    LsTokens tokens; /* of the text that was encoded last */
    int64_t total;
} LsTextWriter;

LsStatus ls_text_writer_open(LsTextWriter *writer, LsSealed *file, const char *split, const char *name,
                             const LsTokenizer *tokenizer) LS_MUST_USE;
/* Encodes texts[at] into writer->tokens; LS_DATA with file and line where it cannot be, or has no tokens. */
LsStatus ls_text_writer_encode(LsTextWriter *writer, const LsTexts *texts, int64_t at) LS_MUST_USE;
/* The same of a word, which is the unknown token where it has none: a control character may be all of it. */
LsStatus ls_text_writer_encode_word(LsTextWriter *writer, const LsTexts *texts, int64_t at) LS_MUST_USE;
/* Writes what was encoded last, as a text; or as a piece of one that ls_text_writer_end_text ends. */
LsStatus ls_text_writer_add(LsTextWriter *writer) LS_MUST_USE;
LsStatus ls_text_writer_add_ids(LsTextWriter *writer) LS_MUST_USE;
LsStatus ls_text_writer_end_text(LsTextWriter *writer) LS_MUST_USE;
LsStatus ls_text_writer_end(LsTextWriter *writer, LsStatus status) LS_MUST_USE; /* as ls_numbers_end */

/* ---- Options of prepare ------------------------------------------------------------------------------------------ */

/* Files of a part, mapped. Begins as {0}. */
typedef struct LsRawFiles {
    LsCorpusPart *file;
    int files;
    char *names; /* of a list, cut apart */
} LsRawFiles;

LsStatus ls_raw_files_open(LsRawFiles *files, int sources, char *const *source) LS_MUST_USE;
/* From names with commas between them; NULL: none. LS_USAGE where one of them is the output. */
LsStatus ls_raw_files_open_list(LsRawFiles *files, const char *list, const char *output) LS_MUST_USE;
void ls_raw_files_close(LsRawFiles *files);

/* Opens the files of all parts: the sources for training, those of the options for validation and test. */
LsStatus ls_split_files_open(const LsHeldOutSettings *settings, int sources, char *const *source, const char *output,
                             LsRawFiles *const raw[LS_SPLITS]) LS_MUST_USE;

/* "auto" for format: by the name's ending. */
bool ls_name_ends(const char *name, const char *ending);

/* Which field of a line an option means: a number from 1 on, or a name that the first line of the file must have.
 * *header: whether the first line was such names. */
typedef struct LsColumn {
    const char *option; /* "--label", for messages */
    const char *wanted;
    int index;
} LsColumn;
LsStatus ls_columns_resolve(LsColumn *column, int columns, const LsLines *first, int fields, const LsSpan *field,
                            bool *header) LS_MUST_USE;

/* ---- Describing -------------------------------------------------------------------------------------------------- */

/* Adds SPLIT_lengths of /SPLIT/NAME_offsets, and the number of texts; 0 where there are none. */
LsStatus ls_describe_texts(LsSealed *file, const char *split, const char *name, json_t *object,
                           int64_t *count) LS_MUST_USE;
/* Adds kind and vocabulary of a tokenizer in /info, below `role`. */
LsStatus ls_describe_tokenizer(LsSealed *file, const char *role, json_t *object) LS_MUST_USE;
/* Describes a file whose samples have classes, named in /info, and one tokenizer. add_split: describes a split. */
typedef LsStatus (*LsDescribeSplit)(LsSealed *file, const char *split, const json_t *classes, json_t *object);
LsStatus ls_describe_classified(LsSealed *file, int newest, LsDescribeSplit add_split, json_t *object) LS_MUST_USE;

#endif
