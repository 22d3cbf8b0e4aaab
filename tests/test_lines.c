/* Labels with texts, words with tags, pairs of texts as data sets: each format, what is wrong with files, samples. */
#include "sample_files.h"

#include "data/pairs.h"
#include "data/tokenizer_settings.h"

static int32_t ids[1 << 14];
static int64_t offsets[1 << 12];

/* Texts of a split; -1 where there are none. ids, offsets: theirs. */
static int64_t read_texts(const char *path, const char *kind, const char *split, const char *array)
{
    char name[64];
    int32_t *read = NULL;
    int64_t *places = NULL, count = 0, texts = -1;
    LsSealed *file = ls_sealed_open(path, kind, LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    snprintf(name, sizeof name, "%s/%s", split, array);
    ASSERT_OK(ls_numbers_read(file, name, 0, 1 << 20, &read, &count));
    snprintf(name, sizeof name, "%s/%s_offsets", split, array);
    ASSERT_OK(ls_offsets_read(file, name, count, &places, &texts));
    for (int64_t i = 0; read && i < count; i++)
        ids[i] = read[i];
    for (int64_t i = 0; places && i <= texts; i++)
        offsets[i] = places[i];
    texts = places ? texts : -1;
    ls_free(read);
    ls_free(places);
    ls_sealed_close(file);
    return texts;
}

static int32_t list[1 << 14];

static int64_t read_list(const char *path, const char *kind, const char *array)
{
    int32_t *read = NULL;
    int64_t count = 0;
    LsSealed *file = ls_sealed_open(path, kind, LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_numbers_read(file, array, -1, 1 << 20, &read, &count));
    for (int64_t i = 0; read && i < count; i++)
        list[i] = read[i];
    ls_free(read);
    ls_sealed_close(file);
    return count;
}

/* Text number i of what read_texts read, in the words of the data set's tokenizer. */
static const char *text_of(const char *path, const char *role, int64_t i)
{
    static char text[256];
    LsSealed *file = ls_sealed_open(path, NULL, LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    LsTokenizer *tokenizer = ls_sealed_tokenizer(file, role);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tokenizer);
    ls_sealed_close(file);
    char *made = NULL;
    int64_t bytes = 0;
    ASSERT_OK(ls_tokenizer_decode(tokenizer, ids + offsets[i], offsets[i + 1] - offsets[i], &made, &bytes));
    snprintf(text, sizeof text, "%s", made);
    ls_free(made);
    ls_tokenizer_free(tokenizer);
    return text;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static void test_tsv(void)
{
    char *output = path_of("tsv.h5");
    char *file = write_text("a.tsv", "good\tA fine film.\r\nbad\tDull!\n\ngood\tgood , good\n");
    ASSERT_OK(prepare_kind("lines", "validation=0;lowercase=true", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "lines", "train", "ids"), 3);
    CU_ASSERT_STRING_EQUAL(text_of(output, "tokenizer", 0), " a fine film .");
    CU_ASSERT_STRING_EQUAL(text_of(output, "tokenizer", 2), " good , good");
    CU_ASSERT_EQUAL(read_list(output, "lines", "train/labels"), 3);
    CU_ASSERT(list[0] == 1 && list[1] == 0 && list[2] == 1); /* sorted: bad, good */
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "skipped_empty_lines"), 1);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "good"), 2);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_ids_lengths"), "longest"), 4);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_ids_lengths"), "shortest"), 2);
    json_decref(object);
    /* columns by number and by name, labels that are numbers in their order */
    file = write_text("b.tsv", "id\tsentence\tlabel\n1\tone\t10\n2\ttwo\t9\n");
    ASSERT_OK(prepare_kind("lines", "validation=0;label=label;text=sentence", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_list(output, "lines", "train/labels"), 2);
    CU_ASSERT(list[0] == 1 && list[1] == 0); /* 9, 10 */
    ASSERT_OK(prepare_kind("lines", "validation=0;label=3;text=2", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "lines", "train", "ids"), 3);
    ASSERT_REFUSED("lines", "label=grade", SOURCES(file), LS_DATA,
                   "b.tsv: line 1: none of the 3 columns is named 'grade' (--label)");
    ASSERT_REFUSED("lines", "label=4", SOURCES(file), LS_DATA, "there are 3 columns, but --label is column 4");
}

static void test_jsonl_and_files(void)
{
    char *output = path_of("jsonl.h5");
    char *file =
        write_text("a.jsonl", "{\"text\": \"one\\ntwo\", \"label\": 1}\n{\"text\": \"three\", \"label\": \"x\"}\n");
    ASSERT_OK(prepare_kind("lines", "validation=0", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "lines", "train", "ids"), 2);
    CU_ASSERT_STRING_EQUAL(text_of(output, "tokenizer", 0), " one two");
    CU_ASSERT_EQUAL(read_list(output, "lines", "train/labels"), 2);
    CU_ASSERT(list[0] == 0 && list[1] == 1);
    ASSERT_REFUSED("lines", "", SOURCES(write_text("b.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"label\": 1}\n")),
                   LS_DATA, "b.jsonl: line 2: has no \"text\" that is a text; --text names the member");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("c.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\n")), LS_DATA,
                   "c.jsonl: line 2: column");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("d.jsonl", "[1]\n")), LS_DATA, "line 1: is no JSON object");
    char *negative = write_text("r.neg", "bad one\nbad two\n"), *positive = write_text("r.pos", "good\n");
    ASSERT_OK(prepare_kind("lines", "validation=0;format=files", SOURCES(negative, positive), output));
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "neg"), 2);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "pos"), 1);
    json_decref(object);
    ASSERT_OK(
        prepare_kind("lines", "validation=0;format=files;classes=minus,plus", SOURCES(negative, positive), output));
    object = described(output);
    CU_ASSERT_EQUAL(number_in(json_object_get(object, "train_by_class"), "minus"), 2);
    json_decref(object);
    ASSERT_REFUSED("lines", "format=files;classes=one", SOURCES(negative, positive), LS_USAGE, "2 files for 1 class");
}

static void test_bad_lines(void)
{
    char *good = write_text("g.tsv", "a\tone\nb\ttwo\na\tthree\n");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("u.tsv", "a\tone\nb\ttwo\tmore\n")), LS_DATA,
                   "u.tsv: line 2: has 3 columns between tabs, the lines before have 2");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("e.tsv", "a\tone\nb\t \n")), LS_DATA,
                   "e.tsv: line 2: the text is empty");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("l.tsv", "a\tone\n\tb\n")), LS_DATA,
                   "l.tsv: line 2: the label is empty");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("m.tsv", "a\tone\na\t\xE9t\xE9\n")), LS_DATA,
                   "m.tsv: line 2: byte 3 of the line (0xE9) is no UTF-8");
    ASSERT_REFUSED("lines", "validation=0;punctuation=drop", SOURCES(write_text("n.tsv", "a\tone\na\ttwo\nb\t...\n")),
                   LS_DATA, "n.tsv: line 3: the text has no tokens");
    ASSERT_REFUSED("lines", "classes=a,c", SOURCES(good), LS_DATA, "g.tsv: line 2: the label 'b' is none of the 2");
    ASSERT_REFUSED("lines", "classes=a,,c", SOURCES(good), LS_USAGE, "does not list names of classes");
    char *test = ls_format("test=%s", write_text("t.tsv", "a\tx\nz\ty\n"));
    ASSERT_REFUSED("lines", test, SOURCES(good), LS_DATA, "t.tsv: line 2: the label 'z' is none of the 2 classes");
    ls_free(test);
    ASSERT_REFUSED("lines", "validation=3", SOURCES(good), LS_DATA, "3 of 3 samples cannot be held out");
    ASSERT_REFUSED("lines", "", SOURCES(write_text("empty.tsv", "")), LS_DATA, "empty.tsv: is empty");
    ASSERT_REFUSED("lines", "", SOURCES(path_of("none.tsv")), LS_DATA, "none.tsv: No such file");
}

/* The vocabulary is of what is trained on alone; --like takes it over. */
static void test_held_out(void)
{
    char text[4096], *output = path_of("held.h5"), *like = path_of("like.h5");
    int used = 0;
    for (int i = 0; i < 100; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%d\tword%d shared\n", i % 2, i);
    char *file = write_text("h.tsv", text);
    ASSERT_OK(prepare_kind("lines", "validation=0.3", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "lines", "train", "ids"), 70);
    CU_ASSERT_EQUAL(described_number(output, "tokenizer_vocabulary"), 4 + 1 + 70);
    CU_ASSERT_EQUAL(read_texts(output, "lines", "validation", "ids"), 30);
    for (int i = 0; i < 30; i++) {
        CU_ASSERT_EQUAL(ids[offsets[i]], 1);     /* <unk> */
        CU_ASSERT_EQUAL(ids[offsets[i] + 1], 4); /* the most frequent word */
    }
    char *options = ls_format("validation=0;like=%s", output);
    ASSERT_OK(prepare_kind("lines", options, SOURCES(file), like));
    CU_ASSERT_EQUAL(described_number(like, "tokenizer_vocabulary"), 4 + 1 + 70);
    ls_free(options);
}

static void test_line_samples(void)
{
    char *output = path_of("ls.h5");
    char *file = write_text("ls.tsv", "a\tone two three\nb\tone\na\tthree one\n");
    LsSource *source = NULL;
    ASSERT_OK(prepare_kind("lines", "validation=0", SOURCES(file), output));
    ASSERT_OK(open_kind("lines", output, "held-out", 0, 1, NULL, &source));
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, "ids T of 7, length int, label of 2"); /* one, three, two */
    ls_free(text);
    CU_ASSERT_EQUAL(source->sequence, 3);
    Inputs inputs = inputs_new(source, 4, 4);
    fill_inputs(source, &inputs, 0, 3);
    static const int32_t expected[] = {4, 6, 5, 0, 4, 0, 0, 0, 5, 4, 0, 0}, length[] = {3, 1, 2}, label[] = {0, 1, 0};
    CU_ASSERT(memcmp(ints_of(&inputs, "ids"), expected, sizeof expected) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "length"), length, sizeof length) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "label"), label, sizeof label) == 0);
    CU_ASSERT_EQUAL(ints_of(&inputs, "label")[3], LS_IGNORE);
    CU_ASSERT(ints_of(&inputs, "length")[3] >= 1);
    CU_ASSERT_STRING_EQUAL(ls_tokenizer_kind(source->tokenizer), "words");
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("lines", output, "held-out", 2, 1, NULL, &source)); /* cut */
    inputs = inputs_new(source, 3, 2);
    fill_inputs(source, &inputs, 0, 3);
    static const int32_t cut[] = {4, 6, 4, 0, 5, 4}, cut_length[] = {2, 1, 2};
    CU_ASSERT(memcmp(ints_of(&inputs, "ids"), cut, sizeof cut) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "length"), cut_length, sizeof cut_length) == 0);
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("lines", output, "train", 0, 1, NULL, &source)); /* shuffled: texts and labels together */
    inputs = inputs_new(source, 12, 3);
    fill_inputs(source, &inputs, 0, 12);
    int seen[4] = {0};
    for (int i = 0; i < 12; i++) {
        int32_t n = ints_of(&inputs, "length")[i];
        seen[n] += i < 3;
        CU_ASSERT_EQUAL(ints_of(&inputs, "label")[i], n == 1);
    }
    CU_ASSERT(seen[1] == 1 && seen[2] == 1 && seen[3] == 1);
    inputs_free(&inputs);
    ls_source_free(source);
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static void test_columns(void)
{
    char *output = path_of("columns.h5");
    char *file = write_text("c.conll", "-DOCSTART- -X- O O\n\nBonn NN x B-loc\nis VB y O\n\n\nhere RB z O\n");
    ASSERT_OK(prepare_kind("columns", "validation=0", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "columns", "train", "ids"), 2);
    CU_ASSERT_STRING_EQUAL(text_of(output, "tokenizer", 0), " Bonn is");
    CU_ASSERT_EQUAL(read_list(output, "columns", "train/tags"), 3);
    CU_ASSERT(list[0] == 0 && list[1] == 1 && list[2] == 1);
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "train_words"), 3);
    CU_ASSERT_EQUAL(number_in(object, "train_samples"), 2);
    CU_ASSERT_EQUAL(number_in(object, "skipped_marks_of_documents"), 1);
    CU_ASSERT_EQUAL(number_in(object, "skipped_further_empty_lines"), 2);
    json_decref(object);
    /* tabs, another column, words of several tokens */
    file = write_text("d.conll", "U.S.\tB\tloc\nis\tO\tnone\n");
    ASSERT_OK(prepare_kind("columns", "validation=0;tag=2;punctuation=split", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_list(output, "columns", "train/tags"), 5);
    CU_ASSERT(list[0] == 0 && list[1] == -1 && list[2] == -1 && list[3] == -1 && list[4] == 1);
    LsSource *source = NULL;
    ASSERT_OK(open_kind("columns", output, "train", 0, 1, NULL, &source));
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, "ids T of 8, length int, tags T of 2");
    ls_free(text);
    Inputs inputs = inputs_new(source, 2, 6);
    fill_inputs(source, &inputs, 0, 1);
    static const int32_t tags[] = {0, -1, -1, -1, 1, -1, -1, -1, -1, -1, -1, -1};
    CU_ASSERT(memcmp(ints_of(&inputs, "tags"), tags, sizeof tags) == 0);
    CU_ASSERT_EQUAL(ints_of(&inputs, "length")[0], 5);
    inputs_free(&inputs);
    ls_source_free(source);
}

static void test_bad_columns(void)
{
    char *good = write_text("g.conll", "a\tX\n\nb\tY\n");
    ASSERT_REFUSED("columns", "", SOURCES(write_text("u.conll", "a\tX\n\nb\tY\tmore\n")), LS_DATA,
                   "u.conll: line 3: has 3 columns, the lines before have 2");
    ASSERT_REFUSED("columns", "", SOURCES(write_text("o.conll", "alone\n")), LS_DATA, "o.conll: line 1: has 1 column;");
    ASSERT_REFUSED("columns", "", SOURCES(write_text("w.conll", "a\tX\n\tX\n")), LS_DATA, "line 2: the word is empty");
    ASSERT_REFUSED("columns", "", SOURCES(write_text("m.conll", "a\tX\n\xFF\tX\n")), LS_DATA,
                   "m.conll: line 2: byte 1 of the line (0xFF) is no UTF-8");
    ASSERT_REFUSED("columns", "", SOURCES(write_text("b.conll", "\n\n")), LS_DATA, "b.conll: has no sentences");
    ASSERT_REFUSED("columns", "tag=3", SOURCES(good), LS_DATA, "there are 2 columns, but --tag is column 3");
    ASSERT_REFUSED("columns", "tag=last", SOURCES(good), LS_USAGE, "--tag 'last' is no column");
    char *test = ls_format("test=%s", write_text("t.conll", "a\tX\nb\tZ\n"));
    ASSERT_REFUSED("columns", test, SOURCES(good), LS_DATA, "t.conll: line 2: the tag 'Z' is none of the 2");
    ls_free(test);
}

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

static void test_pairs(void)
{
    char *output = path_of("pairs.h5");
    char *file = write_text("p.txt", "Go.\tVa !\tCC-BY 1\nStay here.\tReste ici.\n\nGo on.\tContinue.\tCC-BY 2\n");
    ASSERT_OK(prepare_kind("pairs", "validation=0;source=2;target=1", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "pairs", "train", "source"), 3);
    CU_ASSERT_STRING_EQUAL(text_of(output, "source_tokenizer", 0), " Va !");
    CU_ASSERT_EQUAL(read_texts(output, "pairs", "train", "target"), 3);
    CU_ASSERT_STRING_EQUAL(text_of(output, "tokenizer", 1), " Stay here .");
    ASSERT_OK(prepare_kind("pairs", "validation=0;longest=2", SOURCES(file), output));
    CU_ASSERT_EQUAL(read_texts(output, "pairs", "train", "target"), 1);
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "skipped_pairs_too_long"), 2);
    CU_ASSERT_EQUAL(number_in(object, "skipped_empty_lines"), 1);
    json_decref(object);
    char *json = write_text("p.jsonl", "{\"source\": \"a b\", \"target\": \"c\"}\n");
    ASSERT_OK(prepare_kind("pairs", "validation=0;shared_vocabulary=true", SOURCES(json), output));
    CU_ASSERT_EQUAL(described_number(output, "tokenizer_vocabulary"), 7);
    char *one = write_text("x.de", "eins\n\nzwei\n"), *other = write_text("x.en", "one\n\ntwo\n");
    ASSERT_OK(
        prepare_kind("pairs", "validation=0;format=files;target_tokenizer=characters", SOURCES(one, other), output));
    CU_ASSERT_EQUAL(read_texts(output, "pairs", "train", "target"), 2);
    CU_ASSERT_STRING_EQUAL(text_of(output, "tokenizer", 1), "two");
}

static void test_bad_pairs(void)
{
    ASSERT_REFUSED("pairs", "", SOURCES(write_text("s.txt", "a\tb\nalone\n")), LS_DATA,
                   "s.txt: line 2: has 1 column between tabs, but the target text is column 2");
    ASSERT_REFUSED("pairs", "", SOURCES(write_text("e.txt", "a\tb\n\tb\n")), LS_DATA,
                   "e.txt: line 2: the source text is empty");
    ASSERT_REFUSED("pairs", "", SOURCES(write_text("m.txt", "a\tb\na\t\xC3\n")), LS_DATA, "m.txt: line 2: byte 3");
    ASSERT_REFUSED("pairs", "", SOURCES(write_text("e.jsonl", "{\"source\": \"a\", \"target\": 1}\n")), LS_DATA,
                   "e.jsonl: line 1: has no \"target\" that is a text; --target names the member");
    char *one = write_text("y.de", "eins\nzwei\n"), *other = write_text("y.en", "one\n");
    ASSERT_REFUSED("pairs", "format=files", SOURCES(one, other), LS_DATA, "y.de: line 2: ");
    ASSERT_REFUSED("pairs", "format=files", SOURCES(other, one), LS_DATA, "y.de: line 2: ");
    ASSERT_REFUSED("pairs", "format=files", SOURCES(one), LS_USAGE, "files come in pairs");
    ASSERT_REFUSED("pairs", "format=files", SOURCES(one, write_text("z.en", "one\n\n")), LS_DATA,
                   "z.en: line 2: the target text is empty");
    ASSERT_REFUSED("pairs", "longest=1;validation=0", SOURCES(write_text("l.txt", "a b\tc\n")), LS_DATA,
                   "no pairs are left in the train part");
}

/* Samples held out are not trained on, also where their source text stands in other pairs. */
static void test_overlap(void)
{
    char text[8192], *output = path_of("overlap.h5");
    int used = 0;
    for (int i = 0; i < 200; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "word%d\tone%d\n", i / 2, i);
    ASSERT_OK(prepare_kind("pairs", "validation=20", SOURCES(write_text("o.txt", text)), output));
    json_t *object = described(output);
    int64_t dropped = number_in(object, "skipped_pairs_held_out_too");
    CU_ASSERT(dropped > 0 && dropped <= 20);
    CU_ASSERT_EQUAL(number_in(object, "train_samples"), 200 - 20 - dropped);
    CU_ASSERT_EQUAL(number_in(object, "validation_samples"), 20);
    json_decref(object);
    CU_ASSERT_EQUAL(read_texts(output, "pairs", "validation", "source"), 20);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(ids[offsets[i]], 1); /* none of the words was trained on */
}

static void test_pair_samples(void)
{
    char *output = path_of("ps.h5");
    LsSource *source = NULL;
    char *file = write_text("ps.txt", "a a b\tx\nb\tx y\n");
    ASSERT_OK(prepare_kind("pairs", "validation=0", SOURCES(file), output));
    ASSERT_OK(open_kind("pairs", output, "held-out", 0, 1, NULL, &source));
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, "source T of 6, source_length int, ids T of 6, length int, targets T of 6");
    ls_free(text);
    CU_ASSERT_EQUAL(source->sequence, 4);
    Inputs inputs = inputs_new(source, 3, 4);
    fill_inputs(source, &inputs, 0, 2);
    static const int32_t from[] = {4, 4, 5, 3, 5, 3, 0, 0}, into[] = {2, 4, 0, 0, 2, 4, 5, 0};
    static const int32_t targets[] = {4, 3, -1, -1, 4, 5, 3, -1, -1, -1, -1, -1};
    static const int32_t from_length[] = {4, 2}, length[] = {2, 3};
    CU_ASSERT(memcmp(ints_of(&inputs, "source"), from, sizeof from) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "ids"), into, sizeof into) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "targets"), targets, sizeof targets) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "source_length"), from_length, sizeof from_length) == 0);
    CU_ASSERT(memcmp(ints_of(&inputs, "length"), length, sizeof length) == 0);
    inputs_free(&inputs);
    ls_source_free(source);
    /* a tokenizer without ids of beginning and end gets them above its own */
    ASSERT_OK(prepare_kind("pairs", "validation=0;tokenizer=bytes", SOURCES(file), output));
    ASSERT_OK(open_kind("pairs", output, "train", 0, 1, NULL, &source));
    CU_ASSERT_EQUAL(ls_source_classes(source, "ids"), 258);
    LsPairIds special = ls_pair_ids(source->tokenizer);
    CU_ASSERT(special.end == 256 && special.begin == 257 && special.classes == 258);
    ls_source_free(source);
}

int main(void)
{
    return harness_run("lines", (HarnessTest[]){{"lines between tabs", test_tsv},
                                                {"JSON lines, files of a class", test_jsonl_and_files},
                                                {"lines that are not right", test_bad_lines},
                                                {"what is held out", test_held_out},
                                                {"samples of lines", test_line_samples},
                                                {"columns", test_columns},
                                                {"columns that are not right", test_bad_columns},
                                                {"pairs", test_pairs},
                                                {"pairs that are not right", test_bad_pairs},
                                                {"pairs held out", test_overlap},
                                                {"samples of pairs", test_pair_samples},
                                                {0}});
}
