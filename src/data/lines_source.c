/* Texts with a label as samples: fields "ids" (T), "length" and "label". Texts longer than the sequence are cut. */
#include "data/lines.h"
#include "data/sample_source.h"

#include "lockstep/model.h"

#include <stdio.h>

typedef struct LinesSource {
    LsSampleSource base;
    LsTextArray texts;
    int32_t *label; /* label: (N) */
} LinesSource;

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    const LinesSource *s = (const LinesSource *)source;
    LsTensor *ids = NULL, *length = NULL, *label = NULL;
    LS_TRY(ls_sample_input(g, "ids", batch->count, 0, &ids));
    LS_TRY(ls_sample_input(g, "length", batch->count, 1, &length));
    LS_TRY(ls_sample_input(g, "label", batch->count, 1, &label));
    LsTensor *any = ids ? ids : length ? length : label;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        bool there = b < batch->count;
        int64_t at = there ? ls_sample_at(&s->base, batch->first + b) : 0;
        LsTextRow row = {s->texts.id + s->texts.offset[at], s->texts.offset[at + 1] - s->texts.offset[at], LS_NO_ID,
                         LS_NO_ID};
        row.count = there ? row.count : 1; /* rows past the last sample: lengths stay above 0 */
        if (ids)
            ls_text_row_fill(&row, batch->step, source->sequence, ids->dim[1], 0,
                             (int32_t *)ids->data + b * ids->dim[1]);
        if (length)
            ((int32_t *)length->data)[b] = (int32_t)ls_text_row_length(&row, source->sequence);
        if (label)
            ((int32_t *)label->data)[b] = there ? s->label[at] : LS_IGNORE;
    }
    return LS_OK;
}

static void free_source(LsSource *source)
{
    LinesSource *s = (LinesSource *)source;
    ls_sample_source_clear(&s->base);
    ls_text_array_free(&s->texts);
    ls_free(s->label);
    ls_free(s);
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
    LS_TRY(ls_fields_add(fields, "ids", LS_I32, vocabulary, 1, (int64_t[]){LS_STEPS}));
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
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
