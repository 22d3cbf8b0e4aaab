/* Encoder and decoder apart against the whole at once, for every model of the list that translates; beam search
 * against all targets there are; BLEU against numbers worked out by hand. */
#include "models_list.h"
#include "decode/beam.h"
#include "decode/bleu.h"

#include <math.h>

enum { STEPS = 7, BEGIN = 1, END = 2 };

typedef struct Subject {
    LsConfig *config;
    LsParams *params;
    LsGraph *whole;
} Subject;

static Subject make(const Listed *listed)
{
    Subject s = {.config = listed_config(listed->model, listed->variant, listed->task, "train: {sequence: 7}\n"),
                 .params = ls_params_new()};
    s.whole = ls_graph_new(s.params, &(LsGraphOptions){.mode = LS_EVAL});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.whole);
    ls_config_build(s.config, s.whole, 1, STEPS, LS_WANT_OUTPUT);
    ASSERT_OK(ls_params_allocate(s.params, 5, false));
    for (int64_t i = 0; i < s.params->total; i++) /* answers that are not all alike */
        s.params->value[i] *= 2;
    ASSERT_OK(ls_graph_plan(s.whole));
    return s;
}

static void free_subject(Subject *s)
{
    ls_graph_free(s->whole);
    ls_params_free(s->params);
    ls_config_free(s->config);
}

/* Logits of all steps for this source and these target ids; z: (STEPS, V). */
static void run_whole(const Subject *s, const int32_t *source, int32_t length, const int32_t *ids, float *z)
{
    const char *names[] = {"source", "ids"};
    const int32_t *from[] = {source, ids};
    for (int i = 0; i < 2; i++)
        memcpy(ls_graph_find(s->whole, names[i])->data, from[i], STEPS * sizeof(int32_t));
    *(int32_t *)ls_graph_find(s->whole, "source_length")->data = length;
    if (ls_graph_find(s->whole, "length"))
        *(int32_t *)ls_graph_find(s->whole, "length")->data = STEPS;
    ASSERT_OK(ls_graph_forward(s->whole, &(LsRun){0}));
    ls_tensor_get(s->whole, ls_graph_find(s->whole, "output"), z);
}

static const int32_t source[STEPS] = {3, 9, 4, 7, 2, 0, 0};

/* The last token's weights of attention: shares of the five tokens of the source. */
static void check_attention(const LsDecoder *decoder)
{
    for (int b = 0; b < 3; b++) {
        const float *weight = ls_decoder_attention(decoder, b);
        double sum = 0;
        for (int j = 0; weight && j < STEPS; j++) {
            CU_ASSERT(weight[j] >= 0 && (j < 5 || weight[j] == 0));
            sum += (double)weight[j];
        }
        CU_ASSERT(!weight || fabs(sum - 1) < 1e-5);
    }
}

/* Whether the model attends. */
static bool check_steps(const Listed *listed)
{
    Subject s = make(listed);
    LsDecoder *decoder = NULL;
    ASSERT_OK(ls_decoder_open(s.config, s.params, 3, &decoder));
    int64_t vocabulary = ls_decoder_vocabulary(decoder);
    float *z = ls_alloc_array(STEPS * vocabulary, sizeof *z);
    int32_t ids[STEPS] = {BEGIN, 5, 8, 3, 10, 4, 6};
    run_whole(&s, source, 5, ids, z);
    for (int again = 0; again < 2; again++) { /* the second time shows that nothing is left of the first */
        ASSERT_OK(ls_decoder_start(decoder, source, 5));
        for (int t = 0; t < STEPS; t++) {
            /* streams 0 and 2 say the target; what stream 1 says is forgotten when it goes on from stream 2 */
            int32_t fed[3] = {ids[t], t == 3 ? 9 : ids[t], ids[t]};
            ASSERT_OK(ls_decoder_feed(decoder, fed));
            check_attention(decoder);
            for (int64_t v = 0; v < vocabulary; v++)
                for (int b = 0; b < 3; b++)
                    if (!(t == 3 && b == 1))
                        ASSERT_AT_MOST(fabs((double)(ls_decoder_logits(decoder, b)[v] - z[t * vocabulary + v])), 2e-5);
            ASSERT_OK(ls_decoder_reorder(decoder, (int32_t[]){2, 2, 0}));
        }
    }
    ASSERT_FAILS(ls_decoder_start(decoder, source, STEPS + 1), LS_USAGE, "this model reads 1 to 7");
    bool attends = ls_decoder_attention(decoder, 0) != NULL;
    ls_decoder_close(decoder);
    ls_free(z);
    free_subject(&s);
    return attends;
}

static void test_parts(void)
{
    int seen = 0, attending = 0;
    for (Listed listed = {0}; listed_next(&listed, "");)
        if (listed.task->translates) {
            attending += check_steps(&listed);
            seen++;
        }
    CU_ASSERT(seen >= 3);
    CU_ASSERT(attending >= 3 && attending < seen); /* one of them has no attention */
}

/* log p of a target of `count` tokens and its end. */
static double log_p(const Subject *s, const int32_t *target, int count, float *z)
{
    int32_t ids[STEPS] = {BEGIN};
    int64_t vocabulary = ls_graph_find(s->whole, "output")->dim[2];
    double sum = 0;
    for (int i = 0; i < count; i++)
        ids[i + 1] = target[i];
    run_whole(s, source, 5, ids, z);
    for (int t = 0; t <= count; t++) {
        const float *row = z + t * vocabulary;
        double all = 0;
        for (int64_t v = 0; v < vocabulary; v++)
            all += exp((double)row[v]);
        sum += (double)row[t < count ? target[t] : END] - log(all);
    }
    return sum;
}

/* A beam that holds all hypotheses finds the best of all targets of up to two tokens. */
static void test_beam(void)
{
    int seen = 0;
    for (Listed listed = {0}; listed_next(&listed, "");) {
        if (!listed.task->translates)
            continue;
        Subject s = make(&listed);
        LsDecoder *decoder = NULL;
        ASSERT_OK(ls_decoder_open(s.config, s.params, 120, &decoder));
        int32_t vocabulary = (int32_t)ls_decoder_vocabulary(decoder), found[4];
        float *z = ls_alloc_array(STEPS * vocabulary, sizeof *z);
        for (int penalty = 0; penalty < 2; penalty++) {
            double best = -HUGE_VAL, score = 0;
            int32_t target[2], winner[2] = {0};
            int length = 0;
            for (int count = 0; count <= 2; count++)
                for (int32_t i = 0; i < (count == 0 ? 1 : count == 1 ? vocabulary : vocabulary * vocabulary); i++) {
                    target[0] = i % vocabulary;
                    target[1] = i / vocabulary;
                    bool says_marks = false;
                    for (int k = 0; k < count; k++)
                        says_marks |= target[k] == BEGIN || target[k] == END;
                    double value =
                        says_marks ? -HUGE_VAL : log_p(&s, target, count, z) / pow((5.0 + count + 1) / 6, penalty);
                    if (value > best) {
                        best = value;
                        length = count;
                        memcpy(winner, target, sizeof winner);
                    }
                }
            int64_t count = 0;
            LsBeam beam = {.beams = 120, .penalty = penalty, .longest = 2, .begin = BEGIN, .end = END};
            ASSERT_OK(ls_beam_search(decoder, &beam, source, 5, found, &count, &score));
            CU_ASSERT_EQUAL(count, length);
            CU_ASSERT(count != length || memcmp(found, winner, (size_t)count * sizeof *found) == 0);
            ASSERT_AT_MOST(fabs(score - best), 1e-4);
        }
        /* weights that are not finite say nothing, and so is said */
        int64_t count = 0;
        double score = 0;
        LsBeam beam = {.beams = 2, .longest = 2, .begin = BEGIN, .end = END};
        for (int64_t i = 0; i < s.params->total; i++)
            s.params->value[i] = NAN;
        ls_decoder_close(decoder);
        ASSERT_OK(ls_decoder_open(s.config, s.params, 2, &decoder));
        ASSERT_FAILS(ls_beam_search(decoder, &beam, source, 5, found, &count, &score), LS_DIVERGED, "not finite");
        beam.longest = 0; /* the end alone may be said */
        ASSERT_FAILS(ls_beam_search(decoder, &beam, source, 5, found, &count, &score), LS_DIVERGED, "not finite");
        seen++;
        ls_free(z);
        ls_decoder_close(decoder);
        free_subject(&s);
    }
    CU_ASSERT(seen >= 3);
}

static void test_bleu(void)
{
    LsBleu same = {0}, clipped = {0}, corpus = {0};
    ASSERT_OK(ls_bleu_add(&same, "The cat sat on the mat.", "The cat sat on the mat ."));
    ASSERT_AT_MOST(fabs(ls_bleu_value(&same) - 100), 1e-9); /* a full stop is a word of its own */
    /* the example of Papineni et al. 2002, section 2.1.1: two of seven */
    ASSERT_OK(ls_bleu_add(&clipped, "the the the the the the the", "the cat is on the mat"));
    CU_ASSERT_EQUAL(clipped.matches[0], 2);
    CU_ASSERT_EQUAL(clipped.runs[0], 7);
    CU_ASSERT_EQUAL(ls_bleu_value(&clipped), 0);
    /* a b c d e against a b c d f: runs 4 of 5, 3 of 4, 2 of 3, 1 of 2; and four words against six, all of them right:
     * 4 of 4, 3 of 3, 2 of 2, 1 of 1. Together 8/9, 6/7, 4/5, 2/3; 9 words against 11. */
    ASSERT_OK(ls_bleu_add(&corpus, "a b c d e", "a b c d f"));
    ASSERT_OK(ls_bleu_add(&corpus, "p q r s", "p q r s t u"));
    double expected = 100 * pow(8.0 / 9 * 6 / 7 * 4 / 5 * 2 / 3, 0.25) * exp(1 - 11.0 / 9);
    ASSERT_AT_MOST(fabs(ls_bleu_value(&corpus) - expected), 1e-9);
}

int main(void)
{
    return harness_run(
        "decode", (HarnessTest[]){
                      {"encoder and decoder apart", test_parts}, {"beam search", test_beam}, {"BLEU", test_bleu}, {0}});
}
