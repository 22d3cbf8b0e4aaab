/* The alphabet in which GPT-2 writes bytes: each of the 256 stands as one visible Unicode character, so that a
 * vocabulary file holds any byte and no white space. And the forms of other programs' tokenizer files that use it. */
#ifndef LS_DATA_BYTELEVEL_H
#define LS_DATA_BYTELEVEL_H

#include "data/tokenizer_kind.h"
#include "data/utf8.h"

/* The character of a byte, and the byte of a character (-1 where it stands for none). */
uint32_t ls_bytelevel_code(unsigned char byte);
int ls_bytelevel_byte(uint32_t code);

/* The parts of a tokenizer.json besides vocabulary and merges. */
typedef struct LsBytelevelForm {
    bool level;          /* tokens are written in the alphabet above; else as they are */
    bool words;          /* text is cut into words by GPT-2's rule first */
    bool nfc;            /* text is brought into Normalization Form C before */
    const json_t *added; /* array of tokens that are looked for in texts, NULL: none */
    const char *special; /* a special token, NULL: none */
    int64_t special_id;
} LsBytelevelForm;

/* tokenizer.json of the `tokenizers` library: byte-pair encoding. Takes over vocabulary (object token: id) and merges
 * (array of "left right"). NULL when out of memory. */
json_t *ls_bytelevel_json(json_t *vocabulary, json_t *merges, const LsBytelevelForm *form);

/* tokenizer_config.json that makes transformers load the tokenizer.json beside it. special may be NULL. NULL when out
 * of memory. And written; it is taken over. */
json_t *ls_bytelevel_config_json(const char *class, const char *special);
LsStatus ls_bytelevel_write_config(const char *folder, json_t *config) LS_MUST_USE;

/* The files of a tokenizer without merges: its own description, and the vocabulary for other programs. vocabulary[id]
 * is the character that stands for token id: one of the alphabet above where `level`, else itself. */
LsStatus ls_bytelevel_write_plain(const LsTokenizer *tokenizer, const uint32_t *vocabulary, bool level,
                                  const char *folder) LS_MUST_USE;

#endif
