/* Numbers over time as a data set: tables, what is wrong with them, samples. */
#include "sample_files.h"

/* A table of `rows` days: "day", value 10 + row, value row squared. */
static char *write_table(const char *name, int rows)
{
    char *text = ls_alloc((size_t)rows * 64 + 64);
    int used = sprintf(text, "\"Date\",Level,Square\r\n");
    for (int row = 0; row < rows; row++)
        used += sprintf(text + used, "\"20%02d-%02d-%02d\",%d,%d\r\n", row / 336, row / 28 % 12 + 1, row % 28 + 1,
                        10 + row, row * row);
    char *path = write_text(name, text);
    ls_free(text);
    return path;
}

static float *read_values(const char *path, int64_t *rows, int64_t *columns)
{
    bool exists;
    LsFileType type;
    int rank;
    int64_t dim[LS_SEALED_RANK];
    LsSealed *file = ls_sealed_open(path, "series", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_shape(file, "values", &exists, &type, &rank, dim));
    float *value = ls_alloc_array(dim[0] * dim[1], sizeof *value);
    ASSERT_OK(ls_sealed_read(file, "values", LS_FILE_FLOAT32, dim[0] * dim[1], value));
    ls_sealed_close(file);
    *rows = dim[0];
    *columns = dim[1];
    return value;
}

static json_t *info_of(const char *path)
{
    json_t *info = NULL;
    LsSealed *file = ls_sealed_open(path, "series", LS_DATA, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    ASSERT_OK(ls_sealed_read_json(file, "info", &info));
    ls_sealed_close(file);
    return info;
}

static double number_at(const json_t *info, const char *key, size_t at)
{
    return json_number_value(json_array_get(json_object_get(info, key), at));
}

static void test_table(void)
{
    char *output = path_of("table.h5"), *file = write_table("t.csv", 100);
    int64_t rows, columns;
    ASSERT_OK(prepare_kind("series", "date=Date;window=5;horizon=2", SOURCES(file), output));
    float *value = read_values(output, &rows, &columns);
    CU_ASSERT(rows == 100 && columns == 2);
    for (int row = 0; row < 100; row++)
        CU_ASSERT(value[2 * row] == (float)(10 + row) && value[2 * row + 1] == (float)(row * row));
    ls_free(value);
    /* scaled by the first 80 rows alone: 10 .. 89 */
    json_t *info = info_of(output), *object = described(output);
    CU_ASSERT_DOUBLE_EQUAL(number_at(info, "offset", 0), 49.5, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(number_at(info, "scale", 0), sqrt((80 * 80 - 1) / 12.0), 1e-9);
    CU_ASSERT_EQUAL(number_in(object, "train_rows"), 80);
    CU_ASSERT_EQUAL(number_in(object, "train_samples"), 80 - 5 - 2 + 1);
    CU_ASSERT_EQUAL(number_in(object, "validation_samples"), 9);
    CU_ASSERT_EQUAL(number_in(object, "test_rows"), 10);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "test_dates")), "2000-04-07 to 2000-04-16");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "target")), "Level");
    json_decref(info);
    json_decref(object);
    ASSERT_OK(prepare_kind("series", "columns=Square,2;target=Level;scaling=minmax;test=20;validation=0;window=3",
                           SOURCES(file), output));
    info = info_of(output);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(info, "target")), 1);
    CU_ASSERT_EQUAL(number_at(info, "offset", 1), 10);
    CU_ASSERT_EQUAL(number_at(info, "scale", 1), 79);
    CU_ASSERT_EQUAL(number_at(info, "scale", 0), 79 * 79);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(info, "validation_rows")), 0);
    json_decref(info);
}

static void test_one_of_several(void)
{
    char *output = path_of("only.h5");
    char *file =
        write_text("only.csv", "name,day,\"price, in \"\"cents\"\"\"\nA,2020-01-01,1\nB,2020-01-01,5\nA,2020-01-02,2\n"
                               "\nA,2020-01-03,-3e0\n");
    int64_t rows, columns;
    const char *options = "only=name=A;date=day;window=1;validation=0;test=0";
    ASSERT_OK(prepare_kind("series", options, SOURCES(file), output));
    float *value = read_values(output, &rows, &columns);
    CU_ASSERT_FATAL(rows == 3 && columns == 1);
    CU_ASSERT(value[0] == 1 && value[1] == 2 && value[2] == -3);
    ls_free(value);
    json_t *object = described(output);
    CU_ASSERT_EQUAL(number_in(object, "skipped_rows_of_other_series"), 1);
    CU_ASSERT_EQUAL(number_in(object, "skipped_empty_lines"), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "target")), "price, in \"cents\"");
    json_decref(object);
    /* no names in the first line; two files are one series */
    char *one = write_text("one.csv", "1,2\n3,4\n"), *two = write_text("two.csv", "5,6\n");
    ASSERT_OK(prepare_kind("series", "window=1;validation=0;test=0", SOURCES(one, two), output));
    value = read_values(output, &rows, &columns);
    CU_ASSERT(rows == 3 && columns == 2 && value[5] == 6);
    ls_free(value);
}

static void test_bad_tables(void)
{
    char *good = write_table("g.csv", 60);
    const char *few = "window=1;validation=0;test=0";
    ASSERT_REFUSED("series", few, SOURCES(write_text("n.csv", "a,b\n1,2\n3,nan\n")), LS_DATA,
                   "n.csv: line 3: column 2 (b) is 'nan', which is no finite number");
    ASSERT_REFUSED("series", few, SOURCES(write_text("i.csv", "a,b\n1,2\n-inf,4\n")), LS_DATA, "line 3: column 1 (a)");
    ASSERT_REFUSED("series", few, SOURCES(write_text("e.csv", "a,b\n1,2\n,4\n")), LS_DATA,
                   "e.csv: line 3: column 1 (a) is empty");
    ASSERT_REFUSED("series", few, SOURCES(write_text("w.csv", "a,b\n1,2\n1,2 kg\n")), LS_DATA, "'2 kg', which is no");
    ASSERT_REFUSED("series", few, SOURCES(write_text("u.csv", "a,b\n1,2\n\n3\n")), LS_DATA,
                   "u.csv: line 4: has 1 column, the lines before have 2");
    ASSERT_REFUSED("series", few, SOURCES(write_text("q.csv", "a,b\n1,\"2\n")), LS_DATA,
                   "q.csv: line 2: the quote of column 2 is not closed");
    ASSERT_REFUSED("series", few, SOURCES(write_text("m.csv", "a,b\n1,\xE9\n")), LS_DATA, "m.csv: line 2: byte 3");
    ASSERT_REFUSED("series", "date=a;window=1;validation=0;test=0",
                   SOURCES(write_text("d.csv", "a,b\n2020-01-02,1\n2020-01-01,2\n")), LS_DATA,
                   "d.csv: line 3: the date 2020-01-01 does not come after 2020-01-02");
    ASSERT_REFUSED("series", "columns=Weight", SOURCES(good), LS_DATA, "none of the 3 columns is named 'Weight'");
    ASSERT_REFUSED("series", "date=Date;target=Depth", SOURCES(good), LS_DATA, "the target 'Depth' is none of");
    ASSERT_REFUSED("series", "date=Date;window=50", SOURCES(good), LS_DATA, "48 are left to train on, fewer than");
    ASSERT_REFUSED("series", "date=Date;window=5;horizon=7", SOURCES(good), LS_DATA,
                   "the validation part has 6 rows, fewer than --horizon 7");
    ASSERT_REFUSED("series", "only=Level", SOURCES(good), LS_USAGE, "is not COLUMN=VALUE");
    char *other = write_text("o.csv", "Date,Level,Depth\n2020-01-01,1,2\n");
    ASSERT_REFUSED("series", "date=Date", SOURCES(good, other), LS_DATA, "o.csv: line 1: column 3 is 'Depth', but");
}

static void test_samples(void)
{
    char *output = path_of("samples.h5"), *file = write_table("s.csv", 100);
    LsSource *source = NULL;
    ASSERT_OK(
        prepare_kind("series", "date=Date;columns=Level,Square;window=5;horizon=2;test=0", SOURCES(file), output));
    ASSERT_OK(open_kind("series", output, "validation", 0, 1, NULL, &source));
    char *text = ls_fields_text(&source->fields);
    CU_ASSERT_STRING_EQUAL(text, "values Tx2, target 2, seasonal 2");
    ls_free(text);
    CU_ASSERT(source->samples == 9 && source->sequence == 5);
    json_t *info = json_loads(source->info, 0, NULL);
    double offset = number_at(info, "offset", 0), scale = number_at(info, "scale", 0);
    json_decref(info);
    Inputs inputs = inputs_new(source, 10, 5);
    fill_inputs(source, &inputs, 0, 9);
    float *x = reals_of(&inputs, "values"), *y = reals_of(&inputs, "target");
    for (int i = 0; i < 9; i++) { /* the first target is the first row held out, row 90 */
        for (int t = 0; t < 5; t++)
            CU_ASSERT_DOUBLE_EQUAL(x[(i * 5 + t) * 2], (10 + 85 + i + t - offset) / scale, 1e-6);
        for (int h = 0; h < 2; h++)
            CU_ASSERT_DOUBLE_EQUAL(y[i * 2 + h], (10 + 90 + i + h - offset) / scale, 1e-6);
    }
    CU_ASSERT(isnan(y[18]) && isnan(y[19])); /* past the last sample */
    ls_free(x), ls_free(y);
    inputs_free(&inputs);
    ls_source_free(source);
    /* training: every window once an epoch, none of which sees what is held out */
    ASSERT_OK(open_kind("series", output, "train", 5, 1, NULL, &source));
    CU_ASSERT_EQUAL_FATAL(source->samples, 90 - 5 - 2 + 1);
    inputs = inputs_new(source, 84, 5);
    fill_inputs(source, &inputs, 84, 84);
    x = reals_of(&inputs, "values"), y = reals_of(&inputs, "target");
    bool seen[84] = {false};
    int in_order = 0;
    for (int i = 0; i < 84; i++) {
        int row = (int)lround(x[i * 10] * scale + offset) - 10;
        CU_ASSERT_FATAL(row >= 0 && row < 84 && !seen[row]);
        seen[row] = true;
        in_order += row == i;
        CU_ASSERT_DOUBLE_EQUAL(y[i * 2 + 1] * scale + offset, 10 + row + 6, 1e-4);
    }
    CU_ASSERT(in_order < 20);
    ls_free(x), ls_free(y);
    inputs_free(&inputs);
    ls_source_free(source);
    ASSERT_OK(open_kind("series", output, "test", 0, 1, NULL, &source));
    CU_ASSERT_PTR_NULL(source);
    ASSERT_FAILS(open_kind("series", output, "train", 4, 1, NULL, &source), LS_USAGE, "set train.sequence: 5");
    ASSERT_FAILS(open_kind("series", output, "later", 0, 1, NULL, &source), LS_USAGE, "no split 'later'");
}

/* A season before each target, of whole seasons the fewest after which it is known when the forecast is made. */
static void test_seasons(void)
{
    char *output = path_of("seasons.h5"), *file = write_table("y.csv", 60);
    LsSource *source = NULL;
    ASSERT_OK(prepare_kind("series", "date=Date;columns=Level;window=5;horizon=4;season=3;scaling=none;test=0",
                           SOURCES(file), output));
    ASSERT_OK(open_kind("series", output, "validation", 0, 1, NULL, &source));
    Inputs inputs = inputs_new(source, 4, 5);
    fill_inputs(source, &inputs, 0, 3);
    float *before = reals_of(&inputs, "seasonal");
    for (int i = 0; i < 3; i++) /* the first target is row 54, whose value is 64 */
        for (int h = 0; h < 4; h++)
            CU_ASSERT_EQUAL(before[i * 4 + h], 64 + i + h - (h < 3 ? 3 : 6));
    CU_ASSERT(isnan(before[12]));
    ls_free(before);
    inputs_free(&inputs);
    ls_source_free(source);
    /* nothing is known before the first row, and of no season */
    ASSERT_OK(prepare_kind("series", "date=Date;columns=Level;window=5;season=58;scaling=none;test=0", SOURCES(file),
                           output));
    ASSERT_OK(open_kind("series", output, "validation", 0, 1, NULL, &source));
    inputs = inputs_new(source, 6, 5);
    fill_inputs(source, &inputs, 0, 6);
    before = reals_of(&inputs, "seasonal");
    CU_ASSERT(isnan(before[3]) && before[4] == 10 && before[5] == 11);
    ls_free(before);
    inputs_free(&inputs);
    ls_source_free(source);
}

/* The data that a model was trained on decide how the numbers of another file are scaled. */
static void test_like(void)
{
    char *one = path_of("one.h5"), *other = path_of("other.h5"), *file = write_table("z.csv", 60);
    LsSource *source = NULL;
    const LsDataKind *kind = ls_data_kind("series");
    ASSERT_OK(prepare_kind("series", "date=Date;columns=Level;window=5;test=0", SOURCES(file), one));
    ASSERT_OK(prepare_kind("series", "date=Date;columns=Level;window=5;test=0;validation=30", SOURCES(file), other));
    json_t *info = info_of(one);
    LsDataOpen open = {.path = other, .split = "validation", .seed = 1, .like = info};
    ASSERT_OK(kind->open(&open, &source));
    Inputs inputs = inputs_new(source, 1, 5);
    fill_inputs(source, &inputs, 0, 1);
    float *y = reals_of(&inputs, "target");
    CU_ASSERT_DOUBLE_EQUAL(y[0], (40 - number_at(info, "offset", 0)) / number_at(info, "scale", 0), 1e-6);
    json_t *said = json_loads(source->info, 0, NULL);
    CU_ASSERT_EQUAL(number_at(said, "offset", 0), number_at(info, "offset", 0));
    CU_ASSERT_EQUAL(number_at(said, "scale", 0), number_at(info, "scale", 0));
    json_decref(said);
    ls_free(y);
    inputs_free(&inputs);
    ls_source_free(source);
    json_object_set_new(info, "columns", json_pack("[s]", "Depth"));
    ASSERT_FAILS(kind->open(&open, &source), LS_DATA, "has the columns [\"Level\"], but the model has learnt from");
    json_decref(info);
}

int main(void)
{
    return harness_run("series", (HarnessTest[]){{"a table", test_table},
                                                 {"one series of several, tables without names", test_one_of_several},
                                                 {"tables that are not right", test_bad_tables},
                                                 {"samples", test_samples},
                                                 {"seasons", test_seasons},
                                                 {"scaled as another file", test_like},
                                                 {0}});
}
