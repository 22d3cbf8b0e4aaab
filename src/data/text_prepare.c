/* Preparing text: what is read, what is held out, and the file. */
#include "data/text.h"

#include "data/escapes.h"
#include "data/shell_words.h"
#include "data/text_corpus.h"
#include "data/text_documents.h"
#include "data/text_write.h"
#include "data/tokenizer_kind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* ---- Splits ------------------------------------------------------------------------------------------------------ */

static void add_piece(LsTextSplit *split, const LsCorpusPart *part, int64_t from, int64_t to)
{
    if (to <= from)
        return;
    split->piece[split->pieces++] = (LsPiece){part, from, to};
    split->bytes += to - from;
}

/* Shares the texts out: the last `share` of all their bytes is held out. The border moves back to the start of a
 * character, unless tokens are bytes anyway. */
static void divide_at_end(const LsCorpusPart *part, int parts, double share, bool whole_characters, LsTextSplit *train,
                          LsTextSplit *validation)
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
}

/* Whole texts, by their places (a keyed permutation) or by what is in them. */
static LsStatus divide_texts(const LsTextSettings *settings, const LsCorpusPart *part, int parts, bool by_hash,
                             LsTextSplit *train, LsTextSplit *validation)
{
    double share = settings->validation;
    LsHeldOut held_out = {0};
    if (!by_hash && share > 0)
        LS_TRY(ls_held_out_new(&(LsHeldOutSettings){.validation = share, .seed = settings->seed}, parts, &held_out));
    for (int i = 0; i < parts; i++) {
        bool held = share > 0;
        if (held && by_hash)
            held =
                (double)XXH3_64bits_withSeed(part[i].text, (size_t)part[i].bytes, (uint64_t)settings->seed) * 0x1p-64 <
                share;
        else if (held)
            held = ls_is_held_out(&held_out, i);
        add_piece(held ? validation : train, &part[i], 0, part[i].bytes);
    }
    return LS_OK;
}

static LsStatus divide(const LsTextSettings *settings, const LsCorpusPart *part, int parts, double share,
                       bool whole_characters, LsTextSplit *train, LsTextSplit *validation)
{
    const char *hold_out = settings->hold_out ? settings->hold_out : "end";
    bool at_end = share == 0 || strcmp(hold_out, "end") == 0;
    if (at_end)
        divide_at_end(part, parts, share, whole_characters, train, validation);
    else
        LS_TRY(divide_texts(settings, part, parts, strcmp(hold_out, "hash") == 0, train, validation));
    if (train->bytes > 0 && (share == 0 || validation->bytes > 0))
        return LS_OK;
    if (at_end)
        return ls_fail(LS_DATA, "%s: a share of %g of %lld bytes cannot be held out; --validation 0 holds out nothing",
                       part[0].name, share, (long long)(train->bytes + validation->bytes));
    return ls_fail(LS_DATA, "%s: a share of %g of %d texts cannot be held out; --hold-out end cuts the last of them",
                   part[0].name, share, parts);
}

/* ---- The coding -------------------------------------------------------------------------------------------------- */

static LsTokenizer *choose_tokenizer(const LsTextSettings *settings, const char *separator, const LsTextSplit *train,
                                     const LsCorpusPart *part, int parts)
{
    LsTokenizerTexts texts;
    if (ls_tokenizer_texts_new(train->pieces + parts + 1, &texts) != LS_OK)
        return NULL;
    for (int i = 0; i < train->pieces; i++) {
        const LsPiece *piece = &train->piece[i]; /* starts where its text does */
        texts.training[texts.trainings++] = (LsCorpusPart){piece->part->name, piece->part->text, piece->to};
    }
    for (int i = 0; i < parts; i++)
        ls_tokenizer_texts_add(&texts, &part[i], false);
    if (separator && *separator) /* its characters have tokens too */
        ls_tokenizer_texts_add(&texts, &(LsCorpusPart){"--separator", separator, (int64_t)strlen(separator)}, true);
    LsTokenizer *tokenizer = ls_tokenizer_choose(&settings->tokens, NULL, &texts, "tokenizer");
    ls_tokenizer_texts_free(&texts);
    return tokenizer;
}

/* Chooses the separator of texts: the token of that name, or the text's tokens; else the tokenizer's end, if it has
 * one. */
static LsStatus choose_separator(const LsTokenizer *tokenizer, const char *separator, LsTokens *ids)
{
    int64_t end = ls_tokenizer_end(tokenizer), named = -1;
    if (separator && ls_tokenizer_frames(tokenizer))
        return ls_fail(LS_USAGE,
                       "--separator: with the tokenizer %s texts are kept apart by marks in the data set; leave it out",
                       ls_tokenizer_kind(tokenizer));
    if (separator)
        named = end = *separator ? ls_token_named(tokenizer, separator) : -1;
    if (separator && *separator && named < 0) {
        LS_TRY(ls_tokenizer_encode(tokenizer, separator, (int64_t)strlen(separator), &ids->id, &ids->count));
        return ids->count > 0 ? LS_OK : ls_fail(LS_DATA, "--separator: the tokenizer has no token for '%s'", separator);
    }
    const int32_t *after;
    if (end < 0 || (!separator && ls_tokenizer_after(tokenizer, &after) > 0)) /* each text ends with one already */
        return LS_OK;
    LS_TRY(ls_tokens_reserve(ids, 1));
    ids->id[ids->count++] = (int32_t)end;
    return LS_OK;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

/* Everything of one call. */
typedef struct Preparation {
    const LsTextSettings *settings;
    int sources;
    char *const *source;
    const char *output;
    LsCorpus corpus, held_out;
    LsCorpusPart *part; /* of both */
    int parts;
    LsTextSplit train, validation;
    LsTokenizer *tokenizer;
    LsSpecials specials;
    char *between; /* --separator */
    LsTokens separator;
    char *report;
} Preparation;

/* What every document ends with, between two or by itself. */
static LsStatus write_separator(LsSealed *file, const Preparation *p)
{
    const int32_t *after;
    LsTokens by_itself = {0};
    if (p->separator.count > 0)
        return ls_separator_write(file, &p->separator);
    bool ends = !p->between || ls_tokenizer_after(p->tokenizer, &after) > 0;
    LsStatus status = ends ? ls_tokenizer_separator(p->tokenizer, &by_itself) : LS_OK;
    if (status == LS_OK)
        status = ls_separator_write(file, &by_itself);
    ls_free(by_itself.id);
    return status;
}

static LsStatus write_head(LsSealed *file, const Preparation *p)
{
    LsStatus status = LS_OK;
    char *json = ls_tokenizer_to_json(p->tokenizer), *names = ls_strdup(""),
         *options = ls_shell_options(ls_text_settings, p->settings);
    for (int i = 0; i < p->sources && names; i++) {
        char *longer = ls_format("%s%s%s", names, i > 0 ? "\n" : "", ls_source_recorded(p->source[i]));
        ls_free(names);
        names = longer;
    }
    if (!json || !names || !options) {
        status = LS_RESOURCE;
        goto cleanup;
    }
    LS_TRY_CLEANUP(ls_sealed_write(file, "tokenizer", LS_FILE_UINT8, 1, (int64_t[]){(int64_t)strlen(json)}, json, 0));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "tokenizer", ls_tokenizer_kind(p->tokenizer)));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "vocabulary", ls_tokenizer_vocabulary(p->tokenizer)));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "train_bytes", p->train.bytes));
    LS_TRY_CLEANUP(ls_sealed_set_int(file, "validation_bytes", p->validation.bytes));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "sources", names));
    LS_TRY_CLEANUP(ls_sealed_set_text(file, "read", p->report));
    if (*options)
        LS_TRY_CLEANUP(ls_sealed_set_text(file, "options", options));
    LS_TRY_CLEANUP(write_separator(file, p));
cleanup:
    ls_free(options);
    ls_free(json);
    ls_free(names);
    return status;
}

static LsStatus write_file(Preparation *p)
{
    LsTextCoding coding = {p->tokenizer, p->settings->special ? &p->specials : NULL, p->separator.id,
                           p->separator.count};
    LsSealed *file = ls_sealed_create(p->output, "text", LS_TEXT_VERSION, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = write_head(file, p);
    if (status == LS_OK)
        status = ls_text_split_write(file, "train", &coding, &p->train);
    if (status == LS_OK && p->validation.bytes > 0)
        status = ls_text_split_write(file, "validation", &coding, &p->validation);
    if (status != LS_OK) {
        ls_sealed_discard(file);
        return status;
    }
    return ls_sealed_commit(file);
}

/* Adds to the report what is easily overlooked: that texts run into one another. */
static LsStatus say_between(Preparation *p)
{
    const int32_t *after;
    if (p->parts < 2 || p->separator.count > 0 || ls_tokenizer_frames(p->tokenizer) ||
        ls_tokenizer_after(p->tokenizer, &after) > 0)
        return LS_OK;
    char *longer = ls_format("%s; nothing stands between the %d %s%s", p->report, p->parts,
                             p->settings->field ? "texts but a new line behind each record" : "files",
                             p->settings->separator ? "" : ": --separator TEXT puts something there");
    ls_free(p->report);
    p->report = longer;
    return longer ? LS_OK : LS_RESOURCE;
}

/* The end of all is of the last sources alone, which may be of another kind than the others. */
static void warn_of_end(const Preparation *p, int own)
{
    const LsTextSettings *s = p->settings;
    if (p->sources < 2 || p->validation.pieces == 0 || s->validation_file ||
        strcmp(s->hold_out ? s->hold_out : "end", "end") != 0)
        return;
    const char *first = p->validation.piece[0].part->name;
    ls_warn("--hold-out end: what is held out is the end of all, from %s on (%d of %d texts): --hold-out documents "
            "draws whole texts from all %d sources",
            first, p->validation.pieces, own, p->sources);
}

/* The vocabulary and the splits of the texts that were read; those of the corpus held out come last. */
static LsStatus divide_corpus(Preparation *p)
{
    const LsTextSettings *settings = p->settings;
    int apart = p->held_out.parts, own = p->parts - apart;
    if (settings->tokens.like && !(p->tokenizer = choose_tokenizer(settings, p->between, &p->train, p->part, p->parts)))
        return ls_message_status();
    const char *kind = p->tokenizer ? ls_tokenizer_kind(p->tokenizer) : settings->tokens.tokenizer;
    LS_TRY(divide(settings, p->part, own, apart ? 0 : settings->validation, strcmp(kind, "bytes") != 0, &p->train,
                  &p->validation));
    for (int i = own; i < p->parts; i++)
        add_piece(&p->validation, &p->part[i], 0, p->part[i].bytes);
    if (!p->tokenizer)
        p->tokenizer = choose_tokenizer(settings, p->between, &p->train, p->part, p->parts);
    LS_TRY(p->tokenizer ? LS_OK : ls_message_status());
    LS_TRY(choose_separator(p->tokenizer, p->between, &p->separator));
    LS_TRY(say_between(p));
    warn_of_end(p, own);
    if (!settings->special)
        ls_specials_warn(p->tokenizer, p->part, p->parts);
    return settings->special ? ls_specials_asked(p->tokenizer, &p->specials) : LS_OK;
}

static LsStatus read_texts(Preparation *p, const LsCorpusOptions *options)
{
    const LsTextSettings *settings = p->settings;
    char *own = NULL, *held_out = NULL;
    LS_TRY(ls_corpus_read(&p->corpus, p->sources, p->source, options));
    if (settings->validation_file)
        LS_TRY(ls_corpus_read(&p->held_out, 1, &settings->validation_file, options));
    p->parts = p->corpus.parts + p->held_out.parts;
    p->part = ls_alloc_array(p->parts, sizeof *p->part);
    p->train.piece = ls_alloc_array(p->corpus.parts, sizeof *p->train.piece);
    p->validation.piece = ls_alloc_array(p->parts, sizeof *p->validation.piece);
    if (!p->part || !p->train.piece || !p->validation.piece)
        return LS_RESOURCE;
    for (int i = 0; i < p->parts; i++)
        p->part[i] = i < p->corpus.parts ? p->corpus.part[i] : p->held_out.part[i - p->corpus.parts];
    own = ls_corpus_report(&p->corpus);
    held_out = settings->validation_file ? ls_corpus_report(&p->held_out) : NULL;
    if (own && held_out)
        p->report = ls_format("%s; held out: %s", own, held_out);
    else if (own && !settings->validation_file)
        p->report = ls_strdup(own);
    ls_free(own);
    ls_free(held_out);
    return p->report ? LS_OK : LS_RESOURCE;
}

/* The folder of a file. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? ls_format("%.*s", (int)(slash - path + 1), path) : ls_strdup(".");
}

static void free_preparation(Preparation *p)
{
    ls_tokenizer_free(p->tokenizer);
    ls_specials_free(&p->specials);
    ls_corpus_free(&p->corpus);
    ls_corpus_free(&p->held_out);
    ls_free(p->between);
    ls_free(p->separator.id);
    ls_free(p->part);
    ls_free(p->train.piece);
    ls_free(p->validation.piece);
    ls_free(p->report);
}

LsStatus ls_text_prepare(const LsTextSettings *settings, int sources, char *const *source, const char *output)
{
    if (sources < 1)
        return ls_fail(LS_USAGE, "prepare text needs at least one text file");
    if (settings->validation_file && ls_is_same_file(output, settings->validation_file))
        return ls_fail(LS_USAGE, "%s is the text held out and the output at once", output);
    Preparation p = {.settings = settings, .sources = sources, .source = source, .output = output};
    char *folder = folder_of(output);
    LsCorpusOptions options = {.field = settings->field,
                               .as_is = settings->as_is,
                               .skip_bad = settings->skip_bad,
                               .utf8 = settings->tokens.like || strcmp(settings->tokens.tokenizer, "bytes") != 0,
                               .folder = folder};
    LsStatus status = folder ? ls_escapes_read("--separator", settings->separator, &p.between) : LS_RESOURCE;
    if (status == LS_OK)
        status = read_texts(&p, &options);
    if (status == LS_OK) {
        ls_corpus_warn(&p.corpus);
        ls_corpus_warn(&p.held_out);
        status = divide_corpus(&p);
    }
    if (status == LS_OK)
        status = write_file(&p);
    if (status == LS_DATA && options.utf8 && !options.skip_bad && strstr(ls_message(), "malformed UTF-8"))
        ls_fail(LS_DATA, "%s; --skip-bad passes over files and records that are no UTF-8", ls_message());
    if (status == LS_OK)
        ls_log("%s: %lld tokens to train, %lld held out, of %lld (%s); %s", output, (long long)p.train.tokens,
               (long long)p.validation.tokens, (long long)ls_tokenizer_vocabulary(p.tokenizer),
               ls_tokenizer_kind(p.tokenizer), p.report);
    free_preparation(&p);
    ls_free(folder);
    return status;
}
