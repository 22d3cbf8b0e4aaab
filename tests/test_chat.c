/* Conversations: what a sample holds, which targets count, and that what follows a conversation changes nothing of
 * it. */
#include "sample_files.h"

static const char talk[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"ab\"}, "
    "{\"role\": \"assistant\", \"content\": \"cd\"}]}\n"
    "{\"messages\": [{\"role\": \"user\", \"content\": \"e\"}, {\"role\": \"assistant\", \"content\": \"f\"}, "
    "{\"role\": \"user\", \"content\": \"\"}, {\"role\": \"assistant\", \"content\": \"g\"}]}\n";

#define MARKERS "validation=0;system=!;user=?;assistant=>;end=."

/* Letters of ids, and of targets with '_' for those that do not count. */
static void check_row(const Inputs *inputs, int64_t row, int64_t steps, const char *ids, const char *targets)
{
    char said[64] = "", wanted[64] = "";
    for (int64_t t = 0; t < steps; t++) {
        int32_t target = ints_of(inputs, "targets")[row * steps + t];
        said[t] = (char)ints_of(inputs, "ids")[row * steps + t];
        wanted[t] = target == LS_IGNORE ? '_' : (char)target;
        said[t] = said[t] ? said[t] : '_';
    }
    CU_ASSERT_STRING_EQUAL(said, ids);
    CU_ASSERT_STRING_EQUAL(wanted, targets);
}

/* "!S.?ab.>cd." and "?e.>f.?.>g.": bytes are their own ids. */
static void test_samples(void)
{
    char *path = path_of("talk.h5");
    LsSource *source = NULL;
    ASSERT_OK(prepare_kind("chat", MARKERS, SOURCES(write_text("talk.jsonl", talk)), path));
    ASSERT_OK(open_kind("chat", path, "held-out", 0, 1, NULL, &source)); /* in order */
    CU_ASSERT_EQUAL_FATAL(source->samples, 2);
    CU_ASSERT_EQUAL(source->sequence, 10);
    Inputs inputs = inputs_new(source, 3, 12);
    fill_inputs(source, &inputs, 0, 2);
    check_row(&inputs, 0, 12, "!S.?ab.>cd__", "_______cd.__");
    check_row(&inputs, 1, 12, "?e.>f.?.>g__", "___f.___g.__");
    check_row(&inputs, 2, 12, "____________", "____________"); /* past the last sample */
    CU_ASSERT_EQUAL(source->longest(source, &(LsBatch){0, 2, 0}), 10);
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("chat", path, "held-out", 5, 1, NULL, &source)); /* cut */
    CU_ASSERT_EQUAL(source->sequence, 5);
    CU_ASSERT_EQUAL(source->samples, 1); /* of the first no answer is left */
    inputs = inputs_new(source, 1, 5);
    fill_inputs(source, &inputs, 0, 1);
    check_row(&inputs, 0, 5, "?e.>f", "___f.");
    CU_ASSERT_EQUAL(source->longest(source, &(LsBatch){0, 1, 0}), 5);
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_FAILS(open_kind("chat", path, "held-out", 2, 1, NULL, &source), LS_DATA,
                 "no conversation of train has an answer in its first 3 tokens: train.sequence up");
}

/* The template and the answers' share. */
static void test_described(void)
{
    char *path = path_of("told.h5");
    ASSERT_REFUSED("chat", MARKERS, SOURCES(write_text("talk.jsonl", "\n")), LS_DATA, "has no conversations");
    ASSERT_OK(prepare_kind("chat", MARKERS, SOURCES(write_text("talk.jsonl", talk)), path));
    CU_ASSERT_EQUAL(described_number(path, "train_samples"), 2);
    CU_ASSERT_EQUAL(described_number(path, "train_tokens"), 22);
    CU_ASSERT_EQUAL(described_number(path, "train_answer_tokens"), 7);
    LsSource *source = NULL;
    ASSERT_OK(open_kind("chat", path, "train", 0, 1, NULL, &source));
    CU_ASSERT_PTR_NOT_NULL(strstr(source->info, "\"assistant\":\">\""));
    ls_source_free(source);
    ASSERT_REFUSED("chat", "validation=0;end=ab", SOURCES(path_of("talk.jsonl")), LS_DATA,
                   "talk.jsonl: line 1: a message holds the marker 'ab'");
}

/* With the tokenizer words: "!S." is three words, and <s> and </s> are tokens that no text makes. */
static void test_special_tokens(void)
{
    char *path = path_of("special.h5");
    LsSource *source = NULL;
    const char *words = "validation=0;tokenizer=words;user=<s>;assistant=>;end=</s>";
    ASSERT_OK(prepare_kind("chat", words, SOURCES(write_text("talk.jsonl", talk)), path));
    ASSERT_OK(open_kind("chat", path, "held-out", 0, 1, NULL, &source));
    const LsTokenizer *tokenizer = source->tokenizer;
    Inputs inputs = inputs_new(source, 2, source->sequence);
    fill_inputs(source, &inputs, 0, 2);
    int64_t steps = source->sequence;
    /* <s> e </s> > f </s> <s> </s> > g </s> and the end that the tokenizer puts behind, which is the last target */
    const int32_t *ids = ints_of(&inputs, "ids") + steps, *targets = ints_of(&inputs, "targets") + steps;
    CU_ASSERT_EQUAL(ids[0], ls_tokenizer_begin(tokenizer));
    CU_ASSERT_EQUAL(ids[2], ls_tokenizer_end(tokenizer));
    CU_ASSERT_EQUAL(targets[4], ls_tokenizer_end(tokenizer));
    CU_ASSERT_EQUAL(targets[1], LS_IGNORE);
    CU_ASSERT_EQUAL(targets[10], ls_tokenizer_end(tokenizer));
    inputs_free(&inputs);
    ls_source_free(source);
    write_text("forged.jsonl", "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a <s> b\"}]}\n");
    ASSERT_REFUSED("chat", "validation=0;tokenizer=words", SOURCES(path_of("forged.jsonl")), LS_DATA,
                   "forged.jsonl: line 1: a message holds the special token '<s>'");
}

int main(void)
{
    return harness_run("chat", (HarnessTest[]){{"samples", test_samples},
                                               {"what is told of them", test_described},
                                               {"special tokens", test_special_tokens},
                                               {0}});
}
