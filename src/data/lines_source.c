/* Texts with a label as samples: fields "ids" (T), "length" and "label", and with a tokenizer that frames texts "types"
 * (T). Texts longer than the sequence are cut. */
#include "data/frame.h"
#include "data/lines.h"
#include "data/sample_source.h"

#include "lockstep/model.h"

#include <stdio.h>

typedef struct LinesSource {
    LsSampleSource base;
    LsTextArray texts, second; /* second.id NULL: samples are one text */
    bool frames;
    LsFrame frame;
    int32_t *label; /* label: (N) */
} LinesSource;

static LsIds text_at(const LsTextArray *texts, int64_t at)
{
    return (LsIds){texts->id + texts->offset[at], texts->offset[at + 1] - texts->offset[at]};
}

/* at: which sample it is; -1: none. */
static void fill_framed(LinesSource *s, LsIds text, int64_t at, int64_t step, int64_t b, LsTensor *ids, LsTensor *types,
                        LsTensor *length)
{
    LsIds second = at >= 0 && s->second.id ? text_at(&s->second, at) : (LsIds){0};
    ls_frame_texts(&s->frame, text, second.id ? &second : NULL);
    ls_frame_fill(&s->frame, step, b, ids, types, length);
}

static void fill_plain(const LinesSource *s, LsIds text, int64_t step, int64_t b, LsTensor *ids, LsTensor *length)
{
    LsTextRow row = {text.id, text.count, LS_NO_ID, LS_NO_ID};
    int64_t sequence = s->base.base.sequence;
    if (ids)
        ls_text_row_fill(&row, step, sequence, ids->dim[1], 0, (int32_t *)ids->data + b * ids->dim[1]);
    if (length)
        ((int32_t *)length->data)[b] = (int32_t)ls_text_row_length(&row, sequence);
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    LinesSource *s = (LinesSource *)source;
    LsTensor *ids = NULL, *length = NULL, *label = NULL, *types = NULL;
    LS_TRY(ls_sample_input(g, "ids", batch->count, 0, &ids));
    LS_TRY(ls_sample_input(g, "types", batch->count, 0, &types));
    LS_TRY(ls_sample_input(g, "length", batch->count, 1, &length));
    LS_TRY(ls_sample_input(g, "label", batch->count, 1, &label));
    LsTensor *any = ids ? ids : length ? length : label;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        bool there = b < batch->count;
        int64_t at = there ? ls_sample_at(&s->base, batch->first + b) : 0;
        LsIds text = text_at(&s->texts, at);
        text.count = there ? text.count : 1; /* rows past the last sample: lengths stay above 0 */
        if (s->frames)
            fill_framed(s, text, there ? at : -1, batch->step, b, ids, types, length);
        else
            fill_plain(s, text, batch->step, b, ids, length);
        if (label)
            ((int32_t *)label->data)[b] = there ? s->label[at] : LS_IGNORE;
    }
    return LS_OK;
}

static int64_t steps_of(const LsSampleSource *source, int64_t sample)
{
    const LinesSource *s = (const LinesSource *)source;
    int64_t steps = text_at(&s->texts, sample).count;
    if (s->frames)
        steps += LS_FRAME_IDS(s->second.id ? 2 : 1) + (s->second.id ? text_at(&s->second, sample).count : 0);
    return steps;
}

static void free_source(LsSource *source)
{
    LinesSource *s = (LinesSource *)source;
    ls_sample_source_clear(&s->base);
    ls_text_array_free(&s->texts);
    ls_text_array_free(&s->second);
    ls_frame_free(&s->frame);
    ls_free(s->label);
    ls_free(s);
}

/* The second texts, where the file has them, and room for framed ones. longest: of the first texts. */
static LsStatus open_frames(LinesSource *s, const LsDataOpen *open, LsSealed *file, int64_t longest)
{
    char name[64];
    bool pairs = false;
    LsFileType type;
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0}, second = 0, vocabulary = ls_tokenizer_vocabulary(s->base.tokenizer);
    snprintf(name, sizeof name, "%s/second", s->base.split);
    LS_TRY(ls_sealed_shape(file, name, &pairs, &type, &rank, dim));
    if (pairs) {
        LS_TRY(ls_text_array_read(file, s->base.split, "second", 0, vocabulary, &s->second));
        LS_TRY(ls_longest_text(file, "second", &second));
        if (s->second.count != s->texts.count)
            return ls_fail(LS_DATA, "%s: has %lld texts and %lld second ones in %s", open->path,
                           (long long)s->texts.count, (long long)s->second.count, s->base.split);
    }
    longest += second + LS_FRAME_IDS(pairs ? 2 : 1);
    s->base.base.sequence = open->sequence > 0 && open->sequence < longest ? open->sequence : longest;
    return ls_frame_open(&s->frame, s->base.tokenizer, s->base.base.sequence, pairs ? 2 : 1);
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    LinesSource *s = (LinesSource *)source;
    char name[64];
    int64_t labels = 0, longest = 0, vocabulary = ls_tokenizer_vocabulary(s->base.tokenizer);
    int64_t classes = (int64_t)json_array_size(json_object_get(info, "classes"));
    LsFields *fields = &s->base.base.fields;
    LS_TRY(ls_text_array_read(file, s->base.split, "ids", 0, vocabulary, &s->texts));
    snprintf(name, sizeof name, "%s/labels", s->base.split);
    LS_TRY(ls_numbers_read(file, name, 0, classes, &s->label, &labels));
    if (labels != s->texts.count)
        return ls_fail(LS_DATA, "%s: has %lld texts and %lld labels in %s", open->path, (long long)s->texts.count,
                       (long long)labels, s->base.split);
    LS_TRY(ls_longest_text(file, "ids", &longest));
    s->base.base.samples = labels;
    s->base.base.sequence = open->sequence > 0 && open->sequence < longest ? open->sequence : longest;
    s->frames = ls_tokenizer_frames(s->base.tokenizer);
    if (s->frames)
        LS_TRY(open_frames(s, open, file, longest));
    LS_TRY(ls_fields_add(fields, "ids", LS_I32, vocabulary, 1, (int64_t[]){LS_STEPS}));
    if (s->frames)
        LS_TRY(ls_fields_add(fields, "types", LS_I32, 2, 1, (int64_t[]){LS_STEPS}));
    LS_TRY(ls_fields_add(fields, "length", LS_I32, 0, 0, NULL));
    return ls_fields_add(fields, "label", LS_I32, classes, 0, NULL);
}

LsStatus ls_lines_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"lines", LS_LINES_VERSION, "ids", "tokenizer", read_source};
    LinesSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
        s->base.steps = steps_of;
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
