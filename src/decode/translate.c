#include "decode/translate.h"

#include "data/pairs.h"

#include <stdlib.h>
#include <string.h>

struct LsTranslator {
    LsDecoder *decoder;
    LsTokenizer *source;
    const LsTokenizer *target;
    LsPairIds from, to;
    LsBeam beam;
    int32_t *ids; /* (beam.longest) */
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
    if (!t->ids)
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
    int64_t count = 0;
    double score;
    LS_TRY(ls_beam_search(t->decoder, &t->beam, source, length, t->ids, &count, &score));
    return ls_target_text(t, t->ids, count, target);
}

LsStatus ls_translate_text(LsTranslator *t, const char *source, int64_t bytes, char **target, bool *cut)
{
    int32_t *ids = NULL;
    int64_t count = 0, longest = ls_decoder_longest(t->decoder);
    LS_TRY(ls_tokenizer_encode(t->source, source, bytes, &ids, &count));
    int32_t *row = ls_alloc_array(longest, sizeof *row);
    *cut = count > longest - 1;
    count = *cut ? longest - 1 : count;
    LsStatus status = row ? LS_OK : LS_RESOURCE;
    if (status == LS_OK) {
        memcpy(row, ids, (size_t)count * sizeof *row);
        row[count] = (int32_t)t->from.end;
        status = ls_translate_ids(t, row, count + 1, target);
    }
    ls_free(ids);
    ls_free(row);
    return status;
}
