/* RWKV's World tokenizer: the ids of the authors' code, vocabularies that are not right, files that are kept. */
#include "tokenizer_files.h"

#include "data/byte_trie.h"

#include <jansson.h>

#define SMALL_WORLD TESTS_FOLDER "/fixtures/small_rwkv_world"
#define VOCABULARY "rwkv_vocab_v20230424.txt"

/* What hexadecimal digits stand for; the caller frees it. */
static char *unhex(const json_t *digits, int64_t *bytes)
{
    const char *text = json_string_value(digits);
    *bytes = (int64_t)json_string_length(digits) / 2;
    char *out = ls_alloc((size_t)*bytes + 1);
    for (int64_t i = 0; i < *bytes; i++) {
        unsigned value = 0;
        CU_ASSERT_EQUAL(sscanf(text + 2 * i, "%2x", &value), 1);
        out[i] = (char)value;
    }
    return out;
}

/* The ids of the fixture, whole and in windows, and every text back. */
static void test_ids(void)
{
    json_error_t error;
    json_t *cases = json_load_file(TESTS_FOLDER "/fixtures/rwkv_world_ids.json", 0, &error), *entry;
    LsTokenizer *world = ls_tokenizer_new("rwkv_world", NULL, 0, SMALL_WORLD);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cases);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    CU_ASSERT_EQUAL(ls_tokenizer_vocabulary(world), 963);
    CU_ASSERT_EQUAL(ls_tokenizer_end(world), 0);
    size_t index;
    json_array_foreach(cases, index, entry)
    {
        int32_t expected[8192];
        int64_t bytes = 0;
        char *text = unhex(json_object_get(entry, "text"), &bytes);
        const json_t *ids = json_object_get(entry, "ids");
        int64_t count = (int64_t)json_array_size(ids);
        CU_ASSERT_FATAL(count <= (int64_t)LS_COUNT_OF(expected));
        for (int64_t i = 0; i < count; i++)
            expected[i] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
        for (int64_t window = 1; window < 100; window *= 3)
            check_ids(world, text, bytes, expected, count, window);
        ls_free(text);
    }
    CU_ASSERT(index > 50);
    json_decref(cases);
    ls_tokenizer_free(world);
}

/* Id 0 ends a text, stands for none, and is never that of a text. */
static void test_end(void)
{
    LsTokenizer *world = ls_tokenizer_from_path(SMALL_WORLD);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(world), "rwkv_world");
    char *text = NULL;
    int64_t bytes = 0;
    const int32_t *special = NULL;
    ASSERT_OK(ls_tokenizer_decode(world, (int32_t[]){98, 0, 99}, 3, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, "ab");
    CU_ASSERT(ls_tokenizer_special(world, &special) == 1 && special[0] == 0);
    CU_ASSERT(ls_tokenizer_has(world, 0) && ls_tokenizer_has(world, 962) && !ls_tokenizer_has(world, 963));
    ls_free(text);
    ls_tokenizer_free(world);
}

/* Kept as JSON and as files: the vocabulary to the byte, with what stands beside it in its folder. */
static void test_files(void)
{
    const char *folder = new_folder();
    char *before = NULL, *after = NULL;
    int64_t bytes = 0, count = 0;
    ASSERT_OK(ls_file_read(SMALL_WORLD "/" VOCABULARY, LS_DATA, &before, &bytes));
    ASSERT_OK(ls_file_replace(in_folder(folder, VOCABULARY), before, bytes));
    write_file(in_folder(folder, "tokenizer_config.json"), "{\"tokenizer_class\": \"RwkvTokenizer\"}");
    LsTokenizer *world = ls_tokenizer_from_folder(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world);
    check_json(world);
    const char *other = new_folder();
    ASSERT_OK(ls_tokenizer_write_folder(world, other));
    LsTokenizer *again = ls_tokenizer_from_folder(other);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    ASSERT_OK(ls_tokenizer_check_same("one", world, "other", again, ""));
    ls_tokenizer_free(again);
    ASSERT_OK(ls_file_read(in_folder(other, VOCABULARY), LS_DATA, &after, &count));
    CU_ASSERT(count == bytes && memcmp(before, after, (size_t)bytes) == 0);
    ls_free(after);
    ASSERT_OK(ls_file_read(in_folder(other, "tokenizer_config.json"), LS_DATA, &after, &count));
    CU_ASSERT_STRING_EQUAL(after, "{\"tokenizer_class\": \"RwkvTokenizer\"}");
    /* a file of another name, and the same tokenizer */
    ASSERT_OK(ls_file_replace(in_folder(other, "mine.txt"), before, bytes));
    LsTokenizer *mine = ls_tokenizer_new("rwkv_world", NULL, 0, in_folder(other, "mine.txt"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(mine);
    ASSERT_OK(ls_tokenizer_check_same("one", world, "other", mine, ""));
    ls_tokenizer_free(mine);
    LsTokenizer *fewer = NULL;
    write_file(in_folder(other, VOCABULARY), "1 'a' 1\n2 'ab' 2\r\n3 \"b'\\u00e9\" 4");
    fewer = ls_tokenizer_from_path(in_folder(other, VOCABULARY));
    CU_ASSERT_PTR_NOT_NULL_FATAL(fewer);
    ASSERT_FAILS(ls_tokenizer_check_same("one", world, "other", fewer, ""), LS_DATA, "has another tokenizer");
    check_ids(fewer, "aabb'\xC3\xA9", 7, (int32_t[]){1, 2, 3}, 3, 2);
    int32_t *ids = NULL;
    ASSERT_FAILS(ls_tokenizer_encode(fewer, "a\nb", 3, &ids, &count), LS_DATA,
                 "line 1, byte 1: the vocabulary has no token for the byte 0x0A");
    ls_tokenizer_free(fewer);
    ls_tokenizer_free(world);
    ls_free(before);
    ls_free(after);
}

/* Each fault is told with file and line. */
static void test_broken(void)
{
    static const struct {
        const char *text, *message;
    } broken[] = {
        {"", "is empty"},
        {"1 'a'\n", "line 1: is not an id, a text in quotes and its number of bytes"},
        {"'a'\n", "line 1: is not an id, a text in quotes"},
        {"1 'a' 1\n\n2 'b' 1\n", "line 2: is not an id, a text in quotes"},
        {"1 'a' 1\n3 'b' 1\n", "line 2: has the id '3', and 2 is expected: one more than the line before"},
        {"0 'a' 1\n", "line 1: has the id '0', and 1 is expected"},
        {"x 'a' 1\n", "line 1: has the id 'x', and 1 is expected"},
        {"1 a 1\n", "line 1: its text does not begin with a quote, or with b and a quote"},
        {"1 r'a' 1\n", "line 1: its text does not begin with a quote"},
        {"1 'a 1\n", "line 1: the quote of its text is not closed"},
        {"1 'a\\' 1\n", "line 1: the quote of its text is not closed"},
        {"1 'a'b' 3\n", "line 1: something stands between the closing quote and the number of bytes"},
        {"1 '' 0\n", "line 1: its text is empty"},
        {"1 'ab' 3\n", "line 1: its text has 2 bytes, but it says '3'"},
        {"1 'a' -1\n", "line 1: its text has 1 bytes, but it says '-1'"},
        {"1 '\\q' 1\n", "line 1: the escape '\\q' in its text is not known"},
        {"1 '\\x4' 1\n", "line 1: the escape '\\x' in its text has not 2 hexadecimal digits"},
        {"1 b'\\u0041' 1\n", "line 1: the escape '\\u' in its text is not known"},
        {"1 '\\ud800' 3\n", "line 1: U+D800 in its text is no character"},
        {"1 '\\U00110000' 4\n", "line 1: U+110000 in its text is no character"},
        {"1 b'\xC3\xA9' 2\n", "line 1: its bytes hold a character that is not ASCII"},
        {"1 'a' 1\n2 '\xFF' 1\n", "line 2: byte 4 of the line (0xFF) is no UTF-8"},
        {"1 'a' 1\n2 'b' 1\n3 b'a' 1\n", "line 3: has the text of a line before"},
    };
    for (size_t i = 0; i < LS_COUNT_OF(broken); i++) {
        const char *path = harness_path("broken.txt");
        write_file(path, broken[i].text);
        LsTokenizer *world = ls_tokenizer_new("rwkv_world", NULL, 0, path);
        CU_ASSERT_PTR_NULL(world);
        bool told = strstr(ls_message(), broken[i].message) && strstr(ls_message(), "broken.txt: ");
        if (!told)
            fprintf(stderr, "'%s' is not in: %s\n", broken[i].message, ls_message());
        CU_ASSERT(told);
        ls_tokenizer_free(world);
    }
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("rwkv_world", NULL, 0, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "needs --vocabulary: a " VOCABULARY));
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("rwkv_world", NULL, 0, SMALL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "small_bpe: has no " VOCABULARY));
    CU_ASSERT_PTR_NULL(ls_tokenizer_new("rwkv_world", NULL, 0, harness_path("gone.txt")));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "gone.txt: is not there"));
    CU_ASSERT_PTR_NULL(ls_tokenizer_from_json("{\"kind\": \"rwkv_world\", \"files\": {}}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "\"files\": has no text " VOCABULARY));
}

/* The trie against a search of all strings, over random ones of three letters. */
static void test_trie(void)
{
    static char room[400][8];
    uint64_t state = 5;
    for (int round = 0; round < 20; round++) {
        LsByteString string[400];
        int count = 0;
        while (count < 20 * (round + 1)) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            int length = 1 + (int)(state >> 40) % 6, equal = 0;
            for (int i = 0; i < length; i++)
                room[count][i] = (char)('a' + (state >> (2 * i + 20) & 3) % 3);
            for (int i = 0; i < count; i++)
                equal += string[i].count == length && memcmp(string[i].bytes, room[count], (size_t)length) == 0;
            if (!equal)
                string[count] = (LsByteString){room[count], length, count};
            count += !equal;
        }
        LsByteTrie *trie = NULL;
        int32_t twice = 0;
        ASSERT_OK(ls_byte_trie_new(string, count, &trie, &twice));
        CU_ASSERT_EQUAL(twice, -1);
        for (int i = 0; i < 500; i++) {
            char text[8];
            int64_t length = 0, longest = 0;
            bool open = false;
            state = state * 6364136223846793005u + 1442695040888963407u;
            for (int k = 0; k < 8; k++)
                text[k] = (char)('a' + (state >> (2 * k + 20) & 3) % 3);
            int32_t found = ls_byte_trie_longest(trie, text, 8, &length, &open), expected = -1;
            for (int k = 0; k < count; k++)
                if (string[k].count > longest && memcmp(string[k].bytes, text, (size_t)string[k].count) == 0) {
                    longest = string[k].count;
                    expected = string[k].number;
                }
            CU_ASSERT(found == expected && length == longest && !open);
        }
        ls_byte_trie_free(trie);
    }
}

int main(void)
{
    return harness_run("rwkv_world", (HarnessTest[]){{"ids of the authors' code", test_ids},
                                                     {"the end of a text", test_end},
                                                     {"files and JSON", test_files},
                                                     {"vocabularies that are not right", test_broken},
                                                     {"the trie", test_trie},
                                                     {0}});
}
