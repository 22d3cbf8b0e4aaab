#include "cli/samples.h"

#include "api/load.h"
#include "data/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static LsStatus read_prompt(LsSamples *s, int i, const char *text)
{
    int32_t *ids = NULL;
    int64_t count = 0;
    s->prompt[i] = ls_strdup(text);
    if (!s->prompt[i])
        return LS_RESOURCE;
    if (ls_tokenizer_encode_prompt(s->tokenizer, text, (int64_t)strlen(text), &ids, &count) != LS_OK)
        return ls_fail(LS_USAGE, "train.sample_prompts: '%s': %s", text, ls_message());
    s->ids[i] = (LsTokens){ids, count, count};
    return count > 0 ? LS_OK
                     : ls_fail(LS_USAGE,
                               "train.sample_prompts: '%s' has no tokens; a model needs something to go on "
                               "from",
                               text);
}

LsStatus ls_samples_open(LsSamples *s, const LsConfig *config, const LsTokenizer *tokenizer)
{
    *s = (LsSamples){.config = config, .tokenizer = tokenizer};
    if (config->train.sample_every == 0)
        return LS_OK;
    if (!ls_config_task(config)->streams_ids)
        return ls_fail(LS_USAGE, "train.sample_every: task.kind %s does not go on with a text: leave it out",
                       ls_config_task(config)->name);
    if (!tokenizer)
        return ls_fail(LS_USAGE, "train.sample_every: the data has no tokenizer: leave it out");
    json_t *list = ls_members_read(config->train.sample_prompts), *value;
    size_t i;
    int count = (int)json_array_size(list);
    LsStatus status = list ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && count == 0)
        status = ls_fail(LS_USAGE, "train.sample_every: set train.sample_prompts, the texts to go on from: [\"The \"]");
    s->prompt = ls_alloc_array(count, sizeof *s->prompt);
    s->ids = ls_alloc_array(count, sizeof *s->ids);
    if (status == LS_OK && (!s->prompt || !s->ids))
        status = LS_RESOURCE;
    json_array_foreach(list, i, value)
    {
        if (status == LS_OK) {
            s->prompts++;
            status = read_prompt(s, (int)i, json_string_value(value));
        }
    }
    json_decref(list);
    return status;
}

void ls_samples_close(LsSamples *s)
{
    for (int i = 0; i < s->prompts; i++) {
        ls_free(s->prompt[i]);
        ls_free(s->ids[i].id);
    }
    ls_free(s->prompt);
    ls_free(s->ids);
    free(s->json);
    *s = (LsSamples){0};
}

/* One sample's new ids. */
typedef struct Taken {
    const LsSampling *sampling;
    LsTokens ids; /* without the token that ends a text, which is no part of it */
    LsStatus status;
} Taken;

static bool on_token(void *self, int64_t stream, int64_t index, int32_t token)
{
    Taken *taken = self;
    (void)stream, (void)index;
    if (ls_sampling_stops(taken->sampling, token))
        return true;
    taken->status = ls_tokens_reserve(&taken->ids, 1);
    if (taken->status == LS_OK)
        taken->ids.id[taken->ids.count++] = token;
    return taken->status == LS_OK;
}

/* Prompt and what follows, as JSON: bytes that are no character are shown as such, and zeros, at which readers of JSON
 * stop. */
static LsStatus add_text(const LsSamples *s, int i, const LsTokens *ids, json_t *list)
{
    char *bytes = NULL;
    int64_t count = 0;
    LS_TRY(ls_tokenizer_decode_after(s->tokenizer, ids->id, ids->count, &bytes, &count));
    for (int64_t at = 0; at < count; at++)
        bytes[at] = bytes[at] ? bytes[at] : '\xFF';
    char *whole = ls_format("%s%s", s->prompt[i], bytes), *text = whole ? ls_utf8_repair(whole) : NULL;
    json_t *made = text ? json_string(text) : NULL;
    ls_free(bytes);
    ls_free(whole);
    ls_free(text);
    return made && json_array_append_new(list, made) == 0 ? LS_OK : LS_RESOURCE;
}

static LsStatus draw_one(const LsSamples *s, LsParams *params, int64_t tokens, int i, json_t *list)
{
    const LsTrainSettings *train = &s->config->train;
    LsLoaded model = {.config = (LsConfig *)(uintptr_t)s->config,
                      .params = params,
                      .tokenizer = (LsTokenizer *)(uintptr_t)s->tokenizer};
    LsSampling sampling = {.temperature = train->sample_temperature,
                           .top_p = 1,
                           .seed = (uint64_t)train->seed + (uint64_t)i, /* each prompt draws by itself */
                           .tokens = tokens,
                           .batch = 1};
    ls_sampling_stop_at_ends(&sampling, s->tokenizer);
    LsGenerationSpeed speed;
    Taken taken = {.sampling = &sampling, .status = LS_OK};
    LsStatus status = ls_loaded_generate(&model, s->ids[i].id, s->ids[i].count, &sampling, on_token, &taken, &speed);
    status = status == LS_OK ? taken.status : status;
    if (status == LS_OK)
        status = add_text(s, i, &taken.ids, list);
    ls_free(taken.ids.id);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "train.sample_prompts: '%s'", s->prompt[i]);
}

LsStatus ls_samples_draw(LsSamples *s, LsParams *params, int64_t tokens, const char **json)
{
    json_t *list = json_array();
    LsStatus status = list ? LS_OK : LS_RESOURCE;
    for (int i = 0; i < s->prompts && status == LS_OK; i++)
        status = draw_one(s, params, tokens, i, list);
    free(s->json);
    s->json = status == LS_OK ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    *json = s->json;
    return status == LS_OK && !s->json ? LS_RESOURCE : status;
}
