/* Conversations: what a sample holds, which targets count, and that what follows a conversation changes nothing of
 * it. */
#include "data/packing.h"
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

/* Both in one sample, each with positions of its own. */
static void test_packed_samples(void)
{
    char *path = path_of("packed.h5");
    LsSource *source = NULL;
    ASSERT_OK(prepare_kind("chat", MARKERS, SOURCES(write_text("talk.jsonl", talk)), path));
    ASSERT_OK(open_kind("chat", path, "held-out", 23, 1, "pack=true", &source));
    CU_ASSERT_EQUAL_FATAL(source->samples, 1);
    CU_ASSERT_EQUAL(source->sequence, 23);
    CU_ASSERT_EQUAL(source->longest(source, &(LsBatch){0, 1, 0}), 20);
    Inputs inputs = inputs_new(source, 2, 23);
    fill_inputs(source, &inputs, 0, 1);
    check_row(&inputs, 0, 23, "!S.?ab.>cd?e.>f.?.>g___", "_______cd.___f.___g.___");
    check_row(&inputs, 1, 23, "_______________________", "_______________________");
    for (int t = 0; t < 46; t++)
        CU_ASSERT_EQUAL(ints_of(&inputs, "positions")[t], t < 20 ? t % 10 : 0);
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("chat", path, "held-out", 19, 1, "pack=true", &source)); /* one alone */
    CU_ASSERT_EQUAL(source->samples, 2);
    inputs = inputs_new(source, 2, 19);
    fill_inputs(source, &inputs, 0, 2);
    check_row(&inputs, 1, 19, "?e.>f.?.>g_________", "___f.___g._________");
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("chat", path, "held-out", 5, 1, "pack=true", &source)); /* cut */
    CU_ASSERT_EQUAL(source->samples, 1);
    inputs = inputs_new(source, 1, 5);
    fill_inputs(source, &inputs, 0, 1);
    check_row(&inputs, 0, 5, "?e.>f", "___f.");
    inputs_free(&inputs);
    ls_source_free(source);
}

/* Best fit, the longest first; many: all of them once, in samples that are full but for a few. */
static void test_packing(void)
{
    LsPacking packing = {0};
    ASSERT_OK(ls_packing_new(6, (int64_t[]){3, 5, 2, 4, 1, 6}, 6, &packing)); /* 6; 5 1; 4 2; 3 */
    static const int64_t order[] = {5, 1, 4, 2, 3, 0}, first[] = {0, 1, 3, 5, 6};
    CU_ASSERT_EQUAL_FATAL(packing.samples, 4);
    CU_ASSERT_EQUAL(memcmp(packing.order, order, sizeof order), 0);
    CU_ASSERT_EQUAL(memcmp(packing.first, first, sizeof first), 0);
    ls_packing_free(&packing);
    enum { MANY = 5000, ROOM = 300 };
    static int64_t length[MANY], seen[MANY];
    int64_t steps = 0;
    for (int64_t i = 0; i < MANY; i++)
        steps += length[i] = 1 + i * i % 97 + (i % 50 == 0 ? 200 : 0);
    ASSERT_OK(ls_packing_new(MANY, length, ROOM, &packing));
    for (int64_t n = 0; n < packing.samples; n++) {
        int64_t sum = 0;
        for (int64_t i = packing.first[n]; i < packing.first[n + 1]; i++) {
            sum += length[packing.order[i]];
            seen[packing.order[i]]++;
        }
        CU_ASSERT(sum > 0 && sum <= ROOM);
    }
    for (int64_t i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(seen[i], 1);
    CU_ASSERT(packing.samples <= steps / ROOM + 2);
    ls_packing_free(&packing);
    ASSERT_OK(ls_packing_new(0, NULL, ROOM, &packing));
    CU_ASSERT_EQUAL(packing.samples, 0);
    ls_packing_free(&packing);
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
                                               {"packed samples", test_packed_samples},
                                               {"what is packed together", test_packing},
                                               {"what is told of them", test_described},
                                               {"special tokens", test_special_tokens},
                                               {0}});
}
