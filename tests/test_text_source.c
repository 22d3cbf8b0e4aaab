/* Windows of a text data set as samples, random tokens, and what a configuration opens. */
#include "text_files.h"

static int32_t tokens[1 << 16];

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

/* Fills the inputs and counts the targets among the first rows. */
static LsStatus fill(LsSource *source, LsGraph *g, int64_t first, int64_t count, int64_t *targets)
{
    LS_TRY(source->fill(source, g, &(LsBatch){first, count, 0}));
    *targets = ls_task_find("language")->targets(g, count);
    return LS_OK;
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

static void test_validation_samples(void)
{
    const char *path = numbered(1000, 0.1); /* 100 held out: 12 windows of 8 targets, and one of 3 */
    LsSource *source = open_source(path, "validation", T, 5);
    CU_ASSERT_EQUAL(source->samples, 13);
    CU_ASSERT_EQUAL(ls_source_classes(source, "ids"), 256);
    CU_ASSERT_EQUAL(source->bytes_per_token, 1);
    Rows rows = rows_new(13, T);
    int64_t targets = 0, allocations = ls_alloc_count();
    ASSERT_OK(fill(source, rows.g, 0, 13, &targets));
    CU_ASSERT_EQUAL(ls_alloc_count(), allocations);
    CU_ASSERT_EQUAL(targets, 99);
    for (int64_t i = 0; i < 13 * T; i++) {
        CU_ASSERT_EQUAL(rows.targets[i], i < 99 ? byte_at(901 + i) : LS_IGNORE);
        CU_ASSERT_EQUAL(rows.ids[i], i < 99 ? byte_at(900 + i) : 0);
    }
    /* fewer samples than rows: the rest is ignored; and the stream begins again after its end */
    ASSERT_OK(fill(source, rows.g, 12, 2, &targets));
    CU_ASSERT_EQUAL(targets, 3 + T);
    CU_ASSERT_EQUAL(rows.targets[0], byte_at(997));
    CU_ASSERT_EQUAL(rows.targets[T], byte_at(901));
    for (int64_t i = 2 * T; i < 13 * T; i++)
        CU_ASSERT(rows.targets[i] == LS_IGNORE && rows.ids[i] == 0);
    ASSERT_FAILS(fill(source, rows.g, 0, 14, &targets), LS_ERROR, "14 rows");
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
            ASSERT_OK(fill(source, rows.g, epoch * source->samples + i, 1, &targets));
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

/* Streams: sample n + streams begins with the token that sample n ends with. In order every token is asked for once, by
 * few enough streams that each has eight windows; a training has the streams that it asks for. */
static void test_streams(void)
{
    static const struct {
        const char *split;
        int64_t bytes, asked, streams, samples, targets;
    } cases[] = {{"train", 900, 5, 5, 110, 880},
                 {"train", 900, 7, 7, 112, 896},
                 {"validation", 100, 5, 1, 13, 99},
                 {"held-out", 300, 3, 3, 38, 299},
                 {"held-out", 300, 9, 4, 38, 299}};
    Rows rows = rows_new(1, T);
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *path = numbered(1000, cases[i].bytes == 300 ? 0.3 : 0.1);
        LsSource *source = NULL;
        LsDataOpen open = {.path = path, .split = cases[i].split, .sequence = T, .seed = 5, .streams = cases[i].asked};
        ASSERT_OK(ls_text_open(&open, &source));
        CU_ASSERT_EQUAL_FATAL(source->streams, cases[i].streams);
        CU_ASSERT_EQUAL_FATAL(source->samples, cases[i].samples);
        int64_t sum = 0;
        for (int64_t stream = 0; stream < source->streams; stream++) {
            int32_t last = -1;
            for (int64_t n = stream; n < source->samples; n += source->streams) {
                int64_t targets = 0;
                ASSERT_OK(fill(source, rows.g, n, 1, &targets));
                CU_ASSERT(n == stream || rows.ids[0] == last);
                CU_ASSERT(targets == T || n + source->streams >= source->samples);
                last = targets > 0 ? rows.targets[targets - 1] : -1;
                sum += targets;
            }
        }
        CU_ASSERT_EQUAL(sum, cases[i].targets);
        ls_source_free(source);
    }
    rows_free(&rows);
}

/* A sample depends on (seed, counter) only: not on how samples are put together into batches, on ranks, or on what was
 * asked before. */
static void test_determinism(void)
{
    const char *path = numbered(1000, 0.1);
    Rows whole = rows_new(24, T), part = rows_new(5, T);
    LsSource *one = open_source(path, "train", T, 5), *two = open_source(path, "train", T, 5),
             *other = open_source(path, "train", T, 6);
    int64_t targets = 0, first = 2 * one->samples - 10; /* over the border of an epoch */
    ASSERT_OK(fill(one, whole.g, first, 24, &targets));
    for (int64_t ranks = 1; ranks <= 8; ranks++) { /* each rank takes an equal share, in pieces of at most 5 rows */
        if (24 % ranks != 0)
            continue;
        int64_t share = 24 / ranks;
        for (int64_t rank = ranks - 1; rank >= 0; rank--)
            for (int64_t at = 0; at < share; at += 5) {
                int64_t rows = share - at < 5 ? share - at : 5, row = rank * share + at;
                ASSERT_OK(fill(two, part.g, first + row, rows, &targets));
                CU_ASSERT_EQUAL(targets, rows * T);
                CU_ASSERT(memcmp(part.ids, whole.ids + row * T, (size_t)(rows * T) * sizeof *part.ids) == 0);
                CU_ASSERT(memcmp(part.targets, whole.targets + row * T, (size_t)(rows * T) * sizeof *part.ids) == 0);
            }
    }
    int32_t kept[5 * T];
    memcpy(kept, whole.ids, sizeof kept);
    ASSERT_OK(fill(other, part.g, first, 5, &targets));
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
        ASSERT_OK(
            ls_text_open_within(&(LsDataOpen){.path = path, .split = splits[i], .sequence = T, .seed = 5}, 99, &two));
        CU_ASSERT_PTR_NOT_NULL_FATAL(two);
        CU_ASSERT_EQUAL(one->samples, two->samples);
        for (int64_t first = 0; first < 2 * one->samples; first += 6) {
            int64_t targets = 0, targets_read = 0;
            ASSERT_OK(fill(one, held.g, first, 6, &targets));
            ASSERT_OK(fill(two, read.g, first, 6, &targets_read));
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
    ASSERT_OK(fill(source, rows.g, 7, 2, &targets));
    CU_ASSERT_EQUAL(targets, 98);
    CU_ASSERT_EQUAL(rows.ids[0], byte_at(0));
    CU_ASSERT_EQUAL(rows.targets[48], byte_at(49));
    ls_source_free(source);
    rows_free(&rows);
    source = open_source(path, "train", 30, 1); /* one window, which moves over 20 places */
    CU_ASSERT_EQUAL(source->samples, 1);
    ls_source_free(source);
    CU_ASSERT_PTR_NULL(ls_text_source(path, "train", 50, 1));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(ls_message(), "train/tokens has 50 tokens, fewer than one window of train.sequence + 1 = 51"));
    CU_ASSERT_PTR_NULL(ls_text_source(path, "train", 0, 1));
    CU_ASSERT_PTR_NULL(ls_text_source(path, "tests", 4, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "no split 'tests'"));
}

static void test_synthetic(void)
{
    LsFields fields = ls_language_fields(100);
    LsSource *source = ls_synthetic_source(&fields, T, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    Rows rows = rows_new(50, T), one = rows_new(1, T);
    int64_t targets = 0, sum = 0;
    ASSERT_OK(fill(source, rows.g, 1000, 50, &targets));
    CU_ASSERT_EQUAL(targets, 50 * T);
    for (int64_t i = 0; i < 50 * T; i++) {
        CU_ASSERT_FATAL(rows.ids[i] >= 0 && rows.ids[i] < 100);
        CU_ASSERT_FATAL(rows.targets[i] >= 0 && rows.targets[i] < 100);
        sum += rows.ids[i];
    }
    CU_ASSERT(sum > 400 * 42 && sum < 400 * 57); /* mean 49.5, five standard errors of 1.44 */
    ASSERT_OK(fill(source, one.g, 1042, 1, &targets));
    CU_ASSERT(memcmp(one.ids, rows.ids + 42 * T, T * sizeof *one.ids) == 0);
    ls_source_free(source);
    rows_free(&rows);
    rows_free(&one);
}

/* ---- What `train` opens ------------------------------------------------------------------------------------------ */

static void test_open(void)
{
    LsSource *training = NULL, *validation = NULL;
    LsConfig config = {.data_kind = ls_data_kind("text"), .data.path = (char *)(uintptr_t)numbered(1000, 0.1)};
    ASSERT_OK(ls_data_open(&config, T, 0, NULL, &training, &validation));
    CU_ASSERT_EQUAL(training->samples, 111);
    CU_ASSERT_EQUAL(validation->samples, 13);
    ls_source_free(training);
    ls_source_free(validation);
    config.data.validation_path = (char *)(uintptr_t)numbered(50, 0); /* all of it, since nothing of it is held out */
    ASSERT_OK(ls_data_open(&config, T, 0, NULL, &training, &validation));
    CU_ASSERT_EQUAL(validation->samples, 7);
    ls_source_free(training);
    ls_source_free(validation);
    config.data.path = config.data.validation_path;
    config.data.validation_path = NULL;
    ASSERT_OK(ls_data_open(&config, T, 0, NULL, &training, &validation));
    CU_ASSERT_PTR_NULL(validation);
    ls_source_free(training);
    char *text = write_file("like.txt", "abcabcabcabc", 12);
    const char *characters = harness_path("like.h5"), *second = harness_path("second.h5");
    ASSERT_OK(prepare("characters", 0, 1, &text, characters));
    config.data.validation_path = (char *)(uintptr_t)characters;
    ASSERT_FAILS(ls_data_open(&config, T, 0, NULL, &training, &validation), LS_DATA, "has another tokenizer");
    CU_ASSERT(!training && !validation);
    /* as many, but others */
    ASSERT_OK(prepare("characters", 0, 1, (char *[]){write_file("xyz.txt", "xyzxyzxyzxyz", 12)}, second));
    config.data.path = (char *)(uintptr_t)second;
    ASSERT_FAILS(ls_data_open(&config, T, 0, NULL, &training, &validation), LS_DATA, "has another tokenizer");
    /* another text with the first one's vocabulary */
    char *other = write_file("other.txt", "cccccccccccc", 12);
    LsTextSettings like = {.tokens = {.tokenizer = "bytes", .like = (char *)(uintptr_t)characters}};
    ASSERT_OK(ls_text_prepare(&like, 1, &other, second));
    config.data.path = (char *)(uintptr_t)characters;
    config.data.validation_path = (char *)(uintptr_t)second;
    ASSERT_OK(ls_data_open(&config, T, 0, NULL, &training, &validation));
    CU_ASSERT_EQUAL(ls_source_classes(validation, "ids"), 3);
    ls_source_free(training);
    ls_source_free(validation);
    ASSERT_FAILS(ls_text_prepare(&like, 1, (char *[]){write_file("x.txt", "abcx", 4)}, second), LS_DATA,
                 "x.txt: line 1, byte 3: the character");
    LsTextSettings apart = {.tokens = {.tokenizer = "characters"}, .validation = 0.5, .validation_file = other};
    ASSERT_OK(ls_text_prepare(&apart, 1, &text, second));
    CU_ASSERT_EQUAL(tokens_of(second, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 12);
    CU_ASSERT_EQUAL(tokens_of(second, "validation/tokens", LS_FILE_UINT8, tokens, 1 << 16), 12);
    config.data.path = NULL;
    ASSERT_FAILS(ls_data_open(&config, T, 0, NULL, &training, &validation), LS_USAGE, "data.path");
    CU_ASSERT_PTR_NULL(ls_data_kind("pictures"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), "no kind of data 'pictures'"));
}

int main(void)
{
    ls_log_mute(true);
    return harness_run("text_source", (HarnessTest[]){{"validation samples", test_validation_samples},
                                                      {"training samples", test_training_samples},
                                                      {"samples do not depend on batches and ranks", test_determinism},
                                                      {"streams go on where samples end", test_streams},
                                                      {"splits larger than the memory", test_out_of_file},
                                                      {"texts about as long as a window", test_short_texts},
                                                      {"random tokens", test_synthetic},
                                                      {"opening what a configuration names", test_open},
                                                      {0}});
}
