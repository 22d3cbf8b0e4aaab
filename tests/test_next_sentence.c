/* Two segments of a text as samples: documents and sentences of a prepared text, which segments follow; hidden tokens
 * beside special ones, and the second loss. */
#include "sample_files.h"

#include "data/text.h"
#include "graph/check.h"
#include "data/tokenizer_settings.h"
#include "lockstep/source.h"
#include "lockstep/task.h"

/* ids 0 to 4 are the special tokens; the tokens of document d are words of it alone: 5 + 20 d and following */
enum { CLS = 2, SEP = 3, MASK = 4, WORDS = 5, OF_DOCUMENT = 20, DOCUMENTS = 6, SEQUENCE = 16, SAMPLES = 600 };
#define CLASSES (WORDS + DOCUMENTS * OF_DOCUMENT)

/* Six documents of four sentences of five words each, with one or more empty lines between them, in two files; the
 * first sentence of the last document is 30 words long. */
static char *prepare_text(void)
{
    char *output = path_of("text.h5"), vocabulary[4096] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n",
         text[2][8192] = {"", ""};
    for (int i = 0; i < DOCUMENTS * OF_DOCUMENT; i++)
        snprintf(vocabulary + strlen(vocabulary), 16, "w%d\n", i);
    for (int i = 0; i < DOCUMENTS * OF_DOCUMENT; i++) {
        char *to = text[i / OF_DOCUMENT / (DOCUMENTS / 2)];
        if (i % OF_DOCUMENT == 0 && *to)
            strcat(to, i == OF_DOCUMENT ? " \n" : "\n\t\n\n");
        for (int again = 0; again < (i == 5 * OF_DOCUMENT ? 26 : 1); again++)
            snprintf(to + strlen(to), 16, "W%d%s", i, i % 5 == 4 ? "\n" : " ");
    }
    char *options = ls_format("validation=0;tokenizer=wordpiece;vocabulary=%s", write_text("vocab.txt", vocabulary));
    ASSERT_OK(
        prepare_kind("text", options, SOURCES(write_text("a.txt", text[0]), write_text("b.txt", text[1])), output));
    ls_free(options);
    return output;
}

static LsSource *open_segments(const char *path, const char *split, int64_t sequence, uint64_t seed)
{
    LsSource *source = NULL;
    ASSERT_OK(open_kind("text", path, split, sequence, seed, "as=segments", &source));
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    return source;
}

static int document_of(int32_t id) { return (id - WORDS) / OF_DOCUMENT; }

/* The segments of one sample: ids, from .. to - 1. */
static void check_sample(const Inputs *inputs, int64_t b, bool *other)
{
    const int32_t *ids = ints_of(inputs, "ids") + b * SEQUENCE, *types = ints_of(inputs, "types") + b * SEQUENCE;
    int32_t length = ints_of(inputs, "length")[b], next = ints_of(inputs, "next")[b], cut = 1;
    while (cut < length && ids[cut] != SEP)
        cut++;
    CU_ASSERT_FATAL(length <= SEQUENCE && cut > 1 && cut < length - 2);
    CU_ASSERT(ids[0] == CLS && ids[length - 1] == SEP && (next == 0 || next == 1));
    for (int32_t t = 0; t < SEQUENCE; t++) {
        CU_ASSERT_EQUAL(types[t], t > cut && t < length);
        CU_ASSERT(t < length || ids[t] == 0);
        if (t == 0 || t == cut || t >= length - 1)
            continue;
        CU_ASSERT_EQUAL(document_of(ids[t]), document_of(ids[t < cut ? 1 : cut + 1]));
        CU_ASSERT(t == 1 || t == cut + 1 || ids[t] == ids[t - 1] + 1 || ids[t] == WORDS + 5 * OF_DOCUMENT);
    }
    int32_t last = ids[cut - 1], first = ids[cut + 1];
    bool repeated = last == WORDS + 5 * OF_DOCUMENT; /* the long sentence is one word again and again */
    if (next == 0)
        CU_ASSERT(first == last + 1 || (repeated && first == last));
    if (next == 1)
        CU_ASSERT(document_of(first) != document_of(last) && (first - WORDS) % 5 == 0);
    if (next == 0 && !repeated) /* between two sentences */
        CU_ASSERT_EQUAL((first - WORDS) % 5, 0);
    *other = next;
}

static void test_samples(void)
{
    char *path = prepare_text();
    CU_ASSERT_EQUAL(described_number(path, "train_documents"), DOCUMENTS);
    CU_ASSERT_EQUAL(described_number(path, "train_sentences"), 4 * DOCUMENTS);
    CU_ASSERT_EQUAL(described_number(path, "train_tokens"), DOCUMENTS * OF_DOCUMENT + 25);
    LsSource *source = open_segments(path, "train", SEQUENCE, 3);
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, "ids T of 125, types T of 2, length int, next of 2");
    ls_free(text);
    /* 13 tokens: of five documents two sentences twice; of the last one's 45 tokens 13 and 13 of the long sentence,
     * then its rest and a sentence more, then two */
    CU_ASSERT_EQUAL(source->samples, 2 * (DOCUMENTS - 1) + 4);
    Inputs inputs = inputs_new(source, SAMPLES, SEQUENCE);
    fill_inputs(source, &inputs, 0, SAMPLES);
    int others = 0, seen[DOCUMENTS] = {0};
    for (int64_t b = 0; b < SAMPLES; b++) {
        bool other = false;
        check_sample(&inputs, b, &other);
        others += other;
        seen[document_of(ints_of(&inputs, "ids")[b * SEQUENCE + 1])]++;
    }
    CU_ASSERT(others > 0.43 * SAMPLES && others < 0.57 * SAMPLES);
    for (int d = 0; d < DOCUMENTS; d++)
        CU_ASSERT(seen[d] > 0);
    /* a function of seed and sample, not of the batch that it is in */
    Inputs part = inputs_new(source, 8, SEQUENCE);
    fill_inputs(source, &part, 100, 7);
    CU_ASSERT(memcmp(ints_of(&part, "ids"), ints_of(&inputs, "ids") + 100 * SEQUENCE, sizeof(int32_t[7 * SEQUENCE])) ==
              0);
    CU_ASSERT_EQUAL(ints_of(&part, "next")[7], LS_IGNORE);
    LsSource *again = open_segments(path, "train", SEQUENCE, 4);
    fill_inputs(again, &part, 100, 7);
    CU_ASSERT(memcmp(ints_of(&part, "ids"), ints_of(&inputs, "ids") + 100 * SEQUENCE, sizeof(int32_t[7 * SEQUENCE])) !=
              0);
    inputs_free(&inputs);
    inputs_free(&part);
    ls_source_free(source);
    ls_source_free(again);
}

static void test_refused(void)
{
    LsSource *source = NULL;
    char *path = path_of("no.h5"), *one = write_text("one.txt", "w1 w2\nw3\n");
    ASSERT_OK(prepare_kind("text", "validation=0;tokenizer=words", SOURCES(one), path));
    ASSERT_FAILS(open_kind("text", path, "train", 9, 1, "as=segments", &source), LS_DATA, "--tokenizer wordpiece");
    char *options = ls_format("validation=0;tokenizer=wordpiece;vocabulary=%s", path_of("vocab.txt"));
    ASSERT_OK(prepare_kind("text", options, SOURCES(one), path));
    ls_free(options);
    ASSERT_FAILS(open_kind("text", path, "train", 9, 1, "as=segments", &source), LS_DATA,
                 "the train part is one document");
    ASSERT_FAILS(open_kind("text", path, "train", 4, 1, "as=segments", &source), LS_DATA, "one document");
    ASSERT_FAILS(open_kind("text", path, "train", 0, 1, "as=segments", &source), LS_USAGE, "train.sequence");
    ASSERT_OK(open_kind("text", path, "validation", 9, 1, "as=segments", &source));
    CU_ASSERT_PTR_NULL(source);
}

/* ---- The task ---------------------------------------------------------------------------------------------------- */

enum { B = 200 };

static void test_hidden(void)
{
    char *path = prepare_text();
    LsSource *source = open_segments(path, "train", SEQUENCE, 3);
    LsConfig *config =
        ls_config_parse("next",
                        "model: {kind: bert, vocabulary: 125, context: 16, layers: 1, heads: 1, width: 4, "
                        "dropout: 0}\ntask: {kind: masked_language, rate: 0.5}",
                        0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    ASSERT_OK(ls_config_set_fields(config, &source->fields));
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    ls_config_build(config, g, B, SEQUENCE, LS_WANT_LOSS);
    ASSERT_OK(ls_params_allocate(params, 3, false));
    ASSERT_OK(ls_graph_plan(g));
    CU_ASSERT_EQUAL(ls_source_mask(source), MASK);
    LsBatch batch = {0, B - 1, 0};
    static int32_t before[B * SEQUENCE];
    ASSERT_OK(source->fill(source, g, &batch));
    const int32_t *ids = ls_graph_find(g, "ids")->data, *targets = ls_graph_find(g, "targets")->data,
                  *next = ls_graph_find(g, "next")->data, *next_targets = ls_graph_find(g, "next_targets")->data;
    memcpy(before, ids, sizeof before);
    ASSERT_OK(ls_config_task(config)->prepare(&(LsFilled){g, config->task_config, source, batch, 7}));
    int64_t masks = 0, others = 0, chosen = 0;
    for (int i = 0; i < B * SEQUENCE; i++) {
        bool hidden = targets[i] != LS_IGNORE, special = before[i] < WORDS;
        CU_ASSERT(hidden ? targets[i] == before[i] && !special : ids[i] == before[i]);
        CU_ASSERT(ids[i] == before[i] || ids[i] == MASK || ids[i] >= WORDS);
        CU_ASSERT_EQUAL(next_targets[i], hidden ? next[i / SEQUENCE] : LS_IGNORE);
        chosen += hidden;
        masks += hidden && ids[i] == MASK;
        others += hidden && ids[i] != MASK && ids[i] != before[i];
    }
    CU_ASSERT(masks > 0.75 * (double)chosen && masks < 0.85 * (double)chosen);
    CU_ASSERT(others > 0.07 * (double)chosen && others < 0.13 * (double)chosen);
    /* the loss a token: about log 120 and log 2, since nothing is learnt */
    ASSERT_OK(ls_graph_forward(g, &(LsRun){.comm = ls_comm_self()}));
    float loss = 0, masked = 0;
    ls_tensor_get(g, ls_graph_find(g, "loss"), &loss);
    ls_tensor_get(g, ls_graph_find(g, "masked_loss"), &masked);
    CU_ASSERT_DOUBLE_EQUAL(masked / (float)chosen, log(CLASSES), 0.01);
    CU_ASSERT_DOUBLE_EQUAL((loss - masked) / (float)chosen, log(2), 0.01);
    double sum[2] = {0}, right = 0;
    LsScored scored = {.g = g, .settings = config->task_config, .source = source, .rows = B - 1};
    const LsMetric *metric = ls_task_metric(ls_config_task(config), "next_accuracy");
    ASSERT_OK(metric->add(&scored, sum));
    float z[2 * B];
    ls_tensor_get(g, ls_graph_find(g, "next_output"), z);
    for (int b = 0; b < B - 1; b++)
        right += (z[2 * b + 1] > z[2 * b]) == next[b];
    CU_ASSERT(sum[0] == right && sum[1] == B - 1);
    ls_graph_free(g);
    ls_params_free(params);
    ls_config_free(config);
    ls_source_free(source);
}

/* Both losses through the whole model, with targets of both kinds that are ignored. */
static bool build_next(LsGraph *g, const void *self)
{
    if (ls_graph_mode(g) == LS_DECODE)
        return true; /* the checker asks whether there are states; there are none */
    ls_config_build(self, g, 2, 5, LS_WANT_LOSS);
    static const struct {
        const char *name;
        double from, to;
    } inputs[] = {{"ids", 0, 11}, {"types", 0, 2},     {"length", 1, 6},
                  {"next", 0, 2}, {"targets", -1, 11}, {"next_targets", -1, 2}};
    for (size_t i = 0; i < LS_COUNT_OF(inputs); i++)
        ls_case_range(g, ls_graph_find(g, inputs[i].name), inputs[i].from, inputs[i].to);
    return true;
}

static void test_gradient(void)
{
    LsConfig *config =
        ls_config_parse("next",
                        "model: {kind: bert, vocabulary: 11, context: 7, layers: 1, heads: 2, width: 8, "
                        "dropout: 0, epsilon: 1e-5}\ntask: {kind: masked_language}\ndata: {fields: \"ids T "
                        "of 11, types T of 2, length int, next of 2\"}",
                        0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    LsStatus status = ls_check_gradient(&(LsSubject){build_next, config, "two losses"}, 12);
    if (status != LS_OK)
        fprintf(stderr, "%s\n", ls_message());
    CU_ASSERT_EQUAL(status, LS_OK);
    ls_config_free(config);
}

int main(void)
{
    return harness_run("next_sentence", (HarnessTest[]){{"samples", test_samples},
                                                        {"what cannot be segments", test_refused},
                                                        {"gradient of both losses", test_gradient},
                                                        {"hidden tokens and second segments", test_hidden},
                                                        {0}});
}
