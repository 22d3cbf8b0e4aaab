/* SentencePiece's tokenizer.model, protocol buffers that we read ourselves; tokenizer_config.json stands beside it
 * where the first byte is odd. What is taken goes through JSON and back as the same, and reads a text. */
#include "shared.h"

#include "data/tokenizer.h"

#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static const char config[] = "{\"add_bos_token\": true, \"add_eos_token\": true, \"legacy\": false}",
                      text[] = "The cat\n  sat on \xc3\xa4 7th mat \xe4\xbd\xa0<s>.";
    if (bytes < 1)
        return 0;
    fuzz_remove("in");
    mkdir(fuzz_path("in"), 0777);
    fuzz_write("in/tokenizer.model", input + 1, bytes - 1);
    if (input[0] % 2)
        fuzz_write("in/tokenizer_config.json", config, sizeof config - 1);
    ls_clear_message();
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(fuzz_path("in"));
    fuzz_is_ok(tokenizer ? LS_OK : ls_message_status());
    if (tokenizer) {
        int32_t *ids = NULL;
        int64_t count = 0;
        char *json = ls_tokenizer_to_json(tokenizer);
        LsTokenizer *again = json ? ls_tokenizer_from_json(json) : NULL;
        FUZZ_ASSERT(again && ls_tokenizer_check_same("a", tokenizer, "b", again, "") == LS_OK);
        if (fuzz_is_ok(ls_tokenizer_encode(tokenizer, text, sizeof text - 1, &ids, &count)))
            for (int64_t i = 0; i < count; i++)
                FUZZ_ASSERT(ls_tokenizer_has(tokenizer, ids[i]));
        ls_free(ids);
        ls_free(json);
        ls_tokenizer_free(again);
    }
    ls_tokenizer_free(tokenizer);
    return 0;
}
