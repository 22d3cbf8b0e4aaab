/* Sentences with tags as samples: fields "ids" (T), "length" and "tags" (T). Sentences longer than the sequence are
 * cut; a token without a tag of its own has LS_IGNORE. */
#include "data/columns.h"
#include "data/frame.h"
#include "data/sample_source.h"

#include "lockstep/model.h"

#include <stdio.h>

typedef struct ColumnsSource {
    LsSampleSource base;
    LsTextArray texts;
    int32_t *tag; /* a tag for each of texts.id */
    bool frames;
    LsFrame frame;
} ColumnsSource;

/* ids and tags: of one sentence, with what stands around it. */
static void fill_sentence(ColumnsSource *s, LsTextRow *row, const LsBatch *batch, int64_t b, LsTensor *ids,
                          LsTensor *types, LsTensor *length)
{
    int64_t sequence = s->base.base.sequence;
    if (s->frames) {
        ls_frame_texts(&s->frame, (LsIds){row->id, row->count}, NULL);
        ls_frame_fill(&s->frame, batch->step, b, ids, types, length);
        return;
    }
    if (ids)
        ls_text_row_fill(row, batch->step, sequence, ids->dim[1], 0, (int32_t *)ids->data + b * ids->dim[1]);
    if (length)
        ((int32_t *)length->data)[b] = (int32_t)ls_text_row_length(row, sequence);
}

/* As many tags as there are tokens; those around the sentence have none. */
static void fill_tags(const ColumnsSource *s, LsTextRow *row, const LsBatch *batch, int64_t b, LsTensor *tags)
{
    int64_t sequence = s->base.base.sequence, most = sequence - LS_FRAME_IDS(1);
    if (s->frames) {
        row->before = row->after = LS_IGNORE;
        row->count = row->count < most ? row->count : most;
    }
    ls_text_row_fill(row, batch->step, sequence, tags->dim[1], LS_IGNORE, (int32_t *)tags->data + b * tags->dim[1]);
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    ColumnsSource *s = (ColumnsSource *)source;
    LsTensor *ids = NULL, *length = NULL, *tags = NULL, *types = NULL;
    LS_TRY(ls_sample_input(g, "types", batch->count, 0, &types));
    LS_TRY(ls_sample_input(g, "ids", batch->count, 0, &ids));
    LS_TRY(ls_sample_input(g, "length", batch->count, 1, &length));
    LS_TRY(ls_sample_input(g, "tags", batch->count, 0, &tags));
    LsTensor *any = ids ? ids : length ? length : tags;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        bool there = b < batch->count;
        int64_t at = there ? ls_sample_at(&s->base, batch->first + b) : 0, first = s->texts.offset[at];
        /* rows past the last sample: lengths stay above 0, and no tag counts */
        LsTextRow row = {s->texts.id + first, there ? s->texts.offset[at + 1] - first : 1, LS_NO_ID, LS_NO_ID};
        fill_sentence(s, &row, batch, b, ids, types, length);
        row.id = s->tag + first;
        row.count = there ? row.count : 0;
        if (tags)
            fill_tags(s, &row, batch, b, tags);
    }
    return LS_OK;
}

static int64_t steps_of(const LsSampleSource *source, int64_t sample)
{
    const ColumnsSource *s = (const ColumnsSource *)source;
    return s->texts.offset[sample + 1] - s->texts.offset[sample] + (s->frames ? LS_FRAME_IDS(1) : 0);
}

static void free_source(LsSource *source)
{
    ColumnsSource *s = (ColumnsSource *)source;
    ls_sample_source_clear(&s->base);
    ls_text_array_free(&s->texts);
    ls_frame_free(&s->frame);
    ls_free(s->tag);
    ls_free(s);
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    ColumnsSource *s = (ColumnsSource *)source;
    char name[64];
    int64_t tags = 0, longest = 0, vocabulary = ls_tokenizer_vocabulary(s->base.tokenizer);
    int64_t classes = (int64_t)json_array_size(json_object_get(info, "classes"));
    LsFields *fields = &s->base.base.fields;
    LS_TRY(ls_text_array_read(file, s->base.split, "ids", 0, vocabulary, &s->texts));
    snprintf(name, sizeof name, "%s/tags", s->base.split);
    LS_TRY(ls_numbers_read(file, name, LS_IGNORE, classes, &s->tag, &tags));
    if (tags != s->texts.offset[s->texts.count])
        return ls_fail(LS_DATA, "%s: has %lld tokens and %lld tags in %s", open->path,
                       (long long)s->texts.offset[s->texts.count], (long long)tags, s->base.split);
    LS_TRY(ls_longest_text(file, "ids", &longest));
    s->frames = ls_tokenizer_frames(s->base.tokenizer);
    longest += s->frames ? LS_FRAME_IDS(1) : 0;
    s->base.base.samples = s->texts.count;
    s->base.base.sequence = open->sequence > 0 && open->sequence < longest ? open->sequence : longest;
    if (s->frames) {
        LS_TRY(ls_frame_open(&s->frame, s->base.tokenizer, s->base.base.sequence, 1));
        LS_TRY(ls_fields_add(fields, "types", LS_I32, 2, 1, (int64_t[]){LS_STEPS}));
    }
    LS_TRY(ls_fields_add(fields, "ids", LS_I32, vocabulary, 1, (int64_t[]){LS_STEPS}));
    LS_TRY(ls_fields_add(fields, "length", LS_I32, 0, 0, NULL));
    return ls_fields_add(fields, "tags", LS_I32, classes, 1, (int64_t[]){LS_STEPS});
}

LsStatus ls_columns_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"columns", LS_COLUMNS_VERSION, "ids", "tokenizer", read_source};
    ColumnsSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
        s->base.steps = steps_of;
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
