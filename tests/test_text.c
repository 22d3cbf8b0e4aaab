/* Text data sets: preparing, and what is wrong with files. */
#include "io/fault.h"
#include "text_files.h"

#include <dirent.h>
#include <stdlib.h>

static int32_t tokens[1 << 16];

/* ---- Preparing --------------------------------------------------------------------------------------------------- */

static void test_split(void)
{
    const char *path = numbered(1000, 0.1);
    CU_ASSERT_EQUAL(tokens_of(path, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 900);
    for (int64_t i = 0; i < 900; i++)
        CU_ASSERT_EQUAL(tokens[i], byte_at(i));
    CU_ASSERT_EQUAL(tokens_of(path, "validation/tokens", LS_FILE_UINT8, tokens, 1 << 16), 100);
    for (int64_t i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(tokens[i], byte_at(900 + i));
    path = numbered(50, 0);
    CU_ASSERT_EQUAL(tokens_of(path, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 50);
    CU_ASSERT_EQUAL(tokens_of(path, "validation/tokens", LS_FILE_UINT8, tokens, 1 << 16), -1);
    CU_ASSERT_PTR_NULL(ls_text_source(path, "validation", 4, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "has no validation split"));
    /* the border moves back to the start of a character: 10 characters of 3 bytes, a tenth is 3 bytes, 0.15 is 4.5 */
    char *chinese = write_file("chinese.txt", "一二三四五六七八九十", 30);
    const char *output = harness_path("chinese.h5");
    ASSERT_OK(prepare("characters", 0.15, 1, &chinese, output));
    CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 8);
    CU_ASSERT_EQUAL(tokens_of(output, "validation/tokens", LS_FILE_UINT8, tokens, 1 << 16), 2);
    ASSERT_OK(prepare("bytes", 0.15, 1, &chinese, output)); /* bytes are cut where the share says */
    CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 25);
}

static void test_several_files(void)
{
    char *source[] = {write_file("one.txt", "the first", 9), write_file("two.txt", "second", 6),
                      write_file("three.txt", "the last text", 13)};
    const char *output = harness_path("several.h5");
    ASSERT_OK(prepare("gpt2", 0, 3, source, output));
    int64_t count = tokens_of(output, "train/tokens", LS_FILE_UINT16, tokens, 1 << 16);
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gpt2);
    char *text = NULL;
    int64_t bytes = 0;
    ASSERT_OK(ls_tokenizer_decode(gpt2, tokens, count, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, "the first<|endoftext|>second<|endoftext|>the last text");
    ls_free(text);
    ls_tokenizer_free(gpt2);
    /* 28 bytes, a half held out: the border is inside the second file */
    ASSERT_OK(prepare("bytes", 0.5, 3, source, output));
    CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 14);
    CU_ASSERT_EQUAL(tokens[13], 'n');
    CU_ASSERT_EQUAL(tokens_of(output, "validation/tokens", LS_FILE_UINT8, tokens, 1 << 16), 14);
    CU_ASSERT_EQUAL(tokens[0], 'd');
    json_t *object = NULL;
    ASSERT_OK(ls_data_inspect(output, &object));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "kind")), "text");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "tokenizer")), "bytes");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "vocabulary")), 256);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "train_tokens")), 14);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(object, "validation_bytes")), 14);
    CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_object_get(object, "sources")), "two.txt"));
    json_decref(object);
}

/* The whole of a split's tokens as text. */
static const char *decoded(const char *path, const char *array)
{
    static char text[1024];
    int64_t count = tokens_of(path, array, LS_FILE_UINT8, tokens, 1 << 16);
    CU_ASSERT_FATAL(count >= 0 && count < (int64_t)sizeof text);
    for (int64_t i = 0; i < count; i++)
        text[i] = (char)tokens[i];
    text[count] = '\0';
    return text;
}

static void test_folders(void)
{
    const char *output = harness_path("folders.h5");
    ASSERT_OK(ls_make_folders(harness_path("corpus/inner")));
    ASSERT_OK(ls_make_folders(harness_path("nothing")));
    write_file("corpus/b.txt", "second.", 7);
    write_file("corpus/inner/c.txt", "third.", 6);
    write_file("corpus/a.txt", "first.", 6);
    write_file("corpus/notes.md", "no", 2);
    char *folder = ls_strdup(harness_path("corpus")), *last = ls_strdup(write_file("last.text", "last.", 5));
    char *nothing = ls_strdup(harness_path("nothing"));
    ASSERT_OK(prepare("bytes", 0, 2, (char *[]){folder, last}, output));
    CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), "first.second.third.last.");
    LsTextSettings apart = {.tokens = {.tokenizer = "bytes"}, .validation_file = folder};
    ASSERT_OK(ls_text_prepare(&apart, 1, &last, output));
    CU_ASSERT_STRING_EQUAL(decoded(output, "validation/tokens"), "first.second.third.");
    ASSERT_FAILS(prepare("bytes", 0, 1, &nothing, harness_path("none.h5")), LS_DATA, "nothing: has no files *.txt");
    ls_free(folder);
    ls_free(last);
    ls_free(nothing);
}

static void test_json_lines(void)
{
    static const char good[] = "{\"text\": \"one\\n\", \"by\": 1}\n\n{\"text\": \"zwei \\u00e9\"}\n";
    static const char *const bad[][2] = {{"{\"text\": \"a\"}\n{\"by\": 1}\n", "line 2: has no \"text\" that is a text"},
                                         {"{\"text\": \"a\"}\n\n{\"text\n", "line 3: column"},
                                         {"{\"text\": \"\"}\n", "line 1: the text is empty"},
                                         {"{\"text\": \"\xE9\"}\n", "line 1: byte 11 of the line (0xE9) is no UTF-8"},
                                         {"\n \n", "has no texts"}};
    char *file = ls_strdup(write_file("good.jsonl", good, sizeof good - 1));
    LsTextSettings settings = {.tokens = {.tokenizer = "bytes"}, .field = "text"};
    char *output = ls_strdup(harness_path("json.h5"));
    ASSERT_OK(ls_text_prepare(&settings, 1, &file, output));
    CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), "one\nzwei é\n");
    settings.tokens =
        (LsTokenizerSettings){.tokenizer = "gpt2", .vocabulary = SMALL}; /* whose end stands between texts */
    ASSERT_OK(ls_text_prepare(&settings, 1, &file, output));
    ls_free(file);
    int64_t count = tokens_of(output, "train/tokens", LS_FILE_UINT16, tokens, 1 << 16), ends = 0;
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    for (int64_t i = 0; i < count; i++)
        ends += tokens[i] == ls_tokenizer_end(gpt2);
    ls_tokenizer_free(gpt2);
    CU_ASSERT_EQUAL(ends, 1);
    for (size_t i = 0; i < LS_COUNT_OF(bad); i++) {
        file = write_file("bad.jsonl", bad[i][0], (int64_t)strlen(bad[i][0]));
        ASSERT_FAILS(ls_text_prepare(&settings, 1, &file, output), LS_DATA, bad[i][1]);
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "bad.jsonl"));
    }
    ls_free(output);
}

/* Whether the ids in a data set made from this text are those of the whole text at once. */
static void check_whole(const char *text, int64_t bytes)
{
    char *source = write_file("long.txt", text, bytes);
    const char *output = harness_path("long.h5");
    ASSERT_OK(prepare("gpt2", 0, 1, &source, output));
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gpt2);
    int32_t *ids = NULL;
    int64_t count = 0, differ = 0;
    ASSERT_OK(ls_tokenizer_encode(gpt2, text, bytes, &ids, &count));
    uint16_t *stored = ls_alloc_array(count, sizeof *stored);
    LsSealed *file = ls_sealed_open(output, "text", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_read(file, "train/tokens", LS_FILE_UINT16, count, stored));
    for (int64_t i = 0; i < count; i++)
        differ += stored[i] != ids[i];
    CU_ASSERT_EQUAL(differ, 0);
    ls_sealed_close(file);
    ls_free(stored);
    ls_free(ids);
    ls_tokenizer_free(gpt2);
}

/* Longer than the 4 MiB that are tokenized at a time: words across the border, and a word longer than that. */
static void test_windows(void)
{
    const int64_t bytes = 5 << 20;
    char *text = ls_alloc((size_t)bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (int64_t shift = 0; shift < 4; shift++) {
        for (int64_t i = 0; i < bytes; i++)
            text[i] = "the "[(i + shift) % 4];
        check_whole(text, bytes);
    }
    memset(text + 1000, ' ', (size_t)(bytes - 2000));
    check_whole(text, bytes);
    ls_free(text);
}

static void test_bad_sources(void)
{
    const char *output = harness_path("bad.h5");
    char *empty = write_file("empty.txt", "", 0), *good = write_file("good.txt", "good text", 9);
    char *malformed = write_file("malformed.txt", "fine\nnot \xE9 fine", 15);
    char *missing = (char *)harness_path("missing.txt");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &empty, output), LS_DATA, "empty.txt: is empty");
    ASSERT_FAILS(prepare("bytes", 0.1, 2, (char *[]){good, empty}, output), LS_DATA, "empty.txt: is empty");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &missing, output), LS_DATA, "missing.txt: No such file");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, (char *[]){"/dev/null"}, output), LS_DATA, "this is a pipe or a device");
    ASSERT_FAILS(prepare("characters", 0.1, 2, (char *[]){good, malformed}, output), LS_DATA,
                 "malformed.txt: line 2, byte 9: malformed UTF-8");
    ASSERT_FAILS(prepare("wordss", 0.1, 1, &good, output), LS_DATA, "no tokenizer 'wordss'");
    ASSERT_FAILS(prepare("bytes", 0.9, 1, (char *[]){write_file("one.txt", "1", 1)}, output), LS_DATA,
                 "cannot be held out");
    ASSERT_FAILS(prepare("bytes", 0.1, 0, NULL, output), LS_USAGE, "at least one");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &good, harness_path("no-such-folder/out.h5")), LS_DATA, "no-such-folder");
    LsTextSettings settings = {
        .tokens = {.tokenizer = "gpt2", .vocabulary = (char *)(uintptr_t)harness_path("nowhere")}};
    ASSERT_FAILS(ls_text_prepare(&settings, 1, &good, output), LS_DATA, "datasets/gpt2-bpe.sh");
    LsTextSettings onto = {.tokens = {.tokenizer = "bytes"}, .validation_file = good};
    ASSERT_FAILS(ls_text_prepare(&onto, 1, &good, good), LS_USAGE, "the output at once");
    CU_ASSERT_FALSE(ls_file_exists(output));
    DIR *entries = opendir(harness_folder()); /* and no temporary file stays */
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        CU_ASSERT_PTR_NULL(strstr(entry->d_name, "bad.h5"));
    closedir(entries);
}

/* Whichever write fails, a whole data set stands there: the older one; the new one only where nothing but the folder's
 * own sync failed. */
static void test_full_disk(void)
{
    char *source = write_file("disk.txt", "some text for a small disk", 26);
    const char *output = harness_path("disk.h5");
    ASSERT_OK(prepare("characters", 0.1, 1, &source, output));
    char *before = NULL, *after = NULL;
    int64_t before_bytes = 0, after_bytes = 0;
    ASSERT_OK(ls_file_read(output, LS_DATA, &before, &before_bytes));
    ls_fault_arm(LS_FAULT_NONE, 0);
    ASSERT_OK(prepare("bytes", 0.1, 1, &source, output));
    int64_t calls = ls_fault_calls();
    CU_ASSERT(calls > 5);
    ASSERT_OK(ls_file_replace(output, before, before_bytes));
    int failures = 0, replaced = 0;
    for (int64_t call = 1; call <= calls; call++) {
        ls_fault_arm(LS_FAULT_FULL, call);
        LsStatus status = prepare("bytes", 0.1, 1, &source, output);
        ls_fault_arm(LS_FAULT_NONE, 0);
        failures += status == LS_RESOURCE;
        CU_ASSERT(status == LS_OK || status == LS_RESOURCE);
        ASSERT_OK(ls_file_read(output, LS_DATA, &after, &after_bytes));
        if (before_bytes != after_bytes || memcmp(before, after, (size_t)after_bytes) != 0) {
            replaced += status != LS_OK;
            ls_source_free(open_source(output, "train", T, 1));
            ASSERT_OK(ls_file_replace(output, before, before_bytes));
        } else {
            CU_ASSERT_NOT_EQUAL(status, LS_OK);
        }
        ls_free(after);
    }
    CU_ASSERT(replaced <= 1);
    CU_ASSERT(failures >= 4);
    ls_free(before);
}

/* ---- Files that are not right ------------------------------------------------------------------------------------ */

static void refuses(const char *path, const char *message)
{
    LsSource *source = ls_text_source(path, "train", T, 1);
    CU_ASSERT_PTR_NULL(source);
    if (!strstr(ls_message(), message))
        fprintf(stderr, "expected '%s', got '%s'\n", message, ls_message());
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), message));
    ls_source_free(source);
}

static void test_damaged(void)
{
    char *bytes = NULL;
    int64_t count = 0;
    const char *path = harness_path("damaged.h5");
    ASSERT_OK(ls_file_read(numbered(1000, 0.1), LS_DATA, &bytes, &count));
    for (uint64_t i = 0; i < 100; i++) { /* a flipped bit anywhere */
        uint32_t block[4];
        ls_philox(3, 0, i, block);
        int64_t at = (int64_t)(((uint64_t)block[0] << 32 | block[1]) % (uint64_t)count);
        bytes[at] ^= (char)(1 << block[2] % 8);
        ASSERT_OK(ls_file_replace(path, bytes, count));
        refuses(path, "damaged.h5");
        bytes[at] ^= (char)(1 << block[2] % 8);
    }
    for (int64_t i = 0; i < 20; i++) { /* cut short */
        ASSERT_OK(ls_file_replace(path, bytes, count * i / 20));
        refuses(path, "damaged.h5");
    }
    ls_free(bytes);
    ASSERT_OK(ls_file_replace(path, "\x89HDF\r\n\x1a\n and more", 17));
    refuses(path, "damaged.h5");
    refuses(harness_path("none.h5"), "No such file");
    refuses(harness_folder(), "lockstep-test");
}

/* A file that is sealed as it should be, with wrong content. */
static const char *sealed_with(const char *kind, int version, int64_t vocabulary, const char *tokenizer,
                               LsFileType type, const void *data, int64_t count)
{
    const char *path = harness_path("odd.h5");
    LsSealed *file = ls_sealed_create(path, kind, version, LS_DATA);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    if (tokenizer)
        ASSERT_OK(ls_sealed_write(file, "tokenizer", LS_FILE_UINT8, 1, (int64_t[]){(int64_t)strlen(tokenizer)},
                                  tokenizer, 0));
    ASSERT_OK(ls_sealed_set_int(file, "vocabulary", vocabulary));
    ASSERT_OK(ls_sealed_set_int(file, "train_bytes", count));
    ASSERT_OK(ls_sealed_write(file, "train/tokens", type, 1, &count, data, 64));
    ASSERT_OK(ls_sealed_commit(file));
    return path;
}

static void test_odd_content(void)
{
    uint8_t small[20] = {0, 1, 2, 0, 1};
    int32_t wide[20] = {0, 1, 2, 0, 1};
    float real[20] = {0};
    static const char abc[] = "{\"kind\":\"characters\",\"characters\":[97,98,99]}";
    LsSource *good = open_source(sealed_with("text", 1, 3, abc, LS_FILE_UINT8, small, 20), "train", T, 1);
    ls_source_free(good);
    small[17] = 3;
    refuses(sealed_with("text", 1, 3, abc, LS_FILE_UINT8, small, 20),
            "train/tokens[17] is 3, outside the vocabulary of 3 tokens");
    LsSource *source = NULL;
    ASSERT_FAILS(
        ls_text_open_within(&(LsDataOpen){.path = harness_path("odd.h5"), .split = "train", .sequence = T, .seed = 1},
                            0, &source),
        LS_DATA, "train/tokens[17] is 3");
    wide[5] = -1;
    refuses(sealed_with("text", 1, 3, abc, LS_FILE_INT32, wide, 20), "train/tokens[5] is -1");
    refuses(sealed_with("text", 1, 3, abc, LS_FILE_FLOAT32, real, 20), "is not a stream of tokens");
    small[17] = 2;
    refuses(sealed_with("text", 1, 4, abc, LS_FILE_UINT8, small, 20),
            "says a vocabulary of 4 tokens, but its tokenizer has 3");
    refuses(sealed_with("text", 1, 3, NULL, LS_FILE_UINT8, small, 20), "has no tokenizer");
    refuses(sealed_with("text", 1, 3, "{\"kind\":1}", LS_FILE_UINT8, small, 20), "odd.h5: the tokenizer's JSON");
    refuses(sealed_with("text", 2, 3, abc, LS_FILE_UINT8, small, 20), "newer version");
    refuses(sealed_with("checkpoint", 1, 3, abc, LS_FILE_UINT8, small, 20), "kind");
    json_t *object = NULL;
    ASSERT_FAILS(ls_data_inspect(sealed_with("stones", 1, 3, abc, LS_FILE_UINT8, small, 20), &object), LS_DATA,
                 "no kind of data 'stones'");
    ASSERT_FAILS(ls_data_inspect(harness_path("none.h5"), &object), LS_DATA, "none.h5");
    ASSERT_FAILS(ls_data_inspect(sealed_with("text", 1, 3, abc, LS_FILE_UINT8, small, 20), &object), LS_DATA, "odd.h5");
    CU_ASSERT_PTR_NULL(object);
}

int main(void)
{
    ls_log_mute(true);
    return harness_run("text", (HarnessTest[]){{"splits", test_split},
                                               {"several files", test_several_files},
                                               {"folders", test_folders},
                                               {"JSON lines", test_json_lines},
                                               {"texts longer than a window", test_windows},
                                               {"sources that are not right", test_bad_sources},
                                               {"a full disk", test_full_disk},
                                               {"damaged files", test_damaged},
                                               {"odd content", test_odd_content},
                                               {0}});
}
