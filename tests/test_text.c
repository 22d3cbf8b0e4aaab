/* Text data sets: preparing, windows as samples, and what is wrong with files. */
#include "data/text.h"
#include "harness.h"
#include "io/fault.h"
#include "io/file.h"
#include "lockstep/model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T 8 /* tokens a sample */
#define SMALL TESTS_FOLDER "/fixtures/small_bpe"

static char *write_file(const char *name, const char *text, int64_t bytes)
{
    char *path = (char *)harness_path(name);
    ASSERT_OK(ls_file_replace(path, text, bytes));
    return path;
}

static LsStatus prepare(const char *tokenizer, double validation, int sources, char *const *source, const char *output)
{
    LsTextSettings settings = {.tokenizer = (char *)(uintptr_t)tokenizer, .validation = validation, .vocabulary = SMALL};
    return ls_text_prepare(&settings, sources, source, output);
}

/* A data set of `count` bytes whose byte i is (i * i + i / 7) % 251, nine tenths of it to train. */
static unsigned char byte_at(int64_t i) { return (unsigned char)((i * i + i / 7) % 251); }

static const char *numbered(int64_t count, double validation)
{
    char *bytes = ls_alloc((size_t)count), name[64];
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (char)byte_at(i);
    snprintf(name, sizeof name, "numbered-%lld-%g.bin", (long long)count, validation);
    char *source = write_file(name, bytes, count);
    ls_free(bytes);
    snprintf(name, sizeof name, "numbered-%lld-%g.h5", (long long)count, validation);
    const char *output = harness_path(name);
    ASSERT_OK(prepare("bytes", validation, 1, &source, output));
    return output;
}

/* Two inputs and nothing more. */
typedef struct Rows {
    LsParams *params;
    LsGraph *g;
    int32_t *ids, *targets; /* (B, T) */
} Rows;

static Rows rows_new(int64_t batch, int64_t sequence)
{
    Rows rows = {.params = ls_params_new()};
    rows.g = ls_graph_new(rows.params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(rows.g);
    ls_input(rows.g, "ids", LS_I32, 2, (int64_t[]){batch, sequence});
    ls_input(rows.g, "targets", LS_I32, 2, (int64_t[]){batch, sequence});
    ASSERT_OK(ls_params_allocate(rows.params, 1, false));
    ASSERT_OK(ls_graph_plan(rows.g));
    rows.ids = ls_graph_find(rows.g, "ids")->data;
    rows.targets = ls_graph_find(rows.g, "targets")->data;
    return rows;
}

static void rows_free(Rows *rows)
{
    ls_graph_free(rows->g);
    ls_params_free(rows->params);
}

static LsSource *open_source(const char *path, const char *split, int64_t sequence, uint64_t seed)
{
    LsSource *source = ls_text_source(path, split, sequence, seed);
    if (!source)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    return source;
}

/* ---- Preparing ------------------------------------------------------------------------------------------------------- */

static int64_t tokens_of(const char *path, const char *array, LsFileType expected_type, int32_t *to, int64_t room)
{
    bool exists = false;
    LsFileType type = LS_FILE_FLOAT32;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    static uint8_t bytes[1 << 16];
    static uint16_t words[1 << 16];
    LsSealed *file = ls_sealed_open(path, "text", LS_DATA, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_shape(file, array, &exists, &type, &rank, dim));
    if (exists) {
        CU_ASSERT_EQUAL_FATAL(type, expected_type);
        CU_ASSERT_FATAL(dim[0] <= room);
        ASSERT_OK(ls_sealed_read(file, array, type, dim[0], type == LS_FILE_UINT8 ? (void *)bytes : (void *)words));
        for (int64_t i = 0; i < dim[0]; i++)
            to[i] = type == LS_FILE_UINT8 ? bytes[i] : words[i];
    }
    ls_sealed_close(file);
    return exists ? dim[0] : -1;
}

static int32_t tokens[1 << 16];

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
    char *source[] = {write_file("one.txt", "the first", 9), write_file("two.txt", "second", 6), write_file("three.txt", "the last text", 13)};
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

/* Longer than a window: the ids of the file are those of the whole text at once. */
static void test_windows(void)
{
    const int64_t repeats = 120000;
    static const char line[] = "It's 12 o'clock,  模型 reads\n\n the texts — "; /* 46 bytes */
    int64_t bytes = repeats * (int64_t)(sizeof line - 1);
    CU_ASSERT_FATAL(bytes > 5 << 20);
    char *text = ls_alloc((size_t)bytes);
    for (int64_t i = 0; i < repeats; i++)
        memcpy(text + i * (int64_t)(sizeof line - 1), line, sizeof line - 1);
    char *source = write_file("long.txt", text, bytes);
    const char *output = harness_path("long.h5");
    ASSERT_OK(prepare("gpt2", 0, 1, &source, output));
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gpt2);
    int32_t *ids = NULL;
    int64_t count = 0;
    ASSERT_OK(ls_tokenizer_encode(gpt2, text, bytes, &ids, &count));
    uint16_t *stored = ls_alloc_array(count, sizeof *stored);
    LsSealed *file = ls_sealed_open(output, "text", LS_DATA, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_read(file, "train/tokens", LS_FILE_UINT16, count, stored));
    int64_t differ = 0;
    for (int64_t i = 0; i < count; i++)
        differ += stored[i] != ids[i];
    CU_ASSERT_EQUAL(differ, 0);
    ls_sealed_close(file);
    ls_free(stored);
    ls_free(ids);
    ls_free(text);
    ls_tokenizer_free(gpt2);
}

static void test_bad_sources(void)
{
    const char *output = harness_path("bad.h5");
    char *empty = write_file("empty.txt", "", 0), *good = write_file("good.txt", "good text", 9);
    char *malformed = write_file("malformed.txt", "fine\nnot \xE9 fine", 15);
    char *missing = (char *)harness_path("missing.txt"), *folder = (char *)(uintptr_t)harness_folder();
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &empty, output), LS_DATA, "empty.txt: is empty");
    ASSERT_FAILS(prepare("bytes", 0.1, 2, (char *[]){good, empty}, output), LS_DATA, "empty.txt: is empty");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &missing, output), LS_DATA, "missing.txt: No such file");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &folder, output), LS_DATA, "is not a regular file");
    ASSERT_FAILS(prepare("characters", 0.1, 2, (char *[]){good, malformed}, output), LS_DATA, "malformed.txt: line 2, byte 9: malformed UTF-8");
    ASSERT_FAILS(prepare("words", 0.1, 1, &good, output), LS_DATA, "no tokenizer 'words'");
    ASSERT_FAILS(prepare("bytes", 0.9, 1, (char *[]){write_file("one.txt", "1", 1)}, output), LS_DATA, "cannot be held out");
    ASSERT_FAILS(prepare("bytes", 0.1, 0, NULL, output), LS_USAGE, "at least one");
    ASSERT_FAILS(prepare("bytes", 0.1, 1, &good, harness_path("no-such-folder/out.h5")), LS_DATA, "no-such-folder");
    LsTextSettings settings = {.tokenizer = "gpt2", .vocabulary = (char *)(uintptr_t)harness_path("nowhere")};
    ASSERT_FAILS(ls_text_prepare(&settings, 1, &good, output), LS_DATA, "datasets/gpt2-bpe.sh");
    CU_ASSERT_FALSE(ls_file_exists(output));
    DIR *entries = opendir(harness_folder()); /* and no temporary file stays */
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        CU_ASSERT_PTR_NULL(strstr(entry->d_name, "bad.h5"));
    closedir(entries);
}

/* Whichever write fails, a whole data set stands there: the older one; the new one only where nothing but the folder's own sync failed. */
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

/* ---- Samples ----------------------------------------------------------------------------------------------------------- */

static void test_validation_samples(void)
{
    const char *path = numbered(1000, 0.1); /* 100 held out: 12 windows of 8 targets, and one of 3 */
    LsSource *source = open_source(path, "validation", T, 5);
    CU_ASSERT_EQUAL(source->samples, 13);
    CU_ASSERT_EQUAL(source->vocabulary, 256);
    CU_ASSERT_EQUAL(source->bytes_per_token, 1);
    Rows rows = rows_new(13, T);
    int64_t targets = 0, allocations = ls_alloc_count();
    ASSERT_OK(source->fill(source, rows.g, 0, 13, &targets));
    CU_ASSERT_EQUAL(ls_alloc_count(), allocations);
    CU_ASSERT_EQUAL(targets, 99);
    for (int64_t i = 0; i < 13 * T; i++) {
        CU_ASSERT_EQUAL(rows.targets[i], i < 99 ? byte_at(901 + i) : LS_IGNORE);
        CU_ASSERT_EQUAL(rows.ids[i], i < 99 ? byte_at(900 + i) : 0);
    }
    /* fewer samples than rows: the rest is ignored; and the stream begins again after its end */
    ASSERT_OK(source->fill(source, rows.g, 12, 2, &targets));
    CU_ASSERT_EQUAL(targets, 3 + T);
    CU_ASSERT_EQUAL(rows.targets[0], byte_at(997));
    CU_ASSERT_EQUAL(rows.targets[T], byte_at(901));
    for (int64_t i = 2 * T; i < 13 * T; i++)
        CU_ASSERT(rows.targets[i] == LS_IGNORE && rows.ids[i] == 0);
    ASSERT_FAILS(source->fill(source, rows.g, 0, 14, &targets), LS_ERROR, "14 rows");
    ls_source_free(source);
    rows_free(&rows);
}

/* Place of a window in the stream, found by its content; each window of 9 bytes of it is unlike all others. */
static int64_t place_of(const int32_t *ids, const int32_t *targets, int64_t count)
{
    int64_t found = -1;
    for (int64_t at = 0; at + T < count; at++) {
        bool same = targets[T - 1] == byte_at(at + T);
        for (int64_t t = 0; t < T && same; t++)
            same = ids[t] == byte_at(at + t) && (t == 0 || ids[t] == targets[t - 1]);
        CU_ASSERT_FATAL(!same || found < 0);
        if (same)
            found = at;
    }
    return found;
}

static void test_training_samples(void)
{
    const int64_t count = 900;
    const char *path = numbered(1000, 0.1);
    LsSource *source = open_source(path, "train", T, 5);
    CU_ASSERT_EQUAL_FATAL(source->samples, (count - T) / T);
    Rows rows = rows_new(1, T);
    int64_t targets = 0, offsets = 0, ascending = 0;
    for (int64_t epoch = 0; epoch < 12; epoch++) {
        char seen[900] = {0};
        int64_t offset = -1, before = -1;
        for (int64_t i = 0; i < source->samples; i++) {
            ASSERT_OK(source->fill(source, rows.g, epoch * source->samples + i, 1, &targets));
            CU_ASSERT_EQUAL(targets, T);
            int64_t at = place_of(rows.ids, rows.targets, count);
            CU_ASSERT_FATAL(at >= 0);
            if (offset < 0)
                offset = at % T;
            CU_ASSERT_EQUAL(at % T, offset); /* an epoch cuts the stream once */
            CU_ASSERT_EQUAL(seen[at], 0);    /* and takes every window once */
            seen[at] = 1;
            ascending += at > before;
            before = at;
        }
        offsets |= (int64_t)1 << offset;
    }
    CU_ASSERT(__builtin_popcountll((unsigned long long)offsets) >= 4);
    CU_ASSERT(ascending < 12 * source->samples * 7 / 10); /* in no order */
    ls_source_free(source);
    rows_free(&rows);
}

/* A sample depends on (seed, counter) only: not on how samples are put together into batches, on ranks, or on what was asked before. */
static void test_determinism(void)
{
    const char *path = numbered(1000, 0.1);
    Rows whole = rows_new(24, T), part = rows_new(5, T);
    LsSource *one = open_source(path, "train", T, 5), *two = open_source(path, "train", T, 5), *other = open_source(path, "train", T, 6);
    int64_t targets = 0, first = 2 * one->samples - 10; /* over the border of an epoch */
    ASSERT_OK(one->fill(one, whole.g, first, 24, &targets));
    for (int64_t ranks = 1; ranks <= 8; ranks++) { /* each rank takes an equal share, in pieces of at most 5 rows */
        if (24 % ranks != 0)
            continue;
        int64_t share = 24 / ranks;
        for (int64_t rank = ranks - 1; rank >= 0; rank--)
            for (int64_t at = 0; at < share; at += 5) {
                int64_t rows = share - at < 5 ? share - at : 5, row = rank * share + at;
                ASSERT_OK(two->fill(two, part.g, first + row, rows, &targets));
                CU_ASSERT_EQUAL(targets, rows * T);
                CU_ASSERT(memcmp(part.ids, whole.ids + row * T, (size_t)(rows * T) * sizeof *part.ids) == 0);
                CU_ASSERT(memcmp(part.targets, whole.targets + row * T, (size_t)(rows * T) * sizeof *part.ids) == 0);
            }
    }
    int32_t kept[5 * T];
    memcpy(kept, whole.ids, sizeof kept);
    ASSERT_OK(other->fill(other, part.g, first, 5, &targets));
    CU_ASSERT(memcmp(part.ids, kept, sizeof kept) != 0);
    ls_source_free(one);
    ls_source_free(two);
    ls_source_free(other);
    rows_free(&whole);
    rows_free(&part);
}

/* A split too large for the memory gives the same samples out of its file. */
static void test_out_of_file(void)
{
    static const char *const splits[] = {"train", "validation", "held-out"};
    const char *path = numbered(1000, 0.1);
    Rows held = rows_new(7, T), read = rows_new(7, T);
    for (size_t i = 0; i < LS_COUNT_OF(splits); i++) {
        LsSource *one = open_source(path, splits[i], T, 5), *two = NULL;
        ASSERT_OK(ls_text_open_within(path, splits[i], T, 5, 99, &two));
        CU_ASSERT_PTR_NOT_NULL_FATAL(two);
        CU_ASSERT_EQUAL(one->samples, two->samples);
        for (int64_t first = 0; first < 2 * one->samples; first += 6) {
            int64_t targets = 0, targets_read = 0;
            ASSERT_OK(one->fill(one, held.g, first, 6, &targets));
            ASSERT_OK(two->fill(two, read.g, first, 6, &targets_read));
            CU_ASSERT_EQUAL(targets, targets_read);
            CU_ASSERT(memcmp(held.ids, read.ids, 7 * T * sizeof *held.ids) == 0);
            CU_ASSERT(memcmp(held.targets, read.targets, 7 * T * sizeof *held.ids) == 0);
        }
        ls_source_free(one);
        ls_source_free(two);
    }
    rows_free(&held);
    rows_free(&read);
}

static void test_short_texts(void)
{
    const char *path = numbered(50, 0);
    LsSource *source = open_source(path, "train", 49, 1); /* exactly one window */
    CU_ASSERT_EQUAL(source->samples, 1);
    Rows rows = rows_new(2, 49);
    int64_t targets = 0;
    ASSERT_OK(source->fill(source, rows.g, 7, 2, &targets));
    CU_ASSERT_EQUAL(targets, 98);
    CU_ASSERT_EQUAL(rows.ids[0], byte_at(0));
    CU_ASSERT_EQUAL(rows.targets[48], byte_at(49));
    ls_source_free(source);
    rows_free(&rows);
    source = open_source(path, "train", 30, 1); /* one window, which moves over 20 places */
    CU_ASSERT_EQUAL(source->samples, 1);
    ls_source_free(source);
    CU_ASSERT_PTR_NULL(ls_text_source(path, "train", 50, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "train/tokens has 50 tokens, fewer than one window of train.sequence + 1 = 51"));
    CU_ASSERT_PTR_NULL(ls_text_source(path, "train", 0, 1));
    CU_ASSERT_PTR_NULL(ls_text_source(path, "tests", 4, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "no split 'tests'"));
}

static void test_synthetic(void)
{
    LsSource *source = ls_synthetic_source(100, T, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    Rows rows = rows_new(50, T), one = rows_new(1, T);
    int64_t targets = 0, sum = 0;
    ASSERT_OK(source->fill(source, rows.g, 1000, 50, &targets));
    CU_ASSERT_EQUAL(targets, 50 * T);
    for (int64_t i = 0; i < 50 * T; i++) {
        CU_ASSERT_FATAL(rows.ids[i] >= 0 && rows.ids[i] < 100);
        CU_ASSERT(i % T == 0 || rows.ids[i] == rows.targets[i - 1]);
        sum += rows.ids[i];
    }
    CU_ASSERT(sum > 400 * 42 && sum < 400 * 57); /* mean 49.5, five standard errors of 1.44 */
    ASSERT_OK(source->fill(source, one.g, 1042, 1, &targets));
    CU_ASSERT(memcmp(one.ids, rows.ids + 42 * T, T * sizeof *one.ids) == 0);
    ls_source_free(source);
    rows_free(&rows);
    rows_free(&one);
}

/* ---- What `train` opens ---------------------------------------------------------------------------------------------------- */

static void test_open(void)
{
    LsSource *training = NULL, *validation = NULL;
    LsDataSettings data = {.kind = "text", .path = (char *)(uintptr_t)numbered(1000, 0.1)};
    ASSERT_OK(ls_data_open(&data, T, 1, &training, &validation));
    CU_ASSERT_EQUAL(training->samples, 111);
    CU_ASSERT_EQUAL(validation->samples, 13);
    ls_source_free(training);
    ls_source_free(validation);
    data.validation_path = (char *)(uintptr_t)numbered(50, 0); /* all of it, since nothing of it is held out */
    ASSERT_OK(ls_data_open(&data, T, 1, &training, &validation));
    CU_ASSERT_EQUAL(validation->samples, 7);
    ls_source_free(training);
    ls_source_free(validation);
    data.path = data.validation_path;
    data.validation_path = NULL;
    ASSERT_OK(ls_data_open(&data, T, 1, &training, &validation));
    CU_ASSERT_PTR_NULL(validation);
    ls_source_free(training);
    char *text = write_file("like.txt", "abcabcabcabc", 12);
    const char *characters = harness_path("like.h5"), *second = harness_path("second.h5");
    ASSERT_OK(prepare("characters", 0, 1, &text, characters));
    data.validation_path = (char *)(uintptr_t)characters;
    ASSERT_FAILS(ls_data_open(&data, T, 1, &training, &validation), LS_DATA, "different vocabularies");
    CU_ASSERT(!training && !validation);
    /* another text with the first one's vocabulary */
    char *other = write_file("other.txt", "cccccccccccc", 12);
    LsTextSettings like = {.tokenizer = "bytes", .like = (char *)(uintptr_t)characters};
    ASSERT_OK(ls_text_prepare(&like, 1, &other, second));
    data.path = (char *)(uintptr_t)characters;
    data.validation_path = (char *)(uintptr_t)second;
    ASSERT_OK(ls_data_open(&data, T, 1, &training, &validation));
    CU_ASSERT_EQUAL(validation->vocabulary, 3);
    ls_source_free(training);
    ls_source_free(validation);
    ASSERT_FAILS(ls_text_prepare(&like, 1, (char *[]){write_file("x.txt", "abcx", 4)}, second), LS_DATA, "x.txt: line 1, byte 3: the character");
    LsTextSettings apart = {.tokenizer = "characters", .validation = 0.5, .validation_file = other};
    ASSERT_OK(ls_text_prepare(&apart, 1, &text, second));
    CU_ASSERT_EQUAL(tokens_of(second, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 12);
    CU_ASSERT_EQUAL(tokens_of(second, "validation/tokens", LS_FILE_UINT8, tokens, 1 << 16), 12);
    data.kind = "pictures";
    ASSERT_FAILS(ls_data_open(&data, T, 1, &training, &validation), LS_USAGE, "no kind of data 'pictures'");
    ASSERT_FAILS(ls_data_open(&(LsDataSettings){.kind = "text"}, T, 1, &training, &validation), LS_USAGE, "data.path");
}

/* ---- Files that are not right ------------------------------------------------------------------------------------------------ */

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
static const char *sealed_with(const char *kind, int version, int64_t vocabulary, const char *tokenizer, LsFileType type, const void *data,
                               int64_t count)
{
    const char *path = harness_path("odd.h5");
    LsSealed *file = ls_sealed_create(path, kind, version, LS_DATA);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    if (tokenizer)
        ASSERT_OK(ls_sealed_write(file, "tokenizer", LS_FILE_UINT8, 1, (int64_t[]){(int64_t)strlen(tokenizer)}, tokenizer, 0));
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
    refuses(sealed_with("text", 1, 3, abc, LS_FILE_UINT8, small, 20), "train/tokens[17] is 3, outside the vocabulary of 3 tokens");
    LsSource *source = NULL;
    ASSERT_FAILS(ls_text_open_within(harness_path("odd.h5"), "train", T, 1, 0, &source), LS_DATA, "train/tokens[17] is 3");
    wide[5] = -1;
    refuses(sealed_with("text", 1, 3, abc, LS_FILE_INT32, wide, 20), "train/tokens[5] is -1");
    refuses(sealed_with("text", 1, 3, abc, LS_FILE_FLOAT32, real, 20), "is not a stream of tokens");
    small[17] = 2;
    refuses(sealed_with("text", 1, 4, abc, LS_FILE_UINT8, small, 20), "says a vocabulary of 4 tokens, but its tokenizer has 3");
    refuses(sealed_with("text", 1, 3, NULL, LS_FILE_UINT8, small, 20), "has no tokenizer");
    refuses(sealed_with("text", 1, 3, "{\"kind\":1}", LS_FILE_UINT8, small, 20), "odd.h5: the tokenizer's JSON");
    refuses(sealed_with("text", 2, 3, abc, LS_FILE_UINT8, small, 20), "newer version");
    refuses(sealed_with("checkpoint", 1, 3, abc, LS_FILE_UINT8, small, 20), "kind");
    json_t *object = NULL;
    ASSERT_FAILS(ls_data_inspect(sealed_with("stones", 1, 3, abc, LS_FILE_UINT8, small, 20), &object), LS_DATA, "no kind of data 'stones'");
    ASSERT_FAILS(ls_data_inspect(harness_path("none.h5"), &object), LS_DATA, "none.h5");
    ASSERT_FAILS(ls_data_inspect(sealed_with("text", 1, 3, abc, LS_FILE_UINT8, small, 20), &object), LS_DATA, "odd.h5");
    CU_ASSERT_PTR_NULL(object);
}

int main(void)
{
    ls_log_mute(true);
    return harness_run("text", (HarnessTest[]){{"splits", test_split},
                                               {"several files", test_several_files},
                                               {"texts longer than a window", test_windows},
                                               {"sources that are not right", test_bad_sources},
                                               {"a full disk", test_full_disk},
                                               {"validation samples", test_validation_samples},
                                               {"training samples", test_training_samples},
                                               {"samples do not depend on batches and ranks", test_determinism},
                                               {"splits larger than the memory", test_out_of_file},
                                               {"texts about as long as a window", test_short_texts},
                                               {"random tokens", test_synthetic},
                                               {"opening what a configuration names", test_open},
                                               {"damaged files", test_damaged},
                                               {"odd content", test_odd_content},
                                               {0}});
}
