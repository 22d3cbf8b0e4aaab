/* Vocabularies, merges and descriptions of tokenizers as files: small and odd ones, and those that are not right. */
#include "tokenizer_files.h"

/* A vocabulary of all bytes written by bytelevel's rule, with `more` inside the object. */
static void write_vocabulary(const char *folder, const char *name, const char *more)
{
    LsTokenizer *bytes = ls_tokenizer_new("bytes", NULL, 0, NULL);
    const char *made = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(bytes, made));
    json_error_t error;
    json_t *root = json_load_file(in_folder(made, "tokenizer.json"), 0, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    json_t *vocabulary = json_object_get(json_object_get(root, "model"), "vocab"), *extra = json_loads(more, 0, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(extra);
    json_object_update(vocabulary, extra);
    char *text = json_dumps(vocabulary, 0);
    write_file(in_folder(folder, name), text);
    free(text);
    json_decref(extra);
    json_decref(root);
    ls_tokenizer_free(bytes);
}

static void test_broken_pairs(void)
{
    static const struct {
        const char *vocabulary, *merges, *message;
    } cases[] = {
        {"{", "", "vocab.json: not JSON: line 1, column"},
        {"[]", "", "vocab.json: JSON, but not an object"},
        {"{}", "", "vocab.json: is not an object"},
        {"{\"a\": -1}", "", "the number of the token \"a\" is not an integer"},
        {"{\"a\": 1.5}", "", "the number of the token \"a\""},
        {"{\"a\": \"0\"}", "", "the number of the token \"a\""},
        {"{\"a\": 99999999999}", "", "the number of the token \"a\""},
        {"{\"a\": 16777215}", "", "the largest number is 16777215, with only 1 tokens"},
        {"{\"a\": 0, \"b\": 0}", "", "have the same number 0"},
        {"{\"a\": 0, \"a\": 1}", "", "vocab.json: not JSON: line 1"},
        {"{\"\": 0}", "", "empty token, number 0"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "#version: 0.2\na b\nab\n", "merges.txt, line 3: is not two tokens"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "a b\n\na b\n", "merges.txt, line 2: is not two tokens"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "a  b\n", "merges.txt, line 1: is not two tokens"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "a b\na c\n", "line 2: the token \"c\" is not in the vocabulary"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "b a\n", "line 1: the token \"ba\" is not in the vocabulary"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "a b\n\xFF b\n", "merges.txt, line 2: is not UTF-8"},
    };
    const char *folder = new_folder();
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        write_file(in_folder(folder, "vocab.json"), cases[i].vocabulary);
        write_file(in_folder(folder, "merges.txt"), cases[i].merges);
        CU_ASSERT_PTR_NULL(ls_tokenizer_from_folder(folder));
        if (!strstr(ls_message(), cases[i].message))
            fprintf(stderr, "case %zu: %s\n", i, ls_message());
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), cases[i].message));
    }
    CU_ASSERT_PTR_NULL(ls_tokenizer_from_folder(new_folder()));
    CU_ASSERT_STRING_EQUAL(ls_message(), "");
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("gpt2", NULL, 0, new_folder()));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "datasets/gpt2-bpe.sh"));
}

static void test_small_forms(void)
{
    /* holes, carriage returns, a missing byte, a special token with characters outside the alphabet */
    const char *folder = new_folder();
    write_file(in_folder(folder, "encoder.json"),
               "{\"a\": 0, \"b\": 2, \"ab\": 3, \"\xE2\x9F\xA8x y\xE2\x9F\xA9\": 5}");
    write_file(in_folder(folder, "vocab.bpe"), "#version: 0.2\r\na b\r\n");
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(tokenizer), 6);
    CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), -1);
    check_ids(tokenizer, "abba", 4, (int32_t[]){3, 2, 0}, 3, 1);
    check_json(tokenizer);
    check_folder(tokenizer);
    int32_t *ids = NULL;
    char *text = NULL;
    int64_t count = 0;
    ASSERT_FAILS(ls_tokenizer_encode(tokenizer, "a\nc", 3, &ids, &count), LS_DATA, "no token for the byte 0x0A");
    ASSERT_FAILS(ls_tokenizer_decode(tokenizer, (int32_t[]){1}, 1, &text, &count), LS_DATA,
                 "token 1 is not in the vocabulary");
    ASSERT_OK(ls_tokenizer_decode(tokenizer, (int32_t[]){5}, 1, &text, &count));
    CU_ASSERT_STRING_EQUAL(text, "\xE2\x9F\xA8x y\xE2\x9F\xA9");
    ls_free(text);
    ls_tokenizer_free(tokenizer);
    /* all bytes and one merge, by the name of the other pair */
    folder = new_folder();
    write_vocabulary(folder, "vocab.json", "{\"th\": 256, \"<|endoftext|>\": 257}");
    write_file(in_folder(folder, "merges.txt"), "t h");
    tokenizer = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), 257);
    check_ids(tokenizer, "th\xFF", 3, (int32_t[]){256, 255}, 2, 1);
    ls_tokenizer_free(tokenizer);
}

/* tokenizer.json alone: read, or refused where it would give other ids. */
static void test_single_file(void)
{
    static const char form[] =
        "{\"normalizer\": %s, \"added_tokens\": %s, \"pre_tokenizer\": %s, \"model\": {\"type\": \"%s\", "
        "\"byte_fallback\": %s, \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": %s}}";
    static const char level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}";
    static const struct {
        const char *normalizer, *added, *split, *model, *fallback, *merges, *message;
    } cases[] = {
        {"null", "[]", level, "BPE", "false", "[\"a b\"]", NULL},
        {"null", "[{\"id\": 3, \"content\": \"<|endoftext|>\", \"special\": true}]", level, "BPE", "false",
         "[[\"a\", \"b\"]]", NULL},
        {"{\"type\": \"NFC\"}", "[{\"id\": 3, \"content\": \"x y\", \"special\": false}]", level, "BPE", "false",
         "[\"a b\"]", NULL},
        {"{\"type\": \"NFKC\"}", "[]", level, "BPE", "false", "[]", "normalizer has the type NFKC"},
        {"null", "[]", level, "Unigram", "false", "[]", "the model is Unigram, not BPE"},
        {"null", "[]", "null", "BPE", "false", "[]", "has no decoder"},
        {"null", "[]", "{\"type\": \"Whitespace\"}", "BPE", "false", "[]", "pre_tokenizer has the type Whitespace"},
        {"null", "[{\"id\": 3, \"content\": \"\"}]", level, "BPE", "false", "[]", "no content or no id"},
        {"null", "[{\"id\": 3, \"content\": \"ab\", \"special\": true}]", level, "BPE", "false", "[]",
         "has two numbers, 2 and 3"},
        {"null", "[{\"content\": \"ab\", \"special\": true}]", level, "BPE", "false", "[]", "no content or no id"},
        {"null", "[]", level, "BPE", "false", "[[\"a\"]]", "model.merges 0: is not two tokens"},
        {"null", "[]", level, "BPE", "false", "[\"a b\", 3]", "model.merges 1: is not two tokens"},
        {"null", "[]", level, "BPE", "false", "{}", "model.merges list: is missing"},
    };
    char text[2048];
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *folder = new_folder();
        snprintf(text, sizeof text, form, cases[i].normalizer, cases[i].added, cases[i].split, cases[i].model,
                 cases[i].fallback, cases[i].merges);
        write_file(in_folder(folder, "tokenizer.json"), text);
        LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
        if (cases[i].message) {
            CU_ASSERT_PTR_NULL(tokenizer);
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), cases[i].message));
        } else {
            CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
            CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), i == 1 ? 3 : -1);
            check_ids(tokenizer, "abab", 4, (int32_t[]){2, 2}, 2, 1);
            if (i == 2)
                check_ids(tokenizer, "abx yb", 6, (int32_t[]){2, 3, 1}, 3, 1);
        }
        ls_tokenizer_free(tokenizer);
    }
}

static void test_broken_json(void)
{
    static const char *const cases[][2] = {
        {"", "line"},
        {"{", "line"},
        {"[]", "no \"kind\""},
        {"{\"kind\": 3}", "no \"kind\""},
        {"{\"kind\": \"wordss\"}", "no tokenizer 'wordss'"},
        {"{\"kind\": \"characters\"}", "no array \"characters\""},
        {"{\"kind\": \"characters\", \"characters\": []}", "no array \"characters\""},
        {"{\"kind\": \"characters\", \"characters\": [97, 97]}", "[1] does not ascend"},
        {"{\"kind\": \"characters\", \"characters\": [97, 96]}", "[1] does not ascend"},
        {"{\"kind\": \"characters\", \"characters\": [55296]}", "[0] is not a code point"},
        {"{\"kind\": \"characters\", \"characters\": [1114112]}", "[0] is not a code point"},
        {"{\"kind\": \"characters\", \"characters\": [-1]}", "[0] is not a code point"},
        {"{\"kind\": \"characters\", \"characters\": [\"a\"]}", "[0] is not a code point"},
        {"{\"kind\": \"gpt2\"}", "\"vocabulary\": is not an object"},
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}}", "merge list: is missing"},
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}, \"merges\": [\"a a\"]}", "merge 0: the token \"aa\""},
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}, \"merges\": [], \"added\": {}}", "\"added\": is not a list"},
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}, \"merges\": [], \"added\": [\"b\"]}",
         "\"added\"[0]: is not a token"},
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}, \"merges\": [], \"added\": [1]}",
         "\"added\"[0]: is not a token"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        CU_ASSERT_PTR_NULL(ls_tokenizer_from_json(cases[i][0]));
        if (!strstr(ls_message(), cases[i][1]))
            fprintf(stderr, "case %zu: %s\n", i, ls_message());
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), cases[i][1]));
    }
    const char *folder = new_folder();
    write_file(in_folder(folder, "lockstep_tokenizer.json"), "{\"kind\": 1}");
    CU_ASSERT_PTR_NULL(ls_tokenizer_from_folder(folder));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "lockstep_tokenizer.json"));
}

int main(void)
{
    return harness_run("tokenizer files", (HarnessTest[]){{"broken vocabularies and merges", test_broken_pairs},
                                                          {"small and odd vocabularies", test_small_forms},
                                                          {"tokenizer.json", test_single_file},
                                                          {"broken JSON", test_broken_json},
                                                          {0}});
}
