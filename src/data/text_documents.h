/* Where the documents of a stream of tokens end: behind each separator. */
#ifndef LS_DATA_TEXT_DOCUMENTS_H
#define LS_DATA_TEXT_DOCUMENTS_H

#include "data/samples.h"
#include "data/tokenizer.h"

/* The ids that the tokenizer has behind each text by itself, or its end token: none where it has neither, or frames
 * texts. */
LsStatus ls_tokenizer_separator(const LsTokenizer *tokenizer, LsTokens *separator) LS_MUST_USE;

/* Writes, and reads, what stands between two documents of a text data set: array "separator". Files of earlier versions
 * lack it, and have the tokenizer's where their options name no other. LS_USAGE where nothing stands there. */
LsStatus ls_separator_write(LsSealed *file, const LsTokens *separator) LS_MUST_USE;
LsStatus ls_separator_read(LsSealed *file, const LsTokenizer *tokenizer, LsTokens *separator) LS_MUST_USE;

/* LS_USAGE: data.mask=documents, and `name` does not say where its documents end. */
LsStatus ls_fail_separator(const char *name, const LsTokenizer *tokenizer, const char *cure);

#endif
