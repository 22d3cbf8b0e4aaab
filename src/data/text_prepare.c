/* Preparing text: raw files, mapped into memory, through a tokenizer, window by window, into a sealed file. */
#include "data/text.h"

#include "data/samples.h"
#include "data/text_corpus.h"
#include "data/tokenizer_kind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WINDOW ((int64_t)4 << 20) /* bytes of text tokenized at a time */

/* ---- Splits ------------------------------------------------------------------------------------------------------ */

/* A piece of a split: part of one file. */
typedef struct Piece {
    const LsCorpusPart *part;
    int64_t from, to;
} Piece;

typedef struct Split {
    Piece *piece;
    int pieces;
    int64_t bytes, tokens;
} Split;

static void add_piece(Split *split, const LsCorpusPart *part, int64_t from, int64_t to)
{
    if (to <= from)
        return;
    split->piece[split->pieces++] = (Piece){part, from, to};
    split->bytes += to - from;
}

/* Shares the files out: the last `share` of all their bytes is held out. The border moves back to the start of a
 * character, unless tokens are bytes anyway. */
static LsStatus divide(const LsCorpusPart *part, int parts, double share, bool whole_characters, Split *train,
                       Split *validation)
{
    int64_t total = 0, before = 0;
    for (int i = 0; i < parts; i++)
        total += part[i].bytes;
    /* 1 - 0.1 is a little less than nine tenths */
    int64_t border = (int64_t)floor((double)total * (1 - share) + 1e-6);
    for (int i = 0; i < parts; i++) {
        int64_t cut = border - before < 0 ? 0 : border - before < part[i].bytes ? border - before : part[i].bytes;
        for (int step = 0;
             whole_characters && step < 3 && cut > 0 && cut < part[i].bytes && (part[i].text[cut] & 0xC0) == 0x80;
             step++)
            cut--;
        add_piece(train, &part[i], 0, cut);
        add_piece(validation, &part[i], cut, part[i].bytes);
        before += part[i].bytes;
    }
    if (train->bytes == 0 || (share > 0 && validation->bytes == 0))
        return ls_fail(LS_DATA, "%s: a share of %g of %lld bytes cannot be held out; --validation 0 holds out nothing",
                       part[0].name, share, (long long)total);
    return LS_OK;
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

/* One piece, window by window; *tokens is emptied after each. */
static LsStatus tokenize_piece(const LsTokenizer *tokenizer, const Piece *piece, LsNumbers *writer, LsTokens *tokens,
                               int64_t *count)
{
    LsStatus status = LS_OK;
    const char *text = piece->part->text;
    LsEncoder *encoder = ls_encoder_new(tokenizer);
    if (!encoder)
        return LS_RESOURCE;
    encoder->offset = piece->from;
    encoder->line += ls_count_lines(text, piece->from);
    int64_t at = piece->from, window = WINDOW, used;
    while (at < piece->to && status == LS_OK) {
        int64_t bytes = piece->to - at < window ? piece->to - at : window;
        status = ls_encoder_feed(encoder, text + at, bytes, at + bytes == piece->to, tokens, &used);
        if (status != LS_OK) {
            status = ls_fail_in(status, "%s", piece->part->name);
            break;
        }
        at += used;
        window = used > 0 ? WINDOW : 2 * window; /* a single word longer than the window */
        *count += tokens->count;
        status = ls_numbers_add(writer, tokens->id, tokens->count);
        tokens->count = 0;
    }
    ls_encoder_free(encoder);
    return status;
}

/* Where sentences and documents begin. */
typedef struct Marks {
    LsNumbers *sentences, *documents; /* NULL: not asked for */
    int64_t count;                    /* sentences so far */
    bool begins;                      /* the next sentence begins a document */
} Marks;

/* One piece, line by line, where a word does not go on over the end of a line. */
static LsStatus tokenize_lines(const LsTokenizer *tokenizer, const Piece *piece, LsNumbers *writer, LsTokens *tokens,
                               int64_t *count, Marks *marks)
{
    LsStatus status = LS_OK;
    const char *text = piece->part->text;
    LsEncoder *encoder = ls_encoder_new(tokenizer);
    if (!encoder)
        return LS_RESOURCE;
    marks->begins = true;
    for (int64_t at = piece->from, used = 0; at < piece->to && status == LS_OK; at += used) {
        const char *end = memchr(text + at, '\n', (size_t)(piece->to - at));
        int64_t bytes = (end ? end - text + 1 : piece->to) - at;
        tokens->count = 0;
        status = ls_encoder_feed(encoder, text + at, bytes, true, tokens, &used);
        marks->begins = marks->begins || ls_span_trim((LsSpan){text + at, bytes}).bytes == 0;
        if (status != LS_OK || tokens->count == 0)
            continue;
        if (marks->begins)
            status = ls_numbers_add_one(marks->documents, marks->count);
        if (status == LS_OK)
            status = ls_numbers_add_one(marks->sentences, *count);
        if (status == LS_OK)
            status = ls_numbers_add(writer, tokens->id, tokens->count);
        marks->begins = false;
        marks->count++;
        *count += tokens->count;
    }
    ls_encoder_free(encoder);
    return status == LS_OK ? LS_OK : ls_fail_in(status, "%s", piece->part->name);
}

/* A split of a tokenizer that frames texts: tokens, and where sentences and documents begin. */
static LsStatus write_marked(LsSealed *file, const char *split_name, const LsTokenizer *tokenizer, Split *split,
                             LsNumbers *writer)
{
    char name[64];
    LsTokens tokens = {0};
    Marks marks = {0};
    snprintf(name, sizeof name, "%s/sentences", split_name);
    marks.sentences = ls_numbers_new(file, name, LS_FILE_INT64);
    snprintf(name, sizeof name, "%s/documents", split_name);
    marks.documents = marks.sentences ? ls_numbers_new(file, name, LS_FILE_INT64) : NULL;
    LsStatus status = marks.documents ? LS_OK : ls_message_status();
    for (int i = 0; i < split->pieces && status == LS_OK; i++)
        status = tokenize_lines(tokenizer, &split->piece[i], writer, &tokens, &split->tokens, &marks);
    if (status == LS_OK)
        status = ls_numbers_add_one(marks.sentences, split->tokens);
    if (status == LS_OK)
        status = ls_numbers_add_one(marks.documents, marks.count);
    ls_free(tokens.id);
    status = ls_numbers_end(marks.sentences, status);
    return ls_numbers_end(marks.documents, status);
}

static LsStatus write_plain(const LsTokenizer *tokenizer, Split *split, LsNumbers *writer)
{
    LsTokens tokens = {0};
    LsStatus status = LS_OK;
    for (int i = 0; i < split->pieces && status == LS_OK; i++) {
        if (i > 0 && ls_tokenizer_end(tokenizer) >= 0) {
            status = ls_tokens_reserve(&tokens, 1);
            if (status == LS_OK)
                tokens.id[tokens.count++] = (int32_t)ls_tokenizer_end(tokenizer);
        }
        if (status == LS_OK)
            status = tokenize_piece(tokenizer, &split->piece[i], writer, &tokens, &split->tokens);
    }
    ls_free(tokens.id);
    return status;
}

static LsStatus write_split(LsSealed *file, const char *split_name, const LsTokenizer *tokenizer, Split *split)
{
    char name[64];
    snprintf(name, sizeof name, "%s/tokens", split_name);
    LsNumbers *writer = ls_numbers_new(file, name, ls_id_type(ls_tokenizer_vocabulary(tokenizer)));
    if (!writer)
        return ls_message_status();
    LsStatus status = ls_tokenizer_frames(tokenizer) ? write_marked(file, split_name, tokenizer, split, writer)
                                                     : write_plain(tokenizer, split, writer);
    return ls_numbers_end(writer, status);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static LsTokenizer *choose_tokenizer(const LsTextSettings *settings, const Split *train, const LsCorpusPart *part,
                                     int parts)
{
    LsCorpusPart *training = ls_alloc_array(train->pieces, sizeof *training);
    if (!training)
        return NULL;
    for (int i = 0; i < train->pieces; i++) {
        const Piece *piece = &train->piece[i]; /* starts where its file does */
        training[i] = (LsCorpusPart){piece->part->name, piece->part->text, piece->to};
    }
    LsTokenizer *tokenizer =
        ls_tokenizer_choose(&settings->tokens, NULL, training, train->pieces, part, parts, "tokenizer");
    ls_free(training);
    return tokenizer;
}

static LsStatus write_head(LsSealed *file, const LsTokenizer *tokenizer, const Split *train, const Split *validation,
                           int sources, char *const *source)
{
    LsStatus status = LS_OK;
    char *json = ls_tokenizer_to_json(tokenizer), *names = ls_strdup("");
    for (int i = 0; i < sources && names; i++) {
        char *longer = ls_format("%s%s%s", names, i > 0 ? "\n" : "", source[i]);
        ls_free(names);
        names = longer;
    }
    if (!json || !names) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_sealed_write(file, "tokenizer", LS_FILE_UINT8, 1, (int64_t[]){(int64_t)strlen(json)}, json, 0));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "tokenizer", ls_tokenizer_kind(tokenizer)));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "vocabulary", ls_tokenizer_vocabulary(tokenizer)));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "train_bytes", train->bytes));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "validation_bytes", validation->bytes));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "sources", names));
cleanup:
    ls_free(json);
    ls_free(names);
    return status;
}

static LsStatus write_file(const char *output, const LsTokenizer *tokenizer, Split *train, Split *validation,
                           int sources, char *const *source)
{
    LsSealed *file = ls_sealed_create(output, "text", LS_TEXT_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = write_head(file, tokenizer, train, validation, sources, source);
    if (status == LS_OK)
        status = write_split(file, "train", tokenizer, train);
    if (status == LS_OK && validation->bytes > 0)
        status = write_split(file, "validation", tokenizer, validation);
    if (status != LS_OK) {
        ls_sealed_discard(file);
        return status;
    }
    return ls_sealed_commit(file);
}

/* The vocabulary and the splits of the texts that were read; the last `apart` of them are held out. */
static LsStatus divide_corpus(const LsTextSettings *settings, const LsCorpusPart *part, int parts, int apart,
                              Split *train, Split *validation, LsTokenizer **tokenizer)
{
    if (settings->tokens.like && !(*tokenizer = choose_tokenizer(settings, train, part, parts)))
        return ls_message_status();
    const char *kind = *tokenizer ? ls_tokenizer_kind(*tokenizer) : settings->tokens.tokenizer;
    LS_TRY(
        divide(part, parts - apart, apart ? 0 : settings->validation, strcmp(kind, "bytes") != 0, train, validation));
    for (int i = parts - apart; i < parts; i++)
        add_piece(validation, &part[i], 0, part[i].bytes);
    if (!*tokenizer)
        *tokenizer = choose_tokenizer(settings, train, part, parts);
    return *tokenizer ? LS_OK : ls_message_status();
}

/* Both corpora's texts in one list. */
static LsCorpusPart *join_parts(const LsCorpus *corpus, const LsCorpus *held_out)
{
    LsCorpusPart *part = ls_alloc_array(corpus->parts + held_out->parts, sizeof *part);
    for (int i = 0; part && i < corpus->parts + held_out->parts; i++)
        part[i] = i < corpus->parts ? corpus->part[i] : held_out->part[i - corpus->parts];
    return part;
}

LsStatus ls_text_prepare(const LsTextSettings *settings, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare text needs at least one text file");
    LsStatus status = LS_OK;
    LsTokenizer *tokenizer = NULL;
    Split train = {0}, validation = {0};
    LsCorpus corpus = {0}, held_out = {0};
    LsCorpusPart *part = NULL;
    if (settings->validation_file && ls_is_same_file(output, settings->validation_file))
        return ls_fail(LS_USAGE, "%s is the text held out and the output at once", output);
    LS_TRY_CLEANUP(ls_corpus_read(&corpus, sources, source, settings->field));
    if (settings->validation_file)
        LS_TRY_CLEANUP(ls_corpus_read(&held_out, 1, &settings->validation_file, settings->field));
    part = join_parts(&corpus, &held_out);
    train.piece = ls_alloc_array(corpus.parts, sizeof *train.piece);
    validation.piece = ls_alloc_array(corpus.parts + held_out.parts, sizeof *validation.piece);
    if (!part || !train.piece || !validation.piece) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    LS_TRY_CLEANUP(
        divide_corpus(settings, part, corpus.parts + held_out.parts, held_out.parts, &train, &validation, &tokenizer));
    LS_TRY_CLEANUP(write_file(output, tokenizer, &train, &validation, sources, source));
    ls_log("%s: %lld tokens to train, %lld held out, of %lld (%s)", output, (long long)train.tokens,
           (long long)validation.tokens, (long long)ls_tokenizer_vocabulary(tokenizer), ls_tokenizer_kind(tokenizer));
    if (corpus.passed + held_out.passed > 0)
        ls_log("%lld files of folders are passed over: they are no *%s", (long long)(corpus.passed + held_out.passed),
               settings->field ? ".jsonl" : ".txt");
cleanup:
    ls_tokenizer_free(tokenizer);
    ls_corpus_free(&corpus);
    ls_corpus_free(&held_out);
    ls_free(part);
    ls_free(train.piece);
    ls_free(validation.piece);
    return status;
}
