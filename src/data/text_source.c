/* Windows of a text data set as samples. */
#include "data/text.h"

#include "base/pieces.h"
#include "data/text_documents.h"
#include "data/text_write.h"
#include "lockstep/model.h"

#include <string.h>

#define SCAN ((int64_t)1 << 20)     /* tokens read at a time to check a split that stays in its file */
#define STREAM_WINDOWS ((int64_t)8) /* that a stream of an evaluation has at least */

typedef struct TextSource {
    LsSource base;
    LsTokenizer *tokenizer;
    LsSealed *file;     /* open where the split stays in it, else NULL */
    const char *array;  /* of the split */
    LsTokens separator; /* behind each document */
    /* of `type`: token: (count), or where the split stays in the file a window: (sequence + 1), and what may be a part of
     * a separator before it */
    void *token;
    LsFileType type;
    int64_t count, sequence;
    uint64_t key;
    bool shuffled, documents; /* documents: each has its own positions */
} TextSource;

static int64_t token_bytes(LsFileType type) { return type == LS_FILE_UINT8 ? 1 : type == LS_FILE_UINT16 ? 2 : 4; }

static int32_t token_at(LsFileType type, const void *token, int64_t at)
{
    switch (type) {
    case LS_FILE_UINT8:
        return ((const uint8_t *)token)[at];
    case LS_FILE_UINT16:
        return ((const uint16_t *)token)[at];
    default:
        return ((const int32_t *)token)[at];
    }
}

/* ---- Samples ----------------------------------------------------------------------------------------------------
 * N tokens, windows of T + 1 that share a token with the next. Training: an epoch has S = (N - T) / T windows, at
 * least 1, that start at o, o + T, ...; the offset o is drawn from 0 .. min(T - 1, N - 1 - S T) for each epoch, so
 * that every border between windows moves. With streams the text is cut into as many pieces of S / streams windows, and
 * sample n is the next window of piece n % streams, alike in every epoch. Otherwise S = (N - 1) / T rounded up and o =
 * 0: all tokens once, the last window partly empty; with streams the first S % streams pieces have a window more. */

static int64_t window_start(const TextSource *text, int64_t sample)
{
    int64_t windows = text->base.samples, epoch = sample / windows, index = sample % windows;
    if (text->base.streams > 0) {
        int64_t streams = text->base.streams, stream = index % streams, longer = windows % streams;
        int64_t before = windows / streams * stream + (stream < longer ? stream : longer);
        return (before + index / streams) * text->sequence;
    }
    if (!text->shuffled)
        return index * text->sequence;
    uint32_t block[4];
    ls_philox(text->key, 0, (uint64_t)epoch, block);
    int64_t spare = text->count - 1 - windows * text->sequence;
    uint64_t offsets = (uint64_t)(spare < text->sequence - 1 ? spare : text->sequence - 1) + 1;
    uint64_t drawn = ((uint64_t)block[1] << 32 | block[0]) % offsets;
    uint64_t order = (uint64_t)block[3] << 32 | block[2]; /* the epoch's own permutation */
    return (int64_t)drawn + ls_permute(order, windows, index) * text->sequence;
}

/* Tokens first .. first + count - 1. */
static LsStatus read_window(const TextSource *text, int64_t first, int64_t count, const char **token)
{
    *token = text->token;
    if (text->file)
        return count > 0 ? ls_sealed_read_part(text->file, text->array, text->type, first, count, text->token) : LS_OK;
    *token += first * token_bytes(text->type);
    return LS_OK;
}

/* Whether token `at` is the last of a separator. */
static bool ends_document(const TextSource *text, const char *token, int64_t at)
{
    int64_t count = text->separator.count, first = at - count + 1;
    bool ends = count > 0 && first >= 0;
    for (int64_t i = 0; ends && i < count; i++)
        ends = token_at(text->type, token, first + i) == text->separator.id[i];
    return ends;
}

/* positions[t]: of token from + t of the window in its document, or the part of it that the window has; past the end 0.
 * The last token of a document is not asked for the next one's first. */
static LsStatus fill_documents(const TextSource *text, int64_t start, int64_t from, int64_t there, int64_t length,
                               int32_t *positions, int32_t *targets)
{
    int64_t before = text->separator.count > 0 ? text->separator.count - 1 : 0, end = from + there;
    before = before < start ? before : start;
    const char *token;
    LS_TRY(read_window(text, start - before, before + end, &token));
    for (int64_t t = 0, first = 0; t < end; t++) {
        if (t >= from)
            positions[t - from] = (int32_t)(t - first);
        if (!ends_document(text, token, before + t))
            continue;
        first = t + 1;
        if (targets && t >= from)
            targets[t - from] = LS_IGNORE;
    }
    for (int64_t t = there; t < length; t++)
        positions[t] = 0;
    return LS_OK;
}

/* A sample's rows of the graph's inputs; NULL: it has none. */
typedef struct Row {
    int32_t *ids, *targets, *positions;
} Row;

/* ids[t] = x[start + from + t], targets[t] = x[start + from + t + 1], t < length; past the end of the window or the
 * text id 0 and LS_IGNORE. */
static LsStatus fill_row(const TextSource *text, int64_t start, int64_t from, int64_t length, const Row *row)
{
    int64_t there = text->count - 1 - start < text->sequence ? text->count - 1 - start : text->sequence;
    there = there - from < length ? there - from : length;
    there = there > 0 ? there : 0;
    const char *token;
    LS_TRY(read_window(text, start + from, there > 0 ? there + 1 : 0, &token));
    for (int64_t t = 0; t < length; t++)
        row->ids[t] = t < there ? token_at(text->type, token, t) : 0;
    for (int64_t t = 0; row->targets && t < length; t++)
        row->targets[t] = t < there ? token_at(text->type, token, t + 1) : LS_IGNORE;
    if (row->positions)
        LS_TRY(fill_documents(text, start, from, there, length, row->positions, row->targets));
    return LS_OK;
}

static int32_t *row_of(const LsTensor *x, int64_t row, int64_t length)
{
    return x ? (int32_t *)x->data + row * length : NULL;
}

static LsStatus fill(LsSource *source, LsGraph *g, const LsBatch *batch)
{
    const TextSource *text = (const TextSource *)source;
    int64_t length = 0;
    LS_TRY(ls_source_check(g, batch->count, text->sequence, &length));
    /* (B, length) */
    const LsTensor *ids = ls_graph_find(g, "ids"), *wanted = ls_graph_find(g, "targets");
    const LsTensor *positions = text->documents ? ls_graph_find(g, "positions") : NULL;
    for (int64_t row = 0; row < ids->dim[0]; row++) {
        Row to = {row_of(ids, row, length), row_of(wanted, row, length), row_of(positions, row, length)};
        /* a row past those asked for starts at the end of the text: nothing but fillers */
        int64_t start = row < batch->count ? window_start(text, batch->first + row) : text->count - 1;
        LS_TRY(fill_row(text, start, batch->step, length, &to));
    }
    return LS_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static void free_source(LsSource *source)
{
    TextSource *text = (TextSource *)source;
    ls_tokenizer_free(text->tokenizer);
    ls_sealed_close(text->file);
    ls_free(text->separator.id);
    ls_free(text->token);
    ls_free(text);
}

/* `token` holds count tokens of the split, from its element `first` on. */
static LsStatus check_tokens(const TextSource *text, const char *path, const void *token, int64_t first, int64_t count)
{
    int64_t vocabulary = ls_source_classes(&text->base, "ids");
    bool outside = false;
    for (int64_t i = 0; i < count; i++) { /* no early exit, so that it is as fast as reading memory */
        int32_t id = token_at(text->type, token, i);
        outside |= id < 0 || id >= vocabulary;
    }
    for (int64_t i = 0; outside && i < count; i++) {
        int32_t id = token_at(text->type, token, i);
        if (id < 0 || id >= vocabulary)
            return ls_fail(LS_DATA, "%s: %s[%lld] is %d, outside the vocabulary of %lld tokens", path, text->array,
                           (long long)(first + i), id, (long long)vocabulary);
    }
    return LS_OK;
}

/* Leaves the split in the file: only checks it, piece by piece. */
static LsStatus scan_tokens(TextSource *text, LsSealed *file)
{
    void *piece = ls_alloc_array(SCAN, (size_t)token_bytes(text->type));
    LsStatus status = piece ? LS_OK : LS_RESOURCE;
    for (int64_t at = 0; at < text->count && status == LS_OK; at += SCAN) {
        int64_t count = text->count - at < SCAN ? text->count - at : SCAN;
        status = ls_sealed_read_part(file, text->array, text->type, at, count, piece);
        if (status == LS_OK)
            status = check_tokens(text, ls_sealed_path(file), piece, at, count);
    }
    ls_free(piece);
    return status;
}

static LsStatus read_tokens(TextSource *text, LsSealed *file, const char *array, int64_t memory, bool *exists)
{
    int rank = 0;
    int64_t dim[LS_SEALED_RANK] = {0};
    const char *path = ls_sealed_path(file);
    text->array = array;
    LS_TRY(ls_sealed_shape(file, array, exists, &text->type, &rank, dim));
    if (!*exists)
        return LS_OK;
    if (rank != 1 || (text->type != LS_FILE_UINT8 && text->type != LS_FILE_UINT16 && text->type != LS_FILE_INT32))
        return ls_fail(LS_DATA, "%s: %s is not a stream of tokens (one dimension; 8 or 16 bits unsigned, or int32)",
                       path, array);
    if (dim[0] < text->sequence + 1)
        return ls_fail(
            LS_DATA,
            "%s: %s has %lld tokens, fewer than one window of train.sequence + 1 = %lld; shorten train.sequence, or "
            "prepare more text",
            path, array, (long long)dim[0], (long long)text->sequence + 1);
    text->count = dim[0];
    bool stays = text->count * token_bytes(text->type) > memory;
    int64_t window = text->sequence + 1 + text->separator.count;
    text->token = ls_alloc_array(stays ? window : text->count, (size_t)token_bytes(text->type));
    if (!text->token)
        return LS_RESOURCE;
    if (stays) {
        text->file = file;
        return scan_tokens(text, file);
    }
    LS_TRY(ls_sealed_read(file, array, text->type, text->count, text->token));
    return check_tokens(text, path, text->token, 0, text->count);
}

static LsStatus add_positions(LsFields *fields)
{
    return ls_fields_add(fields, "positions", LS_I32, 0, 1, (int64_t[]){LS_STEPS});
}

static bool masks_documents(const LsTextUse *use) { return use && use->mask && strcmp(use->mask, "documents") == 0; }

static LsStatus read_file(TextSource *text, LsSealed *file, const char *split, int64_t memory, bool *exists)
{
    bool train = strcmp(split, "train") == 0, held_out = strcmp(split, "held-out") == 0;
    int64_t bytes = 0, vocabulary = 0;
    LS_TRY(ls_sealed_check_version(file, LS_TEXT_VERSION));
    LS_TRY(ls_sealed_get_int(file, "vocabulary", &vocabulary));
    text->tokenizer = ls_sealed_tokenizer(file, "tokenizer");
    if (!text->tokenizer)
        return ls_message_status();
    if (vocabulary != ls_tokenizer_vocabulary(text->tokenizer))
        return ls_fail(LS_DATA, "%s: says a vocabulary of %lld tokens, but its tokenizer has %lld",
                       ls_sealed_path(file), (long long)vocabulary,
                       (long long)ls_tokenizer_vocabulary(text->tokenizer));
    text->base.fields = ls_language_fields(vocabulary);
    text->base.tokenizer = text->tokenizer;
    if (text->documents) {
        LS_TRY(ls_separator_read(file, text->tokenizer, &text->separator));
        LS_TRY(add_positions(&text->base.fields));
    }
    LS_TRY(read_tokens(text, file, train ? "train/tokens" : "validation/tokens", memory, exists));
    if (!*exists && held_out) {
        train = true;
        LS_TRY(read_tokens(text, file, "train/tokens", memory, exists));
    }
    if (!*exists)
        return LS_OK;
    LS_TRY(ls_sealed_get_int(file, train ? "train_bytes" : "validation_bytes", &bytes));
    text->base.bytes_per_token = (double)bytes / (double)text->count;
    return LS_OK;
}

/* All tokens once. Each stream begins with an empty state: few streams, so that it counts for little. */
static void count_in_order(TextSource *text, int64_t streams)
{
    text->base.samples = ls_ceil_div(text->count - 1, text->sequence);
    int64_t most = text->base.samples / STREAM_WINDOWS;
    most = most > 1 ? most : 1;
    text->base.streams = streams < most ? streams : most;
}

static LsStatus count_windows(TextSource *text, const char *path, int64_t streams)
{
    int64_t windows = (text->count - 1) / text->sequence;
    if (!text->shuffled) {
        count_in_order(text, streams);
        return LS_OK;
    }
    text->base.streams = streams;
    if (streams == 0)
        text->base.samples =
            text->count - text->sequence < text->sequence ? 1 : (text->count - text->sequence) / text->sequence;
    else if (windows < streams)
        return ls_fail(LS_DATA,
                       "%s: %s has %lld windows of %lld tokens, fewer than the %lld streams of train.carry; "
                       "lower train.batch or train.sequence",
                       path, text->array, (long long)windows, (long long)text->sequence, (long long)streams);
    else
        text->base.samples = windows / streams * streams;
    return LS_OK;
}

LsSealed *ls_text_file(const char *path) { return ls_sealed_open(path, "text", LS_DATA, NULL); }

LsStatus ls_text_open_within(const LsDataOpen *open, int64_t memory, LsSource **opened)
{
    const char *path = open->path, *split = open->split;
    int64_t sequence = open->sequence;
    *opened = NULL;
    if (sequence < 1)
        return ls_fail(LS_USAGE,
                       "train.sequence: must be set to the tokens of a window, since the model has no context "
                       "to take it from");
    if (strcmp(split, "train") != 0 && strcmp(split, "validation") != 0 && strcmp(split, "held-out") != 0)
        return ls_fail(LS_USAGE, "%s: there is no split '%s'; there are train, validation, held-out", path, split);
    TextSource *text = ls_alloc(sizeof *text);
    if (!text)
        return LS_RESOURCE;
    text->base.fill = fill;
    text->base.free = free_source;
    text->sequence = text->base.sequence = open->sequence;
    text->shuffled = strcmp(split, "train") == 0;
    text->documents = masks_documents(open->settings);
    text->key = ls_key(open->seed, "data.text");
    bool exists = false;
    LsSealed *file = ls_text_file(path);
    LsStatus status = file ? read_file(text, file, split, memory, &exists) : ls_message_status();
    if (!text->file)
        ls_sealed_close(file);
    if (status != LS_OK || !exists) {
        free_source(&text->base);
        return status;
    }
    status = count_windows(text, path, open->streams);
    if (status != LS_OK) {
        free_source(&text->base);
        return status;
    }
    *opened = &text->base;
    return LS_OK;
}

const LsSetting ls_text_use_settings[] = {
    LS_SETTING_CHOICE(
        LsTextUse, as, "windows", "windows|segments",
        "samples: windows of the text; or two segments of it, the second of which follows the first or is "
        "another document's (tokenizer wordpiece)"),
    LS_SETTING_CHOICE(
        LsTextUse, mask, "none", "none|documents",
        "what a token of a window sees: all before it; or what is of its own document, in which positions "
        "count from 0, and whose last token has no target"),
    {0}};

LsStatus ls_text_open(const LsDataOpen *open, LsSource **opened)
{
    const LsTextUse *use = open->settings;
    if (use && strcmp(use->as, "segments") == 0)
        return masks_documents(use) ? ls_fail(LS_USAGE, "data.mask=documents is for windows, and data.as is segments")
                                    : ls_segments_open(open, opened);
    return ls_text_open_within(open, LS_TEXT_MEMORY, opened);
}

/* ---- Texts that stand in no data set ----------------------------------------------------------------------------- */

static LsStatus add_ids(void *self, const int32_t *id, int64_t count)
{
    LsTokens *tokens = self;
    LS_TRY(ls_tokens_reserve(tokens, count));
    if (count > 0)
        memcpy(tokens->id + tokens->count, id, (size_t)count * sizeof *id);
    tokens->count += count;
    return LS_OK;
}

/* All texts as ids, with the tokenizer's end between them, and their bytes. */
static LsStatus encode_texts(const LsDataTexts *texts, LsTokens *tokens, int64_t *bytes)
{
    LsSpecials specials = {0};
    int32_t end = (int32_t)ls_tokenizer_end(texts->tokenizer);
    bool ends = end >= 0 && !ls_tokenizer_frames(texts->tokenizer);
    LsTextCoding coding = {texts->tokenizer, texts->special ? &specials : NULL, &end, ends};
    LsPiece *piece = ls_alloc_array(texts->texts, sizeof *piece);
    *bytes = 0;
    for (int i = 0; piece && i < texts->texts; i++) {
        piece[i] = (LsPiece){&texts->text[i], 0, texts->text[i].bytes};
        *bytes += texts->text[i].bytes;
    }
    LsStatus status = piece ? LS_OK : LS_RESOURCE;
    if (status == LS_OK && texts->special)
        status = ls_specials_asked(texts->tokenizer, &specials);
    if (status == LS_OK)
        status = ls_pieces_encode(&coding, piece, texts->texts, add_ids, tokens);
    ls_specials_free(&specials);
    ls_free(piece);
    return status;
}

/* As encode_texts has them apart: one alone needs nothing. */
static LsStatus separate_texts(const LsDataTexts *texts, LsTokens *separator)
{
    LS_TRY(ls_tokenizer_separator(texts->tokenizer, separator));
    if (separator->count > 0 || (texts->texts == 1 && !ls_tokenizer_frames(texts->tokenizer)))
        return LS_OK;
    return ls_fail_separator(texts->text[0].name, texts->tokenizer,
                             "prepare a data set of it with --separator TEXT, for data.path");
}

LsStatus ls_text_open_texts(const LsDataTexts *texts, LsSource **opened)
{
    const LsTextUse *use = texts->settings;
    LsTokens tokens = {0}, separator = {0};
    LsFields fields = ls_language_fields(ls_tokenizer_vocabulary(texts->tokenizer));
    int64_t bytes = 0;
    *opened = NULL;
    if (use && strcmp(use->as, "segments") == 0)
        return ls_fail(LS_USAGE, "data.as=segments: samples of two segments are made of data sets alone");
    TextSource *text = ls_alloc(sizeof *text);
    LsStatus status = text ? encode_texts(texts, &tokens, &bytes) : LS_RESOURCE;
    if (status == LS_OK && masks_documents(use))
        status = separate_texts(texts, &separator);
    if (status == LS_OK && tokens.count < 2)
        status = ls_fail(LS_DATA, "%s: has %lld token%s: there is nothing to predict", texts->text[0].name,
                         (long long)tokens.count, tokens.count == 1 ? "" : "s");
    if (status == LS_OK && masks_documents(use))
        status = add_positions(&fields);
    if (status != LS_OK) {
        ls_free(separator.id);
        ls_free(tokens.id);
        ls_free(text);
        return status;
    }
    *text = (TextSource){.base = {.fill = fill,
                                  .free = free_source,
                                  .fields = fields,
                                  .sequence = texts->sequence,
                                  .tokenizer = texts->tokenizer,
                                  .bytes_per_token = (double)bytes / (double)tokens.count},
                         .separator = separator,
                         .documents = masks_documents(use),
                         .token = tokens.id,
                         .type = LS_FILE_INT32,
                         .count = tokens.count,
                         .sequence = texts->sequence};
    count_in_order(text, texts->streams);
    *opened = &text->base;
    return LS_OK;
}

LsSource *ls_text_source(const char *path, const char *split, int64_t sequence, uint64_t seed)
{
    LsSource *source = NULL;
    if (ls_text_open(&(LsDataOpen){.path = path, .split = split, .sequence = sequence, .seed = seed}, &source) ==
            LS_OK &&
        !source)
        ls_fail(LS_DATA, "%s: has no %s split", path, split);
    return source;
}
