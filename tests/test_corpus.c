/* Texts as people keep them: compressed, in archives, with marks and returns, bad ones among them; what stands between
 * them; which are held out; and texts as a source without a data set. */
#include "data/text_corpus.h"
#include "lockstep/ops.h"
#include "text_files.h"

#include <archive.h>
#include <archive_entry.h>

static int32_t tokens[1 << 16];

/* The tokens of an array of bytes as a text. */
static const char *decoded(const char *path, const char *array)
{
    static char text[1 << 16];
    int64_t count = tokens_of(path, array, LS_FILE_UINT8, tokens, 1 << 16);
    CU_ASSERT_FATAL(count < (int64_t)sizeof text);
    for (int64_t i = 0; i < count; i++)
        text[i] = (char)tokens[i];
    text[count > 0 ? count : 0] = '\0';
    return text;
}

static LsStatus prepare_with(LsTextSettings settings, const char *source, const char *output)
{
    char *copy = (char *)(uintptr_t)source;
    if (!settings.tokens.tokenizer)
        settings.tokens.tokenizer = "bytes";
    return ls_text_prepare(&settings, 1, &copy, output);
}

/* A path that stays. */
static char *kept_path(const char *name)
{
    char *path = ls_strdup(harness_path(name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(path);
    return path;
}

/* ---- Packed ------------------------------------------------------------------------------------------------------ */

static void add_member(struct archive *a, const char *name, const void *bytes, size_t count)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)count);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    CU_ASSERT_EQUAL(archive_write_header(a, entry), ARCHIVE_OK);
    CU_ASSERT_EQUAL(archive_write_data(a, bytes, count), (la_ssize_t)count);
    archive_entry_free(entry);
}

static struct archive *begin(const char *path, int filter, int format)
{
    struct archive *a = archive_write_new();
    CU_ASSERT_EQUAL_FATAL(archive_write_add_filter(a, filter), ARCHIVE_OK);
    CU_ASSERT_EQUAL_FATAL(archive_write_set_format(a, format), ARCHIVE_OK);
    CU_ASSERT_EQUAL_FATAL(archive_write_open_filename(a, path), ARCHIVE_OK);
    return a;
}

static void end(struct archive *a)
{
    CU_ASSERT_EQUAL(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static const struct {
    const char *name;
    int filter;
} filters[] = {{"gzip", ARCHIVE_FILTER_GZIP},
               {"xz", ARCHIVE_FILTER_XZ},
               {"zstd", ARCHIVE_FILTER_ZSTD},
               {"bzip2", ARCHIVE_FILTER_BZIP2}};

static void make_text(char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)(i % 71 == 70 ? '\n' : 'a' + (i * i / 7 + i / 900) % 26);
}

static void test_compressed(void)
{
    static char text[40001];
    char *output = kept_path("packed.h5");
    make_text(text, sizeof text - 1);
    for (size_t i = 0; i < LS_COUNT_OF(filters); i++) {
        char *path = kept_path(filters[i].name), *bytes = NULL;
        int64_t count = 0;
        struct archive *a = begin(path, filters[i].filter, ARCHIVE_FORMAT_RAW);
        add_member(a, "data", text, sizeof text - 1);
        end(a);
        ASSERT_OK(prepare_with((LsTextSettings){0}, path, output)); /* whatever its name */
        CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), text);
        ASSERT_OK(ls_file_read(path, LS_DATA, &bytes, &count));
        char *cut = write_file("cut", bytes, count / 2);
        ASSERT_FAILS(prepare_with((LsTextSettings){0}, cut, output), LS_DATA, "is cut short or damaged");
        CU_ASSERT_PTR_NOT_NULL(strstr(ls_message(), filters[i].name));
        ASSERT_OK(prepare_with((LsTextSettings){.as_is = true}, path, output));
        CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), count);
        bytes[count / 2] ^= 4; /* check sums say so; libarchive writes zstd without one */
        if (filters[i].filter != ARCHIVE_FILTER_ZSTD)
            ASSERT_FAILS(prepare_with((LsTextSettings){0}, write_file("damaged", bytes, count), output), LS_DATA,
                         "damaged");
        ls_free(bytes);
        ls_free(path);
    }
    ls_free(output);
}

static void test_archives(void)
{
    static char packed[4096];
    size_t packed_bytes = 0;
    char *output = kept_path("archive.h5"), *path = kept_path("texts.any");
    struct archive *a = archive_write_new();
    archive_write_add_filter(a, ARCHIVE_FILTER_GZIP);
    archive_write_set_format(a, ARCHIVE_FORMAT_RAW);
    CU_ASSERT_EQUAL_FATAL(archive_write_open_memory(a, packed, sizeof packed, &packed_bytes), ARCHIVE_OK);
    add_member(a, "data", "third.", 6);
    end(a);
    for (size_t i = 0; i <= LS_COUNT_OF(filters); i++) {
        bool zip = i == LS_COUNT_OF(filters);
        a = begin(path, zip ? ARCHIVE_FILTER_NONE : filters[i].filter,
                  zip ? ARCHIVE_FORMAT_ZIP : ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
        add_member(a, "./all/first.txt", "first.", 6);
        add_member(a, "all/notes.md", "no", 2);
        add_member(a, "all/.hidden.txt", "no", 2);
        add_member(a, "./.hidden/file.txt", "no", 2);
        add_member(a, "all/second.txt", "second.", 7);
        add_member(a, "all/third.txt.gz", packed, packed_bytes);
        end(a);
        ASSERT_OK(prepare_with((LsTextSettings){0}, path, output));
        CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), "first.second.third.");
    }
    a = begin(path, ARCHIVE_FILTER_NONE, ARCHIVE_FORMAT_TAR_USTAR);
    add_member(a, "notes.md", "no", 2);
    end(a);
    ASSERT_FAILS(prepare_with((LsTextSettings){0}, path, output), LS_DATA, "has no files *.txt in it");
    ls_free(path);
    ls_free(output);
}

/* ---- Marks and returns ------------------------------------------------------------------------------------------- */

static void test_marks(void)
{
    static const char *const cases[][2] = {{"\xEF\xBB\xBFone\ntwo\n", "one\ntwo\n"},
                                           {"one\r\ntwo\r\n", "one\ntwo\n"},
                                           {"\xEF\xBB\xBFone\r\ntwo\r\nend", "one\ntwo\nend"},
                                           {"one\r\ntwo\n", "one\r\ntwo\n"}, /* not every line: it may mean something */
                                           {"one\rtwo", "one\rtwo"}};
    char *output = kept_path("marks.h5");
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *path = write_file("marks.txt", cases[i][0], (int64_t)strlen(cases[i][0]));
        ASSERT_OK(prepare_with((LsTextSettings){0}, path, output));
        CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), cases[i][1]);
        ASSERT_OK(prepare_with((LsTextSettings){.as_is = true}, path, output));
        CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), cases[i][0]);
    }
    ASSERT_FAILS(prepare_with((LsTextSettings){0}, write_file("empty.txt", "\xEF\xBB\xBF", 3), output), LS_DATA,
                 "empty.txt: is empty");
    json_t *object = NULL;
    ASSERT_OK(prepare_with((LsTextSettings){0},
                           write_file("marks.txt",
                                      "\xEF\xBB\xBF"
                                      "a\r\n",
                                      6),
                           output));
    ASSERT_OK(ls_data_inspect(output, &object));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "read")),
                           "1 file, 1 byte order mark left out, 1 with CR LF read as LF");
    json_decref(object);
    ls_free(output);
}

/* ---- Separators and special tokens ------------------------------------------------------------------------------- */

/* The train part by its own tokenizer; and how many ids are that of the end. */
static int64_t count_ends(const char *output, const char *expected)
{
    int64_t count = tokens_of(output, "train/tokens", LS_FILE_UINT16, tokens, 1 << 16), ends = 0, bytes = 0;
    char *text = NULL;
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gpt2);
    ASSERT_OK(ls_tokenizer_decode(gpt2, tokens, count, &text, &bytes));
    CU_ASSERT_STRING_EQUAL(text, expected);
    for (int64_t i = 0; i < count; i++)
        ends += tokens[i] == ls_tokenizer_end(gpt2);
    ls_free(text);
    ls_tokenizer_free(gpt2);
    return ends;
}

static void test_separators(void)
{
    static const char records[] = "{\"text\": \"one <|endoftext|> more\"}\n{\"text\": \"two\"}\n";
    static const char joined[] = "one <|endoftext|> more\n<|endoftext|>two\n";
    char *path = ls_strdup(write_file("two.jsonl", records, sizeof records - 1)), *output = kept_path("apart.h5");
    LsTextSettings gpt2 = {.tokens = {.tokenizer = "gpt2", .vocabulary = SMALL}, .field = "text"}, settings = gpt2;
    ASSERT_OK(prepare_with(settings, path, output));
    CU_ASSERT_EQUAL(count_ends(output, joined), 1); /* between the two alone */
    settings.special = true;
    ASSERT_OK(prepare_with(settings, path, output));
    CU_ASSERT_EQUAL(count_ends(output, joined), 2);
    settings.separator = "<|endoftext|>";
    ASSERT_OK(prepare_with(settings, path, output));
    CU_ASSERT_EQUAL(count_ends(output, joined), 2);
    settings.separator = " / ";
    ASSERT_OK(prepare_with(settings, path, output));
    CU_ASSERT_EQUAL(count_ends(output, "one <|endoftext|> more\n / two\n"), 1);
    settings.separator = "";
    ASSERT_OK(prepare_with(settings, path, output));
    CU_ASSERT_EQUAL(count_ends(output, "one <|endoftext|> more\ntwo\n"), 1);
    LsTextSettings bytes = {.field = "text", .separator = "#\n"};
    ASSERT_OK(prepare_with(bytes, path, output));
    CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), "one <|endoftext|> more\n#\ntwo\n");
    bytes.tokens.tokenizer = "characters"; /* '#' is in no text */
    ASSERT_OK(prepare_with(bytes, path, output));
    bytes.special = true;
    ASSERT_FAILS(prepare_with(bytes, path, output), LS_USAGE, "has no special tokens");
    ls_free(path);
    ls_free(output);
}

/* ---- Held out ---------------------------------------------------------------------------------------------------- */

/* Lines "0\n" .. of records in the validation part, as bits. */
static uint64_t held_records(const char *output)
{
    uint64_t held = 0;
    for (const char *at = decoded(output, "validation/tokens"); *at; at = strchr(at, '\n') + 1)
        held |= (uint64_t)1 << (int)strtol(at, NULL, 10);
    return held;
}

static const char *write_records(int first, int end)
{
    char text[4096];
    int used = 0;
    for (int i = first; i < end; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "{\"text\": \"%d\"}\n", i);
    return write_file("records.jsonl", text, used);
}

static void test_held_out(void)
{
    char *output = kept_path("held.h5");
    LsTextSettings by = {.field = "text", .validation = 0.25, .hold_out = "documents", .seed = 1};
    ASSERT_OK(prepare_with(by, write_records(0, 40), output));
    uint64_t one = held_records(output);
    CU_ASSERT_EQUAL(__builtin_popcountll(one), 10);
    CU_ASSERT_NOT_EQUAL(one, (uint64_t)0x3FF << 30); /* not the last ones */
    by.seed = 2;
    ASSERT_OK(prepare_with(by, write_records(0, 40), output));
    CU_ASSERT_NOT_EQUAL(held_records(output), one);
    by.hold_out = "hash";
    ASSERT_OK(prepare_with(by, write_records(0, 60), output));
    uint64_t many = held_records(output);
    CU_ASSERT(__builtin_popcountll(many) >= 5 && __builtin_popcountll(many) <= 28);
    ASSERT_OK(prepare_with(by, write_records(20, 50), output)); /* the same ones, whatever else there is */
    CU_ASSERT_EQUAL(held_records(output), many & ((((uint64_t)1 << 50) - 1) & ~(((uint64_t)1 << 20) - 1)));
    by.hold_out = "documents";
    ASSERT_FAILS(prepare_with(by, write_records(0, 1), output), LS_DATA, "");
    ls_free(output);
}

/* ---- Bad ones ---------------------------------------------------------------------------------------------------- */

static void test_skip_bad(void)
{
    static const char records[] =
        "{\"text\": \"good\"}\n{\"txt\": \"a\"}\n{\"text\n{\"text\": \"\"}\n\xE9\n{\"text\": \"too\"}\n";
    char *output = kept_path("bad.h5");
    json_t *object = NULL;
    LsTextSettings settings = {.field = "text"};
    const char *path = write_file("bad.jsonl", records, sizeof records - 1);
    ASSERT_FAILS(prepare_with(settings, path, output), LS_DATA, "line 2: has no \"text\"");
    settings.skip_bad = true;
    ASSERT_OK(prepare_with(settings, path, output));
    CU_ASSERT_STRING_EQUAL(decoded(output, "train/tokens"), "good\ntoo\n");
    ASSERT_OK(ls_data_inspect(output, &object));
    CU_ASSERT_PTR_NOT_NULL(strstr(json_string_value(json_object_get(object, "read")), "2 texts, 4 bad passed over (the "
                                                                                      "first: "));
    json_decref(object);
    ASSERT_FAILS(prepare_with(settings, write_file("bad.jsonl", "{}\n", 3), output), LS_DATA,
                 "has no texts: 1 are bad");
    ASSERT_FAILS(prepare_with(settings, harness_path("missing.jsonl"), output), LS_DATA, "missing.jsonl");
    /* files of a folder: empty, no UTF-8, cut short */
    ASSERT_OK(ls_make_folders(harness_path("mixed")));
    write_file("mixed/a.txt", "one.", 4);
    write_file("mixed/b.txt", "", 0);
    write_file("mixed/c.txt", "caf\xE9", 4);
    write_file("mixed/d.txt.gz", "\x1f\x8b\x08 and no more", 15);
    write_file("mixed/e.txt", "two.", 4);
    char *folder = kept_path("mixed");
    settings = (LsTextSettings){.skip_bad = true, .tokens = {.tokenizer = "characters"}};
    ASSERT_OK(prepare_with(settings, folder, output));
    CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 8);
    settings.tokens.tokenizer = "bytes"; /* any bytes are good */
    ASSERT_OK(prepare_with(settings, folder, output));
    CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 12);
    settings.skip_bad = false;
    ASSERT_FAILS(prepare_with(settings, folder, output), LS_DATA, "b.txt: is empty");
    ls_free(folder);
    ls_free(output);
}

static void test_looks(void)
{
    static const char *const cases[][2] = {{"{\"text\": \"a\"}\n{\"text\": \"b\"}\n", "JSON lines"},
                                           {"[\n {\"text\": \"a\"}\n]\n", "JSON"},
                                           {"{\n \"text\": \"a\"\n}\n", "JSON"},
                                           {"a,b,c\n1,2,3\n4,\"5,6\",7\n", "CSV"},
                                           {"a\tb\n1\t2\n3\t4\n", "tab-separated values"},
                                           {"\x1f\x8b\x08\x00", "gzip"},
                                           {"\xff\xfe"
                                            "a",
                                            "UTF-16"},
                                           {"%PDF-1.4", "PDF"},
                                           {"\x89PNG\r\n\x1a\n", "a picture"},
                                           {"\xff\xd8\xff\xe0", "a picture"},
                                           {"\x89HDF\r\n\x1a\n", "HDF5"},
                                           {"LOCKSTEP checkpoint", "a data set or a checkpoint"},
                                           {"<!DOCTYPE HTML>", "HTML"},
                                           {"PK\x03\x04", "zip"},
                                           {"Once, upon a time, there was\na king, who\nhad no text.\n", NULL},
                                           {"{not json}\n", NULL},
                                           {"[1] is a note\n", NULL},
                                           {"one, two, three\n", NULL}};
    for (size_t i = 0; i < LS_COUNT_OF(cases); i++) {
        const char *cure = NULL, *kind = ls_looks_like(cases[i][0], (int64_t)strlen(cases[i][0]) + (i == 5), &cure);
        if (!kind != !cases[i][1] || (kind && strcmp(kind, cases[i][1]) != 0))
            fprintf(stderr, "%s: %s\n", cases[i][0], kind ? kind : "text");
        CU_ASSERT_EQUAL(!kind, !cases[i][1]);
        CU_ASSERT(!kind || (strcmp(kind, cases[i][1]) == 0 && cure));
    }
    static const char tensors[] = "\x0d\0\0\0\0\0\0\0{\"a\": 1}     ", zeros[] = "a text\0and another";
    const char *cure = NULL;
    CU_ASSERT_STRING_EQUAL(ls_looks_like(tensors, sizeof tensors - 1, &cure), "safetensors");
    CU_ASSERT_STRING_EQUAL(ls_looks_like(zeros, sizeof zeros - 1, &cure), "no text (it has zero bytes)");
}

/* Several hundred files take no memory and no descriptor each. */
static void test_many_files(void)
{
    char name[64], *output = kept_path("many.h5"), *folder = kept_path("many");
    ASSERT_OK(ls_make_folders(folder));
    for (int i = 0; i < 1200; i++) {
        snprintf(name, sizeof name, "many/%04d.txt", i);
        write_file(name, i % 2 ? "odd\n" : "even\r\n", i % 2 ? 4 : 6);
    }
    ASSERT_OK(prepare_with((LsTextSettings){0}, folder, output));
    CU_ASSERT_EQUAL(tokens_of(output, "train/tokens", LS_FILE_UINT8, tokens, 1 << 16), 600 * 4 + 600 * 5);
    CU_ASSERT_EQUAL(memcmp(decoded(output, "train/tokens"), "even\nodd\neven\n", 14), 0);
    ls_free(folder);
    ls_free(output);
}

/* ---- Without a data set ------------------------------------------------------------------------------------------ */

static void read_window(LsSource *source, int64_t sample, int32_t ids[T], int32_t targets[T])
{
    LsParams *params = ls_params_new();
    LsGraph *g = ls_graph_new(params, &(LsGraphOptions){.mode = LS_EVAL});
    int64_t dim[] = {1, T};
    LsTensor *x = ls_input(g, "ids", LS_I32, 2, dim), *y = ls_input(g, "targets", LS_I32, 2, dim);
    LsTensor *w = ls_param(g, "w", ls_init_constant(0), 2, (int64_t[]){1024, 1});
    ls_output(g, "x", ls_embedding(g, w, x));
    ls_output(g, "y", ls_embedding(g, w, y));
    CU_ASSERT_EQUAL_FATAL(ls_params_allocate(params, 1, false), LS_OK);
    ASSERT_OK(ls_graph_plan(g));
    ASSERT_OK(source->fill(source, g, &(LsBatch){sample, 1, 0}));
    memcpy(ids, ls_graph_find(g, "ids")->data, sizeof(int32_t) * T);
    memcpy(targets, ls_graph_find(g, "targets")->data, sizeof(int32_t) * T);
    ls_graph_free(g);
    ls_params_free(params);
}

/* The samples of texts are those of the data set that is prepared from them. */
static void test_open_texts(void)
{
    LsTokenizer *gpt2 = ls_tokenizer_new("gpt2", NULL, 0, SMALL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gpt2);
    char *source[] = {write_file("one.txt", "the first, and what follows", 27),
                      write_file("two.txt", "second text", 11)};
    LsCorpusPart part[] = {{"one.txt", "the first, and what follows", 27}, {"two.txt", "second text", 11}};
    const char *output = harness_path("texts.h5");
    ASSERT_OK(prepare("gpt2", 0, 2, source, output));
    LsSource *texts = NULL, *file = NULL;
    LsDataOpen open = {.path = output, .split = "held-out", .sequence = T};
    ASSERT_OK(ls_text_open(&open, &file));
    ASSERT_OK(ls_text_open_texts(&(LsDataTexts){.text = part, .texts = 2, .tokenizer = gpt2, .sequence = T}, &texts));
    CU_ASSERT_EQUAL_FATAL(texts->samples, file->samples);
    CU_ASSERT_DOUBLE_EQUAL(texts->bytes_per_token, file->bytes_per_token, 1e-12);
    for (int64_t i = 0; i < texts->samples; i++) {
        int32_t a[2 * T], b[2 * T];
        read_window(texts, i, a, a + T);
        read_window(file, i, b, b + T);
        CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    }
    ls_source_free(texts);
    ls_source_free(file);
    part[0].bytes = 1;
    ASSERT_FAILS(ls_text_open_texts(&(LsDataTexts){.text = part, .texts = 1, .tokenizer = gpt2, .sequence = T}, &texts),
                 LS_DATA, "one.txt: has 1 token: there is nothing to predict");
    ls_tokenizer_free(gpt2);
}

int main(void)
{
    ls_log_mute(true);
    return harness_run("corpus", (HarnessTest[]){{"compressed", test_compressed},
                                                 {"archives", test_archives},
                                                 {"marks and returns", test_marks},
                                                 {"separators and special tokens", test_separators},
                                                 {"held out", test_held_out},
                                                 {"bad ones", test_skip_bad},
                                                 {"what looks like something else", test_looks},
                                                 {"many files", test_many_files},
                                                 {"without a data set", test_open_texts},
                                                 {0}});
}
