/* The tokenizer of words: what is a word, which are kept, JSON and folders. */
#include "tokenizer_files.h"

#include <jansson.h>

static LsTokenizer *make_words(const char *corpus, const LsTokenizerOptions *options)
{
    LsCorpusPart part = {"corpus.txt", corpus, (int64_t)strlen(corpus)};
    LsTokenizer *words = ls_tokenizer_make("words", &part, 1, options);
    if (!words)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(words);
    return words;
}

/* In windows of several lengths, and back. */
static void check_words(const LsTokenizer *words, const char *text, const int32_t *ids, int64_t count,
                        const char *decoded)
{
    for (int64_t window = 1; window < 9; window++)
        check_ids_and_text(words, text, (int64_t)strlen(text), ids, count, decoded, (int64_t)strlen(decoded), window);
}

#define WORDS(words, text, decoded, ...)                                                                               \
    check_words(words, text, (int32_t[]){__VA_ARGS__}, (int64_t)LS_COUNT_OF(((int32_t[]){__VA_ARGS__})), decoded)

static void test_ids(void)
{
    LsTokenizer *words = make_words("the cat, the dog; the end.", &(LsTokenizerOptions){0});
    /* by frequency, then by bytes: the (3), then , . ; cat dog end */
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(words), 11);
    CU_ASSERT(ls_tokenizer_begin(words) == 2 && ls_tokenizer_end(words) == 3);
    WORDS(words, "the dog, the bird.", " the dog , the <unk> .", 4, 9, 5, 4, 1, 6);
    WORDS(words, "The\t end\n", " <unk> end", 1, 10);
    WORDS(words, "<s>cat</s>", " <unk> <unk> <unk> cat <unk> <unk> <unk> <unk>", 1, 1, 1, 8, 1, 1, 1, 1);
    check_ids(words, "", 0, (int32_t[]){0}, 0, 1);
    check_words(words, " \n ", (int32_t[]){0}, 0, "");
    check_json(words);
    CU_ASSERT(ls_tokenizer_has(words, 0) && ls_tokenizer_has(words, 10) && !ls_tokenizer_has(words, 11));
    ls_tokenizer_free(words);
}

static void test_options(void)
{
    static const char corpus[] = "a b a c B a, B.";
    LsTokenizer *words = make_words(corpus, &(LsTokenizerOptions){.words = 2});
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(words), 6);
    WORDS(words, "a b B", " a <unk> B", 4, 1, 5);
    ls_tokenizer_free(words);
    words = make_words(corpus, &(LsTokenizerOptions){.least = 2});
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(words), 6); /* a, B */
    ls_tokenizer_free(words);
    words = make_words(corpus, &(LsTokenizerOptions){.lowercase = true, .punctuation = "drop"});
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(words), 7);
    WORDS(words, "A, b!c", " a b c", 4, 5, 6);
    check_json(words);
    ls_tokenizer_free(words);
    words = make_words(corpus, &(LsTokenizerOptions){.punctuation = "attached"});
    WORDS(words, "a a, B.", " a a, B.", 4, 7, 6); /* a (2); B B. a, b c */
    check_json(words);
    ls_tokenizer_free(words);
}

/* Letters, punctuation and white space beyond ASCII. */
static void test_unicode(void)
{
    LsTokenizer *words =
        make_words("äöü ÄÖÜ „привет“ Ⱥ、中文\u3000ŐL\u00A0Ω", &(LsTokenizerOptions){.lowercase = true});
    LsTokenizer *upper = make_words("ÄÖÜ äöü", &(LsTokenizerOptions){0});
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(upper), 6);
    ls_tokenizer_free(upper);
    int32_t *ids = NULL;
    int64_t count = 0, bytes = 0;
    char *text = NULL;
    const char *all = "ÄöÜ „ПРИВЕТ“ ⱥ 、 中文\u2003őL ω";
    ASSERT_OK(ls_tokenizer_encode(words, all, (int64_t)strlen(all), &ids, &count));
    ASSERT_OK(ls_tokenizer_decode(words, ids, count, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, " äöü „ привет “ ⱥ 、 中文 ől ω");
    ls_free(ids);
    ls_free(text);
    check_json(words);
    ls_tokenizer_free(words);
}

static void test_folder(void)
{
    LsTokenizer *words = make_words("one two two", &(LsTokenizerOptions){.lowercase = true});
    const char *folder = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(words, folder));
    LsTokenizer *again = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    ASSERT_OK(ls_tokenizer_check_same("a", words, "b", again, ""));
    WORDS(again, "Two one", " two one", 4, 5);
    ls_tokenizer_free(again);
    again = make_words("one two two", &(LsTokenizerOptions){.lowercase = false});
    ASSERT_FAILS(ls_tokenizer_check_same("a", words, "b", again, "cure"), LS_DATA, "has another tokenizer");
    ls_tokenizer_free(again);
    ls_tokenizer_free(words);
}

static void test_bad(void)
{
    static const char *const bad[][2] = {
        {"{\"kind\":\"words\"}", "lacks"},
        {"{\"kind\":\"words\",\"lowercase\":true,\"punctuation\":\"split\",\"words\":[\"a\",\"a\"]}",
         "stands there twice"},
        {"{\"kind\":\"words\",\"lowercase\":true,\"punctuation\":\"split\",\"words\":[\"a\",\"\"]}", "[1] is no word"},
        {"{\"kind\":\"words\",\"lowercase\":true,\"punctuation\":\"split\",\"words\":[3]}", "[0] is no word"},
        {"{\"kind\":\"words\",\"lowercase\":true,\"punctuation\":\"none\",\"words\":[]}", "none of split"}};
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        CU_ASSERT_PTR_NULL(ls_tokenizer_from_json(bad[i][0]));
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), bad[i][1]));
    }
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("words", " \n", 2, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "has no words"));
    LsCorpusPart part = {"bad.txt", "fine\nnot \xE9 fine", 15};
    CU_ASSERT_PTR_NULL(ls_tokenizer_new_parts("words", &part, 1, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "bad.txt: line 2, byte 9: malformed UTF-8"));
    LsTokenizer *words = make_words("a", &(LsTokenizerOptions){0});
    int32_t *ids = NULL;
    int64_t count = 0;
    ASSERT_FAILS(ls_tokenizer_encode(words, "a \xC3", 3, &ids, &count), LS_DATA, "the text ends inside a character");
    ls_tokenizer_free(words);
}

int main(void)
{
    return harness_run("words", (HarnessTest[]){{"ids", test_ids},
                                                {"options", test_options},
                                                {"Unicode", test_unicode},
                                                {"folders", test_folder},
                                                {"what is not right", test_bad},
                                                {0}});
}
