/* Pairs of texts as samples, for teacher forcing:
 *
 *     source   x1 ... xn END           source_length n + 1
 *     ids      BEGIN y1 ... ym         length m + 1
 *     targets  y1 ... ym END
 *
 * Each is filled up to the sequence, and cut where it is longer. BEGIN and END are the tokenizer's; a tokenizer that
 * lacks one gets an id above its vocabulary (END first).
 */
#include "data/pairs.h"
#include "data/sample_source.h"

#include "lockstep/model.h"

typedef struct PairsSource {
    LsSampleSource base;
    LsTextArray side[LS_PAIR_SIDES];
    LsPairIds ids[LS_PAIR_SIDES];
} PairsSource;

LsPairIds ls_pair_ids(const LsTokenizer *tokenizer)
{
    LsPairIds ids = {ls_tokenizer_begin(tokenizer), ls_tokenizer_end(tokenizer), ls_tokenizer_vocabulary(tokenizer)};
    if (ids.end < 0)
        ids.end = ids.classes++;
    if (ids.begin < 0)
        ids.begin = ids.classes++;
    return ids;
}

static void set_length(LsTensor *x, int64_t b, const LsTextRow *row, int64_t sequence)
{
    if (x)
        ((int32_t *)x->data)[b] = (int32_t)ls_text_row_length(row, sequence);
}

static void set_row(LsTensor *x, int64_t b, const LsTextRow *row, const LsBatch *batch, int64_t sequence,
                    int32_t filler)
{
    if (x)
        ls_text_row_fill(row, batch->step, sequence, x->dim[1], filler, (int32_t *)x->data + b * x->dim[1]);
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    PairsSource *s = (PairsSource *)source;
    const LsPairIds *from = &s->ids[LS_PAIR_SOURCE], *to = &s->ids[LS_PAIR_TARGET];
    static const char *const names[] = {"source", "source_length", "ids", "length", "targets"};
    LsTensor *x[LS_COUNT_OF(names)] = {NULL};
    int64_t rows = 0, sequence = source->sequence;
    for (size_t i = 0; i < LS_COUNT_OF(names); i++) {
        LS_TRY(ls_sample_input(g, names[i], batch->count, 0, &x[i]));
        rows = x[i] ? x[i]->dim[0] : rows;
    }
    for (int64_t b = 0; b < rows; b++) {
        bool there = b < batch->count;
        int64_t at = there ? ls_sample_at(&s->base, batch->first + b) : 0;
        LsTextRow row[LS_PAIR_SIDES];
        for (int side = 0; side < LS_PAIR_SIDES; side++) {
            const LsTextArray *texts = &s->side[side];
            int64_t count = texts->offset[at + 1] - texts->offset[at];
            row[side] = (LsTextRow){texts->id + texts->offset[at], there ? count : 0, LS_NO_ID, LS_NO_ID};
        }
        row[LS_PAIR_SOURCE].after = (int32_t)from->end;
        set_row(x[0], b, &row[LS_PAIR_SOURCE], batch, sequence, 0);
        set_length(x[1], b, &row[LS_PAIR_SOURCE], sequence);
        LsTextRow *target = &row[LS_PAIR_TARGET];
        target->before = (int32_t)to->begin;
        set_row(x[2], b, target, batch, sequence, 0);
        set_length(x[3], b, target, sequence);
        target->before = LS_NO_ID;
        target->after = there ? (int32_t)to->end : LS_NO_ID; /* a row past the last sample has nothing to say */
        set_row(x[4], b, target, batch, sequence, LS_IGNORE);
    }
    return LS_OK;
}

/* Of the longer text, with its end. */
static int64_t steps_of(const LsSampleSource *source, int64_t sample)
{
    const PairsSource *s = (const PairsSource *)source;
    int64_t most = 0;
    for (int side = 0; side < LS_PAIR_SIDES; side++) {
        int64_t steps = 1 + s->side[side].offset[sample + 1] - s->side[side].offset[sample];
        most = steps > most ? steps : most;
    }
    return most;
}

static void free_source(LsSource *source)
{
    PairsSource *s = (PairsSource *)source;
    ls_sample_source_clear(&s->base);
    for (int side = 0; side < LS_PAIR_SIDES; side++)
        ls_text_array_free(&s->side[side]);
    ls_free(s);
}

static LsStatus set_fields(PairsSource *s)
{
    LsFields *fields = &s->base.base.fields;
    int64_t steps[] = {LS_STEPS}, sources = s->ids[LS_PAIR_SOURCE].classes, targets = s->ids[LS_PAIR_TARGET].classes;
    LS_TRY(ls_fields_add(fields, "source", LS_I32, sources, 1, steps));
    LS_TRY(ls_fields_add(fields, "source_length", LS_I32, 0, 0, NULL));
    LS_TRY(ls_fields_add(fields, "ids", LS_I32, targets, 1, steps));
    LS_TRY(ls_fields_add(fields, "length", LS_I32, 0, 0, NULL));
    return ls_fields_add(fields, "targets", LS_I32, targets, 1, steps);
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    PairsSource *s = (PairsSource *)source;
    (void)info;
    static const char *const arrays[LS_PAIR_SIDES] = {"source", "target"};
    int64_t longest[LS_PAIR_SIDES] = {0};
    LsTokenizer *other = ls_sealed_tokenizer(file, "source_tokenizer");
    if (!other)
        return ls_message_status();
    s->ids[LS_PAIR_SOURCE] = ls_pair_ids(other);
    s->ids[LS_PAIR_TARGET] = ls_pair_ids(s->base.tokenizer);
    ls_tokenizer_free(other);
    for (int side = 0; side < LS_PAIR_SIDES; side++) {
        LS_TRY(ls_text_array_read(file, s->base.split, arrays[side], 0, s->ids[side].classes, &s->side[side]));
        LS_TRY(ls_longest_text(file, arrays[side], &longest[side]));
    }
    if (s->side[0].count != s->side[1].count)
        return ls_fail(LS_DATA, "%s: has %lld source texts and %lld targets in %s", open->path,
                       (long long)s->side[0].count, (long long)s->side[1].count, s->base.split);
    s->base.base.samples = s->side[0].count;
    int64_t most = 1 + (longest[0] > longest[1] ? longest[0] : longest[1]);
    s->base.base.sequence = open->sequence > 0 && open->sequence < most ? open->sequence : most;
    return set_fields(s);
}

LsStatus ls_pairs_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"pairs", LS_PAIRS_VERSION, "source", "tokenizer", read_source};
    PairsSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
        s->base.steps = steps_of;
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
