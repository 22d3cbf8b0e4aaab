/* Tokenizers in files: tokenizer.json, tokenizer_config.json, vocab.json, merges.txt, added_tokens.json,
 * special_tokens_map.json, vocab.txt and rwkv_vocab_v20230424.txt, with NULs between them; an empty part is a file that
 * is not there. What is taken is written into a folder, and read from there as the same. */
#include "shared.h"

#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char *const names[] = {"in/tokenizer.json", "in/tokenizer_config.json",   "in/vocab.json",
                                        "in/merges.txt",     "in/added_tokens.json",       "in/special_tokens_map.json",
                                        "in/vocab.txt",      "in/rwkv_vocab_v20230424.txt"};
    FuzzParts parts = {input, input + bytes};
    fuzz_remove("in");
    fuzz_remove("out");
    mkdir(fuzz_path("in"), 0777);
    mkdir(fuzz_path("out"), 0777);
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        char *text = fuzz_part(&parts);
        if (text && text[0])
            fuzz_write(names[i], text, strlen(text));
        free(text);
    }
    ls_clear_message();
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(fuzz_path("in"));
    if (tokenizer) {
        static const char text[] = "The cat\n sat on \xc3\xa4 7th mat <|x|>.";
        int32_t *ids = NULL;
        int64_t count = 0;
        fuzz_is_ok(ls_tokenizer_encode(tokenizer, text, sizeof text - 1, &ids, &count));
        ls_free(ids);
        if (fuzz_is_ok(ls_tokenizer_write_folder(tokenizer, fuzz_path("out")))) {
            LsTokenizer *again = ls_tokenizer_from_folder(fuzz_path("out"));
            FUZZ_ASSERT(again && ls_tokenizer_check_same("a", tokenizer, "b", again, "") == LS_OK);
            ls_tokenizer_free(again);
        }
    }
    ls_tokenizer_free(tokenizer);
    return 0;
}
