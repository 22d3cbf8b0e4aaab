/* Texts between the tokens that begin and end them. */
#include "data/frame.h"

#include <string.h>

LsStatus ls_frame_open(LsFrame *frame, const LsTokenizer *tokenizer, int64_t sequence, int texts)
{
    if (sequence < LS_FRAME_IDS(texts) + texts)
        return ls_fail(LS_USAGE, "a sequence of %lld tokens has no room for %d text%s and the %d tokens around %s",
                       (long long)sequence, texts, texts == 1 ? "" : "s", LS_FRAME_IDS(texts),
                       texts == 1 ? "it" : "them");
    *frame = (LsFrame){.begin = (int32_t)ls_tokenizer_begin(tokenizer),
                       .end = (int32_t)ls_tokenizer_end(tokenizer),
                       .sequence = sequence,
                       .id = ls_alloc_array(sequence, sizeof *frame->id),
                       .type = ls_alloc_array(sequence, sizeof *frame->type)};
    return frame->id && frame->type ? LS_OK : LS_RESOURCE;
}

void ls_frame_free(LsFrame *frame)
{
    ls_free(frame->id);
    ls_free(frame->type);
    *frame = (LsFrame){0};
}

/* Cuts two lengths to `room` together: the longer one alone as long as it stays the longer one; else to half each, of
 * which the longer one gets what is over. */
static void cut_both(int64_t room, int64_t *first, int64_t *second)
{
    int64_t *shorter = *first <= *second ? first : second, *longer = shorter == first ? second : first;
    if (*shorter + *longer <= room)
        return;
    if (*shorter > room / 2)
        *shorter = room / 2;
    *longer = room - *shorter;
}

static void add_ids(LsFrame *frame, LsIds ids, int64_t count, int32_t type)
{
    memcpy(frame->id + frame->length, ids.id, (size_t)count * sizeof *frame->id);
    frame->id[frame->length + count] = frame->end;
    for (int64_t i = 0; i <= count; i++)
        frame->type[frame->length + i] = type;
    frame->length += count + 1;
}

void ls_frame_texts(LsFrame *frame, LsIds a, const LsIds *b)
{
    int64_t first = a.count, second = b ? b->count : 0;
    cut_both(frame->sequence - LS_FRAME_IDS(b ? 2 : 1), &first, &second);
    frame->id[0] = frame->begin;
    frame->type[0] = 0;
    frame->length = 1;
    add_ids(frame, a, first, 0);
    if (b)
        add_ids(frame, *b, second, 1);
}

static void fill_row(const int32_t *from, int64_t length, int64_t step, int64_t b, LsTensor *x)
{
    int64_t steps = x->dim[1];
    int32_t *to = (int32_t *)x->data + b * steps;
    for (int64_t t = 0; t < steps; t++)
        to[t] = step + t < length ? from[step + t] : 0;
}

void ls_frame_fill(const LsFrame *frame, int64_t step, int64_t b, LsTensor *ids, LsTensor *types, LsTensor *length)
{
    if (ids)
        fill_row(frame->id, frame->length, step, b, ids);
    if (types)
        fill_row(frame->type, frame->length, step, b, types);
    if (length)
        ((int32_t *)length->data)[b] = (int32_t)frame->length;
}
