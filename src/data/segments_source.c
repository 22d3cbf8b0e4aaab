/* Two segments of a text as a sample, for a model that says whether the second one follows (Devlin et al. 2019, section
 * 3.1, task 2):
 *
 *     ids [CLS] A [SEP] B [SEP], types, length, as frame.h has them; next: 0 where B follows A, 1 where it does not
 *
 * A document is cut into pieces of as many whole sentences as fit the sequence (a sentence that alone does not fit is
 * cut itself). A sample is a piece, cut in two at a sentence that is drawn, or anywhere where the piece is one
 * sentence. Every second time, by chance, what stands behind the cut gives way to another document from one of its
 * sentences on. A sample is a function of (seed, sample).
 */
#include "data/frame.h"
#include "data/sample_source.h"
#include "data/text.h"

#include <stdio.h>
#include <string.h>

typedef struct Piece {
    int64_t from, to; /* tokens */
    int64_t document;
} Piece;

typedef struct SegmentsSource {
    LsSource base;
    LsTokenizer *tokenizer;
    LsFrame frame;
    int32_t *token;    /* token: (tokens) */
    int64_t *sentence; /* sentence: (sentences + 1), where each begins */
    int64_t *document; /* document: (documents + 1), the first sentence of each */
    int64_t tokens, sentences, documents;
    Piece *piece; /* piece: (samples) */
    uint64_t order, draws;
    bool shuffled;
} SegmentsSource;

enum { DRAW_CUT, DRAW_NEXT, DRAW_DOCUMENT, DRAW_SENTENCE };

/* Evenly from 0 .. below - 1. */
static int64_t draw(const SegmentsSource *s, int64_t sample, int which, int64_t below)
{
    int64_t drawn = (int64_t)((double)ls_uniform_at(s->draws, (uint64_t)sample, (uint64_t)which) * (double)below);
    return drawn < below ? drawn : below - 1;
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

/* The first sentence that begins at `token` or later. */
static int64_t sentence_from(const SegmentsSource *s, int64_t token)
{
    int64_t low = 0, high = s->sentences;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (s->sentence[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t draw_cut(const SegmentsSource *s, int64_t sample, const Piece *piece)
{
    int64_t first = sentence_from(s, piece->from + 1), last = sentence_from(s, piece->to);
    return first < last ? s->sentence[first + draw(s, sample, DRAW_CUT, last - first)]
                        : piece->from + 1 + draw(s, sample, DRAW_CUT, piece->to - piece->from - 1);
}

/* At most `room` tokens of another document. */
static LsIds draw_other(const SegmentsSource *s, int64_t sample, int64_t document, int64_t room)
{
    int64_t other = draw(s, sample, DRAW_DOCUMENT, s->documents - 1);
    other += other >= document;
    int64_t first = s->document[other], end = s->document[other + 1];
    int64_t from = s->sentence[first + draw(s, sample, DRAW_SENTENCE, end - first)], to = s->sentence[end];
    return (LsIds){s->token + from, to - from < room ? to - from : room};
}

/* Frames a sample; whether its second segment is another document's. */
static bool frame_sample(SegmentsSource *s, int64_t sample)
{
    int64_t samples = s->base.samples;
    const Piece *piece = &s->piece[s->shuffled ? ls_shuffled(s->order, samples, sample) : sample % samples];
    int64_t cut = draw_cut(s, sample, piece);
    bool other = draw(s, sample, DRAW_NEXT, 2) == 1;
    LsIds a = {s->token + piece->from, cut - piece->from}, b = {s->token + cut, piece->to - cut};
    if (other)
        b = draw_other(s, sample, piece->document, s->frame.sequence - LS_FRAME_IDS(2) - a.count);
    ls_frame_texts(&s->frame, a, &b);
    return other;
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    SegmentsSource *s = (SegmentsSource *)source;
    LsTensor *ids = NULL, *types = NULL, *length = NULL, *next = NULL;
    LS_TRY(ls_sample_input(g, "ids", batch->count, 0, &ids));
    LS_TRY(ls_sample_input(g, "types", batch->count, 0, &types));
    LS_TRY(ls_sample_input(g, "length", batch->count, 1, &length));
    LS_TRY(ls_sample_input(g, "next", batch->count, 1, &next));
    LsTensor *any = ids ? ids : types ? types : length ? length : next;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        bool there = b < batch->count, other = frame_sample(s, there ? batch->first + b : 0);
        ls_frame_fill(&s->frame, batch->step, b, ids, types, length);
        if (next)
            ((int32_t *)next->data)[b] = there ? other : LS_IGNORE;
    }
    return LS_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static void free_source(LsSource *source)
{
    SegmentsSource *s = (SegmentsSource *)source;
    ls_tokenizer_free(s->tokenizer);
    ls_frame_free(&s->frame);
    ls_free(s->token);
    ls_free(s->sentence);
    ls_free(s->document);
    ls_free(s->piece);
    ls_free(s);
}

/* Where the piece that begins at `from` in sentence `*at` ends, within its document; *at: the sentence it ends in. */
static int64_t piece_end(const SegmentsSource *s, int64_t from, int64_t room, int64_t document, int64_t *at)
{
    int64_t to = from;
    while (*at < s->document[document + 1] && s->sentence[*at + 1] - from <= room)
        to = s->sentence[++*at];
    return to > from ? to : from + room;
}

/* Counts pieces, and writes them where `piece` is there: those of at least two tokens. */
static int64_t cut_pieces(const SegmentsSource *s, int64_t room, Piece *piece)
{
    int64_t count = 0;
    for (int64_t document = 0; document < s->documents; document++) {
        int64_t at = s->document[document], from = s->sentence[at], end = s->sentence[s->document[document + 1]];
        while (from < end) {
            int64_t to = piece_end(s, from, room, document, &at);
            if (piece && to - from >= 2)
                piece[count] = (Piece){from, to, document};
            count += to - from >= 2;
            from = to;
        }
    }
    return count;
}

static LsStatus read_marks(SegmentsSource *s, LsSealed *file, const char *split)
{
    char name[64];
    snprintf(name, sizeof name, "%s/sentences", split);
    LS_TRY(ls_offsets_read(file, name, s->tokens, &s->sentence, &s->sentences));
    snprintf(name, sizeof name, "%s/documents", split);
    LS_TRY(ls_offsets_read(file, name, s->sentences, &s->document, &s->documents));
    if (!s->sentence || !s->document)
        return ls_fail(LS_DATA,
                       "%s: does not say where documents begin, since its tokenizer is not made for samples of two "
                       "texts; prepare it with --tokenizer wordpiece",
                       ls_sealed_path(file));
    if (s->documents < 2)
        return ls_fail(LS_DATA,
                       "%s: the %s part is one document, and a second segment is to be another one's: documents end "
                       "at empty lines and where files end",
                       ls_sealed_path(file), split);
    return LS_OK;
}

static LsStatus read_split(SegmentsSource *s, LsSealed *file, const char *split, bool *exists)
{
    char name[64];
    int64_t bytes = 0, vocabulary = ls_tokenizer_vocabulary(s->tokenizer);
    snprintf(name, sizeof name, "%s/tokens", split);
    LS_TRY(ls_numbers_read(file, name, 0, vocabulary, &s->token, &s->tokens));
    *exists = s->token != NULL;
    if (!*exists)
        return LS_OK;
    LS_TRY(read_marks(s, file, split));
    snprintf(name, sizeof name, "%s_bytes", split);
    LS_TRY(ls_sealed_get_int(file, name, &bytes));
    s->base.bytes_per_token = (double)bytes / (double)s->tokens;
    return LS_OK;
}

static LsStatus set_samples(SegmentsSource *s, const LsDataOpen *open)
{
    LsFields *fields = &s->base.fields;
    int64_t steps[] = {LS_STEPS}, room = open->sequence - LS_FRAME_IDS(2);
    LS_TRY(ls_frame_open(&s->frame, s->tokenizer, open->sequence, 2));
    s->base.samples = cut_pieces(s, room, NULL);
    if (s->base.samples == 0)
        return ls_fail(LS_DATA, "%s: has no document of two tokens", open->path);
    s->piece = ls_alloc_array(s->base.samples, sizeof *s->piece);
    if (!s->piece)
        return LS_RESOURCE;
    cut_pieces(s, room, s->piece);
    LS_TRY(ls_fields_add(fields, "ids", LS_I32, ls_tokenizer_vocabulary(s->tokenizer), 1, steps));
    LS_TRY(ls_fields_add(fields, "types", LS_I32, 2, 1, steps));
    LS_TRY(ls_fields_add(fields, "length", LS_I32, 0, 0, NULL));
    return ls_fields_add(fields, "next", LS_I32, 2, 0, NULL);
}

static LsStatus read_file(SegmentsSource *s, const LsDataOpen *open, LsSealed *file, bool *exists)
{
    bool train = strcmp(open->split, "train") == 0, held_out = strcmp(open->split, "held-out") == 0;
    LS_TRY(ls_sealed_check_version(file, LS_TEXT_VERSION));
    s->tokenizer = ls_sealed_tokenizer(file, "tokenizer");
    if (!s->tokenizer)
        return ls_message_status();
    s->base.tokenizer = s->tokenizer;
    LS_TRY(read_split(s, file, train ? "train" : "validation", exists));
    if (!*exists && held_out)
        LS_TRY(read_split(s, file, "train", exists));
    return *exists ? set_samples(s, open) : LS_OK;
}

LsStatus ls_segments_open(const LsDataOpen *open, LsSource **opened)
{
    *opened = NULL;
    if (open->sequence < 1)
        return ls_fail(LS_USAGE,
                       "train.sequence: must be set to the tokens of a sample, since the model has no context to take "
                       "it from");
    if (open->streams != 0)
        return ls_fail(LS_USAGE,
                       "%s: samples of two segments do not follow one another: no state is carried from one "
                       "to the next",
                       open->path);
    SegmentsSource *s = ls_alloc(sizeof *s);
    LsSealed *file = s ? ls_text_file(open->path) : NULL;
    bool exists = false;
    LsStatus status = file ? LS_OK : ls_message_status();
    if (status == LS_OK) {
        s->base.fill = fill;
        s->base.free = free_source;
        s->base.sequence = open->sequence;
        s->shuffled = strcmp(open->split, "train") == 0;
        s->order = ls_key(open->seed, "data.segments.order");
        s->draws = ls_key(open->seed, "data.segments.draws");
        status = read_file(s, open, file, &exists);
    }
    ls_sealed_close(file);
    if (status == LS_OK && exists)
        *opened = &s->base;
    else if (s)
        free_source(&s->base);
    return status;
}
