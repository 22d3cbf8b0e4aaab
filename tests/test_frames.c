/* Samples of a tokenizer that frames texts: what stands around one text and two, types, cuts; tags of words that are
 * several pieces, and their scores. */
#include "sample_files.h"

#include "data/frame.h"
#include "lockstep/task.h"

#include <jansson.h>

/* ids 0 to 4 are the special tokens */
enum { CLS = 2, SEP = 3, THE = 5, FILM, FURTHER_S, WAS, GOOD, BAD };
#define VOCABULARY "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfilm\n##s\nwas\ngood\nbad\n"

static char *options_of(const char *more)
{
    char *vocabulary = write_text("vocab.txt", VOCABULARY);
    char *options = ls_format("validation=0;tokenizer=wordpiece;vocabulary=%s%s", vocabulary, more);
    CU_ASSERT_PTR_NOT_NULL_FATAL(options);
    return options;
}

static void prepare_samples(const char *kind, const char *more, char *file, const char *output)
{
    char *options = options_of(more);
    ASSERT_OK(prepare_kind(kind, options, SOURCES(file), output));
    ls_free(options);
}

static void check_ints(const Inputs *inputs, const char *name, int64_t row, int64_t count, const int32_t *expected)
{
    const int32_t *there = ints_of(inputs, name) + row * count;
    bool same = memcmp(there, expected, (size_t)count * sizeof *expected) == 0;
    CU_ASSERT(same);
    for (int64_t i = 0; i < count && !same; i++)
        fprintf(stderr, "%s[%d, %d] is %d, not %d\n", name, (int)row, (int)i, there[i], expected[i]);
}

#define ROW(inputs, name, row, ...)                                                                                    \
    check_ints(inputs, name, row, (int64_t)LS_COUNT_OF(((int32_t[]){__VA_ARGS__})), (int32_t[]){__VA_ARGS__})

static LsSource *open_samples(const char *kind, const char *output, int64_t sequence, const char *fields)
{
    LsSource *source = NULL;
    ASSERT_OK(open_kind(kind, output, "held-out", sequence, 1, NULL, &source));
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, fields);
    ls_free(text);
    return source;
}

/* Batches of samples about as long as each other are made by this number: it must be that of the ids. */
static void check_steps(LsSource *source, const Inputs *inputs, int64_t samples)
{
    for (int64_t i = 0; i < samples; i++)
        CU_ASSERT_EQUAL(source->longest(source, &(LsBatch){i, 1, 0}), ints_of(inputs, "length")[i]);
}

static void test_one_text(void)
{
    char *output = path_of("one.h5");
    prepare_samples("lines", "", write_text("one.tsv", "+\tthe films was good\n-\tbad\n"), output);
    LsSource *source = open_samples("lines", output, 0, "ids T of 11, types T of 2, length int, label of 2");
    CU_ASSERT_EQUAL(source->sequence, 7);
    Inputs inputs = inputs_new(source, 3, 7);
    fill_inputs(source, &inputs, 0, 2);
    check_steps(source, &inputs, 2);
    ROW(&inputs, "ids", 0, CLS, THE, FILM, FURTHER_S, WAS, GOOD, SEP);
    ROW(&inputs, "ids", 1, CLS, BAD, SEP, 0, 0, 0, 0);
    ROW(&inputs, "types", 0, 0, 0, 0, 0, 0, 0, 0);
    CU_ASSERT(ints_of(&inputs, "length")[0] == 7 && ints_of(&inputs, "length")[1] == 3);
    CU_ASSERT(ints_of(&inputs, "length")[2] >= 1 && ints_of(&inputs, "label")[2] == LS_IGNORE);
    inputs_free(&inputs);
    ls_source_free(source);
    /* cut at its end, but for what ends it */
    source = open_samples("lines", output, 4, "ids T of 11, types T of 2, length int, label of 2");
    inputs = inputs_new(source, 2, 4);
    fill_inputs(source, &inputs, 0, 2);
    check_steps(source, &inputs, 2);
    ROW(&inputs, "ids", 0, CLS, THE, FILM, SEP);
    ROW(&inputs, "ids", 1, CLS, BAD, SEP, 0);
    inputs_free(&inputs);
    ls_source_free(source);
    source = NULL;
    ASSERT_FAILS(open_kind("lines", output, "train", 2, 1, NULL, &source), LS_USAGE, "has no room for 1 text");
}

static void test_two_texts(void)
{
    char *output = path_of("two.h5");
    char *file = write_text("two.tsv", "yes\tthe film\tfilms was good\nno\tbad bad bad bad bad\tgood\n");
    prepare_samples("lines", ";second=3", file, output);
    CU_ASSERT_EQUAL(described_number(output, "train_samples"), 2);
    LsSource *source = open_samples("lines", output, 0, "ids T of 11, types T of 2, length int, label of 2");
    Inputs inputs = inputs_new(source, 2, source->sequence);
    CU_ASSERT_EQUAL_FATAL(source->sequence, 12); /* 5 + 4 + 3: no sample is that long */
    fill_inputs(source, &inputs, 0, 2);
    check_steps(source, &inputs, 2);
    ROW(&inputs, "ids", 0, CLS, THE, FILM, SEP, FILM, FURTHER_S, WAS, GOOD, SEP, 0, 0, 0);
    ROW(&inputs, "types", 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0);
    ROW(&inputs, "ids", 1, CLS, BAD, BAD, BAD, BAD, BAD, SEP, GOOD, SEP, 0, 0, 0);
    ROW(&inputs, "types", 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0);
    CU_ASSERT(ints_of(&inputs, "length")[0] == 9 && ints_of(&inputs, "length")[1] == 9);
    inputs_free(&inputs);
    ls_source_free(source);
    /* 4 of 7: the longer one alone is cut; then 2 and 2 */
    source = open_samples("lines", output, 7, "ids T of 11, types T of 2, length int, label of 2");
    inputs = inputs_new(source, 2, 7);
    fill_inputs(source, &inputs, 0, 2);
    check_steps(source, &inputs, 2);
    ROW(&inputs, "ids", 0, CLS, THE, FILM, SEP, FILM, FURTHER_S, SEP);
    ROW(&inputs, "ids", 1, CLS, BAD, BAD, BAD, SEP, GOOD, SEP);
    inputs_free(&inputs);
    ls_source_free(source);
    char *json = write_text("two.jsonl", "{\"label\": 1, \"text\": \"the film\", \"other\": \"bad\"}\n");
    prepare_samples("lines", ";second=other", json, output);
    source = open_samples("lines", output, 0, "ids T of 11, types T of 2, length int, label of 1");
    inputs = inputs_new(source, 1, 6);
    fill_inputs(source, &inputs, 0, 1);
    check_steps(source, &inputs, 1);
    ROW(&inputs, "ids", 0, CLS, THE, FILM, SEP, BAD, SEP);
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_REFUSED("lines", "validation=0;second=3", SOURCES(file), LS_USAGE, "--tokenizer wordpiece has");
    char *options = options_of(";second=3"), *empty = write_text("empty.tsv", "a\tgood\tbad\na\tgood\t\n");
    ASSERT_REFUSED("lines", options, SOURCES(empty), LS_DATA, "empty.tsv: line 2: the text is empty");
    ASSERT_REFUSED("lines", options, SOURCES(write_text("short.tsv", "a\tgood\n")), LS_DATA, "--second is column 3");
    ASSERT_REFUSED("lines", options, SOURCES(write_text("none.jsonl", "{\"label\": 1, \"text\": \"good\"}\n")), LS_DATA,
                   "none.jsonl: line 1: has no \"3\"");
    ls_free(options);
}

/* The cuts of two texts to room for 7: those of transformers' tokenizers with truncation "longest_first". */
static void test_cuts(void)
{
    static const struct {
        int64_t first, second, first_cut, second_cut;
    } list[] = {{3, 4, 3, 4}, {9, 2, 5, 2}, {2, 9, 2, 5}, {9, 9, 3, 4}, {10, 9, 4, 3}, {9, 10, 3, 4}, {9, 3, 4, 3}};
    int32_t a[16], b[16];
    for (int i = 0; i < 16; i++) {
        a[i] = 100 + i;
        b[i] = 200 + i;
    }
    LsFrame frame = {.sequence = 10, .begin = 1, .end = 2};
    frame.id = ls_alloc_array(10, sizeof *frame.id);
    frame.type = ls_alloc_array(10, sizeof *frame.type);
    for (size_t i = 0; i < LS_COUNT_OF(list); i++) {
        ls_frame_texts(&frame, (LsIds){a, list[i].first}, &(LsIds){b, list[i].second});
        int64_t n = list[i].first_cut, m = list[i].second_cut;
        CU_ASSERT_EQUAL_FATAL(frame.length, n + m + 3);
        CU_ASSERT(frame.id[n] == a[n - 1] && frame.id[n + 1] == 2 && frame.id[n + 2] == b[0]);
        CU_ASSERT(frame.id[n + m + 1] == b[m - 1] && frame.id[n + m + 2] == 2);
    }
    ls_frame_free(&frame);
}

static void test_tags(void)
{
    char *output = path_of("tags.h5");
    char *file =
        write_text("t.conll", "films\tB-x\nwas\tO\n\n\xE2\x80\x8D\tO\ngood\tI-x\n"); /* a joiner alone: unknown */
    prepare_samples("columns", "", file, output);
    LsSource *source = open_samples("columns", output, 0, "types T of 2, ids T of 11, length int, tags T of 3");
    Inputs inputs = inputs_new(source, 2, 5);
    CU_ASSERT_EQUAL_FATAL(source->sequence, 5);
    fill_inputs(source, &inputs, 0, 2);
    check_steps(source, &inputs, 2);
    ROW(&inputs, "ids", 0, CLS, FILM, FURTHER_S, WAS, SEP);
    ROW(&inputs, "tags", 0, LS_IGNORE, 0, LS_IGNORE, 2, LS_IGNORE);
    ROW(&inputs, "ids", 1, CLS, 1, GOOD, SEP, 0);
    ROW(&inputs, "tags", 1, LS_IGNORE, 2, 1, LS_IGNORE, LS_IGNORE);
    ROW(&inputs, "types", 1, 0, 0, 0, 0, 0);
    inputs_free(&inputs);
    ls_source_free(source);
    source = open_samples("columns", output, 4, "types T of 2, ids T of 11, length int, tags T of 3");
    inputs = inputs_new(source, 1, 4);
    fill_inputs(source, &inputs, 0, 1);
    check_steps(source, &inputs, 1);
    ROW(&inputs, "ids", 0, CLS, FILM, FURTHER_S, SEP);
    ROW(&inputs, "tags", 0, LS_IGNORE, 0, LS_IGNORE, LS_IGNORE);
    inputs_free(&inputs);
    ls_source_free(source);
}

/* ---- Scores by word ---------------------------------------------------------------------------------------------- */

static double sum_of(const LsScored *scored, const char *metric, int which)
{
    double sum[LS_MAX_METRIC_SUMS] = {0};
    ASSERT_OK(ls_task_metric(ls_task_find("tagging"), metric)->add(scored, sum));
    return sum[which];
}

/* A span goes on over the further pieces of a word, whatever is said of them. */
static void test_spans(void)
{
    enum { STEPS = 8, TAGS = 3 };
    static const int32_t wanted[STEPS] = {-1, 0, -1, -1, 1, -1, 2, -1}, /* B-x .. .. I-x .. O */
        said[STEPS] = {2, 0, 2, 0, 1, 2, 0, 0};                         /* B-x, I-x, B-x */
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_output(g, "output", ls_tanh(g, ls_input(g, "z", LS_REAL, 3, (int64_t[]){1, STEPS, TAGS})));
    LsTensor *tags = ls_input(g, "tags", LS_I32, 2, (int64_t[]){1, STEPS});
    ls_input(g, "length", LS_I32, 1, (int64_t[]){1});
    ASSERT_OK(ls_params_allocate(params, 1, false));
    ASSERT_OK(ls_graph_plan(g));
    float z[STEPS * TAGS] = {0};
    for (int t = 0; t < STEPS; t++)
        z[t * TAGS + said[t]] = 1;
    ls_tensor_set(g, ls_graph_find(g, "z"), z);
    memcpy(tags->data, wanted, sizeof wanted);
    *(int32_t *)ls_graph_find(g, "length")->data = STEPS;
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    json_t *info = json_loads("{\"classes\": [\"B-x\", \"I-x\", \"O\"]}", 0, NULL);
    LsScored scored = {.g = g, .info = info, .rows = 1};
    CU_ASSERT_EQUAL(sum_of(&scored, "accuracy", 0), 2);
    CU_ASSERT_EQUAL(sum_of(&scored, "f1", 0), 1); /* the span of two words */
    CU_ASSERT_EQUAL(sum_of(&scored, "f1", 1), 2);
    CU_ASSERT_EQUAL(sum_of(&scored, "f1", 2), 1);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    ASSERT_OK(ls_task_find("tagging")->text_row(&scored, 0, 7, out));
    fclose(out);
    CU_ASSERT_PTR_EQUAL(strstr(text, "7\t0\tB-x\t"), text);
    CU_ASSERT(strstr(text, "\n7\t1\tI-x\t") && strstr(text, "\n7\t2\tB-x\t") && !strstr(text, "\n7\t3\t"));
    free(text);
    json_decref(info);
    ls_graph_free(g);
    ls_params_free(params);
}

int main(void)
{
    return harness_run("frames", (HarnessTest[]){{"one text", test_one_text},
                                                 {"two texts", test_two_texts},
                                                 {"cuts of two texts", test_cuts},
                                                 {"tags of words", test_tags},
                                                 {"spans by word", test_spans},
                                                 {0}});
}
