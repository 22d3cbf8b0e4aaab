/* Text to token ids and back: bytes, characters, GPT-2's byte-pair encoding. One file each in src/data, one line each in the list. */
#ifndef LS_DATA_TOKENIZER_H
#define LS_DATA_TOKENIZER_H

#include "lockstep/base.h"

typedef struct LsTokenizer LsTokenizer;

/* kind: "bytes"; "characters" (vocabulary: the distinct Unicode characters of `corpus`, in code point order); "gpt2"
 * (from DIR/encoder.json + DIR/vocab.bpe, or vocab.json + merges.txt). corpus or folder are NULL where a kind has no use for them. */
LsTokenizer *ls_tokenizer_new(const char *kind, const char *corpus, int64_t bytes, const char *folder);

/* Everything needed to make it again, as JSON text; stored in data sets and checkpoints. The caller frees the text. */
char *ls_tokenizer_to_json(const LsTokenizer *tokenizer);
LsTokenizer *ls_tokenizer_from_json(const char *json);
void ls_tokenizer_free(LsTokenizer *tokenizer);

const char *ls_tokenizer_kind(const LsTokenizer *tokenizer);
int64_t ls_tokenizer_vocabulary(const LsTokenizer *tokenizer);
int64_t ls_tokenizer_end(const LsTokenizer *tokenizer); /* id that ends a text, -1 if it has none */

/* *ids is the caller's to free. A character outside the vocabulary is LS_DATA, with its place. */
LsStatus ls_tokenizer_encode(const LsTokenizer *tokenizer, const char *text, int64_t bytes, int32_t **ids, int64_t *count) LS_MUST_USE;

/* Bytes of the ids one after another (not always whole UTF-8 characters); *text is NUL-terminated and the caller's to free. */
LsStatus ls_tokenizer_decode(const LsTokenizer *tokenizer, const int32_t *ids, int64_t count, char **text, int64_t *bytes) LS_MUST_USE;

/* Files of the Hugging Face layout (vocab.json, merges.txt, tokenizer_config.json, ...) into and from a folder. from: NULL with no
 * message where the folder has none of them. */
LsStatus ls_tokenizer_write_folder(const LsTokenizer *tokenizer, const char *folder) LS_MUST_USE;
LsTokenizer *ls_tokenizer_from_folder(const char *folder);

#endif
