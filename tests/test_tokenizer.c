/* Tokenizers. The ids of GPT-2's encoding in fixtures/gpt2_ids.json are those of transformers' GPT2Tokenizer
 * (fixtures/gpt2_ids.py): with a small vocabulary that is in fixtures/small_bpe, and with GPT-2's own where
 * datasets/gpt2-bpe.sh has fetched it into data/ (or LOCKSTEP_GPT2_BPE names its folder); where it has not, a line says
 * that this part was not run. */
#include "tokenizer_files.h"

static void test_bytes(void)
{
    LsTokenizer *bytes = ls_tokenizer_new("bytes", NULL, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(bytes), 256);
    CU_ASSERT_EQUAL(ls_tokenizer_end(bytes), -1);
    char all[256];
    int32_t ids[256];
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
        ids[i] = i;
    }
    check_ids(bytes, all, 256, ids, 256, 7);
    check_ids(bytes, "", 0, ids, 0, 1);
    check_json(bytes);
    check_folder(bytes);
    char *text = NULL;
    int64_t count = 0;
    ASSERT_FAILS(ls_tokenizer_decode(bytes, (int32_t[]){1, 256}, 2, &text, &count), LS_DATA, "token 256");
    ASSERT_FAILS(ls_tokenizer_decode(bytes, (int32_t[]){-1}, 1, &text, &count), LS_DATA, "token -1");
    ls_tokenizer_free(bytes);
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("wordss", NULL, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "bytes, characters, gpt2"));
}

static void test_characters(void)
{
    static const char corpus[] = "banana 中文 é😀\n";
    LsTokenizer *characters = ls_tokenizer_new("characters", corpus, sizeof corpus - 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(characters);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(characters), 9); /* \n space a b n é 中 文 😀 */
    check_ids(characters, "banana\n", 7, (int32_t[]){3, 2, 4, 2, 4, 2, 0}, 7, 2);
    check_ids(characters, "é中文😀 ", 13, (int32_t[]){5, 6, 7, 8, 1}, 5, 1); /* windows that end inside characters */
    check_json(characters);
    check_folder(characters);
    int32_t *ids = NULL;
    int64_t count = 0;
    ASSERT_FAILS(ls_tokenizer_encode(characters, "a\nbX", 4, &ids, &count), LS_DATA,
                 "line 2, byte 3: the character U+0058 X is not one of the 9");
    CU_ASSERT_PTR_NULL(ids);
    ASSERT_FAILS(ls_tokenizer_encode(characters, "a\x01", 2, &ids, &count), LS_DATA, "the character U+0001 is not");
    ls_tokenizer_free(characters);
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("characters", "", 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "empty"));
}

/* The sequences that Unicode's table 3-7 rules out, each after "ok\n" and one good character. */
static void test_malformed(void)
{
    static const char *const bad[] = {
        "\x80",         "\xBF",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",     "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFF",         "\xC2z",        "\xE2\x82z",        "\xF0\x9F\x98z",    "\xE2z\xAC"};
    static const char *const cut[] = {"\xC2", "\xE2", "\xE2\x82", "\xF0", "\xF0\x9F", "\xF0\x9F\x98"};
    char text[32];
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        snprintf(text, sizeof text, "ok\né%s", bad[i]);
        LsCorpusPart part[2] = {{"good.txt", "fine", 4}, {"bad.txt", text, (int64_t)strlen(text)}};
        CU_ASSERT_PTR_NULL(ls_tokenizer_new_parts("characters", part, 2, NULL));
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "bad.txt: line 2, byte 5: malformed UTF-8: no character starts"));
    }
    for (size_t i = 0; i < LS_COUNT_OF(cut); i++) {
        snprintf(text, sizeof text, "ok\né%s", cut[i]);
        CU_ASSERT_PTR_NULL(ls_tokenizer_new("characters", text, (int64_t)strlen(text), NULL));
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "byte 5: malformed UTF-8: the text ends inside a character"));
    }
    static const char good[] = "\x7F\xC2\x80\u07FF\u0800\uD7FF\uE000\uFFFF\U00010000\U0010FFFF";
    LsTokenizer *edges = ls_tokenizer_new("characters", good, sizeof good - 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(edges);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(edges), 9);
    check_ids(edges, good, sizeof good - 1, (int32_t[]){0, 1, 2, 3, 4, 5, 6, 7, 8}, 9, 3);
    ls_tokenizer_free(edges);
}

/* Every text of the fixture; returns their number. */
static int check_fixture(const LsTokenizer *tokenizer, const char *key)
{
    json_error_t error;
    json_t *cases = json_load_file(TESTS_FOLDER "/fixtures/gpt2_ids.json", JSON_ALLOW_NUL, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cases);
    size_t index;
    json_t *entry;
    int32_t ids[8192];
    json_array_foreach(cases, index, entry)
    {
        const json_t *text = json_object_get(entry, "text"), *expected = json_object_get(entry, key);
        size_t count = json_array_size(expected);
        CU_ASSERT_FATAL(count <= LS_COUNT_OF(ids));
        for (size_t i = 0; i < count; i++)
            ids[i] = (int32_t)json_integer_value(json_array_get(expected, i));
        const json_t *decoded = strcmp(key, "nfc") == 0 ? json_object_get(entry, "nfc_text") : text;
        check_ids_and_text(tokenizer, json_string_value(text), (int64_t)json_string_length(text), ids, (int64_t)count,
                           json_string_value(decoded), (int64_t)json_string_length(decoded), 1 + (int64_t)index % 9);
    }
    json_decref(cases);
    return (int)index;
}

static void test_words(void)
{
    json_error_t error;
    json_t *cases = json_load_file(TESTS_FOLDER "/fixtures/gpt2_ids.json", JSON_ALLOW_NUL, &error);
    void *pattern = NULL;
    ASSERT_OK(ls_gpt2_pattern_new(&pattern));
    Gpt2Words *words = ls_gpt2_words_new(pattern);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cases);
    CU_ASSERT_PTR_NOT_NULL_FATAL(words);
    size_t index;
    json_t *entry;
    json_array_foreach(cases, index, entry)
    {
        const json_t *text = json_object_get(entry, "text"), *lengths = json_object_get(entry, "words");
        int64_t bytes = (int64_t)json_string_length(text), at = 0, end = 0;
        for (size_t i = 0; i < json_array_size(lengths); i++, at = end) {
            ASSERT_OK(ls_gpt2_word(words, json_string_value(text), bytes, at, &end));
            CU_ASSERT_EQUAL(end - at, json_integer_value(json_array_get(lengths, i)));
        }
        CU_ASSERT_EQUAL(at, bytes);
    }
    ls_gpt2_words_free(words);
    ls_gpt2_pattern_free(pattern);
    json_decref(cases);
}

static void test_gpt2_ids(void)
{
    LsTokenizer *small = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(small), 657);
    CU_ASSERT_EQUAL(ls_tokenizer_end(small), 0);
    CU_ASSERT(check_fixture(small, "small") > 30);
    check_json(small);
    check_folder(small);
    char *text = NULL;
    int64_t bytes = 0;
    ASSERT_OK(ls_tokenizer_decode(small, (int32_t[]){0}, 1, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, LS_GPT2_END);
    int32_t *ids = NULL;
    int64_t count = 0;
    ASSERT_OK(ls_tokenizer_encode(small, text, bytes, &ids, &count));
    for (int64_t i = 0; i < count; i++)
        CU_ASSERT_NOT_EQUAL(ids[i], 0); /* text that looks like the end token is not it */
    ls_free(ids);
    ls_free(text);
    ls_tokenizer_free(small);
}

/* Normalization Form C and added tokens. */
static void test_nfc_ids(void)
{
    LsTokenizer *small = ls_tokenizer_new("gpt2", NULL, 0, TESTS_FOLDER "/fixtures/small_nfc");
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(small), 657 + 23 + 2);
    CU_ASSERT_EQUAL(ls_tokenizer_end(small), 0);
    CU_ASSERT(check_fixture(small, "nfc") > 30);
    check_json(small);
    check_folder(small);
    /* longer than its parts, in windows smaller and larger than them, with bytes that are no characters */
    /* e and acute, an invalid run, two jamo */
    static const char line[] = "it's  e\xCC\x81 [tok]x  \xFF\xE2\x82 \xE1\x84\x80\xE1\x85\xA1\n    x";
    static const char normal[] = "it's  \xC3\xA9 [tok]x  \xFF\xE2\x82 \xEA\xB0\x80\n    x";
    char text[200 * sizeof line] = "", decoded[200 * sizeof line] = "";
    for (int i = 0; i < 200; i++) {
        memcpy(text + i * (sizeof line - 1), line, sizeof line);
        memcpy(decoded + i * (sizeof normal - 1), normal, sizeof normal);
    }
    for (int64_t window = 100; window < 8000; window *= 3)
        check_ids_and_text(small, text, 200 * (sizeof line - 1), NULL, 0, decoded, 200 * (sizeof normal - 1), window);
    ls_tokenizer_free(small);
}

static const char *full_folder(void)
{
    const char *named = getenv("LOCKSTEP_GPT2_BPE");
    return named ? named : PROJECT_FOLDER "/data/gpt2-bpe";
}

static void test_gpt2_full(void)
{
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, full_folder());
    CU_ASSERT_PTR_NOT_NULL_FATAL(gpt2);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(gpt2), 50257);
    CU_ASSERT_EQUAL(ls_tokenizer_end(gpt2), 50256);
    int texts = check_fixture(gpt2, "gpt2");
    CU_ASSERT(texts > 30);
    check_json(gpt2);
    check_folder(gpt2);
    ls_tokenizer_free(gpt2);
    printf("\n    GPT-2's full vocabulary: the ids of %d texts agree\n", texts);
}

/* Any bytes come back: random ones, and text with bytes changed, so that valid and invalid runs alternate. */
static void test_round_trip(void)
{
    LsTokenizer *small = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    static const char sample[] = "The token's 模型 \xF0\x9F\x98\x80  \n\n x 12 é";
    static char text[6000];
    for (uint64_t round = 0; round < 60; round++) {
        for (uint64_t i = 0; i < sizeof text; i++) {
            uint32_t block[4];
            ls_philox(7, round, i, block);
            bool random = round % 3 == 0 || block[0] % 16 < round % 3;
            text[i] = random ? (char)block[1] : sample[i % (sizeof sample - 1)];
        }
        check_ids(small, text, (int64_t)sizeof text - (int64_t)round, NULL, 0, 1 + (int64_t)(round * round));
    }
    ls_tokenizer_free(small);
}

/* Merging as it is defined, pair by pair over the whole word. */
static int64_t merge_plainly(const Gpt2 *gpt2, int32_t *id, int64_t count)
{
    for (;;) {
        int32_t best = LS_NO_RANK;
        int64_t place = 0;
        for (int64_t i = 0; i + 1 < count; i++) {
            int32_t rank = ls_merges_rank(&gpt2->merges, id[i], id[i + 1]);
            if (rank < best) {
                best = rank;
                place = i;
            }
        }
        if (best == LS_NO_RANK)
            return count;
        id[place] = gpt2->merges.list[best].result;
        memmove(id + place + 1, id + place + 2, (size_t)(count - place - 2) * sizeof *id);
        count--;
    }
}

static void test_long_words(void)
{
    LsTokenizer *small = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    const Gpt2 *gpt2 = (const Gpt2 *)small;
    LsMerger *merger = ls_merger_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(merger);
    static const char letters[] = "theatnoindrsmo";
    int32_t fast[600], plain[600];
    for (uint64_t round = 0; round < 300; round++) {
        int64_t count = 1 + (int64_t)(round * 2 % 600);
        for (int64_t i = 0; i < count; i++) {
            uint32_t block[4];
            ls_philox(11, round, (uint64_t)i, block);
            fast[i] = plain[i] = gpt2->byte_id[(unsigned char)letters[block[0] % (sizeof letters - 1)]];
        }
        int64_t kept = count;
        ASSERT_OK(ls_merger_apply(&gpt2->merges, merger, fast, &kept));
        CU_ASSERT_EQUAL(kept, merge_plainly(gpt2, plain, count));
        CU_ASSERT(memcmp(fast, plain, (size_t)kept * sizeof *fast) == 0);
        CU_ASSERT(count < 20 || kept < count);
    }
    ls_merger_free(merger);
    ls_tokenizer_free(small);
}

/* A single word of a million bytes ends in reasonable time, whichever kind of character it is made of. */
static void test_huge_words(void)
{
    LsTokenizer *small = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    const int64_t bytes = 1000000;
    char *text = ls_alloc((size_t)bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (const char *letter = "t \n!7\xFF"; *letter; letter++) {
        memset(text, *letter, (size_t)bytes);
        check_ids(small, text, bytes, NULL, 0, *letter == 't' ? 4096 : 0);
    }
    ls_free(text);
    ls_tokenizer_free(small);
}

int main(void)
{
    HarnessTest tests[16] = {{"bytes", test_bytes},
                             {"characters", test_characters},
                             {"malformed UTF-8", test_malformed},
                             {"words of GPT-2's encoding", test_words},
                             {"ids of GPT-2's encoding, small vocabulary", test_gpt2_ids},
                             {"ids with normal form and added tokens", test_nfc_ids},
                             {"any bytes come back", test_round_trip},
                             {"long words merge as defined", test_long_words},
                             {"huge words", test_huge_words},
                             {0}};
    if (ls_file_exists(in_folder(full_folder(), "encoder.json"))) {
        int count = 0;
        while (tests[count].name)
            count++;
        tests[count] = (HarnessTest){"ids of GPT-2's encoding, full vocabulary", test_gpt2_full};
    } else {
        printf("NOT RUN: ids of GPT-2's full vocabulary, which is not in %s; datasets/gpt2-bpe.sh fetches it\n",
               full_folder());
    }
    return harness_run("tokenizer", tests);
}
