/* Tokenizers. The ids of GPT-2's encoding in fixtures/gpt2_ids.json are those of transformers' GPT2Tokenizer (fixtures/gpt2_ids.py): with
 * a small vocabulary that is in fixtures/small_bpe, and with GPT-2's own where datasets/gpt2-bpe.sh has fetched it into data/ (or
 * LOCKSTEP_GPT2_BPE names its folder); where it has not, a line says that this part was not run. */
#include "data/gpt2.h"
#include "data/tokenizer.h"
#include "harness.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL TESTS_FOLDER "/fixtures/small_bpe"

static void write_file(const char *path, const char *text) { ASSERT_OK(ls_file_replace(path, text, (int64_t)strlen(text))); }

/* A fresh folder below the test's. */
static const char *new_folder(void)
{
    static int number;
    char name[32];
    snprintf(name, sizeof name, "folder-%d", number++);
    const char *path = harness_path(name);
    ASSERT_OK(ls_make_folders(path));
    return path;
}

static const char *in_folder(const char *folder, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* encode gives these ids, whole and in windows of `window` bytes (0: whole only), and decode gives `decoded`. */
static void check_ids_and_text(const LsTokenizer *tokenizer, const char *text, int64_t bytes, const int32_t *expected, int64_t expected_count,
                               const char *decoded, int64_t decoded_bytes, int64_t window)
{
    int32_t *ids = NULL;
    int64_t count = 0, back_bytes = 0;
    char *back = NULL;
    ASSERT_OK(ls_tokenizer_encode(tokenizer, text, bytes, &ids, &count));
    if (expected) {
        CU_ASSERT_EQUAL(count, expected_count);
        CU_ASSERT(count == expected_count && memcmp(ids, expected, (size_t)count * sizeof *ids) == 0);
    }
    ASSERT_OK(ls_tokenizer_decode(tokenizer, ids, count, &back, &back_bytes));
    CU_ASSERT_EQUAL(back_bytes, decoded_bytes);
    CU_ASSERT(back_bytes == decoded_bytes && memcmp(back, decoded, (size_t)decoded_bytes) == 0);
    CU_ASSERT_EQUAL(back[back_bytes], '\0');
    ls_free(back);
    if (window > 0) {
        LsTokens tokens = {0};
        LsEncoder *encoder = ls_encoder_new(tokenizer);
        CU_ASSERT_PTR_NOT_NULL_FATAL(encoder);
        int64_t at = 0, room = window;
        while (at < bytes) {
            int64_t part = bytes - at < room ? bytes - at : room, used = -1;
            ASSERT_OK(ls_encoder_feed(encoder, text + at, part, at + part == bytes, &tokens, &used));
            CU_ASSERT_FATAL(used >= 0 && used <= part);
            at += used;
            room = used > 0 ? window : 2 * room;
        }
        CU_ASSERT(tokens.count == count && (count == 0 || memcmp(tokens.id, ids, (size_t)count * sizeof *ids) == 0));
        ls_encoder_free(encoder);
        ls_free(tokens.id);
    }
    ls_free(ids);
}

/* The same where decode gives the text back. */
static void check_ids(const LsTokenizer *tokenizer, const char *text, int64_t bytes, const int32_t *expected, int64_t expected_count,
                      int64_t window)
{
    check_ids_and_text(tokenizer, text, bytes, expected, expected_count, text, bytes, window);
}

/* Written as JSON and read again it writes the same. */
static void check_json(const LsTokenizer *tokenizer)
{
    char *json = ls_tokenizer_to_json(tokenizer);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    LsTokenizer *again = ls_tokenizer_from_json(json);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    char *json_again = ls_tokenizer_to_json(again);
    CU_ASSERT_STRING_EQUAL(json, json_again);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(again), ls_tokenizer_kind(tokenizer));
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(again), ls_tokenizer_vocabulary(tokenizer));
    CU_ASSERT_EQUAL(ls_tokenizer_end(again), ls_tokenizer_end(tokenizer));
    ls_free(json);
    ls_free(json_again);
    ls_tokenizer_free(again);
}

/* Written into a folder and read from it, it gives the same JSON. */
static void check_folder(const LsTokenizer *tokenizer)
{
    const char *folder = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(tokenizer, folder));
    LsTokenizer *again = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    char *json = ls_tokenizer_to_json(tokenizer), *json_again = ls_tokenizer_to_json(again);
    CU_ASSERT_STRING_EQUAL(json, json_again);
    CU_ASSERT(ls_file_exists(in_folder(folder, "tokenizer.json")));
    CU_ASSERT(ls_file_exists(in_folder(folder, "tokenizer_config.json")));
    ls_free(json);
    ls_free(json_again);
    ls_tokenizer_free(again);
}

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
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("words", NULL, 0, NULL));
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
    ASSERT_FAILS(ls_tokenizer_encode(characters, "a\nbX", 4, &ids, &count), LS_DATA, "line 2, byte 3: the character U+0058 X is not one of the 9");
    CU_ASSERT_PTR_NULL(ids);
    ASSERT_FAILS(ls_tokenizer_encode(characters, "a\x01", 2, &ids, &count), LS_DATA, "the character U+0001 is not");
    ls_tokenizer_free(characters);
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("characters", "", 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "empty"));
}

/* What Unicode's table 3-7 rules out, each after "ok\n" and one good character. */
static void test_malformed(void)
{
    static const char *const bad[] = {
        "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC2z", "\xE2\x82z", "\xF0\x9F\x98z", "\xE2z\xAC"};
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
    static const char line[] = "it's  e\xCC\x81 [tok]x  \xFF\xE2\x82 \xE1\x84\x80\xE1\x85\xA1\n    x"; /* e and acute, an invalid run, two jamo */
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
            int32_t rank = ls_gpt2_rank(gpt2, id[i], id[i + 1]);
            if (rank < best) {
                best = rank;
                place = i;
            }
        }
        if (best == LS_NO_RANK)
            return count;
        id[place] = gpt2->merge[best].result;
        memmove(id + place + 1, id + place + 2, (size_t)(count - place - 2) * sizeof *id);
        count--;
    }
}

static void test_long_words(void)
{
    LsTokenizer *small = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    const Gpt2 *gpt2 = (const Gpt2 *)small;
    Gpt2Merger *merger = ls_gpt2_merger_new();
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
        ASSERT_OK(ls_gpt2_merge(gpt2, merger, fast, &kept));
        CU_ASSERT_EQUAL(kept, merge_plainly(gpt2, plain, count));
        CU_ASSERT(memcmp(fast, plain, (size_t)kept * sizeof *fast) == 0);
        CU_ASSERT(count < 20 || kept < count);
    }
    ls_gpt2_merger_free(merger);
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

/* ---- Files that are not right -------------------------------------------------------------------------------------- */

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
        {"{", "", "vocab.json, line 1, column"},
        {"[]", "", "vocab.json: is not an object"},
        {"{}", "", "vocab.json: is not an object"},
        {"{\"a\": -1}", "", "the number of the token \"a\" is not an integer"},
        {"{\"a\": 1.5}", "", "the number of the token \"a\""},
        {"{\"a\": \"0\"}", "", "the number of the token \"a\""},
        {"{\"a\": 99999999999}", "", "the number of the token \"a\""},
        {"{\"a\": 16777215}", "", "the largest number is 16777215, with only 1 tokens"},
        {"{\"a\": 0, \"b\": 0}", "", "have the same number 0"},
        {"{\"a\": 0, \"a\": 1}", "", "vocab.json, line 1"},
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
    write_file(in_folder(folder, "encoder.json"), "{\"a\": 0, \"b\": 2, \"ab\": 3, \"\xE2\x9F\xA8x y\xE2\x9F\xA9\": 5}");
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
    ASSERT_FAILS(ls_tokenizer_decode(tokenizer, (int32_t[]){1}, 1, &text, &count), LS_DATA, "token 1 is not in the vocabulary");
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
    static const char form[] = "{\"normalizer\": %s, \"added_tokens\": %s, \"pre_tokenizer\": %s, \"model\": {\"type\": \"%s\", "
                               "\"byte_fallback\": %s, \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": %s}}";
    static const char level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}";
    static const struct {
        const char *normalizer, *added, *split, *model, *fallback, *merges, *message;
    } cases[] = {
        {"null", "[]", level, "BPE", "false", "[\"a b\"]", NULL},
        {"null", "[{\"id\": 3, \"content\": \"<|endoftext|>\", \"special\": true}]", level, "BPE", "false", "[[\"a\", \"b\"]]", NULL},
        {"{\"type\": \"NFC\"}", "[{\"id\": 3, \"content\": \"x y\", \"special\": false}]", level, "BPE", "false", "[\"a b\"]", NULL},
        {"{\"type\": \"NFKC\"}", "[]", level, "BPE", "false", "[]", "has a normalizer other than NFC"},
        {"null", "[]", level, "Unigram", "false", "[]", "the model is not BPE"},
        {"null", "[]", level, "BPE", "true", "[]", "model.byte_fallback"},
        {"null", "[]", "null", "BPE", "false", "[]", "pre_tokenizer is not GPT-2's"},
        {"null", "[]", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}", "BPE", "false", "[]", "pre_tokenizer is not GPT-2's"},
        {"null", "[{\"id\": 3, \"content\": \"x\", \"lstrip\": true}]", level, "BPE", "false", "[]", "(\"x\") has lstrip set"},
        {"null", "[{\"id\": 3, \"content\": \"\"}]", level, "BPE", "false", "[]", "no content or no id"},
        {"null", "[{\"id\": 3, \"content\": \"ab\", \"special\": true}]", level, "BPE", "false", "[]", "has two numbers, 2 and 3"},
        {"null", "[{\"content\": \"ab\", \"special\": true}]", level, "BPE", "false", "[]", "no content or no id"},
        {"null", "[]", level, "BPE", "false", "[[\"a\"]]", "model.merges 0: is not two tokens"},
        {"null", "[]", level, "BPE", "false", "[\"a b\", 3]", "model.merges 1: is not two tokens"},
        {"null", "[]", level, "BPE", "false", "{}", "model.merges list: is missing"},
    };
    char text[2048];
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *folder = new_folder();
        snprintf(text, sizeof text, form, cases[i].normalizer, cases[i].added, cases[i].split, cases[i].model, cases[i].fallback, cases[i].merges);
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
        {"{\"kind\": \"words\"}", "no tokenizer 'words'"},
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
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}, \"merges\": [], \"added\": [\"b\"]}", "\"added\"[0]: is not a token"},
        {"{\"kind\": \"gpt2\", \"vocabulary\": {\"a\": 0}, \"merges\": [], \"added\": [1]}", "\"added\"[0]: is not a token"},
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
    HarnessTest tests[16] = {{"bytes", test_bytes},
                             {"characters", test_characters},
                             {"malformed UTF-8", test_malformed},
                             {"words of GPT-2's encoding", test_words},
                             {"ids of GPT-2's encoding, small vocabulary", test_gpt2_ids},
                             {"ids with normal form and added tokens", test_nfc_ids},
                             {"any bytes come back", test_round_trip},
                             {"long words merge as defined", test_long_words},
                             {"huge words", test_huge_words},
                             {"broken vocabularies and merges", test_broken_pairs},
                             {"small and odd vocabularies", test_small_forms},
                             {"tokenizer.json", test_single_file},
                             {"broken JSON", test_broken_json},
                             {0}};
    if (ls_file_exists(in_folder(full_folder(), "encoder.json"))) {
        int count = 0;
        while (tests[count].name)
            count++;
        tests[count] = (HarnessTest){"ids of GPT-2's encoding, full vocabulary", test_gpt2_full};
    } else {
        printf("NOT RUN: ids of GPT-2's full vocabulary, which is not in %s; datasets/gpt2-bpe.sh fetches it\n", full_folder());
    }
    return harness_run("tokenizer", tests);
}
