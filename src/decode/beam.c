#include "decode/beam.h"

#include <math.h>
#include <string.h>

/* A hypothesis that goes on: `from` is the stream it came from, token the one it adds. */
typedef struct Candidate {
    double log_p;
    int32_t from, token;
} Candidate;

typedef struct Search {
    LsDecoder *decoder;
    const LsBeam *beam;
    int64_t vocabulary, live; /* hypotheses that have not ended */
    Candidate *best;          /* (2 beams), in descending order */
    int candidates;
    double *log_p;          /* (beams) */
    int32_t *token, *spare; /* (beams, longest + 1) each: what the hypotheses have said */
    int32_t *last, *from;   /* (beams) */
    double found;           /* score of the best that has ended */
} Search;

static double penalised(const LsBeam *beam, double log_p, int64_t tokens)
{
    return log_p / pow((5 + (double)tokens) / 6, beam->penalty);
}

/* Keeps the 2 beams best; of equals the one offered first. */
static void offer(Search *s, double log_p, int32_t from, int32_t token)
{
    int most = (int)(2 * s->beam->beams), at = s->candidates < most ? s->candidates++ : most;
    while (at > 0 && s->best[at - 1].log_p < log_p)
        at--;
    if (at >= most)
        return;
    memmove(s->best + at + 1, s->best + at, sizeof *s->best * (size_t)(s->candidates - at - 1));
    s->best[at] = (Candidate){log_p, from, token};
}

/* log of the sum of the exponentials of hypothesis b's logits. */
static double normaliser(const Search *s, int64_t b)
{
    const float *z = ls_decoder_logits(s->decoder, b);
    double most = (double)z[0], sum = 0;
    for (int64_t v = 1; v < s->vocabulary; v++)
        most = (double)z[v] > most ? (double)z[v] : most;
    for (int64_t v = 0; v < s->vocabulary; v++)
        sum += exp((double)z[v] - most);
    return most + log(sum);
}

static LsStatus fail_not_finite(void)
{
    return ls_fail(LS_DIVERGED, "the model's output is not finite, so nothing can be chosen by it; 'lockstep inspect' "
                                "tells whether its parameters are");
}

static LsStatus offer_all(Search *s)
{
    s->candidates = 0;
    for (int64_t b = 0; b < s->live; b++) {
        const float *z = ls_decoder_logits(s->decoder, b);
        double normal = normaliser(s, b);
        if (!isfinite(normal))
            return fail_not_finite();
        double worst = s->candidates == 2 * s->beam->beams ? s->best[s->candidates - 1].log_p : -HUGE_VAL;
        for (int32_t v = 0; v < s->vocabulary; v++) {
            double log_p = s->log_p[b] + (double)z[v] - normal;
            if (v == s->beam->begin || log_p <= worst)
                continue;
            offer(s, log_p, (int32_t)b, v);
            worst = s->candidates == 2 * s->beam->beams ? s->best[s->candidates - 1].log_p : worst;
        }
    }
    return LS_OK;
}

static int64_t row_of(const Search *s) { return s->beam->longest + 1; }

/* The target of a hypothesis that ends here, if it is the best so far. */
static void finish(Search *s, const Candidate *c, int64_t tokens, int32_t *target, int64_t *count)
{
    double score = penalised(s->beam, c->log_p, tokens + 1);
    if (score <= s->found)
        return;
    s->found = score;
    *count = tokens;
    memcpy(target, s->token + c->from * row_of(s), sizeof *target * (size_t)tokens);
}

/* Nothing longer is asked for: every hypothesis ends here. */
static LsStatus end_all(Search *s, int64_t tokens, int32_t *target, int64_t *count)
{
    int32_t end = s->beam->end;
    for (int64_t b = 0; b < s->live; b++) {
        double normal = normaliser(s, b);
        if (!isfinite(normal))
            return fail_not_finite();
        double log_p = s->log_p[b] + (double)ls_decoder_logits(s->decoder, b)[end] - normal;
        finish(s, &(Candidate){log_p, (int32_t)b, end}, tokens, target, count);
    }
    return LS_OK;
}

/* From candidates to the next live hypotheses; `tokens` were said before. */
static void choose(Search *s, int64_t tokens, int32_t *target, int64_t *count)
{
    int64_t live = 0;
    for (int i = 0; i < s->candidates && live < s->beam->beams; i++) {
        const Candidate *c = &s->best[i];
        if (c->token == s->beam->end) {
            if (i < s->beam->beams) /* one below the beam does not end */
                finish(s, c, tokens, target, count);
            continue;
        }
        int32_t *row = s->spare + live * row_of(s);
        memcpy(row, s->token + c->from * row_of(s), sizeof *row * (size_t)tokens);
        row[tokens] = c->token;
        s->log_p[live] = c->log_p;
        s->from[live] = c->from;
        s->last[live++] = c->token;
    }
    s->live = live;
    for (int64_t b = live; b < s->beam->beams; b++) {
        s->from[b] = 0;
        s->last[b] = s->beam->end;
    }
    int32_t *token = s->token;
    s->token = s->spare;
    s->spare = token;
}

/* No live hypothesis can still be better: a longer one only loses probability, and gains at most the longest's
 * penalty. */
static bool settled(const Search *s)
{
    double most = -HUGE_VAL;
    for (int64_t b = 0; b < s->live; b++)
        most = fmax(most, penalised(s->beam, s->log_p[b], s->beam->longest + 1));
    return s->live == 0 || s->found >= most;
}

static LsStatus search(Search *s, const int32_t *source, int64_t length, int32_t *target, int64_t *count)
{
    LS_TRY(ls_decoder_start(s->decoder, source, length));
    s->live = 1;
    s->found = -HUGE_VAL;
    *count = 0;
    for (int64_t b = 0; b < s->beam->beams; b++)
        s->last[b] = s->beam->begin;
    for (int64_t tokens = 0; tokens <= s->beam->longest; tokens++) {
        LS_TRY(ls_decoder_feed(s->decoder, s->last));
        if (tokens == s->beam->longest)
            return end_all(s, tokens, target, count);
        LS_TRY(offer_all(s));
        choose(s, tokens, target, count);
        if (settled(s))
            break;
        LS_TRY(ls_decoder_reorder(s->decoder, s->from));
    }
    return LS_OK;
}

LsStatus ls_beam_search(LsDecoder *decoder, const LsBeam *beam, const int32_t *source, int64_t length, int32_t *target,
                        int64_t *count, double *score)
{
    Search s = {.decoder = decoder, .beam = beam, .vocabulary = ls_decoder_vocabulary(decoder)};
    int64_t beams = beam->beams;
    s.best = ls_alloc_array(2 * beams + 1, sizeof *s.best);
    s.log_p = ls_alloc_array(beams, sizeof *s.log_p);
    s.token = ls_alloc_array(beams * row_of(&s), sizeof *s.token);
    s.spare = ls_alloc_array(beams * row_of(&s), sizeof *s.spare);
    s.last = ls_alloc_array(beams, sizeof *s.last);
    s.from = ls_alloc_array(beams, sizeof *s.from);
    bool enough = s.best && s.log_p && s.token && s.spare && s.last && s.from;
    LsStatus status = enough ? search(&s, source, length, target, count) : LS_RESOURCE;
    *score = s.found;
    ls_free(s.best);
    ls_free(s.log_p);
    ls_free(s.token);
    ls_free(s.spare);
    ls_free(s.last);
    ls_free(s.from);
    return status;
}
