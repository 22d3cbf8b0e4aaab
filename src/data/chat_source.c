/* Conversations as samples, one each, or packed, as many whole ones as fit:
 *
 *     ids      x1 ... x(n-1)
 *     targets  x2 ... xn       LS_IGNORE where that is no token of an answer
 *
 * filled up to the sequence behind, where nothing that counts looks, and cut where they are longer. Those that have no
 * answer in what is left of them teach nothing and are left out.
 */
#include "data/chat.h"
#include "data/escapes.h"
#include "data/packing.h"
#include "data/sample_source.h"

#include "lockstep/model.h"

#include <stdio.h>
#include <string.h>

typedef struct ChatSource {
    LsSampleSource base;
    LsTextArray texts;
    int32_t *answer; /* of each token: whether it is an answer's */
    int64_t *kept;   /* conversations that teach something */
    bool packed;
    LsPacking packing; /* of `kept` */
} ChatSource;

const LsSetting ls_chat_use_settings[] = {
    LS_SETTING_BOOL(LsChatUse, pack, "false",
                    "a sample is as many whole conversations as fit the sequence, none of which sees another; false: "
                    "one"),
    {0}};

/* Those of a sample: numbers first .. end - 1 of the packing, or of `kept`. */
static int64_t first_of(const ChatSource *s, int64_t sample) { return s->packed ? s->packing.first[sample] : sample; }

static int64_t conversation_of(const ChatSource *s, int64_t number)
{
    return s->kept[s->packed ? s->packing.order[number] : number];
}

/* Steps of a conversation: each has a next token. */
static int64_t conversation_steps(const ChatSource *s, int64_t conversation)
{
    return s->texts.offset[conversation + 1] - s->texts.offset[conversation] - 1;
}

/* A sample's rows of the graph's inputs; NULL: it has none. */
typedef struct Row {
    int32_t *ids, *targets, *positions;
} Row;

/* Steps of the conversation into steps `at` and following of the sample, of which the row has step .. end - 1. */
static void fill_conversation(const ChatSource *s, int64_t conversation, int64_t at, int64_t step, int64_t end,
                              const Row *row)
{
    const int32_t *id = s->texts.id + s->texts.offset[conversation];
    const int32_t *answer = s->answer + s->texts.offset[conversation];
    int64_t count = conversation_steps(s, conversation);
    for (int64_t i = step > at ? step - at : 0; i < count && at + i < end; i++) {
        int64_t to = at + i - step;
        if (row->ids)
            row->ids[to] = id[i];
        if (row->targets)
            row->targets[to] = answer[i + 1] ? id[i + 1] : LS_IGNORE;
        if (row->positions)
            row->positions[to] = (int32_t)i;
    }
}

static void fill_row(const ChatSource *s, int64_t sample, int64_t step, int64_t steps, const Row *row)
{
    int64_t at = 0, most = s->base.base.sequence, end = step + steps < most ? step + steps : most;
    for (int64_t t = 0; t < steps; t++) {
        if (row->ids)
            row->ids[t] = 0;
        if (row->targets)
            row->targets[t] = LS_IGNORE;
        if (row->positions)
            row->positions[t] = 0;
    }
    for (int64_t n = sample < 0 ? 0 : first_of(s, sample); sample >= 0 && n < first_of(s, sample + 1); n++) {
        int64_t conversation = conversation_of(s, n);
        fill_conversation(s, conversation, at, step, end, row);
        at += conversation_steps(s, conversation);
    }
}

static int32_t *row_of(const LsTensor *x, int64_t b) { return x ? (int32_t *)x->data + b * x->dim[1] : NULL; }

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    ChatSource *s = (ChatSource *)source;
    LsTensor *ids = NULL, *targets = NULL, *positions = NULL;
    LS_TRY(ls_sample_input(g, "ids", batch->count, 0, &ids));
    LS_TRY(ls_sample_input(g, "targets", batch->count, 0, &targets));
    if (s->packed)
        LS_TRY(ls_sample_input(g, "positions", batch->count, 0, &positions));
    const LsTensor *any = ids ? ids : targets;
    for (int64_t b = 0; any && b < any->dim[0]; b++) {
        int64_t sample = b < batch->count ? ls_sample_at(&s->base, batch->first + b) : -1;
        fill_row(s, sample, batch->step, any->dim[1], &(Row){row_of(ids, b), row_of(targets, b), row_of(positions, b)});
    }
    return LS_OK;
}

static int64_t steps_of(const LsSampleSource *source, int64_t sample)
{
    const ChatSource *s = (const ChatSource *)source;
    int64_t steps = 0;
    for (int64_t n = first_of(s, sample); n < first_of(s, sample + 1); n++)
        steps += conversation_steps(s, conversation_of(s, n));
    return steps;
}

static void free_source(LsSource *source)
{
    ChatSource *s = (ChatSource *)source;
    ls_sample_source_clear(&s->base);
    ls_text_array_free(&s->texts);
    ls_free(s->answer);
    ls_free(s->kept);
    ls_packing_free(&s->packing);
    ls_free(s);
}

/* The samples: conversations with an answer among their first tokens. */
static LsStatus keep_taught(ChatSource *s, const LsDataOpen *open)
{
    LsSource *source = &s->base.base;
    s->kept = ls_alloc_array(s->texts.count + 1, sizeof *s->kept);
    if (!s->kept)
        return LS_RESOURCE;
    for (int64_t i = 0; i < s->texts.count; i++) {
        int64_t at = s->texts.offset[i] + 1, end = s->texts.offset[i + 1];
        end = end - at > source->sequence ? at + source->sequence : end;
        while (at < end && !s->answer[at])
            at++;
        if (at < end)
            s->kept[source->samples++] = i;
    }
    if (source->samples == 0 && s->texts.count > 0)
        return ls_fail(LS_DATA, "%s: no conversation of %s has an answer in its first %lld tokens: train.sequence up",
                       open->path, s->base.split, (long long)source->sequence + 1);
    if (source->samples < s->texts.count)
        ls_warn(
            "%s: %lld of the %lld conversations of %s have no answer in their first %lld tokens and are left out; a "
            "larger train.sequence takes them",
            open->path, (long long)(s->texts.count - source->samples), (long long)s->texts.count, s->base.split,
            (long long)source->sequence + 1);
    return LS_OK;
}

static LsStatus pack(ChatSource *s)
{
    LsSource *source = &s->base.base;
    int64_t *length = ls_alloc_array(source->samples + 1, sizeof *length);
    if (!length)
        return LS_RESOURCE;
    for (int64_t i = 0; i < source->samples; i++) {
        length[i] = conversation_steps(s, s->kept[i]);
        length[i] = length[i] < source->sequence ? length[i] : source->sequence;
    }
    LsStatus status = ls_packing_new(source->samples, length, source->sequence, &s->packing);
    ls_free(length);
    LS_TRY(status);
    source->samples = s->packing.samples;
    s->packed = true;
    return ls_fields_add(&source->fields, "positions", LS_I32, 0, 1, (int64_t[]){LS_STEPS});
}

/* A model that learnt other markers has never seen these, and says what it does not know. */
static LsStatus warn_of_markers(const LsDataOpen *open, const json_t *info)
{
    const json_t *learnt = json_object_get(open->like, "template"), *value;
    const char *role;
    json_object_foreach((json_t *)learnt, role, value)
    {
        const char *there = json_string_value(json_object_get(json_object_get(info, "template"), role));
        const char *wanted = json_string_value(value);
        if (!there || !wanted || strcmp(there, wanted) == 0)
            continue;
        char *here = ls_escapes_write(there), *asked = ls_escapes_write(wanted);
        if (here && asked)
            ls_warn("%s: its marker --%s is '%s', but the model learnt '%s': prepare it with --%s '%s'", open->path,
                    role, here, asked, role, asked);
        bool lost = !here || !asked;
        ls_free(here);
        ls_free(asked);
        if (lost)
            return LS_RESOURCE;
    }
    return LS_OK;
}

static LsStatus read_source(LsSampleSource *source, const LsDataOpen *open, LsSealed *file, json_t *info)
{
    ChatSource *s = (ChatSource *)source;
    LS_TRY(warn_of_markers(open, info));
    char name[64];
    int64_t classes = ls_tokenizer_vocabulary(s->base.tokenizer), longest = 0, answers = 0;
    LS_TRY(ls_text_array_read(file, s->base.split, "ids", 0, classes, &s->texts));
    LS_TRY(ls_longest_text(file, "ids", &longest));
    snprintf(name, sizeof name, "%s/answers", s->base.split);
    LS_TRY(ls_numbers_read(file, name, 0, 2, &s->answer, &answers));
    if (!s->answer || answers != s->texts.offset[s->texts.count])
        return ls_fail(LS_DATA, "%s: %s says of %lld tokens whether they are an answer's, of %lld", open->path, name,
                       (long long)answers, (long long)s->texts.offset[s->texts.count]);
    if (longest < 2)
        return ls_fail(LS_DATA, "%s: no conversation has two tokens", open->path);
    const LsChatUse *use = open->settings;
    bool packs = use && use->pack, cuts = open->sequence > 0 && (packs || open->sequence < longest - 1);
    s->base.base.sequence = cuts ? open->sequence : longest - 1;
    LS_TRY(keep_taught(s, open));
    int64_t steps[] = {LS_STEPS};
    LS_TRY(ls_fields_add(&s->base.base.fields, "ids", LS_I32, classes, 1, steps));
    LS_TRY(ls_fields_add(&s->base.base.fields, "targets", LS_I32, classes, 1, steps));
    return packs ? pack(s) : LS_OK;
}

LsStatus ls_chat_open(const LsDataOpen *open, LsSource **opened)
{
    static const LsSampleFile kind = {"chat", LS_CHAT_VERSION, "ids", "tokenizer", read_source};
    ChatSource *s = ls_alloc(sizeof *s);
    if (s) {
        s->base.base.fill = fill;
        s->base.base.free = free_source;
        s->base.steps = steps_of;
    }
    return ls_sample_source_open(s ? &s->base : NULL, open, &kind, opened);
}
