/* Text to text by a trained model of the task `pairs`. */
#ifndef LS_DECODE_TRANSLATE_H
#define LS_DECODE_TRANSLATE_H

#include "data/tokenizer.h"
#include "decode/beam.h"

#include <jansson.h>

typedef struct LsTranslator LsTranslator;

/* info: of the training data (LsSource.info), with the source's tokenizer; target: the model's own. Both outlive it.
 * LS_USAGE where the model says no text for a text. */
LsStatus ls_translator_open(const LsConfig *config, LsParams *params, const json_t *info, const LsTokenizer *target,
                            int64_t beams, double penalty, LsTranslator **translator) LS_MUST_USE;
void ls_translator_close(LsTranslator *translator); /* NULL is allowed */

/* *target is the caller's to free. A source longer than the model reads is cut, and *cut set. */
LsStatus ls_translate_text(LsTranslator *translator, const char *source, int64_t bytes, char **target,
                           bool *cut) LS_MUST_USE;

/* The same from the source's ids, with their end; and the text of target ids up to the first that is LS_IGNORE or
 * ends a text. */
LsStatus ls_translate_ids(LsTranslator *translator, const int32_t *source, int64_t length, char **target) LS_MUST_USE;
LsStatus ls_target_text(const LsTranslator *translator, const int32_t *ids, int64_t count, char **text) LS_MUST_USE;

/* How each token of a target looked at the tokens of its source, both with their ends: for a picture. */
typedef struct LsAlignment {
    int64_t rows, columns;   /* tokens of the target, and of the source */
    char **target, **source; /* each token as text: UTF-8 without spaces around it, never empty */
    float *weight;           /* (rows, columns); a row sums to 1 */
} LsAlignment;

/* Of the last text that was translated. LS_USAGE where the model does not attend. *alignment is to be released, after a
 * failure too. */
LsStatus ls_translator_align(LsTranslator *translator, LsAlignment *alignment) LS_MUST_USE;
void ls_alignment_free(LsAlignment *alignment);

#endif
