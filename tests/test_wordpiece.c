/* BERT's tokenizer. The ids in fixtures/wordpiece_ids.json are those of the `tokenizers` library
 * (fixtures/wordpiece_ids.py) with the vocabulary in fixtures/small_wordpiece. */
#include "tokenizer_files.h"

#include <jansson.h>

#define SMALL_WORDPIECE TESTS_FOLDER "/fixtures/small_wordpiece"

static LsTokenizer *make_wordpiece(const char *path, bool cased, bool split)
{
    LsTokenizer *made = ls_tokenizer_make(
        "wordpiece", NULL, 0, &(LsTokenizerOptions){.folder = path, .cased = cased, .split_special = split});
    if (!made)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    return made;
}

/* The text has these ids, whole and in windows. */
static void check_text(const LsTokenizer *tokenizer, const char *text, int64_t bytes, const int32_t *ids, int64_t count,
                       int64_t window)
{
    char *decoded = NULL;
    int64_t decoded_bytes = 0;
    ASSERT_OK(ls_tokenizer_decode(tokenizer, ids, count, &decoded, &decoded_bytes));
    check_ids_and_text(tokenizer, text, bytes, ids, count, decoded, decoded_bytes, window);
    ls_free(decoded);
}

#define IDS(tokenizer, text, ...)                                                                                      \
    for (int64_t window = 1; window < 12; window++)                                                                    \
    check_text(tokenizer, text, (int64_t)sizeof(text) - 1, (int32_t[]){__VA_ARGS__},                                   \
               (int64_t)LS_COUNT_OF(((int32_t[]){__VA_ARGS__})), window)

static void check_fixture(const LsTokenizer *tokenizer, const char *key)
{
    json_error_t error;
    json_t *cases = json_load_file(TESTS_FOLDER "/fixtures/wordpiece_ids.json", JSON_ALLOW_NUL, &error), *entry;
    CU_ASSERT_PTR_NOT_NULL_FATAL(cases);
    size_t index;
    int32_t ids[1024];
    json_array_foreach(cases, index, entry)
    {
        const json_t *text = json_object_get(entry, "text"), *expected = json_object_get(entry, key);
        int64_t count = (int64_t)json_array_size(expected);
        CU_ASSERT_FATAL(count <= (int64_t)LS_COUNT_OF(ids));
        for (int64_t i = 0; i < count; i++)
            ids[i] = (int32_t)json_integer_value(json_array_get(expected, (size_t)i));
        unsigned before = CU_get_number_of_failures();
        for (int64_t window = 1; window < 40; window = 2 * window + 1)
            check_text(tokenizer, json_string_value(text), (int64_t)json_string_length(text), ids, count, window);
        if (CU_get_number_of_failures() > before)
            fprintf(stderr, "%s, text %zu: %s\n", key, index, json_string_value(text));
    }
    CU_ASSERT(index > 60);
    json_decref(cases);
}

static void test_fixture(void)
{
    LsTokenizer *uncased = make_wordpiece(SMALL_WORDPIECE, false, false),
                *cased = make_wordpiece(SMALL_WORDPIECE "/vocab.txt", true, false),
                *split = make_wordpiece(SMALL_WORDPIECE, false, true);
    check_fixture(uncased, "uncased");
    check_fixture(cased, "cased");
    check_fixture(split, "split");
    check_json(uncased);
    check_json(cased);
    check_json(split);
    check_folder(uncased);
    check_folder(cased);
    check_folder(split);
    const int32_t *special = NULL;
    CU_ASSERT(ls_tokenizer_begin(uncased) == 2 && ls_tokenizer_end(uncased) == 3 && ls_tokenizer_mask(uncased) == 4);
    CU_ASSERT(ls_tokenizer_frames(uncased) && ls_tokenizer_special(uncased, &special) == 5 && special[4] == 4);
    /* neither cleaned nor ideographs apart, accents stay: by the tokenizer's own JSON */
    char *text = ls_tokenizer_to_json(uncased);
    json_t *object = json_loads(text, 0, NULL);
    static const char *const off[] = {"clean", "ideographs", "strip_accents"};
    for (size_t i = 0; i < LS_COUNT_OF(off); i++)
        json_object_set_new(object, off[i], json_false());
    char *changed = json_dumps(object, JSON_COMPACT);
    LsTokenizer *bare = ls_tokenizer_from_json(changed);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bare);
    check_fixture(bare, "bare");
    check_folder(bare);
    ls_free(text);
    free(changed);
    json_decref(object);
    ls_tokenizer_free(uncased);
    ls_tokenizer_free(cased);
    ls_tokenizer_free(split);
    ls_tokenizer_free(bare);
}

/* A folder with these files, those that are not NULL. */
static const char *folder_of(const char *lines, const char *single, const char *config)
{
    const char *folder = new_folder();
    if (lines)
        write_file(in_folder(folder, "vocab.txt"), lines);
    if (single)
        write_file(in_folder(folder, "tokenizer.json"), single);
    if (config)
        write_file(in_folder(folder, "tokenizer_config.json"), config);
    return folder;
}

#define LINES "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nA\na\n##b\nb\n.\n##cd\né\ne\n中\n##中\n"
enum { UNK = 1, SEP = 3, MASK = 4, BIG_A, SMALL_A, FURTHER_B, B, DOT, FURTHER_CD, ACUTE_E, E, IDEOGRAPH, FURTHER };

static void test_pieces(void)
{
    LsTokenizer *t = make_wordpiece(folder_of(LINES, NULL, NULL), false, false);
    IDS(t, "ab", SMALL_A, FURTHER_B);
    IDS(t, " AB.b\tabcd ", SMALL_A, FURTHER_B, DOT, B, SMALL_A, FURTHER_B, FURTHER_CD);
    IDS(t, "abx a", UNK, SMALL_A);  /* the word as a whole */
    IDS(t, "b##b", B, UNK, UNK, B); /* the vocabulary has no "#", each of which is a word */
    IDS(t, "É e\xCC\x81", E, E);    /* composed or not */
    IDS(t, "a中a", SMALL_A, IDEOGRAPH, SMALL_A);
    IDS(t, "a[MASK].[SEP]", SMALL_A, MASK, DOT, SEP);
    /* no characters: left out, as BERT's own code does; in the middle of a word, and at the end of the text */
    IDS(t,
        "a\xFF\xC2"
        "b \xE2\x82.\xE2\x82",
        SMALL_A, FURTHER_B, DOT);
    check_text(t, "", 0, (int32_t[]){0}, 0, 1);
    check_text(t, " \n\x01 ", 4, (int32_t[]){0}, 0, 1);
    int32_t ids[] = {SMALL_A, FURTHER_B, FURTHER_CD, MASK, DOT, B};
    char *text = NULL;
    int64_t bytes = 0;
    ASSERT_OK(ls_tokenizer_decode(t, ids, 6, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, " abcd [MASK] . b");
    ls_free(text);
    ASSERT_FAILS(ls_tokenizer_decode(t, (int32_t[]){15}, 1, &text, &bytes), LS_DATA, "token 15 is not in the");
    LsTokenizer *blank = make_wordpiece(folder_of(LINES "\n\n", NULL, NULL), false, false), *again; /* ends in blanks */
    ASSERT_OK(ls_tokenizer_check_same("a", blank, "b", t, ""));
    const char *folder = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(blank, folder));
    again = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    ASSERT_OK(ls_tokenizer_check_same("a", blank, "b", again, ""));
    ls_tokenizer_free(again);
    ls_tokenizer_free(blank);
    ls_tokenizer_free(t);
}

/* The settings in tokenizer_config.json and tokenizer.json decide. */
static void test_settings(void)
{
    LsTokenizer *t = make_wordpiece(
        folder_of(LINES, NULL,
                  "{\"do_lower_case\": false, \"tokenize_chinese_chars\": false, \"mask_token\": {\"content\": \".\"}, "
                  "\"split_special_tokens\": true}"),
        false, false);
    IDS(t, "A É a中", BIG_A, UNK, SMALL_A, FURTHER);
    CU_ASSERT_EQUAL(ls_tokenizer_mask(t), DOT);
    check_json(t);
    ls_tokenizer_free(t);
    t = make_wordpiece(folder_of(LINES, NULL, "{\"strip_accents\": false}"), false, false);
    IDS(t, "A É", SMALL_A, ACUTE_E);
    ls_tokenizer_free(t);
    static const char single[] =
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"<x>\", \"special\": true}, {\"id\": 9, \"content\": \"[CLS]\", "
        "\"special\": true}], \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": false, "
        "\"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": false}, \"pre_tokenizer\": {\"type\": "
        "\"BertPreTokenizer\"}, \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"?\", "
        "\"continuing_subword_prefix\": \"@@\", \"max_input_chars_per_word\": 3, \"vocab\": {\"?\": 2, \"A\": 3, "
        "\"@@b\": 5, \"\\u0001\": 6}}}";
    const char *folder = folder_of("a\n", single, NULL);
    t = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(t), 10);
    IDS(t, "Ab Abb Abbb \x01<x>[CLS]a", 3, 5, 3, 5, 5, 2, 6, 0, 9, 2);
    CU_ASSERT(!ls_tokenizer_has(t, 1) && ls_tokenizer_has(t, 0) && !ls_tokenizer_frames(t));
    CU_ASSERT_EQUAL(ls_tokenizer_mask(t), -1);
    check_json(t);
    folder = new_folder(); /* what the single file says it says again, but for cleaning: there are holes */
    ASSERT_OK(ls_tokenizer_write_folder(t, folder));
    CU_ASSERT(!ls_file_exists(in_folder(folder, "vocab.txt")));
    ls_tokenizer_free(t);
    t = make_wordpiece(folder, false, false);
    IDS(t, "Ab Abb Abbb \x01<x>[CLS]a", 3, 5, 3, 5, 5, 2, 6, 0, 9, 2);
    ls_tokenizer_free(t);
}

#define WORDPIECE(rest) "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"[UNK]\": 0}}" rest "}"
#define BERT ", \"normalizer\": {\"type\": \"BertNormalizer\"}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}"

static void test_bad_files(void)
{
    static const struct {
        const char *lines, *single, *config, *message;
    } list[] = {
        {NULL, NULL, NULL, "has neither a tokenizer.json of WordPiece nor a vocab.txt"},
        {"a\nb\n", NULL, NULL, "the vocabulary has no token '[UNK]' (unknown)"},
        {"[UNK]\n\xFF\n", NULL, NULL, "vocab.txt, line 2: is no text"},
        {"", NULL, NULL, "the vocabulary is no list of 1 to"},
        {LINES, NULL, "{\"do_basic_tokenize\": false}", "do_basic_tokenize is false"},
        {LINES, NULL, "{\"never_split\": [\"a\"]}", "has words in never_split"},
        {LINES, NULL, "{\"unk_token\": \"<unk>\"}", "the vocabulary has no token '<unk>'"},
        {LINES, NULL, "{", "tokenizer_config.json: not JSON: line 1"},
        {NULL, WORDPIECE(""), NULL, "are not BERT's"},
        {NULL, WORDPIECE(BERT ", \"added_tokens\": [{\"id\": 1, \"content\": \"x\", \"special\": false}]"), NULL,
         "added_tokens[0] (\"x\") is not special"},
        {NULL, WORDPIECE(BERT ", \"added_tokens\": [{\"id\": 0, \"content\": \"x\", \"special\": true}]"), NULL,
         "have the same number 0"},
        {NULL, WORDPIECE(BERT ", \"added_tokens\": [{\"id\": -1, \"content\": \"x\", \"special\": true}]"), NULL,
         "is not an integer from 0 to"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        const char *folder = folder_of(list[i].lines, list[i].single, list[i].config);
        CU_ASSERT_PTR_NULL(ls_tokenizer_make("wordpiece", NULL, 0, &(LsTokenizerOptions){.folder = folder}));
        if (!strstr(ls_message(), list[i].message))
            fprintf(stderr, "case %zu: %s\n", i, ls_message());
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), list[i].message));
    }
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("wordpiece", NULL, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "--vocabulary"));
    CU_ASSERT_PTR_NULL(ls_tokenizer_from_json("{\"kind\": \"wordpiece\", \"prefix\": \"##\", \"longest_word\": 9, "
                                              "\"special\": [], \"unknown\": \"a\", \"vocabulary\": [\"a\", \"a\"]}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "tokens 0 and 1 of the vocabulary are the same"));
    LsTokenizer *t = make_wordpiece(folder_of("[UNK]\na\n\na\r\nb", NULL, NULL), false, false);
    IDS(t, "a b", 3, 4); /* of equal lines the last; a line without a token has a number all the same */
    ls_tokenizer_free(t);
}

int main(void)
{
    return harness_run("wordpiece", (HarnessTest[]){{"ids of the tokenizers library", test_fixture},
                                                    {"pieces of words", test_pieces},
                                                    {"settings of files", test_settings},
                                                    {"files that are refused", test_bad_files},
                                                    {0}});
}
