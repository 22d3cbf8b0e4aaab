/* Tokenizers of published models. The ids in fixtures/subword_ids.json are those of the libraries `tokenizers`
 * and `sentencepiece` (fixtures/subword_ids.py) with the small tokenizers in fixtures/subword. */
#include "tokenizer_files.h"

#include "data/sentencepiece.h"

#include <jansson.h>

#define FIXTURES TESTS_FOLDER "/fixtures/subword"

static const char *const names[] = {"llama3",  "qwen2", "neox",     "smollm",     "tekken",   "llama2",
                                    "mistral", "mixed", "sp_llama", "sp_unigram", "sp_bytes", "sp_suffix"};

static LsTokenizer *read_fixture(const char *name)
{
    LsTokenizer *tokenizer = ls_tokenizer_from_path(in_folder(FIXTURES, name));
    if (!tokenizer)
        fprintf(stderr, "%s: %s\n", name, ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(tokenizer), "subword");
    return tokenizer;
}

static json_t *read_cases(void)
{
    json_error_t error;
    json_t *cases = json_load_file(TESTS_FOLDER "/fixtures/subword_ids.json", JSON_ALLOW_NUL, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cases);
    CU_ASSERT(json_array_size(cases) > 12);
    return cases;
}

/* One text of the fixture: its ids, whole and in windows; and what they say, where that is characters. */
static void check_case(const LsTokenizer *tokenizer, const char *name, const json_t *entry)
{
    char key[32];
    int32_t ids[1024];
    snprintf(key, sizeof key, "%s_text", name);
    const json_t *text = json_object_get(entry, "text"), *expected = json_object_get(entry, name),
                 *said = json_object_get(entry, key);
    int64_t count = (int64_t)json_array_size(expected), bytes = 0;
    CU_ASSERT_FATAL(count <= (int64_t)LS_COUNT_OF(ids));
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(expected, (size_t)i));
    char *decoded = NULL;
    ASSERT_OK(ls_tokenizer_decode(tokenizer, ids, count, &decoded, &bytes));
    if (!strstr(json_string_value(said), "\xEF\xBF\xBD")) {
        CU_ASSERT_EQUAL(bytes, (int64_t)json_string_length(said));
        CU_ASSERT(memcmp(decoded, json_string_value(said), json_string_length(said)) == 0);
    }
    for (int64_t window = 1; window < 40; window = 5 * window + 3)
        check_ids_and_text(tokenizer, json_string_value(text), (int64_t)json_string_length(text), ids, count, decoded,
                           bytes, window);
    ls_free(decoded);
}

static void test_fixture(void)
{
    json_t *cases = read_cases(), *entry;
    size_t index;
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LsTokenizer *tokenizer = read_fixture(names[i]);
        json_array_foreach(cases, index, entry)
        {
            unsigned before = CU_get_number_of_failures();
            check_case(tokenizer, names[i], entry);
            if (CU_get_number_of_failures() > before)
                fprintf(stderr, "%s, text %zu\n", names[i], index);
        }
        check_json(tokenizer);
        ls_tokenizer_free(tokenizer);
    }
    json_decref(cases);
}

/* Texts are read in parts that end where nothing goes across: the same ids as of the whole at once. */
static void test_parts(void)
{
    json_t *cases = read_cases(), *entry;
    size_t index, used = 0;
    char *text = ls_alloc(100000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (int round = 0; round < 9; round++)
        json_array_foreach(cases, index, entry)
        {
            const json_t *part = json_array_get(cases, (index * 7 + (size_t)round) % json_array_size(cases));
            const json_t *string = json_object_get(part, "text");
            memcpy(text + used, json_string_value(string), json_string_length(string));
            used += json_string_length(string);
            memcpy(text + used, "\nline's end, слово \n" + round, 14);
            used += 14;
        }
    CU_ASSERT(used > 8000);
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LsTokenizer *tokenizer = read_fixture(names[i]);
        Subword *subword = (Subword *)tokenizer;
        int32_t *ids = NULL;
        int64_t count = 0;
        bool cuttable = strcmp(names[i], "mixed") != 0 && !subword->piece; /* the latter has a way of its own */
        CU_ASSERT_EQUAL(subword->cuttable, cuttable);
        subword->cuttable = false;
        ASSERT_OK(ls_tokenizer_encode(tokenizer, text, (int64_t)used, &ids, &count));
        subword->cuttable = cuttable;
        char *decoded = NULL;
        int64_t bytes = 0;
        ASSERT_OK(ls_tokenizer_decode(tokenizer, ids, count, &decoded, &bytes));
        check_ids_and_text(tokenizer, text, (int64_t)used, ids, count, decoded, bytes, 700);
        ls_free(decoded);
        ls_free(ids);
        ls_tokenizer_free(tokenizer);
    }
    ls_free(text);
    json_decref(cases);
}

/* Ids in front of a text, and a blank at the start of what goes on. */
static void test_around(void)
{
    LsTokenizer *tokenizer = read_fixture("llama2");
    const int32_t *before = NULL, *after = NULL;
    CU_ASSERT_EQUAL_FATAL(ls_tokenizer_before(tokenizer, &before), 1);
    CU_ASSERT_EQUAL(before[0], 1);
    CU_ASSERT_EQUAL(ls_tokenizer_after(tokenizer, &after), 0);
    int32_t *ids = NULL, *plain = NULL;
    int64_t count = 0, plain_count = 0, bytes = 0;
    ASSERT_OK(ls_tokenizer_encode_prompt(tokenizer, "the text", 8, &ids, &count));
    ASSERT_OK(ls_tokenizer_encode(tokenizer, "the text", 8, &plain, &plain_count));
    CU_ASSERT_EQUAL_FATAL(count, plain_count + 1);
    CU_ASSERT(ids[0] == 1 && memcmp(ids + 1, plain, (size_t)plain_count * sizeof *ids) == 0);
    char *text = NULL;
    ASSERT_OK(ls_tokenizer_decode(tokenizer, plain, plain_count, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, "the text");
    ls_free(text);
    ASSERT_OK(ls_tokenizer_decode_after(tokenizer, plain, plain_count, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, " the text");
    ls_free(text);
    ls_free(ids);
    ls_free(plain);
    ls_tokenizer_free(tokenizer);
}

/* Bytes that are no characters are kept where there are tokens for bytes, and told with their place elsewhere. */
static void test_bytes(void)
{
    static const char odd[] = "a\xFF\xFE the \xC3 \xE4\xB8 text\x80";
    int32_t *ids = NULL;
    int64_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        LsTokenizer *tokenizer = read_fixture(i ? "llama2" : "llama3");
        check_ids(tokenizer, odd, sizeof odd - 1, NULL, 0, 3);
        ls_tokenizer_free(tokenizer);
    }
    const char *folder = new_folder();
    write_file(in_folder(folder, "tokenizer.json"),
               "{\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"never\"}, "
               "\"decoder\": {\"type\": \"Fuse\"}, \"model\": {\"vocab\": {\"a\": 0, \"_\": 1}, \"merges\": []}}");
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    ASSERT_FAILS(ls_tokenizer_encode(tokenizer, "a a\xFF", 4, &ids, &count), LS_DATA, "byte 3: malformed UTF-8");
    ASSERT_FAILS(ls_tokenizer_encode(tokenizer, "a b", 3, &ids, &count), LS_DATA, "no token for the character 'b'");
    ls_tokenizer_free(tokenizer);
}

/* ---- Folders as transformers writes them ------------------------------------------------------------------------- */

static void check_id(const LsTokenizer *tokenizer, const char *text, int32_t id)
{
    int32_t *ids = NULL;
    int64_t count = 0;
    ASSERT_OK(ls_tokenizer_encode(tokenizer, text, (int64_t)strlen(text), &ids, &count));
    CU_ASSERT(count == 1 && ids[0] == id);
    ls_free(ids);
}

/* Every file comes out again as it was. */
static void check_same_files(const LsTokenizer *tokenizer, const char *folder, const char *const *files)
{
    const char *out = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(tokenizer, out));
    for (; *files; files++) {
        char *one = NULL, *other = NULL;
        int64_t bytes = 0, other_bytes = 0;
        ASSERT_OK(ls_file_read(in_folder(folder, *files), LS_DATA, &one, &bytes));
        ASSERT_OK(ls_file_read(in_folder(out, *files), LS_DATA, &other, &other_bytes));
        CU_ASSERT(bytes == other_bytes && memcmp(one, other, (size_t)bytes) == 0);
        ls_free(one);
        ls_free(other);
    }
    LsTokenizer *again = ls_tokenizer_from_folder(out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    ASSERT_OK(ls_tokenizer_check_same("one", tokenizer, "other", again, ""));
    ls_tokenizer_free(again);
}

static void copy_file(const char *from, const char *to)
{
    char *text = NULL;
    int64_t bytes = 0;
    ASSERT_OK(ls_file_read(from, LS_DATA, &text, &bytes));
    write_file(to, text);
    ls_free(text);
}

/* A folder of vocab.json and merges.txt with what stands beside them; NULL: not there. */
static const char *pair_folder(const char *config, const char *map, const char *added, const char *model)
{
    const char *folder = new_folder();
    const char *const beside[][2] = {{"tokenizer_config.json", config},
                                     {"special_tokens_map.json", map},
                                     {"added_tokens.json", added},
                                     {"config.json", model}};
    copy_file(SMALL "/vocab.json", in_folder(folder, "vocab.json"));
    copy_file(SMALL "/merges.txt", in_folder(folder, "merges.txt"));
    for (size_t i = 0; i < LS_COUNT_OF(beside); i++)
        if (beside[i][1])
            write_file(in_folder(folder, beside[i][0]), beside[i][1]);
    return folder;
}

static void test_pair_with_added_tokens(void)
{
    const char *folder = pair_folder(
        "{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": true, \"model_max_length\": "
        "1000000000000000019884624838656, "
        "\"bos_token\": {\"content\": \"<|im_start|>\", \"lstrip\": false}, \"eos_token\": \"<|im_start|>\"}",
        "{\"eos_token\": \"<|im_start|>\", \"additional_special_tokens\": [\"<|im_end|>\"]}",
        "{\"<|im_start|>\": 700, \"<|im_end|>\": 701, \"plain added\": 702}", "{\"eos_token_id\": [701, 700, 9999]}");
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
    const int32_t *before = NULL, *special = NULL, *ends = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(tokenizer), "subword");
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(tokenizer), 703);
    CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), 700);
    CU_ASSERT_EQUAL_FATAL(ls_tokenizer_more_ends(tokenizer, &ends), 1);
    CU_ASSERT_EQUAL(ends[0], 701);
    CU_ASSERT_EQUAL(ls_tokenizer_begin(tokenizer), 700);
    CU_ASSERT_EQUAL_FATAL(ls_tokenizer_before(tokenizer, &before), 1);
    CU_ASSERT_EQUAL(before[0], 700);
    CU_ASSERT_EQUAL(ls_tokenizer_special(tokenizer, &special), 3); /* with <|endoftext|> */
    check_id(tokenizer, "<|im_start|>", 700);
    check_id(tokenizer, "<|im_end|>", 701);
    check_id(tokenizer, "plain added", 702);
    check_json(tokenizer);
    check_same_files(tokenizer, folder,
                     (const char *const[]){"vocab.json", "merges.txt", "tokenizer_config.json",
                                           "special_tokens_map.json", "added_tokens.json", NULL});
    ls_tokenizer_free(tokenizer);
}

/* Where files say nothing but what GPT-2's do, it is that tokenizer, and they are kept all the same. */
static void test_plain_pair(void)
{
    const char *folder =
        pair_folder("{\"model_max_length\": 1024, \"pad_token\": \"<|endoftext|>\"}",
                    "{\"eos_token\": {\"content\": \"<|endoftext|>\"}}", NULL, "{\"eos_token_id\": 50256}");
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder), *plain = ls_tokenizer_from_folder(SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(tokenizer), "gpt2");
    ASSERT_OK(ls_tokenizer_check_same("one", tokenizer, "other", plain, ""));
    check_same_files(tokenizer, folder,
                     (const char *const[]){"tokenizer_config.json", "special_tokens_map.json", NULL});
    check_json(tokenizer);
    ls_tokenizer_free(tokenizer);
    ls_tokenizer_free(plain);
    /* a token of the vocabulary that the model ends with */
    tokenizer = ls_tokenizer_from_folder(pair_folder(NULL, NULL, NULL, "{\"eos_token_id\": 400, \"bos_token_id\": 3}"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), 400);
    CU_ASSERT_EQUAL(ls_tokenizer_begin(tokenizer), 3);
    check_json(tokenizer);
    ls_tokenizer_free(tokenizer);
}

/* Flags beside a tokenizer.json: obeyed, or refused by name. */
static void test_config(void)
{
    static const struct {
        const char *name, *config, *message;
        int64_t befores, afters, end;
    } cases[] = {
        {"llama2",
         "{\"add_bos_token\": true, \"add_eos_token\": true, \"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}", NULL, 1,
         1, 2},
        {"llama2", "{\"add_bos_token\": false, \"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}}", NULL,
         0, 0, 2},
        {"llama2", "{\"eos_token\": null}", NULL, 1, 0, -1},
        {"llama2",
         "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\", \"special\": true}, \"900\": {\"content\": "
         "\"new\"}}}",
         NULL, 1, 0, -1},
        {"llama2", "{\"added_tokens_decoder\": {\"2\": {\"content\": \"<s>\", \"special\": true}}}",
         "\"<s>\" has two numbers, 1 and 2", 0, 0, 0},
        {"llama2", "{\"eos_token\": \"<eos>\"}", "eos_token \"<eos>\" is no token of the vocabulary", 0, 0, 0},
        {"llama2", "{\"add_bos_token\": true}", "add_bos_token is true, and the post_processor puts other tokens there",
         0, 0, 0},
        {"llama2", "{\"add_eos_token\": true}", "add_eos_token is true, and no such token is named", 0, 0, 0},
        {"llama2", "{\"split_special_tokens\": true}", "split_special_tokens", 0, 0, 0},
        {"neox", "{\"add_prefix_space\": true}", "add_prefix_space is true", 0, 0, 0},
        {"neox", "{\"add_prefix_space\": false, \"chat_template\": \"x\"}", NULL, 0, 0, -1},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *folder = new_folder(), *file = "tokenizer.json";
        const int32_t *around = NULL;
        char from[512];
        snprintf(from, sizeof from, FIXTURES "/%s/%s", cases[i].name, file);
        copy_file(from, in_folder(folder, file));
        write_file(in_folder(folder, "tokenizer_config.json"), cases[i].config);
        LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
        if (cases[i].message) {
            CU_ASSERT_PTR_NULL(tokenizer);
            if (!strstr(ls_message(), cases[i].message))
                fprintf(stderr, "case %zu: %s\n", i, ls_message());
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), cases[i].message));
        } else {
            if (!tokenizer)
                fprintf(stderr, "case %zu: %s\n", i, ls_message());
            CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
            CU_ASSERT_EQUAL(ls_tokenizer_before(tokenizer, &around), cases[i].befores);
            CU_ASSERT_EQUAL(ls_tokenizer_after(tokenizer, &around), cases[i].afters);
            CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), cases[i].end);
            check_same_files(tokenizer, folder, (const char *const[]){file, "tokenizer_config.json", NULL});
        }
        ls_tokenizer_free(tokenizer);
    }
}

/* ---- Refused by name --------------------------------------------------------------------------------------------- */

#define MODEL "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}"
#define LEVEL "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"use_regex\": true}, "
#define SPLIT(pattern, behavior)                                                                                       \
    "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern "\"}, \"behavior\": \"" behavior    \
    "\", \"invert\": false}, "

static void test_refused(void)
{
    static const char *const cases[][2] = {
        {"{" LEVEL MODEL "}", NULL},
        {"{" LEVEL "\"truncation\": {\"max_length\": 8}, " MODEL "}", "truncation is set"},
        {"{" LEVEL "\"padding\": {\"strategy\": \"BatchLongest\"}, " MODEL "}", "padding is set"},
        {"{" LEVEL "\"normalizer\": {\"type\": \"NFKC\"}, " MODEL "}", "normalizer has the type NFKC"},
        {"{" LEVEL "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(\"}, \"content\": \"\"}, " MODEL
         "}",
         "a pattern that PCRE2 cannot read"},
        {"{" LEVEL "\"surprise\": 1, " MODEL "}", "has the key surprise"},
        {"{\"pre_tokenizer\": {\"type\": \"Punctuation\"}, " MODEL "}", "pre_tokenizer has the type Punctuation"},
        {"{" SPLIT("\\\\bx", "Isolated") MODEL "}", "has '\\b' at character 1"},
        {"{" SPLIT("x{2}+", "Isolated") MODEL "}", "has '}+' at character 4"},
        {"{" SPLIT("[a[b]]", "Isolated") MODEL "}", "has '[b' at character 3"},
        {"{" SPLIT("(?<n>x)", "Isolated") MODEL "}", "has '(?<' at character 1"},
        {"{" SPLIT("x", "Sideways") MODEL "}", "the behavior Sideways"},
        {"{" LEVEL "\"decoder\": {\"type\": \"CTC\"}, " MODEL "}", "decoder has the type CTC"},
        {"{" LEVEL "\"decoder\": {\"type\": \"Fuse\"}, " MODEL "}", "do not agree whether tokens are bytes"},
        {"{" MODEL "}", "has no decoder"},
        {"{" LEVEL "\"post_processor\": {\"type\": \"Else\"}, " MODEL "}", "post_processor has the type Else"},
        {"{" LEVEL "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []}, " MODEL "}",
         "stands in it 0 times"},
        {"{" LEVEL "\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", "the model is Unigram, not BPE"},
        {"{" LEVEL "\"model\": {\"type\": \"BPE\", \"dropout\": 0.1, \"vocab\": {\"a\": 0}, \"merges\": []}}",
         "model.dropout is set"},
        {"{" LEVEL
         "\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": {\"a\": 0}, \"merges\": []}}",
         "model.end_of_word_suffix is set"},
        {"{" LEVEL "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [], \"magic\": true}}",
         "model has the key magic"},
        {"{" LEVEL
         "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\", \"a b\"]}}",
         "merges 1: is there twice"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *folder = new_folder();
        write_file(in_folder(folder, "tokenizer.json"), cases[i][0]);
        LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder);
        if (cases[i][1]) {
            CU_ASSERT_PTR_NULL(tokenizer);
            if (!strstr(ls_message(), cases[i][1]))
                fprintf(stderr, "case %zu: %s\n", i, ls_message());
            CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), cases[i][1]));
        } else {
            CU_ASSERT_PTR_NOT_NULL(tokenizer);
        }
        ls_tokenizer_free(tokenizer);
    }
    /* files of a checkpoint are those of a tokenizer, and no other is written */
    LsTokenizer *tokenizer = read_fixture("neox");
    json_object_set_new(tokenizer->files, "../evil.json", json_string("{}"));
    ASSERT_FAILS(ls_tokenizer_write_folder(tokenizer, new_folder()), LS_DATA,
                 "'../evil.json' is not one of a tokenizer");
    ls_tokenizer_free(tokenizer);
    CU_ASSERT_PTR_NULL(ls_tokenizer_from_path(in_folder(FIXTURES, "none")));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "has no tokenizer that this program knows"));
}

/* ---- tokenizer.model --------------------------------------------------------------------------------------------- */

/* A copy of a fixture's model of which byte `at` is `byte` (-1: none), cut to `bytes` (0: whole); NULL config: none. */
static const char *model_folder(const char *name, int64_t at, int byte, int64_t bytes, const char *config)
{
    char from[512], *text = NULL;
    int64_t count = 0;
    const char *folder = new_folder();
    snprintf(from, sizeof from, FIXTURES "/%s/tokenizer.model", name);
    ASSERT_OK(ls_file_read(from, LS_DATA, &text, &count));
    if (at >= 0)
        text[at] = (char)byte;
    ASSERT_OK(ls_file_replace(in_folder(folder, "tokenizer.model"), text, bytes ? bytes : count));
    if (config)
        write_file(in_folder(folder, "tokenizer_config.json"), config);
    ls_free(text);
    return folder;
}

static void refuse_model(const char *folder, const char *message)
{
    CU_ASSERT_PTR_NULL(ls_tokenizer_from_folder(folder));
    if (!strstr(ls_message(), message))
        fprintf(stderr, "%s: %s\n", message, ls_message());
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), message));
}

static void test_models(void)
{
    const int32_t *around = NULL;
    const char *folder = model_folder("sp_llama", -1, 0, 0, "{\"add_bos_token\": true, \"eos_token\": \"</s>\"}");
    LsTokenizer *tokenizer = ls_tokenizer_from_folder(folder), *file = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    CU_ASSERT_EQUAL(ls_tokenizer_begin(tokenizer), 1);
    CU_ASSERT_EQUAL(ls_tokenizer_end(tokenizer), 2);
    CU_ASSERT_EQUAL(ls_tokenizer_unknown(tokenizer), 0);
    CU_ASSERT_EQUAL(ls_tokenizer_before(tokenizer, &around), 1);
    check_same_files(tokenizer, folder, (const char *const[]){"tokenizer.model", "tokenizer_config.json", NULL});
    ls_tokenizer_free(tokenizer);
    tokenizer = read_fixture("sp_unigram");
    file = ls_tokenizer_from_path(in_folder(FIXTURES "/sp_unigram", "tokenizer.model"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_tokenizer_check_same("one", tokenizer, "other", file, ""));
    CU_ASSERT_EQUAL(ls_tokenizer_before(tokenizer, &around), 0);
    ls_tokenizer_free(file);
    file = read_fixture("sp_bytes");
    ASSERT_FAILS(ls_tokenizer_check_same("one", tokenizer, "other", file, ""), LS_DATA, "has another tokenizer");
    ls_tokenizer_free(file);
    ls_tokenizer_free(tokenizer);
    refuse_model(model_folder("sp_llama", 0, 0x0B, 0, NULL), "is no tokenizer.model of SentencePiece, or damaged");
    refuse_model(model_folder("sp_llama", -1, 0, 3001, NULL), "is no tokenizer.model of SentencePiece, or damaged");
    refuse_model(model_folder("sp_llama", 15, PIECE_NORMAL, 0, NULL), "has no unknown piece");
    refuse_model(model_folder("sp_llama", -1, 0, 0, "{\"eos_token\": \"<eos>\"}"), "eos_token \"<eos>\" is no token");
    refuse_model(model_folder("sp_llama", -1, 0, 0, "{\"added_tokens_decoder\": {\"900\": {\"content\": \"<new>\"}}}"),
                 "\"<new>\" is added to it, which only tokenizer.json can say");
}

int main(void)
{
    return harness_run("subword", (HarnessTest[]){{"ids of the library", test_fixture},
                                                  {"texts in parts", test_parts},
                                                  {"ids around a text", test_around},
                                                  {"bytes that are no characters", test_bytes},
                                                  {"a pair of files with added tokens", test_pair_with_added_tokens},
                                                  {"a plain pair of files", test_plain_pair},
                                                  {"flags beside the file", test_config},
                                                  {"what is refused", test_refused},
                                                  {"models of SentencePiece", test_models},
                                                  {0}});
}
