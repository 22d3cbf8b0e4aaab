/* Tokenizers as checkpoints and data sets hold them (JSON), and a text after a NUL: what is encoded is decoded, and the
 * tokenizer written out is the same one. */
#include "shared.h"

#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static void use(const LsTokenizer *tokenizer, const char *text)
{
    int32_t *ids = NULL, some[8];
    int64_t count = 0, bytes = 0;
    char *back = NULL;
    if (fuzz_is_ok(ls_tokenizer_encode(tokenizer, text, (int64_t)strlen(text), &ids, &count))) {
        for (int64_t i = 0; i < count; i++)
            FUZZ_ASSERT(ls_tokenizer_has(tokenizer, ids[i]));
        FUZZ_ASSERT(ls_tokenizer_decode(tokenizer, ids, count, &back, &bytes) == LS_OK);
        ls_free(back);
        back = NULL;
    }
    ls_free(ids);
    for (int i = 0; i < 8; i++)
        some[i] = (i - 2) * 37;
    for (int i = 0; i < 8; i++)
        if (fuzz_is_ok(ls_tokenizer_decode(tokenizer, some + i, 1, &back, &bytes))) {
            ls_free(back);
            back = NULL;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    FuzzParts parts = {input, input + bytes};
    char *json = fuzz_part(&parts), *text = fuzz_part(&parts);
    LsTokenizer *tokenizer = ls_tokenizer_from_json(json);
    fuzz_is_ok(tokenizer ? LS_OK : ls_message_status());
    if (tokenizer) {
        char *out = ls_tokenizer_to_json(tokenizer);
        LsTokenizer *again = out ? ls_tokenizer_from_json(out) : NULL;
        FUZZ_ASSERT(again);
        FUZZ_ASSERT(ls_tokenizer_check_same("a", tokenizer, "b", again, "") == LS_OK);
        use(tokenizer, text ? text : "The cat\n sat on \xc3\xa4 7th mat.");
        ls_free(out);
        ls_tokenizer_free(again);
    }
    ls_tokenizer_free(tokenizer);
    free(json);
    free(text);
    return 0;
}
