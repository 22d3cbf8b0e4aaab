#include "decode/translate.h"

#include "data/pairs.h"
#include "data/utf8.h"

#include <stdlib.h>
#include <string.h>

struct LsTranslator {
    LsDecoder *decoder;
    LsTokenizer *source;
    const LsTokenizer *target;
    LsPairIds from, to;
    LsBeam beam;
    /* of the last text: its target, and its source with its end; (beam.longest + 1) each */
    int32_t *ids, *source_ids;
    int64_t count, source_count;
};

static LsStatus open_source_tokenizer(LsTranslator *t, const json_t *info)
{
    char *text = json_dumps(info ? json_object_get(info, "source_tokenizer") : NULL, JSON_COMPACT);
    if (!text)
        return ls_fail(LS_CHECKPOINT,
                       "the model knows no tokenizer for its sources: it was not trained on pairs of texts");
    t->source = ls_tokenizer_from_json(text);
    free(text);
    return t->source ? LS_OK : ls_message_status();
}

LsStatus ls_translator_open(const LsConfig *config, LsParams *params, const json_t *info, const LsTokenizer *target,
                            int64_t beams, double penalty, LsTranslator **translator)
{
    LsStatus status = LS_OK;
    *translator = NULL;
    LsTranslator *t = ls_alloc(sizeof *t);
    if (!t)
        return LS_RESOURCE;
    t->target = target;
    if (!target) {
        status = ls_fail(LS_USAGE, "model %s has no tokenizer, so it cannot translate", config->model->name);
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_decoder_open(config, params, beams, &t->decoder));
    LS_TRY_CLEANUP(open_source_tokenizer(t, info));
    t->from = ls_pair_ids(t->source);
    t->to = ls_pair_ids(target);
    t->beam = (LsBeam){.beams = beams,
                       .penalty = penalty,
                       .longest = ls_decoder_longest(t->decoder) - 1,
                       .begin = (int32_t)t->to.begin,
                       .end = (int32_t)t->to.end};
    t->ids = ls_alloc_array(t->beam.longest + 1, sizeof *t->ids);
    t->source_ids = ls_alloc_array(t->beam.longest + 1, sizeof *t->source_ids);
    if (!t->ids || !t->source_ids)
        status = LS_RESOURCE;
cleanup:
    if (status == LS_OK)
        *translator = t;
    else
        ls_translator_close(t);
    return status;
}

void ls_translator_close(LsTranslator *t)
{
    if (!t)
        return;
    ls_decoder_close(t->decoder);
    ls_tokenizer_free(t->source);
    ls_free(t->ids);
    ls_free(t->source_ids);
    ls_free(t);
}

LsStatus ls_target_text(const LsTranslator *t, const int32_t *ids, int64_t count, char **text)
{
    int64_t there = 0, bytes = 0;
    while (there < count && ids[there] >= 0 && ids[there] != t->to.end)
        there++;
    return ls_tokenizer_decode(t->target, ids, there, text, &bytes);
}

LsStatus ls_translate_ids(LsTranslator *t, const int32_t *source, int64_t length, char **target)
{
    double score;
    LS_TRY(ls_beam_search(t->decoder, &t->beam, source, length, t->ids, &t->count, &score));
    t->source_count = length;
    memmove(t->source_ids, source, (size_t)length * sizeof *source);
    return ls_target_text(t, t->ids, t->count, target);
}

LsStatus ls_translate_text(LsTranslator *t, const char *source, int64_t bytes, char **target, bool *cut)
{
    int32_t *ids = NULL;
    int64_t count = 0, longest = ls_decoder_longest(t->decoder);
    LS_TRY(ls_tokenizer_encode(t->source, source, bytes, &ids, &count));
    *cut = count > longest - 1;
    count = *cut ? longest - 1 : count;
    memcpy(t->source_ids, ids, (size_t)count * sizeof *ids);
    t->source_ids[count] = (int32_t)t->from.end;
    ls_free(ids);
    return ls_translate_ids(t, t->source_ids, count + 1, target);
}

/* ---- Alignment --------------------------------------------------------------------------------------------------- */

/* A token as a label: broken characters repaired, no spaces around it; one of spaces alone is U+2423. */
static char *label_of(const LsTokenizer *tokenizer, const LsPairIds *ids, int32_t id)
{
    char *text = NULL;
    int64_t bytes = 0;
    if (id == ids->end)
        return ls_strdup("</s>");
    if (ls_tokenizer_decode(tokenizer, &id, 1, &text, &bytes) != LS_OK)
        return NULL;
    char *label = ls_utf8_repair(text);
    ls_free(text);
    if (!label)
        return NULL;
    size_t from = strspn(label, " \t\r\n"), end = strlen(label);
    while (end > from && strchr(" \t\r\n", label[end - 1]))
        end--;
    memmove(label, label + from, end - from);
    label[end - from] = '\0';
    if (label[0] != '\0')
        return label;
    ls_free(label);
    return ls_strdup("\xe2\x90\xa3");
}

static LsStatus make_labels(const LsTokenizer *tokenizer, const LsPairIds *ids, const int32_t *id, int64_t count,
                            char ***labels)
{
    *labels = ls_alloc_array(count, sizeof **labels);
    if (!*labels)
        return LS_RESOURCE;
    for (int64_t i = 0; i < count; i++)
        if (!((*labels)[i] = label_of(tokenizer, ids, id[i])))
            return ls_message_status();
    return LS_OK;
}

/* The target once more, fed to all streams: what each of its tokens, the end among them, was said after. */
static LsStatus weigh(LsTranslator *t, LsAlignment *a)
{
    int64_t streams = t->beam.beams;
    int32_t *fed = ls_alloc_array(streams, sizeof *fed);
    LsStatus status = fed ? ls_decoder_start(t->decoder, t->source_ids, t->source_count) : LS_RESOURCE;
    for (int64_t i = 0; status == LS_OK && i < a->rows; i++) {
        for (int64_t b = 0; b < streams; b++)
            fed[b] = i > 0 ? t->ids[i - 1] : t->beam.begin;
        status = ls_decoder_feed(t->decoder, fed);
        if (status == LS_OK)
            memcpy(a->weight + i * a->columns, ls_decoder_attention(t->decoder, 0),
                   (size_t)a->columns * sizeof *a->weight);
    }
    ls_free(fed);
    return status;
}

LsStatus ls_translator_align(LsTranslator *t, LsAlignment *a)
{
    *a = (LsAlignment){.rows = t->count + 1, .columns = t->source_count};
    if (!ls_decoder_attention(t->decoder, 0))
        return ls_fail(LS_USAGE, "this model attends to no source: there is nothing to show (model.attention)");
    t->ids[t->count] = t->beam.end;
    LS_TRY(make_labels(t->target, &t->to, t->ids, a->rows, &a->target));
    LS_TRY(make_labels(t->source, &t->from, t->source_ids, a->columns, &a->source));
    a->weight = ls_alloc_array(a->rows * a->columns, sizeof *a->weight);
    return a->weight ? weigh(t, a) : LS_RESOURCE;
}

void ls_alignment_free(LsAlignment *a)
{
    for (int64_t i = 0; a->target && i < a->rows; i++)
        ls_free(a->target[i]);
    for (int64_t i = 0; a->source && i < a->columns; i++)
        ls_free(a->source[i]);
    ls_free(a->target);
    ls_free(a->source);
    ls_free(a->weight);
    *a = (LsAlignment){0};
}
